/* The table of one instruction set; compiled once for each. */
#include "math/kernels.h"

#include "base/rng.h"
#include "math/activations.h"
#include "math/isa.h"
#include "math/kernels/outer_body.h"
#include "math/kernels/pack.h"
#include "math/kernels/product.h"

#include <math.h>

static vr top_of(const real *x, size_t n)
{
	vr top = vr_set(-(real)INFINITY);
	size_t j = 0;

	for (; j + VR <= n; j += VR)
		top = vr_max(top, vr_load(x + j));
	for (; j < n; j++)
		top = vr_max(top, vr_set(x[j]));
	return top;
}

/* out = e^(x - top); returns the sum. Lanes past n add nothing. */
static real exp_sum(real *out, const real *x, size_t n, real top)
{
	vr sum = { 0 };
	size_t j = 0;
	real rest = 0;

	for (; j + VR <= n; j += VR) {
		vr e = vr_exp(vr_load(x + j) - top);

		sum += e;
		if (out)
			vr_store(out + j, e);
	}
	if (j < n) {
		vr e = vr_exp(vr_load_part(x + j, n - j) - top);

		for (size_t i = 0; i < n - j; i++)
			rest += e[i];
		if (out)
			vr_store_part(out + j, e, n - j);
	}
	return vr_sum(sum) + rest;
}

static void log_softmax(real *logits, size_t n)
{
	real top = vr_top(top_of(logits, n));
	real shift = top + (real)log((double)exp_sum(NULL, logits, n, top));

	for (size_t j = 0; j < n; j++)
		logits[j] -= shift;
}

static double cross_entropy(real *logits, size_t n, uint32_t target, real scale)
{
	real top = vr_top(top_of(logits, n));
	double at_target = (double)logits[target] - (double)top;
	real sum = exp_sum(logits, logits, n, top);
	real factor = scale / sum;

	for (size_t j = 0; j < n; j += VR)
		vr_put(logits, vr_get(logits, j, n) * factor, j, n);
	logits[target] -= scale;
	return log((double)sum) - at_target;
}

#define MAP(name, f)                                         \
	static void name(real *y, const real *x, size_t n)   \
	{                                                    \
		for (size_t j = 0; j < n; j += VR)           \
			vr_put(y, f(vr_get(x, j, n)), j, n); \
	}
MAP(map_exp, vr_exp)
MAP(map_tanh, vr_tanh)
MAP(map_sigmoid, vr_sigmoid)

static void add(real *y, const real *x, size_t n)
{
	for (size_t j = 0; j < n; j += VR)
		vr_put(y, vr_get(y, j, n) + vr_get(x, j, n), j, n);
}

/* BLOCKS ciphers side by side, for the compiler to run in vector lanes; each
 * gives eight 16-bit draws. */
#define BLOCKS 16

static void philox_blocks(uint64_t seed, uint32_t stream, uint64_t counter,
	uint32_t first, uint16_t out[BLOCKS * 8])
{
	uint32_t c0[BLOCKS], c1[BLOCKS], c2[BLOCKS], c3[BLOCKS];
	uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);

	for (uint32_t i = 0; i < BLOCKS; i++) {
		c0[i] = first + i;
		c1[i] = (uint32_t)counter;
		c2[i] = stream;
		c3[i] = (uint32_t)(counter >> 32) << 8 | RNG_DROPOUT;
	}
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < BLOCKS; i++) {
			uint64_t p0 = (uint64_t)0xD2511F53u * c0[i];
			uint64_t p1 = (uint64_t)0xCD9E8D57u * c2[i];

			c0[i] = (uint32_t)(p1 >> 32) ^ c1[i] ^ k0;
			c1[i] = (uint32_t)p1;
			c2[i] = (uint32_t)(p0 >> 32) ^ c3[i] ^ k1;
			c3[i] = (uint32_t)p0;
		}
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
	for (int i = 0; i < BLOCKS; i++) {
		const uint32_t words[4] = { c0[i], c1[i], c2[i], c3[i] };

		for (int w = 0; w < 4; w++) {
			out[i * 8 + w * 2] = (uint16_t)words[w];
			out[i * 8 + w * 2 + 1] = (uint16_t)(words[w] >> 16);
		}
	}
}

static void dropout(real *y, const real *x, size_t n, uint64_t seed,
	uint32_t stream, uint64_t counter, uint32_t threshold, real scale)
{
	uint16_t draws[BLOCKS * 8];

	for (size_t j = 0; j < n; j += BLOCKS * 8) {
		size_t m = n - j < BLOCKS * 8 ? n - j : BLOCKS * 8;

		philox_blocks(seed, stream, counter, (uint32_t)(j / 8), draws);
		for (size_t i = 0; i < m; i++)
			y[j + i] = draws[i] >= threshold ? x[j + i] * scale : 0;
	}
}

static double sum_squares(const real *x, size_t n)
{
	double sum[16] = { 0 };
	double total = 0;
	size_t j = 0;

	for (; j + 16 <= n; j += 16)
		for (int i = 0; i < 16; i++)
			sum[i] += (double)x[j + i] * (double)x[j + i];
	for (int i = 0; i < 16; i++)
		total += sum[i];
	for (; j < n; j++)
		total += (double)x[j] * (double)x[j];
	return total;
}

#define NAME_(isa) #isa
#define NAME(isa) NAME_(isa)

const struct kernels ISA_SYMBOL(kernel_set) = {
	.name = NAME(ISA),
	.panel = PANEL,
#ifndef REAL_IS_DOUBLE
	.group = INT8_GROUP,
#ifdef ISA_avx512bf16
	.pairs = true,
#endif
	.round_int8 = round_int8,
	.round_bf16 = round_bf16,
#endif
	.product = product,
	.outer = outer,
	.column_sum = column_sum,
	.pack = pack,
	.log_softmax = log_softmax,
	.cross_entropy = cross_entropy,
	.exp = map_exp,
	.tanh = map_tanh,
	.sigmoid = map_sigmoid,
	.add = add,
	.dropout = dropout,
	.sum_squares = sum_squares,
};
