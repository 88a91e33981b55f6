/*
 * How fast the products are, and how fast they could be: the processor's
 * measured peak of fused multiply-adds, alone and on all cores at once. Prints
 * one JSON object a line; the best of several runs, since noise only slows.
 */
#include "base/team.h"
#include "math/kernels.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#define RUN_SECONDS 0.02
#define RUNS 15
#define CHAINS 16 /* independent sums: enough to hide the latency */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Each returns the operations of `turns` turns; *sink keeps them alive. */
typedef double peak_function(size_t turns, volatile float *sink);

#ifdef __x86_64__
__attribute__((target("avx512f"))) static double peak_avx512(
	size_t turns, volatile float *sink)
{
	__m512 a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(1e-3f);
	__m512 sum[CHAINS];

	for (int i = 0; i < CHAINS; i++)
		sum[i] = _mm512_set1_ps((float)i);
	for (size_t t = 0; t < turns; t++)
		_Pragma("GCC unroll 16") for (int i = 0; i < CHAINS; i++)
			sum[i] = _mm512_fmadd_ps(sum[i], a, b);
	for (int i = 0; i < CHAINS; i++)
		*sink = _mm512_cvtss_f32(sum[i]);
	return (double)turns * CHAINS * 16 * 2;
}

__attribute__((target("avx2,fma"))) static double peak_avx2(
	size_t turns, volatile float *sink)
{
	__m256 a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(1e-3f);
	__m256 sum[12];

	for (int i = 0; i < 12; i++)
		sum[i] = _mm256_set1_ps((float)i);
	for (size_t t = 0; t < turns; t++)
		_Pragma("GCC unroll 12") for (int i = 0; i < 12; i++) sum[i] =
			_mm256_fmadd_ps(sum[i], a, b);
	for (int i = 0; i < 12; i++)
		*sink = _mm256_cvtss_f32(sum[i]);
	return (double)turns * 12 * 8 * 2;
}
#endif

/* The compiler's baseline: a multiplication and an addition. */
static double peak_generic(size_t turns, volatile float *sink)
{
	typedef float quad __attribute__((vector_size(16)));
	quad sum[12];

	for (int i = 0; i < 12; i++)
		sum[i] = (quad){ 1, 2, 3, (float)i };
	for (size_t t = 0; t < turns; t++)
		_Pragma("GCC unroll 12") for (int i = 0; i < 12; i++) sum[i] =
			sum[i] * 0.999f + 1e-3f;
	for (int i = 0; i < 12; i++)
		*sink = sum[i][0];
	return (double)turns * 12 * 4 * 2;
}

static peak_function *peak(void)
{
#ifdef __x86_64__
	if (!strncmp(kernels_name(), "avx512", 6))
		return peak_avx512;
	if (!strcmp(kernels_name(), "avx2"))
		return peak_avx2;
#endif
	return peak_generic;
}

struct peaks {
	peak_function *f;
	size_t turns;
	double operations[256];
	volatile float sink[256 * 16];
};

static void peak_member(void *arg, unsigned member)
{
	struct peaks *p = arg;

	p->operations[member] = p->f(p->turns, &p->sink[member * 16]);
}

/* Operations a second of `threads` cores together, in 1e9. */
static double measure_peak(unsigned threads)
{
	static struct peaks p;
	struct team *team;
	struct error err;
	double best = 0;

	if (team_open(&team, threads, &err) < 0)
		return 0;
	p.f = peak();
	p.turns = 100000;
	for (int run = 0; run < RUNS; run++) {
		double start = now(), seconds, sum = 0;

		team_run(team, peak_member, &p);
		seconds = now() - start;
		for (unsigned i = 0; i < threads; i++)
			sum += p.operations[i];
		if (sum / seconds > best)
			best = sum / seconds;
		p.turns = (size_t)((double)p.turns * RUN_SECONDS / seconds) + 1;
	}
	team_close(team);
	return best / 1e9;
}

static double peak_of_one;

struct work {
	enum { PRODUCT, OUTER } what;
	size_t m, k, n; /* PRODUCT: [m, k] x [k, n]; OUTER: [k, m]^T [k, n] */
	enum weight_type type;
};

struct buffers {
	struct packed w;
	struct product product;
	real *x, *y, *g, *scratch;
	uint8_t *rounded;
	float *x_scale;
};

static void once(const struct work *w, struct buffers *b)
{
	if (w->what == PRODUCT)
		kernels_product(&b->product);
	else
		kernels()->outer(w->k, b->g, w->m, 0, w->m, b->x, w->n, w->n,
			b->y, w->n, false, b->scratch);
}

