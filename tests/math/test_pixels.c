/* What is done to pixels on every instruction set against plain loops, at
 * channel counts that end within a vector; nothing beside them is written. */
#include "test.h"

#include "base/rng.h"
#include "each_isa.h"
#include "math/kernels.h"
#include "math/pixels.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_PIXELS 11
#define MAX_CHANNELS 37
#define GUARD 3 /* reals after a row that stay as they are */
#define ROW (2 * MAX_PIXELS * MAX_CHANNELS + GUARD)

static const size_t channel_counts[] = { 1, 3, 16, 17, 32, 37 };
#define COUNTS (sizeof(channel_counts) / sizeof(channel_counts[0]))

static void fill(real *x, size_t n, uint32_t seed)
{
	for (size_t i = 0; i < n; i++) {
		struct philox v = rng_block(seed, RNG_SEED, (uint32_t)i, 0);

		x[i] = (real)(2 * rng_double(v.v[0], v.v[1]) - 1);
	}
}

static void assert_close(double a, double b)
{
	if (!(fabs(a - b) <= 1e-5 * (1 + fabs(b))))
		fail_msg("%g, expected %g", a, b);
}

static void assert_guard(const real *y, size_t n)
{
	for (size_t i = n; i < n + GUARD; i++)
		assert_true(y[i] == 7);
}

static void set_guard(real *y)
{
	for (size_t i = 0; i < ROW; i++)
		y[i] = 7;
}

static void check_sums(size_t n, size_t c)
{
	double sum[MAX_CHANNELS], square[MAX_CHANNELS], along[MAX_CHANNELS];
	double twice[MAX_CHANNELS];
	real x[ROW], g[ROW];

	fill(x, ROW, 1);
	fill(g, ROW, 2);
	for (size_t k = 0; k < c; k++)
		sum[k] = square[k] = twice[k] = along[k] = 5;
	pixels()->moments(x, n, c, sum, square);
	pixels()->moments_back(g, x, n, c, twice, along);
	for (size_t k = 0; k < c; k++) {
		double expected[4] = { 5, 5, 5, 5 };

		for (size_t i = 0; i < n; i++) {
			double a = (double)x[i * c + k];
			double b = (double)g[i * c + k];

			expected[0] += a;
			expected[1] += a * a;
			expected[2] += b;
			expected[3] += a * b;
		}
		assert_close(sum[k], expected[0]);
		assert_close(square[k], expected[1]);
		assert_close(twice[k], expected[2]);
		assert_close(along[k], expected[3]);
	}
}

static void check_lines(size_t n, size_t c)
{
	real x[ROW], g[ROW], y[ROW], z[ROW], a[3][MAX_CHANNELS];

	fill(x, ROW, 3);
	fill(g, ROW, 4);
	for (uint32_t i = 0; i < 3; i++)
		fill(a[i], MAX_CHANNELS, 5 + i);
	set_guard(y);
	set_guard(z);
	pixels()->scale(x, n, c, a[0], a[1], y);
	pixels()->combine(g, x, n, c, a[0], a[1], a[2], z);
	for (size_t i = 0; i < n * c; i++) {
		size_t k = i % c;

		assert_close((double)y[i], (double)(x[i] * a[0][k] + a[1][k]));
		assert_close((double)z[i],
			(double)(g[i] * a[0][k] + x[i] * a[1][k] + a[2][k]));
	}
	assert_guard(y, n * c);
	assert_guard(z, n * c);
}

static void check_relu(size_t n)
{
	real x[ROW], y[ROW], g[ROW], d[ROW];

	fill(x, ROW, 8);
	fill(g, ROW, 9);
	memcpy(y, x, sizeof(x));
	memcpy(d, g, sizeof(g));
	pixels()->relu(y, n);
	pixels()->relu_back(y, n, d);
	for (size_t i = 0; i < ROW; i++) {
		assert_true(y[i] == (i < n && x[i] < 0 ? 0 : x[i]));
		assert_true(d[i] == (i < n && x[i] <= 0 ? 0 : g[i]));
	}
}

/* Equal pixels, too: the gradient goes to the first of them. */
static void check_pool(size_t n, size_t c)
{
	const size_t stride = 2 * n * c;
	real x[2 * ROW], dx[2 * ROW], y[ROW], g[ROW];

	fill(x, 2 * ROW, 10);
	fill(g, ROW, 11);
	for (size_t i = 0; i < 2 * ROW; i++)
		x[i] = (real)floor(3 * (double)x[i]);
	set_guard(y);
	set_guard(dx);
	set_guard(dx + ROW);
	pixels()->pool(x, stride, n, c, y);
	pixels()->pool_back(x, g, stride, n, c, dx);
	for (size_t i = 0; i < n * c; i++) {
		const size_t at = i / c * 2 * c + i % c;
		const size_t places[] = { at, at + c, at + stride,
			at + stride + c };
		size_t best = at;

		for (size_t j = 1; j < 4; j++)
			if (x[places[j]] > x[best])
				best = places[j];
		assert_true(y[i] == x[best]);
		for (size_t j = 0; j < 4; j++)
			assert_true(dx[places[j]] ==
				    (places[j] == best ? g[i] : 0));
	}
	assert_guard(y, n * c);
	assert_guard(dx, 2 * stride);
}

static void pixels_match_plain_loops(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < COUNTS; i++)
		for (size_t n = 1; n <= MAX_PIXELS; n++) {
			check_sums(n, channel_counts[i]);
			check_lines(n, channel_counts[i]);
			check_relu(n * channel_counts[i]);
			check_pool(n, channel_counts[i]);
		}
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pixels_match_plain_loops),
	};

	return cmocka_run_group_tests_name(kernels_name(), tests, NULL, NULL);
}

int main(void)
{
	return each_isa(run);
}
