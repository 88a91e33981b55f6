#include "math/winograd.h"

#include "math/conv.h"
#include "math/pixels.h"

/* At once: enough to be worth a pass over the weights, and with few channels
 * they stay in L2 from one transform to the other. */
#define TILES 96

int winograd_open(struct winograd *w, size_t in, size_t out, struct error *err)
{
	*w = (struct winograd){ .in = in, .out = out };
	for (size_t i = 0; i < WINOGRAD_PLACES; i++)
		if (packed_open(&w->kernel[i], WEIGHTS_F32, in, out, err) < 0) {
			winograd_release(w);
			return -1;
		}
	return 0;
}

void winograd_release(struct winograd *w)
{
	for (size_t i = 0; i < WINOGRAD_PLACES; i++)
		packed_release(&w->kernel[i]);
	*w = (struct winograd){ 0 };
}

size_t winograd_panels(const struct winograd *w)
{
	return w->kernel[0].panels;
}

/* Three values to four: G of the paper. */
static void spread(const real g[3], real out[4])
{
	const real half = (real)0.5;

	out[0] = g[0];
	out[1] = (g[0] + g[1] + g[2]) * half;
	out[2] = (g[0] - g[1] + g[2]) * half;
	out[3] = g[2];
}

/* G g G^T; g's values are `stride` reals apart. */
static void transform(const real *g, size_t stride, real out[WINOGRAD_PLACES])
{
	real rows[3][4];

	for (size_t r = 0; r < 3; r++) {
		const real *at = g + 3 * r * stride;

		spread((real[3]){ at[0], at[stride], at[2 * stride] }, rows[r]);
	}
	for (size_t c = 0; c < 4; c++) {
		real column[4];

		spread((real[3]){ rows[0][c], rows[1][c], rows[2][c] }, column);
		for (size_t r = 0; r < 4; r++)
			out[4 * r + c] = column[r];
	}
}

void winograd_pack(
	struct winograd *w, const real *kernels_, size_t begin, size_t end)
{
	const size_t panel = kernels()->panel, in = w->in;
	const size_t first = begin * panel;
	const size_t last = end * panel < w->out ? end * panel : w->out;

	for (size_t o = first; o < last; o++)
		for (size_t i = 0; i < in; i++) {
			const size_t at =
				(o / panel * in + i) * panel + o % panel;
			real places[WINOGRAD_PLACES];

			transform(kernels_ + o * 9 * in + i, in, places);
			for (size_t p = 0; p < WINOGRAD_PLACES; p++)
				((real *)w->kernel[p].data)[at] = places[p];
		}
}

size_t winograd_work(const struct winograd *w)
{
	return WINOGRAD_PLACES * TILES * (w->in + w->out);
}

/* The last that is within the frame: what is cut off needs no true value. */
static size_t within(size_t at, size_t last)
{
	return at < last ? at : last;
}

/* One block of at most TILES. */
static void block(const struct winograd *w, size_t height, size_t width,
	const real *x, const real *bias, real *y, size_t first, size_t n,
	real *work)
{
	const size_t across = (width + 1) / 2;
	const size_t row_in = (width + 2) * w->in;
	const size_t row_out = (width + 2) * w->out;
	real *const v = work, *const m = work + WINOGRAD_PLACES * n * w->in;

	for (size_t t = 0; t < n; t++) {
		const size_t top = (first + t) / across * 2;
		const size_t left = (first + t) % across * 2;
		const real *tile[WINOGRAD_PLACES];

		for (size_t p = 0; p < WINOGRAD_PLACES; p++)
			tile[p] = x + within(top + p / 4, height + 1) * row_in +
				  within(left + p % 4, width + 1) * w->in;
		pixels()->winograd_in(tile, w->in, v + t * w->in, n * w->in);
	}
	for (size_t p = 0; p < WINOGRAD_PLACES; p++)
		kernels_product(&(struct product){ .w = &w->kernel[p],
			.m = n,
			.x = v + p * n * w->in,
			.ldx = w->in,
			.y = m + p * n * w->out,
			.ldy = w->out,
			.init = PRODUCT_ZERO });
	y += conv_origin(width, w->out);
	for (size_t t = 0; t < n; t++) {
		const size_t top = (first + t) / across * 2;
		const size_t left = (first + t) % across * 2;
		real *at = y + top * row_out + left * w->out;
		real *const out[4] = { at,
			left + 1 < width ? at + w->out : NULL,
			top + 1 < height ? at + row_out : NULL,
			left + 1 < width && top + 1 < height
				? at + row_out + w->out
				: NULL };

		pixels()->winograd_out(
			m + t * w->out, n * w->out, bias, w->out, out);
	}
}

void winograd_forward(const struct winograd *w, size_t height, size_t width,
	const real *x, const real *bias, real *y, size_t begin, size_t end,
	real *work)
{
	for (size_t at = begin; at < end; at += TILES)
		block(w, height, width, x, bias, y, at,
			end - at < TILES ? end - at : TILES, work);
}
