/*
 * exp, sigmoid and tanh of every instruction set against libm's in double, over
 * a dense sweep of all floats; and what happens at the ends.
 */
#include "test.h"

#include "each_isa.h"
#include "math/kernels.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Bit patterns between two samples: prime, so that all low bits occur. */
#define STRIDE 1009
#define BLOCK 4096

static float from_bits(uint32_t bits)
{
	float x;

	memcpy(&x, &bits, sizeof(x));
	return x;
}

/* Spacing of floats at |x|. */
static double ulp(double x)
{
	float y = (float)fabs(x);

	return fmax((double)(nextafterf(y, INFINITY) - y), 0x1p-149);
}

struct function {
	void (*f)(real *y, const real *x, size_t n);
	double (*reference)(double x);
	double low, high; /* where the bound holds */
	double bound;	  /* ulp */
};

static double sigmoid(double x)
{
	return 1 / (1 + exp(-x));
}

/* The greatest error in ulp over a strided sweep of all floats in range. */
static double greatest_error(
	const struct function *f, uint32_t stride, float *where)
{
	static real x[BLOCK], y[BLOCK];
	double worst = 0;
	uint64_t bits = 0;

	while (bits < 1ull << 32) {
		size_t n = 0;

		for (; n < BLOCK && bits < 1ull << 32; bits += stride) {
			float v = from_bits((uint32_t)bits);

			if (v >= f->low && v <= f->high)
				x[n++] = v;
		}
		f->f(y, x, n);
		for (size_t i = 0; i < n; i++) {
			double want = f->reference(x[i]);
			double error = fabs(y[i] - want) / ulp(want);

			if (!(error <= worst)) {
				worst = error;
				*where = x[i];
			}
		}
	}
	return worst;
}

static void check(const char *name, const struct function *f)
{
	const char *wanted = getenv("TEST_STRIDE");
	uint32_t stride = wanted ? (uint32_t)atoi(wanted) : STRIDE;
	float where = 0;
	double worst = greatest_error(f, stride, &where);

	print_message("# %s %s: %.3f ulp at %.9g\n", kernels_name(), name,
		worst, (double)where);
	if (!(worst <= f->bound))
		fail_msg("%s(%.9g) is %.3f ulp off, expected at most %g", name,
			(double)where, worst, f->bound);
}

static void exp_is_within_its_bound(void **unused)
{
	check("exp", &(struct function){ kernels()->exp, exp, -87, 88, 1.1 });
}

static void sigmoid_is_within_its_bound(void **unused)
{
	check("sigmoid", &(struct function){ kernels()->sigmoid, sigmoid, -87,
				 INFINITY, 3 });
}

static void tanh_is_within_its_bound(void **unused)
{
	check("tanh", &(struct function){
			      kernels()->tanh, tanh, -INFINITY, INFINITY, 3 });
}

static real one(void (*f)(real *, const real *, size_t), real x)
{
	real y;

	f(&y, &x, 1);
	return y;
}

/* All finite floats and infinities, coarsely. */
static void results_stay_in_range(void **unused)
{
	static real x[BLOCK], y[BLOCK];
	uint64_t bits = 0;

	while (bits < 1ull << 32) {
		size_t n = 0;

		for (; n < BLOCK && bits < 1ull << 32; bits += 10007) {
			float v = from_bits((uint32_t)bits);

			if (!isnan(v))
				x[n++] = v;
		}
		kernels()->tanh(y, x, n);
		for (size_t i = 0; i < n; i++)
			assert_true(y[i] >= -1 && y[i] <= 1);
		kernels()->sigmoid(y, x, n);
		for (size_t i = 0; i < n; i++)
			assert_true(y[i] >= 0 && y[i] <= 1);
	}
}

