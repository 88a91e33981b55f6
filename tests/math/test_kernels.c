/*
 * Every instruction set's kernels against plain loops in double, over random
 * shapes; and that a row's product is the same bits alone or among others.
 */
#include "test.h"

#include "base/rng.h"
#include "each_isa.h"
#include "math/kernels.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define CANARY 12345.0f
#define MAX_M 200

static uint64_t draws;

static uint32_t draw(uint32_t below)
{
	return rng_block(11, RNG_SEED, 0, draws++).v[0] % below;
}

static size_t between(size_t low, size_t high)
{
	return low + draw((uint32_t)(high - low + 1));
}

/* Numbers in (-1, 1), owned. */
static real *numbers(size_t n)
{
	real *x = kernels_alloc(n);

	assert_non_null(x);
	for (size_t i = 0; i < n; i++)
		x[i] = (real)((int)draw(1 << 20) - (1 << 19)) / (1 << 19);
	return x;
}

static real *canaries(size_t n)
{
	real *x = kernels_alloc(n);

	assert_non_null(x);
	for (size_t i = 0; i < n; i++)
		x[i] = CANARY;
	return x;
}

struct shape {
	size_t m, k, n, ldx, ldy;
	bool transposed;
};

static struct shape random_shape(void)
{
	struct shape s = { .m = between(1, 130),
		.k = between(1, 97),
		.n = between(1, 150),
		.transposed = draw(2) };

	s.ldx = s.k + draw(3);
	s.ldy = s.n + draw(3);
	return s;
}

static real weight(const struct shape *s, const real *w, size_t i, size_t j)
{
	return s->transposed ? w[j * s->k + i] : w[i * s->n + j];
}

/* Rounding of k additions of numbers below 1. */
static double bound(size_t k)
{
	return (double)(k + 2) * (double)k * FLT_EPSILON / 2 + FLT_EPSILON;
}

static void check_product(const struct shape *s, enum product_init init)
{
	struct packed packed;
	struct error err;
	real *x = numbers(s->m * s->ldx);
	real *w = numbers(s->k * s->n);
	real *bias = numbers(s->n);
	real *y = canaries(s->m * s->ldy);
	real *before = numbers(s->m * s->ldy);

	assert_int_equal(
		packed_open(&packed, WEIGHTS_F32, s->k, s->n, &err), 0);
	packed_fill(&packed, w, s->transposed);
	for (size_t r = 0; r < s->m && init == PRODUCT_ADD; r++)
		memcpy(y + r * s->ldy, before + r * s->ldy,
			s->n * sizeof(real));
	kernels_product(&(struct product){ .w = &packed,
		.m = s->m,
		.x = x,
		.ldx = s->ldx,
		.y = y,
		.ldy = s->ldy,
		.bias = init == PRODUCT_BIAS ? bias : NULL,
		.init = init });
	for (size_t r = 0; r < s->m; r++)
		for (size_t j = 0; j < s->ldy; j++) {
			double sum = 0, got = y[r * s->ldy + j];

			if (j >= s->n) {
				assert_true(got == CANARY);
				continue;
			}
			if (init == PRODUCT_BIAS)
				sum = bias[j];
			if (init == PRODUCT_ADD)
				sum = before[r * s->ldy + j];
			for (size_t i = 0; i < s->k; i++)
				sum += (double)x[r * s->ldx + i] *
				       (double)weight(s, w, i, j);
			if (!(fabs(got - sum) <= bound(s->k)))
				fail_msg("[%zu,%zu] of %zux%zux%zu: %.9g, "
					 "expected %.9g",
					r, j, s->m, s->k, s->n, got, sum);
		}
	packed_release(&packed);
	free(x);
	free(w);
	free(bias);
	free(y);
	free(before);
}

