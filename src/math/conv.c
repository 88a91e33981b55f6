#include "math/conv.h"

#include <string.h>

/* Reals of x that a block of pixels reads: with its outputs they stay in L2
 * while the three rows of the kernel and their panels pass. */
#define BLOCK_REALS (96u << 10)
#define BLOCK_MIN 240 /* pixels: fewer pay too much for reading weights */

/* Of so few channels a kernel's row is too short a sum to be worth its reads
 * and writes of y. */
#define FEW_CHANNELS 4
#define FEW_PIXELS 256 /* gathered at once: kernels()->outer's own block */

int conv_open(struct conv *c, size_t in, size_t out, struct error *err)
{
	*c = (struct conv){
		.in = in, .out = out, .parts = in <= FEW_CHANNELS ? 1 : 3
	};
	for (size_t i = 0; i < c->parts; i++)
		if (packed_open(&c->rows[i], WEIGHTS_F32, 9 / c->parts * in,
			    out, err) < 0) {
			conv_release(c);
			return -1;
		}
	return 0;
}

void conv_release(struct conv *c)
{
	for (size_t i = 0; i < 3; i++)
		packed_release(&c->rows[i]);
	*c = (struct conv){ 0 };
}

size_t conv_panels(const struct conv *c)
{
	return c->rows[0].panels;
}

void conv_pack(struct conv *c, const real *w, size_t begin, size_t end)
{
	for (size_t i = 0; i < c->parts; i++)
		kernels()->pack(&c->rows[i], w + i * c->rows[i].k, 9 * c->in,
			true, begin, end);
}

void conv_pack_back(
	struct conv *c, const real *flipped, size_t begin, size_t end)
{
	for (size_t i = 0; i < c->parts; i++)
		kernels()->pack(&c->rows[i],
			flipped + i * c->rows[i].k * c->out, c->out, false,
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

/* The three rows of n pixels' neighbours side by side: [n, 9 in]. */
static void gather(
	const struct conv *c, size_t width, const real *x, size_t n, real *out)
{
	const size_t part = 3 * c->in, stride = (width + 2) * c->in;

	for (size_t i = 0; i < n; i++, x += c->in)
		for (size_t row = 0; row < 3; row++, out += part)
			for (size_t k = 0; k < part; k++)
				out[k] = x[row * stride + k];
}

/* One block of pixels: the kernel's rows one after the other, or as one. */
static void block(const struct conv *c, size_t width, const real *x,
	const real *bias, real *y, size_t first, size_t n)
{
	real side[FEW_PIXELS * 9 * FEW_CHANNELS];
	struct product p = { .m = n,
		.ldx = c->in,
		.y = y + conv_origin(width, c->out) + first * c->out,
		.ldy = c->out,
		.bias = bias,
		.init = bias ? PRODUCT_BIAS : PRODUCT_ZERO };

	if (c->parts == 1) {
		gather(c, width, x + first * c->in, n, side);
		p.w = &c->rows[0];
		p.x = side;
		p.ldx = 9 * c->in;
		kernels_product(&p);
		return;
	}
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
	if (c->parts == 1)
		step = FEW_PIXELS;
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

static void weights_few(const struct conv *c, size_t height, size_t width,
	const real *g, const real *x, size_t begin, size_t end, real *d,
	bool accumulate, real *work)
{
	const size_t pixels = conv_pixels(height, width), k = 9 * c->in;
	real side[FEW_PIXELS * 9 * FEW_CHANNELS];
	size_t n;

	g += conv_origin(width, c->out);
	for (size_t at = 0; at < pixels; at += n) {
		n = pixels - at < FEW_PIXELS ? pixels - at : FEW_PIXELS;
		gather(c, width, x + at * c->in, n, side);
		kernels()->outer(n, g + at * c->out, c->out, begin, end, side,
			k, k, d, k, accumulate || at, work);
	}
}

void conv_weights(const struct conv *c, size_t height, size_t width,
	const real *g, const real *x, size_t begin, size_t end, real *d,
	bool accumulate, real *work)
{
	if (begin < end && c->parts == 1) {
		weights_few(c, height, width, g, x, begin, end, d, accumulate,
			work);
		return;
	}
	for (size_t row = 0; begin < end && row < 3; row++)
		kernels()->outer(conv_pixels(height, width),
			g + conv_origin(width, c->out), c->out, begin, end,
			x + row * (width + 2) * c->in, c->in, 3 * c->in,
			d + row * 3 * c->in, 9 * c->in, accumulate, work);
}
