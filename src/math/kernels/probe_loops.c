#include "math/kernels/probe_loops.h"

#include "math/isa.h"
#include "math/vector.h"

/* Enough sums to hide the latency of two units, and registers to hold them. */
#define SUMS 12

static double fma_loop(size_t rounds, real *sink)
{
	const vr a = vr_set((real)0.999), b = vr_set((real)0.001);
	vr sums[SUMS];

	for (int i = 0; i < SUMS; i++)
		sums[i] = vr_set((real)i);
	for (size_t r = 0; r < rounds; r++)
		_Pragma("GCC unroll 16") for (int i = 0; i < SUMS; i++)
			sums[i] = vr_fma(sums[i], a, b);
	for (int i = 1; i < SUMS; i++)
		sums[0] += sums[i];
	*sink += vr_sum(sums[0]);
	return (double)rounds * SUMS * VR * 2;
}

static void read_loop(const real *p, size_t n, real *sink)
{
	vr sums[8] = { { 0 } };

	for (size_t i = 0; i + 8 * VR <= n; i += 8 * VR)
		_Pragma("GCC unroll 8") for (size_t v = 0; v < 8; v++)
			sums[v] += vr_load(p + i + v * VR);
	for (int v = 1; v < 8; v++)
		sums[0] += sums[v];
	*sink += vr_sum(sums[0]);
}

const struct probe_loops ISA_SYMBOL(probe_loops) = {
	.fma = fma_loop,
	.read = read_loop,
};