static void products_are_right(void **unused)
{
	for (int i = 0; i < 60; i++) {
		struct shape s = random_shape();

		s.m = i < 14 ? (size_t)i + 1 : s.m;
		check_product(&s, PRODUCT_ZERO);
		check_product(&s, PRODUCT_BIAS);
		check_product(&s, PRODUCT_ADD);
	}
}

static void weights_are_packed_in_padded_panels(void **unused)
{
	const size_t panel = kernels()->panel;

	for (int i = 0; i < 40; i++) {
		struct shape s = random_shape();
		struct packed p;
		struct error err;
		real *w = numbers(s.k * s.n);
		const real *data;

		assert_int_equal(
			packed_open(&p, WEIGHTS_F32, s.k, s.n, &err), 0);
		packed_fill(&p, w, s.transposed);
		data = p.data;
		assert_int_equal(p.panels, (s.n + panel - 1) / panel);
		for (size_t j = 0; j < p.panels * panel; j++)
			for (size_t r = 0; r < s.k; r++) {
				real got = data[(j / panel * s.k + r) * panel +
						j % panel];

				assert_true(
					got ==
					(j < s.n ? weight(&s, w, r, j) : 0));
			}
		packed_release(&p);
		free(w);
	}
}

struct batch {
	struct packed w;
	real *x, *bias, *y; /* [MAX_M, k], [n], [MAX_M, n] of the whole */
};

/* x as bytes for int8 weights; the caller frees both. */
static void round_rows(struct product *p)
{
	const size_t k = p->w->k, stride = kernels_rounded(p->w->type, k);
	uint8_t *rows;
	float *scale;

	if (!stride)
		return;
	rows = malloc(p->m * stride);
	scale = calloc(p->m, sizeof(*scale));
	assert_true(rows && scale);
	for (size_t i = 0; i < p->m; i++)
		scale[i] = kernels_round(
			p->w->type, p->x + i * p->ldx, k, 0, rows + i * stride);
	p->rounded = rows;
	p->x_scale = scale;
}

static void run_rows(const struct batch *b, size_t m, const real *x, real *y,
	size_t begin, size_t end)
{
	struct product p = { .w = &b->w,
		.m = m,
		.x = x,
		.ldx = b->w.k,
		.y = y,
		.ldy = b->w.n,
		.bias = b->bias,
		.init = PRODUCT_BIAS };

	round_rows(&p);
	kernels()->product(&p, begin, end);
	free((void *)p.rounded);
	free((void *)p.x_scale);
}

/* `m` rows picked anywhere, in any order, must be as they were in the whole. */
static void check_rows(const struct batch *b, size_t m)
{
	const size_t k = b->w.k, n = b->w.n;
	real *x = kernels_alloc(m * k), *y = canaries(m * n);
	size_t rows[MAX_M];

	for (size_t i = 0; i < m; i++) {
		rows[i] = draw(MAX_M);
		memcpy(x + i * k, b->x + rows[i] * k, k * sizeof(real));
	}
	run_rows(b, m, x, y, 0, b->w.panels);
	for (size_t i = 0; i < m; i++)
		assert_memory_equal(
			y + i * n, b->y + rows[i] * n, n * sizeof(real));
	free(x);
	free(y);
}

/* Panels computed in several calls, cut anywhere. */
static void check_split(const struct batch *b, size_t m)
{
	const size_t n = b->w.n;
	real *y = canaries(m * n);
	size_t begin = 0;

	while (begin < b->w.panels) {
		size_t end = between(begin + 1, b->w.panels);

		run_rows(b, m, b->x, y, begin, end);
		begin = end;
	}
	assert_memory_equal(y, b->y, m * n * sizeof(real));
	free(y);
}

