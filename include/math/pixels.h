/*
 * What a CNN does to pixels beside its products: rows of n pixels, [n,
 * channels], each channel by itself. On the caller's thread. Sums are in float
 * within a row of pixels and in double beyond it, always in the same order.
 */
#ifndef MATH_PIXELS_H
#define MATH_PIXELS_H

#include "math/real.h"

#include <stddef.h>

/* One instruction set's functions. */
struct pixels {
	/* sum[k] += sum of x; square[k] += sum of x^2. */
	void (*moments)(const real *x, size_t n, size_t channels, double *sum,
		double *square);
	/* sum[k] += sum of g; along[k] += sum of g x. */
	void (*moments_back)(const real *g, const real *x, size_t n,
		size_t channels, double *sum, double *along);

	/* y = a[k] x + b[k]. */
	void (*scale)(const real *x, size_t n, size_t channels, const real *a,
		const real *b, real *y);
	/* y = a[k] g + b[k] x + c[k]; y may be g. */
	void (*combine)(const real *g, const real *x, size_t n, size_t channels,
		const real *a, const real *b, const real *c, real *y);

	/* x = max(x, 0), of n reals; and back: g = 0 where y is 0. */
	void (*relu)(real *x, size_t n);
	void (*relu_back)(const real *y, size_t n, real *g);

	/* y [n, channels]: the greatest of 2x2 pixels of x, whose rows are
	 * `stride` reals apart; and back: of four pixels the first of the
	 * greatest takes g, the others 0. */
	void (*pool)(const real *x, size_t stride, size_t n, size_t channels,
		real *y);
	void (*pool_back)(const real *x, const real *g, size_t stride, size_t n,
		size_t channels, real *dx);

	/* Of math/winograd.h, one tile. B^T x B of 4x4 pixels, row by row, to
	 * 16 places `stride` reals apart; and A^T m A, plus bias, no less than
	 * 0, to 2x2 pixels, of which those that are NULL are left out. */
	void (*winograd_in)(const real *const x[16], size_t channels, real *v,
		size_t stride);
	void (*winograd_out)(const real *m, size_t stride, const real *bias,
		size_t channels, real *const y[4]);
};

const struct pixels *pixels(void);

#endif
