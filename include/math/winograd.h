/*
 * 3x3 convolutions, stride 1, padding 1, by Winograd's F(2x2, 3x3) as Lavin &
 * Gray give it ("Fast Algorithms for Convolutional Neural Networks", 2015,
 * section 4.1): 2x2 outputs come from a 4x4 tile of the image,
 *   y = A^T [ (G w G^T) (*) (B^T x B) ] A,
 * with 16 multiplications for each pair of channels instead of 36. Each of the
 * 16 places of a tile is one product [tiles, in] [in, out]. Sums are as near to
 * the exact ones as math/conv.h's, but not the same bits. Images are framed as
 * there. A tile's bits don't depend on how many others are computed with it.
 * All on the caller's thread.
 */
#ifndef MATH_WINOGRAD_H
#define MATH_WINOGRAD_H

#include "math/kernels.h"

#define WINOGRAD_PLACES 16

struct winograd {
	size_t in, out;			       /* channels */
	struct packed kernel[WINOGRAD_PLACES]; /* [in, out] */
};

int winograd_open(struct winograd *w, size_t in, size_t out, struct error *err);
void winograd_release(struct winograd *w);
/* What winograd_pack's callers share out. */
size_t winograd_panels(const struct winograd *w);
/* Transform and pack panels [begin, end) of kernels [out, 3, 3, in]. */
void winograd_pack(
	struct winograd *w, const real *kernels, size_t begin, size_t end);

/* Tiles of an image, row by row; an odd one's last ones are cut off. */
static inline size_t winograd_tiles(size_t height, size_t width)
{
	return (height + 1) / 2 * ((width + 1) / 2);
}

/* Reals of the working memory of one thread. */
size_t winograd_work(const struct winograd *w);

/* y = max(0, bias + w * x) for tiles [begin, end); bias [out]. Writes nothing
 * of y's frame. `work` holds winograd_work reals. */
void winograd_forward(const struct winograd *w, size_t height, size_t width,
	const real *x, const real *bias, real *y, size_t begin, size_t end,
	real *work);

#endif
