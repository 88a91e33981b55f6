#include "math/conv.h"

#include <string.h>

/* Reals of x that a block of pixels reads: with its outputs they stay in L2
 * while the three rows of the kernel and their panels pass. */
#define BLOCK_REALS (96u << 10)
#define BLOCK_MIN 240 /* pixels: fewer pay too much for reading weights */

int conv_open(struct conv *c, size_t in, size_t out, struct error *err)
{
	*c = (struct conv){ .in = in, .out = out };
	for (size_t row = 0; row < 3; row++)
		if (packed_open(&c->rows[row], WEIGHTS_F32, 3 * in, out, err) <
			0) {
			conv_release(c);
			return -1;
		}
	return 0;
}

void conv_release(struct conv *c)
{
	for (size_t row = 0; row < 3; row++)
		packed_release(&c->rows[row]);
	*c = (struct conv){ 0 };
}

size_t conv_panels(const struct conv *c)
{
	return c->rows[0].panels;
}

void conv_pack(struct conv *c, const real *w, size_t begin, size_t end)
{
	for (size_t row = 0; row < 3; row++)
		kernels()->pack(&c->rows[row], w + row * 3 * c->in, 9 * c->in,
			true, begin, end);
}

void conv_pack_back(
	struct conv *c, const real *flipped, size_t begin, size_t end)
{
	for (size_t row = 0; row < 3; row++)
		kernels()->pack(&c->rows[row],
			flipped + row * 3 * c->in * c->out, c->out, false,
			begin, end);
}

void conv_flip(const real *w, size_t in, size_t out, size_t begin, size_t end,
	real *flipped)
{
	for (size_t at = 0; at < 9; at++)
		for (size_t o = begin; o < end; o++)
			memcpy(flipped + (at * out + o) * in,
				w + (o * 9 + 8 - at) * in, in * sizeof(*w));
}

/* The kernel's rows, one after the other, over one block of pixels. */
static void block(const struct conv *c, size_t width, const real *x,
	const real *bias, real *y, size_t first, size_t n)
{
	struct product p = { .m = n,
		.ldx = c->in,
		.y = y + conv_origin(width, c->out) + first * c->out,
		.ldy = c->out,
		.bias = bias,
		.init = bias ? PRODUCT_BIAS : PRODUCT_ZERO };

	for (size_t row = 0; row < 3; row++) {
		p.w = &c->rows[row];
		p.x = x + (row * (width + 2) + first) * c->in;
		kernels_product(&p);
		p.init = PRODUCT_ADD;
	}
}

void conv_forward(const struct conv *c, size_t height, size_t width,
	const real *x, const real *bias, real *y, size_t begin, size_t end)
{
	size_t step = BLOCK_REALS / c->in;

	(void)height;
	if (step < BLOCK_MIN)
		step = BLOCK_MIN;
	for (size_t at = begin; at < end; at += step)
		block(c, width, x, bias, y, at,
			end - at < step ? end - at : step);
}

void conv_clear(size_t height, size_t width, size_t channels, real *y,
	size_t begin, size_t end)
{
	const size_t row = (width + 2) * channels;

	if (begin == 0)
		memset(y, 0, row * sizeof(*y));
	for (size_t i = begin + 1; i <= end; i++) {
		memset(y + i * row, 0, channels * sizeof(*y));
		memset(y + (i + 1) * row - channels, 0, channels * sizeof(*y));
	}
	if (end == height)
		memset(y + (height + 1) * row, 0, row * sizeof(*y));
}

void conv_weights(const struct conv *c, size_t height, size_t width,
	const real *g, const real *x, size_t begin, size_t end, real *d,
	bool accumulate, real *work)
{
	for (size_t row = 0; begin < end && row < 3; row++)
		kernels()->outer(conv_pixels(height, width),
			g + conv_origin(width, c->out), c->out, begin, end,
			x + row * (width + 2) * c->in, c->in, 3 * c->in,
			d + row * 3 * c->in, 9 * c->in, accumulate, work);
}
