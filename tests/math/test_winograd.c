/* A convolution by Winograd's tiles on every instruction set against plain
 * sums in double: sides that cut tiles off, channel counts that end within a
 * vector, any share of the tiles; the frame stays as it is. */
#include "test.h"

#include "base/rng.h"
#include "each_isa.h"
#include "math/conv.h"
#include "math/winograd.h"

#include <math.h>
#include <stdlib.h>

static const struct shape {
	size_t height, width, in, out;
} shapes[] = {
	{ 1, 1, 16, 1 }, { 2, 2, 1, 3 }, { 3, 5, 17, 33 }, { 4, 7, 32, 37 },
	{ 8, 6, 3, 64 },
	{ 23, 24, 20, 16 }, /* more tiles than are computed at once */
};
#define N_SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static real *filled(size_t n, uint32_t seed)
{
	real *x = kernels_alloc(n);

	assert_non_null(x);
	for (size_t i = 0; i < n; i++) {
		struct philox v = rng_block(seed, RNG_SEED, (uint32_t)i, 0);

		x[i] = (real)(2 * rng_double(v.v[0], v.v[1]) - 1);
	}
	return x;
}

struct world {
	struct shape s;
	struct winograd w;
	real *x, *weights, *bias, *y, *work;
	size_t y_count;
};

static void open_world(struct world *o, const struct shape *s)
{
	struct error err;

	*o = (struct world){ .s = *s };
	o->x = filled(conv_frame(s->height, s->width, s->in), 1);
	conv_clear(s->height, s->width, s->in, o->x, 0, s->height);
	o->weights = filled(s->out * 9 * s->in, 2);
	o->bias = filled(s->out, 3);
	o->y_count = conv_frame(s->height, s->width, s->out);
	o->y = kernels_alloc(o->y_count);
	assert_int_equal(winograd_open(&o->w, s->in, s->out, &err), 0);
	o->work = kernels_alloc(winograd_work(&o->w));
	assert_true(o->y && o->work);
	winograd_pack(&o->w, o->weights, 0, winograd_panels(&o->w));
	for (size_t i = 0; i < o->y_count; i++)
		o->y[i] = 7;
}

static void close_world(struct world *o)
{
	winograd_release(&o->w);
	free(o->x);
	free(o->weights);
	free(o->bias);
	free(o->y);
	free(o->work);
}

static void run(struct world *o, size_t begin, size_t end)
{
	winograd_forward(&o->w, o->s.height, o->s.width, o->x, o->bias, o->y,
		begin, end, o->work);
}

static real *pixel(real *frame, const struct shape *s, size_t channels,
	size_t row, size_t column)
{
	return frame + (row * (s->width + 2) + column) * channels;
}

static double expected(struct world *o, size_t row, size_t column, size_t out)
{
	double sum = (double)o->bias[out];

	for (size_t k = 0; k < 9; k++) {
		const real *w = o->weights + (out * 9 + k) * o->s.in;
		const real *x = pixel(
			o->x, &o->s, o->s.in, row + k / 3, column + k % 3);

		for (size_t i = 0; i < o->s.in; i++)
			sum += (double)w[i] * (double)x[i];
	}
	return sum > 0 ? sum : 0;
}

static void check(struct world *o)
{
	const struct shape *s = &o->s;

	for (size_t row = 0; row < s->height + 2; row++)
		for (size_t column = 0; column < s->width + 2; column++) {
			const bool inside = row && column && row <= s->height &&
					    column <= s->width;
			const real *y = pixel(o->y, s, s->out, row, column);

			for (size_t k = 0; k < s->out; k++) {
				double want = inside ? expected(o, row - 1,
							       column - 1, k)
						     : 7;

				if (!(fabs((double)y[k] - want) <= 2e-5))
					fail_msg("%zu x %zu, %zu to %zu: pixel "
						 "%zu %zu, channel %zu: %.9g, "
						 "expected %.9g",
						s->height, s->width, s->in,
						s->out, row, column, k,
						(double)y[k], want);
			}
		}
}

static void it_equals_the_plain_sums(void **unused)
{
	for (size_t i = 0; i < N_SHAPES; i++) {
		const struct shape *s = &shapes[i];
		struct world o;

		open_world(&o, s);
		run(&o, 0, winograd_tiles(s->height, s->width));
		check(&o);
		close_world(&o);
	}
}

static void tiles_are_the_same_bits_in_any_share(void **unused)
{
	for (size_t i = 0; i < N_SHAPES; i++) {
		const struct shape *s = &shapes[i];
		const size_t tiles = winograd_tiles(s->height, s->width);
		struct world whole, parts;

		open_world(&whole, s);
		open_world(&parts, s);
		run(&whole, 0, tiles);
		for (size_t at = 0; at < tiles; at += 5)
			run(&parts, at, tiles - at < 5 ? tiles : at + 5);
		assert_memory_equal(
			whole.y, parts.y, whole.y_count * sizeof(real));
		close_world(&whole);
		close_world(&parts);
	}
}

static int run_all(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_equals_the_plain_sums),
		cmocka_unit_test(tiles_are_the_same_bits_in_any_share),
	};

	return cmocka_run_group_tests_name(kernels_name(), tests, NULL, NULL);
}

int main(void)
{
	return each_isa(run_all);
}