static void check_batches(enum weight_type type)
{
	for (int i = 0; i < 8; i++) {
		size_t k = between(1, 90), n = between(1, 300);
		struct batch b = { .x = numbers(MAX_M * k),
			.bias = numbers(n),
			.y = canaries(MAX_M * n) };
		real *w = numbers(k * n);
		struct error err;

		assert_int_equal(packed_open(&b.w, type, k, n, &err), 0);
		packed_fill(&b.w, w, true);
		run_rows(&b, MAX_M, b.x, b.y, 0, b.w.panels);
		for (size_t m = 1; m <= 30; m++)
			check_rows(&b, m);
		for (int j = 0; j < 10; j++)
			check_rows(&b, between(31, MAX_M));
		for (size_t m = 1; m <= MAX_M; m += between(1, 30))
			check_split(&b, m);
		packed_release(&b.w);
		free(b.x);
		free(b.bias);
		free(b.y);
		free(w);
	}
}

static void a_row_is_the_same_bits_in_any_batch(void **unused)
{
	check_batches(WEIGHTS_F32);
	check_batches(WEIGHTS_BF16);
	check_batches(WEIGHTS_INT8);
}

/* To nearest, ties to even: the upper half of a float. */
static double as_bf16(real x)
{
	double scale = x == 0 ? 1 : ldexp(1, 7 - ilogb((double)x));

	return nearbyint((double)x * scale) / scale;
}

/* Output j's weights in 127ths of the greatest. */
static double as_int8(const struct shape *s, const real *w, size_t i, size_t j)
{
	double top = 0;

	for (size_t r = 0; r < s->k; r++)
		top = fmax(top, fabs((double)weight(s, w, r, j)));
	return top > 0 ? nearbyint((double)weight(s, w, i, j) / (top / 127)) *
				 (top / 127)
		       : 0;
}

/* x[r, i] as the product takes it. */
static double taken(const struct product *p, size_t r, size_t i)
{
	const uint8_t *row = (const uint8_t *)p->rounded +
			     r * kernels_rounded(p->w->type, p->w->k);

	if (p->w->type == WEIGHTS_INT8)
		return (row[i] - 128.0) * (double)p->x_scale[r];
	if (kernels()->pairs)
		return as_bf16(p->x[r * p->ldx + i]);
	return (double)p->x[r * p->ldx + i];
}

static void check_rounded(const struct shape *s, enum weight_type type)
{
	struct batch b = { .x = numbers(s->m * s->k), .bias = numbers(s->n) };
	struct product p = { .w = &b.w, .m = s->m, .x = b.x, .ldx = s->k };
	real *w = numbers(s->k * s->n);
	struct error err;

	b.y = canaries(s->m * s->n + 1);
	assert_int_equal(packed_open(&b.w, type, s->k, s->n, &err), 0);
	packed_fill(&b.w, w, s->transposed);
	run_rows(&b, s->m, b.x, b.y, 0, b.w.panels);
	round_rows(&p);
	for (size_t j = 0; j < s->n; j++) {
		double column[100];

		for (size_t i = 0; i < s->k; i++)
			column[i] = type == WEIGHTS_BF16
					    ? as_bf16(weight(s, w, i, j))
					    : as_int8(s, w, i, j);
		for (size_t r = 0; r < s->m; r++) {
			double sum = b.bias[j];

			for (size_t i = 0; i < s->k; i++)
				sum += column[i] * taken(&p, r, i);
			if (!(fabs((double)b.y[r * s->n + j] - sum) <=
				    bound(s->k)))
				fail_msg("[%zu,%zu] of %zux%zux%zu, %s: %.9g, "
					 "expected %.9g",
					r, j, s->m, s->k, s->n,
					weight_type_name(type),
					(double)b.y[r * s->n + j], sum);
		}
	}
	assert_true(b.y[s->m * s->n] == CANARY);
	free((void *)p.rounded);
	free((void *)p.x_scale);
	packed_release(&b.w);
	free(b.x);
	free(b.bias);
	free(b.y);
	free(w);
}

static void rounded_products_are_right(void **unused)
{
	for (int i = 0; i < 40; i++) {
		struct shape s = random_shape();

		s.m = i < 14 ? (size_t)i + 1 : s.m;
		check_rounded(&s, WEIGHTS_BF16);
		check_rounded(&s, WEIGHTS_INT8);
	}
}