static void ends_are_reached(void **unused)
{
	const real inf = (real)INFINITY;

	assert_true(one(kernels()->tanh, inf) == 1);
	assert_true(one(kernels()->tanh, -inf) == -1);
	assert_true(one(kernels()->tanh, FLT_MAX) == 1);
	assert_true(one(kernels()->sigmoid, inf) == 1);
	assert_true(one(kernels()->sigmoid, FLT_MAX) == 1);
	assert_true(one(kernels()->sigmoid, -inf) < 1e-37);
	assert_true(one(kernels()->sigmoid, -FLT_MAX) < 1e-37);
	/* exp is clamped where a float would overflow or lose its bits. */
	assert_true(one(kernels()->exp, 1000) == one(kernels()->exp, 88));
	assert_true(one(kernels()->exp, inf) == one(kernels()->exp, 88));
	assert_true(one(kernels()->exp, -inf) == one(kernels()->exp, -87));
	assert_true(one(kernels()->exp, -inf) < 2e-38);
}

static void zeros_keep_their_sign(void **unused)
{
	assert_true(one(kernels()->tanh, 0.0f) == 0);
	assert_false(signbit(one(kernels()->tanh, 0.0f)));
	assert_true(signbit(one(kernels()->tanh, -0.0f)));
	assert_true(one(kernels()->sigmoid, 0.0f) == 0.5f);
	assert_true(one(kernels()->sigmoid, -0.0f) == 0.5f);
	assert_true(one(kernels()->exp, 0.0f) == 1);
	assert_true(one(kernels()->exp, -0.0f) == 1);
}

static void denormals_are_harmless(void **unused)
{
	const real tiny = FLT_TRUE_MIN * 1000;

	assert_true(one(kernels()->tanh, tiny) == tiny);
	assert_true(one(kernels()->tanh, -tiny) == -tiny);
	assert_true(one(kernels()->sigmoid, tiny) == 0.5f);
	assert_true(one(kernels()->exp, tiny) == 1);
}

/* In every lane, whatever stands beside it. */
static void nan_passes_through_its_lane_alone(void **unused)
{
	void (*const all[])(real *, const real *, size_t) = { kernels()->exp,
		kernels()->tanh, kernels()->sigmoid };

	for (size_t f = 0; f < 3; f++)
		for (size_t n = 1; n <= 40; n++)
			for (size_t at = 0; at < n; at++) {
				real x[40] = { 0 }, y[40], z[40];

				all[f](z, x, n);
				x[at] = at % 2 ? (real)NAN : -(real)NAN;
				all[f](y, x, n);
				for (size_t i = 0; i < n; i++)
					assert_true(i == at ? isnan(y[i])
							    : y[i] == z[i]);
			}
}

/* A value's result does not depend on its place or on the run's length. */
static void every_lane_gives_the_same_bits(void **unused)
{
	void (*const all[])(real *, const real *, size_t) = { kernels()->exp,
		kernels()->tanh, kernels()->sigmoid };

	for (size_t f = 0; f < 3; f++)
		for (int i = 0; i < 200; i++) {
			real v = (real)(i - 100) * 0.37f, x[40], y[40];
			real alone = one(all[f], v);

			for (size_t j = 0; j < 40; j++)
				x[j] = v;
			for (size_t n = 1; n <= 40; n++) {
				all[f](y, x, n);
				for (size_t j = 0; j < n; j++)
					assert_memory_equal(
						&y[j], &alone, sizeof(real));
			}
		}
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exp_is_within_its_bound),
		cmocka_unit_test(sigmoid_is_within_its_bound),
		cmocka_unit_test(tanh_is_within_its_bound),
		cmocka_unit_test(results_stay_in_range),
		cmocka_unit_test(ends_are_reached),
		cmocka_unit_test(zeros_keep_their_sign),
		cmocka_unit_test(denormals_are_harmless),
		cmocka_unit_test(nan_passes_through_its_lane_alone),
		cmocka_unit_test(every_lane_gives_the_same_bits),
	};

	return cmocka_run_group_tests_name(kernels_name(), tests, NULL, NULL);
}

int main(void)
{
	return each_isa(run);
}
