/*
 * Pillow's resampling (Pillow 9.4, src/libImaging/Resample.c), bit for bit:
 * a triangle as wide as the reduction, its weights in fixed point of 22 bits,
 * columns first, and 8 bits between the two passes.
 */
#include "nn/image_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PRECISION 22
#define CHANNELS 3

/* What one output pixel is a sum of, along one axis. */
struct span {
	size_t first, count;
	const int32_t *weights; /* [count, repeats] */
};

struct filter {
	struct span *spans; /* [n] owned */
	int32_t *weights;   /* owned */
	double *exact;	    /* [widest] owned */
};

static void filter_release(struct filter *f)
{
	free(f->spans);
	free(f->weights);
	free(f->exact);
}

static double triangle(double x)
{
	x = fabs(x);
	return x < 1 ? 1 - x : 0;
}

/* Output pixel `i` of the whole axis, as the f's `at`th. */
static void weigh(struct filter *f, size_t at, size_t i, double scale,
	size_t in, size_t widest, size_t repeats)
{
	const double width = scale < 1 ? 1 : scale;
	const double centre = ((double)i + 0.5) * scale;
	const double from = centre - width + 0.5, to = centre + width + 0.5;
	const size_t first = from < 0 ? 0 : (size_t)from;
	const size_t last = to > (double)in ? in : (size_t)to;
	int32_t *out = f->weights + at * widest * repeats;
	double sum = 0;

	for (size_t x = first; x < last; x++) {
		f->exact[x - first] =
			triangle(((double)x - centre + 0.5) * (1 / width));
		sum += f->exact[x - first];
	}
	for (size_t x = 0; x < (last - first) * repeats; x++)
		out[x] = (int32_t)(0.5 + (sum != 0 ? f->exact[x / repeats] / sum
						   : 0) *
						 (1 << PRECISION));
	f->spans[at] = (struct span){ first, last - first, out };
}

/* For `n` output pixels from `begin` on, of `out` that `in` become; each weight
 * stands `repeats` times. */
static int filter_open(struct filter *f, size_t in, size_t out, size_t begin,
	size_t n, size_t repeats, struct error *err)
{
	const double scale = (double)in / (double)out;
	const size_t widest = (size_t)ceil(scale < 1 ? 1 : scale) * 2 + 1;

	*f = (struct filter){ .spans = calloc(n, sizeof(*f->spans)),
		.weights = calloc(n, widest * repeats * sizeof(*f->weights)),
		.exact = calloc(widest, sizeof(*f->exact)) };
	if (!f->spans || !f->weights || !f->exact) {
		filter_release(f);
		return error_set_memory(err, "resampling weights",
			n * widest * repeats * sizeof(*f->weights));
	}
	for (size_t i = 0; i < n; i++)
		weigh(f, i, begin + i, scale, in, widest, repeats);
	return 0;
}

static uint8_t to_byte(int32_t sum)
{
	sum >>= PRECISION;
	if (sum < 0)
		return 0;
	return sum > 255 ? 255 : (uint8_t)sum;
}

#define LANES (8 * CHANNELS) /* products at once: whole vectors and pixels */

/* Weights stand once for each channel, so a row is one list of products, of
 * which every third is the same channel's. Sums of integers are the same in any
 * order. */
static inline __attribute__((always_inline)) void row_across(
	const struct filter *f, const uint8_t *row, size_t n, uint8_t *out)
{
	for (size_t x = 0; x < n; x++) {
		const struct span *s = &f->spans[x];
		const uint8_t *in = row + CHANNELS * s->first;
		const size_t count = CHANNELS * s->count;
		int32_t sums[LANES] = { 0 };
		size_t i = 0;

		for (; i + LANES <= count; i += LANES)
			for (size_t k = 0; k < LANES; k++)
				sums[k] += in[i + k] * s->weights[i + k];
		for (size_t k = 0; i < count; k++, i++)
			sums[k] += in[i] * s->weights[i];
		for (size_t c = 0; c < CHANNELS; c++) {
			int32_t sum = 1 << (PRECISION - 1);

			for (size_t k = c; k < LANES; k += CHANNELS)
				sum += sums[k];
			out[CHANNELS * x + c] = to_byte(sum);
		}
	}
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static void row_across_avx2(
	const struct filter *f, const uint8_t *row, size_t n, uint8_t *out)
{
	row_across(f, row, n, out);
}
#endif

static void row_across_any(
	const struct filter *f, const uint8_t *row, size_t n, uint8_t *out)
{
	row_across(f, row, n, out);
}

typedef void across_function(
	const struct filter *f, const uint8_t *row, size_t n, uint8_t *out);

static across_function *choose_across(void)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2"))
		return row_across_avx2;
#endif
	return row_across_any;
}

/* One output row of n bytes: sums of whole rows, `rgb` being row `from`. */
static void row_down(const struct span *s, const uint8_t *rgb, size_t from,
	size_t n, int32_t *sums, uint8_t *out)
{
	for (size_t x = 0; x < n; x++)
		sums[x] = 1 << (PRECISION - 1);
	for (size_t i = 0; i < s->count; i++) {
		const uint8_t *row = rgb + n * (s->first - from + i);

		for (size_t x = 0; x < n; x++)
			sums[x] += row[x] * s->weights[i];
	}
	for (size_t x = 0; x < n; x++)
		out[x] = to_byte(sums[x]);
}

/* Both passes; of the first only the rows that the second reads. */
static int resample(const struct image *image, const struct filter *columns,
	const struct filter *rows, struct image *out, struct error *err)
{
	const struct span *end = &rows->spans[out->height - 1];
	const size_t from = rows->spans[0].first, n = 3 * out->width;
	const size_t between = end->first + end->count - from;
	across_function *across = choose_across();
	uint8_t *narrow = malloc(between * n);
	int32_t *sums = malloc(n * sizeof(*sums));
	int rc = 0;

	if (!narrow || !sums)
		rc = error_set_memory(err, "resampled rows", between * n);
	for (size_t y = 0; rc == 0 && y < between; y++)
		across(columns, image->rgb + 3 * image->width * (from + y),
			out->width, narrow + n * y);
	for (size_t y = 0; rc == 0 && y < out->height; y++)
		row_down(&rows->spans[y], narrow, from, n, sums,
			out->rgb + n * y);
	free(narrow);
	free(sums);
	return rc;
}

int image_resize_window(const struct image *image, size_t width, size_t height,
	size_t left, size_t top, struct image *out, struct error *err)
{
	struct filter columns, rows;
	int rc = -1;

	if (filter_open(&columns, image->width, width, left, out->width,
		    CHANNELS, err) < 0)
		return -1;
	if (filter_open(&rows, image->height, height, top, out->height, 1,
		    err) == 0) {
		rc = resample(image, &columns, &rows, out, err);
		filter_release(&rows);
	}
	filter_release(&columns);
	return rc;
}

int image_resize(const struct image *image, size_t width, size_t height,
	struct image *out, struct error *err)
{
	if (image_open(out, width, height, err) < 0)
		return -1;
	if (image_resize_window(image, width, height, 0, 0, out, err) == 0)
		return 0;
	image_release(out);
	return -1;
}