/* Gates packed side by side: each unit's value of each gate where
 * packed_column says, whether a group of panels is computed or all, from a
 * start of the row's own. */
static void check_gates(enum weight_type type, size_t gates, size_t units)
{
	const size_t k = between(1, 60), m = between(1, 14);
	const size_t n = gates * units, width = packed_width(gates, units);
	real *x = numbers(m * k), *w = numbers(n * k), *start = numbers(width);
	real *plain = canaries(m * n), *y = canaries(m * width);
	const real *rows[14];
	struct packed one, side;
	struct product p = { .m = m, .x = x, .ldx = k };
	struct error err;

	assert_int_equal(packed_open(&one, type, k, n, &err), 0);
	assert_int_equal(
		packed_open_gates(&side, type, k, gates, units, &err), 0);
	assert_int_equal(side.n, width);
	packed_fill(&one, w, true);
	packed_fill(&side, w, true);
	for (size_t i = 0; i < m; i++)
		rows[i] = start;
	p.w = &one;
	round_rows(&p);
	p.y = plain;
	p.ldy = n;
	for (size_t g = 0; g < gates; g++)
		for (size_t u = 0; u < units; u++)
			for (size_t i = 0; i < m; i++)
				plain[i * n + g * units + u] =
					start[packed_column(gates, g, u)];
	p.init = PRODUCT_ADD;
	kernels_product(&p);
	p.w = &side;
	p.rows = rows;
	p.init = PRODUCT_ROWS;
	p.ldy = width;
	for (size_t at = 0; at < side.panels; at += gates) {
		p.y_column = at * kernels()->panel;
		p.y = y + p.y_column;
		kernels()->product(&p, at, at + gates);
	}
	for (size_t i = 0; i < m * n; i++)
		assert_true(
			plain[i] ==
			y[i / n * width + packed_column(gates, i % n / units,
						  i % n % units)]);
	free((void *)p.rounded);
	free((void *)p.x_scale);
	packed_release(&one);
	packed_release(&side);
	free(x);
	free(w);
	free(start);
	free(plain);
	free(y);
}

static void gates_lie_side_by_side(void **unused)
{
	for (int i = 0; i < 10; i++)
		for (size_t gates = 1; gates <= 4; gates++) {
			check_gates(WEIGHTS_F32, gates, between(1, 100));
			check_gates(WEIGHTS_BF16, gates, between(1, 100));
			check_gates(WEIGHTS_INT8, gates, between(1, 100));
		}
}

/* Half a step of the row's scale, or of the one that was asked for; what lies
 * beyond it is clamped. */
static void rows_are_quantised_to_the_nearest(void **unused)
{
	for (size_t n = 1; n <= 100; n++)
		for (int own = 0; own < 2; own++) {
			const float wanted = own ? 0 : 0.5f / 127;
			real *x = numbers(n);
			uint8_t out[104];
			float scale = kernels()->round_int8(x, n, wanted, out);
			double top = 0;

			for (size_t j = 0; j < n; j++)
				top = fmax(top, fabs((double)x[j]));
			assert_true(
				fabs((double)scale -
					(own ? top / 127 : (double)wanted)) <=
				1e-7 * top);
			for (size_t j = 0; j < n; j++) {
				double v = (double)x[j];

				if (!own)
					v = fmax(-0.5, fmin(0.5, v));
				assert_true(
					fabs((out[j] - 128) * (double)scale -
						v) <= 0.5001 * (double)scale);
			}
			for (size_t j = n; j < kernels_rounded(WEIGHTS_INT8, n);
				j++)
				assert_int_equal(out[j], 128);
			free(x);
		}
}

struct outer {
	size_t rows, m, n, ldg, ldx, ldc;
	real *g, *x, *work;
};