static bool open_buffers(const struct work *w, struct buffers *b)
{
	const size_t rows = w->m > w->k ? w->m : w->k;
	const size_t columns = w->k > w->n ? w->k : w->n;
	struct error err;

	b->x = kernels_alloc(rows * columns);
	b->y = kernels_alloc(w->m * w->n);
	b->g = kernels_alloc(w->k * w->m);
	b->scratch = kernels_alloc(kernels_outer_work(w->n));
	b->rounded = calloc(rows, columns * sizeof(real) + 4);
	b->x_scale = calloc(rows, sizeof(*b->x_scale));
	b->product = (struct product){ .w = &b->w,
		.m = w->m,
		.x = b->x,
		.ldx = w->k,
		.y = b->y,
		.ldy = w->n,
		.rounded = kernels_rounded(w->type, 1) ? b->rounded : NULL,
		.x_scale = b->x_scale };
	return packed_open(&b->w, w->type, w->k, w->n, &err) == 0 && b->x &&
	       b->y && b->g && b->scratch && b->rounded && b->x_scale;
}

static void close_buffers(struct buffers *b)
{
	packed_release(&b->w);
	free(b->x);
	free(b->y);
	free(b->g);
	free(b->scratch);
	free(b->rounded);
	free(b->x_scale);
}

static void measure(const struct work *w)
{
	const double operations =
		2.0 * (double)w->m * (double)w->k * (double)w->n;
	struct buffers b = { 0 };
	double best = 1e9, rate;
	size_t times = 1;

	if (!open_buffers(w, &b)) {
		fprintf(stderr, "bench_kernels: no memory\n");
		exit(1);
	}
	for (int run = 0; run < RUNS; run++) {
		double start = now(), seconds;

		for (size_t i = 0; i < times; i++)
			once(w, &b);
		seconds = (now() - start) / (double)times;
		if (seconds < best)
			best = seconds;
		times = (size_t)(RUN_SECONDS / seconds) + 1;
	}
	rate = operations / best / 1e9;
	printf("{\"bench\":\"%s\",\"weights\":\"%s\",\"m\":%zu,\"k\":%zu,"
	       "\"n\":%zu,\"microseconds\":%.2f,\"gflops\":%.1f,"
	       "\"of_peak\":%.3f}\n",
		w->what == PRODUCT ? "product" : "outer",
		weight_type_name(w->type), w->m, w->k, w->n, best * 1e6, rate,
		rate / peak_of_one);
	fflush(stdout);
	close_buffers(&b);
}

static void print_peak(unsigned threads)
{
	double gflops = measure_peak(threads);

	if (threads == 1)
		peak_of_one = gflops;
	printf("{\"bench\":\"fma_peak\",\"kernels\":\"%s\",\"threads\":%u,"
	       "\"gflops\":%.1f}\n",
		kernels_name(), threads, gflops);
	fflush(stdout);
}

int main(void)
{
	static const struct work works[] = {
		/* min-char-rnn: h W_hh, W_hh's gradient */
		{ PRODUCT, 1, 200, 200, WEIGHTS_F32 },
		{ OUTER, 200, 25, 200, WEIGHTS_F32 },
		/* LSTM 2x128 and 2x512, batch 50, seq 50: a step's hidden
		 * product, a chunk's input product, W_hh's gradient */
		{ PRODUCT, 50, 128, 512, WEIGHTS_F32 },
		{ PRODUCT, 2500, 128, 512, WEIGHTS_F32 },
		{ OUTER, 512, 2500, 128, WEIGHTS_F32 },
		{ PRODUCT, 50, 512, 2048, WEIGHTS_F32 },
		{ PRODUCT, 2500, 512, 2048, WEIGHTS_F32 },
		{ OUTER, 2048, 2500, 512, WEIGHTS_F32 },
		/* inference: one sequence, a few, many */
		{ PRODUCT, 1, 512, 2048, WEIGHTS_F32 },
		{ PRODUCT, 12, 512, 2048, WEIGHTS_F32 },
		{ PRODUCT, 64, 512, 2048, WEIGHTS_F32 },
		{ PRODUCT, 1, 512, 2048, WEIGHTS_BF16 },
		{ PRODUCT, 64, 512, 2048, WEIGHTS_BF16 },
		{ PRODUCT, 1, 512, 2048, WEIGHTS_INT8 },
		{ PRODUCT, 64, 512, 2048, WEIGHTS_INT8 },
	};
	unsigned cores = team_default_size();

	print_peak(1);
	if (cores > 1)
		print_peak(cores < 256 ? cores : 256);
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
		measure(&works[i]);
	return 0;
}
