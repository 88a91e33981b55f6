/*
 * 3x3 convolutions, stride 1, padding 1, as products on packed weights and
 * without a copy of the image. An image is framed: [height + 2, width + 2,
 * channels] with zeros around it. There the three pixels under a kernel's row
 * lie side by side, and so do those under the next one: a matrix whose rows
 * overlap. Each kernel row is one product [pixels, 3 in] [3 in, out]; the three
 * add up. Of an image with few channels the three rows are copied side by side
 * first: one product [pixels, 9 in], the same sums. As all products on packed
 * weights, a pixel's bits don't depend on how many others are computed with it.
 * All on the caller's thread.
 */
#ifndef MATH_CONV_H
#define MATH_CONV_H

#include "math/kernels.h"

struct conv {
	size_t in, out;	       /* channels */
	size_t parts;	       /* 3, or 1 with few channels */
	struct packed rows[3]; /* [parts] of the kernel: [9 / parts in, out] */
};

int conv_open(struct conv *c, size_t in, size_t out, struct error *err);
void conv_release(struct conv *c);
/* Panels of one row of the kernel: what conv_pack's callers share out. */
size_t conv_panels(const struct conv *c);

/* Pack panels [begin, end) of w [out, 3, 3, in]. */
void conv_pack(struct conv *c, const real *w, size_t begin, size_t end);
/* The convolution that takes a gradient back (in and out change places): w is
 * what conv_flip made. */
void conv_pack_back(
	struct conv *c, const real *flipped, size_t begin, size_t end);
/* From w [out, 3, 3, in] its kernels upside down, [3, 3, out, in]; those of
 * outputs [begin, end). */
void conv_flip(const real *w, size_t in, size_t out, size_t begin, size_t end,
	real *flipped);

/* Reals of a framed image. */
static inline size_t conv_frame(size_t height, size_t width, size_t channels)
{
	return (height + 2) * (width + 2) * channels;
}

/* Pixels to compute, right and left frame included, from the first one on. */
static inline size_t conv_pixels(size_t height, size_t width)
{
	return height * (width + 2) - 2;
}

/* The first pixel within the frame. */
static inline size_t conv_origin(size_t width, size_t channels)
{
	return (width + 3) * channels;
}

/* y = bias + w * x for pixels [begin, end) of conv_pixels; bias [out] may be
 * NULL. Leaves anything at the left and right of y's frame: conv_clear. */
void conv_forward(const struct conv *c, size_t height, size_t width,
	const real *x, const real *bias, real *y, size_t begin, size_t end);

/* Zero the frame around rows [begin, end) of an image; the first and the last
 * row clear what is above and below. */
void conv_clear(size_t height, size_t width, size_t channels, real *y,
	size_t begin, size_t end);

/* d [out, 3, 3, in] (+)= the weights' gradient, for outputs [begin, end); g
 * [.., out] and x [.., in] are framed, with zeros in g's frame. `work` holds
 * kernels_outer_work(9 in) reals. */
void conv_weights(const struct conv *c, size_t height, size_t width,
	const real *g, const real *x, size_t begin, size_t end, real *d,
	bool accumulate, real *work);

#endif