static void run_outer(const struct outer *o, real *c, size_t begin, size_t end,
	bool accumulate)
{
	kernels()->outer(o->rows, o->g, o->ldg, begin, end, o->x, o->ldx, o->n,
		c, o->ldc, accumulate, o->work);
}

static void check_outer(
	const struct outer *o, const real *c, const real *before)
{
	for (size_t i = 0; i < o->m; i++)
		for (size_t j = 0; j < o->ldc; j++) {
			double sum = before ? before[i * o->ldc + j] : 0;
			double got = c[i * o->ldc + j];

			if (j >= o->n) {
				assert_true(
					got == (before ? before[i * o->ldc + j]
						       : CANARY));
				continue;
			}
			for (size_t r = 0; r < o->rows; r++)
				sum += (double)o->g[r * o->ldg + i] *
				       (double)o->x[r * o->ldx + j];
			if (!(fabs(got - sum) <= bound(o->rows)))
				fail_msg("[%zu,%zu] of %zu rows, %zux%zu: "
					 "%.9g, expected %.9g",
					i, j, o->rows, o->m, o->n, got, sum);
		}
}

/* Weight gradients: right, added to what is there, and the same bits however
 * the outputs are shared out. */
static void outer_products_are_right_and_split_anywhere(void **unused)
{
	for (int i = 0; i < 30; i++) {
		struct outer o = { .rows = between(1, i % 3 ? 60 : 600),
			.m = between(1, 60),
			.n = between(1, 80) };
		real *c, *d, *before;

		o.ldg = o.m + draw(3);
		o.ldx = o.n + draw(3);
		o.ldc = o.n + draw(3);
		o.g = numbers(o.rows * o.ldg);
		o.x = numbers(o.rows * o.ldx);
		o.work = canaries(kernels_outer_work(o.n));
		c = canaries(o.m * o.ldc);
		d = canaries(o.m * o.ldc);
		before = numbers(o.m * o.ldc);
		run_outer(&o, c, 0, o.m, false);
		check_outer(&o, c, NULL);
		for (size_t begin = 0, end; begin < o.m; begin = end) {
			end = between(begin + 1, o.m);
			run_outer(&o, d, begin, end, false);
		}
		assert_memory_equal(c, d, o.m * o.ldc * sizeof(real));
		memcpy(c, before, o.m * o.ldc * sizeof(real));
		run_outer(&o, c, 0, o.m, true);
		check_outer(&o, c, before);
		free(o.g);
		free(o.x);
		free(o.work);
		free(c);
		free(d);
		free(before);
	}
}

static void column_sums_are_right_and_split_anywhere(void **unused)
{
	for (int i = 0; i < 40; i++) {
		size_t rows = between(1, 130), n = between(1, 200);
		size_t ldg = n + draw(3);
		real *g = numbers(rows * ldg), *before = numbers(n);
		real *sum = canaries(n + 1), *split = canaries(n + 1);

		kernels()->column_sum(rows, g, ldg, 0, n, sum, false);
		for (size_t begin = 0, end; begin < n; begin = end) {
			end = between(begin + 1, n);
			kernels()->column_sum(
				rows, g, ldg, begin, end, split, false);
		}
		assert_memory_equal(sum, split, (n + 1) * sizeof(real));
		memcpy(split, before, n * sizeof(real));
		kernels()->column_sum(rows, g, ldg, 0, n, split, true);
		for (size_t j = 0; j < n; j++) {
			double s = 0;

			for (size_t r = 0; r < rows; r++)
				s += (double)g[r * ldg + j];
			assert_true(fabs((double)sum[j] - s) <= bound(rows));
			assert_true(fabs((double)split[j] - s -
					    (double)before[j]) <= bound(rows));
		}
		assert_true(sum[n] == CANARY && split[n] == CANARY);
		free(g);
		free(before);
		free(sum);
		free(split);
	}
}

/* log sum exp of logits in double. */
static double log_sum(const real *x, size_t n)
{
	double top = -INFINITY, sum = 0;

	for (size_t j = 0; j < n; j++)
		top = fmax(top, x[j]);
	for (size_t j = 0; j < n; j++)
		sum += exp(x[j] - top);
	return top + log(sum);
}

/* Sizes with and without remainders, one huge; logits up to +-`spread`. */
static void check_softmax(size_t n, real spread)
{
	const uint32_t target = draw((uint32_t)n);
	const real scale = 0.25f;
	real *x = numbers(n), *y = canaries(n + 1);
	double expected, sum = 0, loss;

	for (size_t j = 0; j < n; j++)
		x[j] *= spread;
	expected = log_sum(x, n);
	memcpy(y, x, n * sizeof(real));
	kernels()->log_softmax(y, n);
	for (size_t j = 0; j < n; j++) {
		double want = x[j] - expected;

		assert_true(fabs((double)y[j] - want) <=
			    2e-6 * (1 + fabs((double)spread) + fabs(want)));
	}
	memcpy(y, x, n * sizeof(real));
	loss = kernels()->cross_entropy(y, n, target, scale);
	assert_true(
		fabs(loss - (expected - x[target])) <= 2e-6 * (1 + fabs(loss)));
	for (size_t j = 0; j < n; j++) {
		double p = exp(x[j] - expected);
		double want = scale * (p - (j == target));

		sum += (double)y[j];
		assert_true(fabs((double)y[j] - want) <= 2e-6 * scale);
	}
	assert_true(fabs(sum) <= 1e-5);
	assert_true(y[n] == CANARY);
	free(x);
	free(y);
}

static void softmax_and_cross_entropy_are_right(void **unused)
{
	for (size_t n = 1; n <= 70; n++)
		check_softmax(n, 4);
	for (int i = 0; i < 30; i++)
		check_softmax(between(71, 3000), i % 2 ? 0.01f : 80);
	check_softmax(100003, 10);
}

/* A loss that a user can trust when the network has blown up. */
static void extreme_logits_give_no_false_loss(void **unused)
{
	const real inf = (real)INFINITY;

	for (size_t n = 2; n <= 40; n++)
		for (size_t at = 0; at < n; at++) {
			real x[40] = { 0 };

			x[at] = 1e30f;
			assert_true(kernels()->cross_entropy(
					    x, n, (uint32_t)at, 1) < 1e-6);
			memset(x, 0, sizeof(x));
			x[at] = 3e38f;
			assert_true(kernels()->cross_entropy(x, n,
					    (uint32_t)(at + 1) % (uint32_t)n,
					    1) > 2e38);
			memset(x, 0, sizeof(x));
			x[at] = (real)NAN;
			assert_true(
				isnan(kernels()->cross_entropy(x, n, 0, 1)));
			memset(x, 0, sizeof(x));
			x[at] = inf;
			assert_false(isfinite(kernels()->cross_entropy(
				x, n, (uint32_t)(at + 1) % (uint32_t)n, 1)));
			memset(x, 0, sizeof(x));
			x[at] = (real)NAN;
			kernels()->log_softmax(x, n);
			for (size_t j = 0; j < n; j++)
				assert_true(isnan(x[j]));
		}
}

static void drop(real *y, const real *x, size_t n, uint64_t seed,
	uint32_t stream, uint64_t counter, double rate)
{
	uint32_t threshold = (uint32_t)lrint(rate * 65536);

	kernels()->dropout(y, x, n, seed, stream, counter, threshold,
		(real)(65536.0 / (65536.0 - threshold)));
}

static void dropout_keeps_rate_and_mean(void **unused)
{
	static const double rates[] = { 0.1, 0.25, 0.5, 0.9 };
	enum { N = 100003 };
	real *x = kernels_alloc(N), *y = canaries(N + 1);

	for (size_t j = 0; j < N; j++)
		x[j] = 1;
	for (size_t r = 0; r < 4; r++) {
		double kept = 0, sum = 0, q = 1 - rates[r];

		drop(y, x, N, 7, 2, 1ull << 40, rates[r]);
		for (size_t j = 0; j < N; j++) {
			assert_true(
				y[j] == 0 || fabs((double)y[j] * q - 1) < 1e-3);
			kept += y[j] != 0;
			sum += (double)y[j];
		}
		/* Five standard deviations. */
		assert_true(fabs(kept / N - q) < 5 * sqrt(q * (1 - q) / N));
		assert_true(fabs(sum / N - 1) < 5 * sqrt((1 - q) / q / N));
	}
	assert_true(y[N] == CANARY);
	free(x);
	free(y);
}

static size_t differences(const real *a, const real *b, size_t n)
{
	size_t count = 0;

	for (size_t j = 0; j < n; j++)
		count += (a[j] == 0) != (b[j] == 0);
	return count;
}

/* The mask is a function of its arguments: a longer row begins the same, and
 * each argument gives masks of its own. */
static void dropout_is_a_function_of_its_arguments(void **unused)
{
	enum { N = 1000 };
	real x[N], first[N], y[N];

	for (size_t j = 0; j < N; j++)
		x[j] = 1 + (real)j;
	drop(first, x, N, 7, 2, 9, 0.5);
	for (size_t n = 1; n < N; n += 13) {
		drop(y, x, n, 7, 2, 9, 0.5);
		assert_memory_equal(y, first, n * sizeof(real));
	}
	memcpy(y, x, sizeof(x));
	drop(y, y, N, 7, 2, 9, 0.5);
	assert_memory_equal(y, first, sizeof(first));
	drop(y, x, N, 8, 2, 9, 0.5);
	assert_in_range(differences(y, first, N), 400, 600);
	drop(y, x, N, 7, 3, 9, 0.5);
	assert_in_range(differences(y, first, N), 400, 600);
	drop(y, x, N, 7, 2, 10, 0.5);
	assert_in_range(differences(y, first, N), 400, 600);
	drop(y, x, N, 7, 2, 9 + (1ull << 32), 0.5);
	assert_in_range(differences(y, first, N), 400, 600);
	drop(y, x, N, 7 + (1ull << 32), 2, 9, 0.5);
	assert_in_range(differences(y, first, N), 400, 600);
}

static void sums_and_additions_are_right(void **unused)
{
	for (size_t n = 1; n <= 150; n++) {
		real *x = numbers(n), *y = numbers(n + 1), *z = numbers(n);
		double sum = 0;

		memcpy(z, y, n * sizeof(real));
		y[n] = CANARY;
		kernels()->add(y, x, n);
		for (size_t j = 0; j < n; j++) {
			assert_true(y[j] == z[j] + x[j]);
			sum += (double)x[j] * (double)x[j];
		}
		assert_true(y[n] == CANARY);
		assert_true(fabs(kernels()->sum_squares(x, n) - sum) <
			    1e-13 * (double)n);
		free(x);
		free(y);
		free(z);
	}
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(products_are_right),
		cmocka_unit_test(weights_are_packed_in_padded_panels),
		cmocka_unit_test(a_row_is_the_same_bits_in_any_batch),
		cmocka_unit_test(rounded_products_are_right),
		cmocka_unit_test(gates_lie_side_by_side),
		cmocka_unit_test(rows_are_quantised_to_the_nearest),
		cmocka_unit_test(outer_products_are_right_and_split_anywhere),
		cmocka_unit_test(column_sums_are_right_and_split_anywhere),
		cmocka_unit_test(softmax_and_cross_entropy_are_right),
		cmocka_unit_test(extreme_logits_give_no_false_loss),
		cmocka_unit_test(dropout_keeps_rate_and_mean),
		cmocka_unit_test(dropout_is_a_function_of_its_arguments),
		cmocka_unit_test(sums_and_additions_are_right),
	};

	return cmocka_run_group_tests_name(kernels_name(), tests, NULL, NULL);
}

int main(void)
{
	return each_isa(run);
}
