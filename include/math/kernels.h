/*
 * The products of a recurrent network, on weights packed once. Every output
 * sums its k in one fixed order, one fused multiply-add at a time, whatever
 * the number of rows, the tile, the thread or the split: a row's result is the
 * same bits alone or among 200 others. All functions run on the caller's
 * thread; callers split rows, panels or outputs over threads as they like.
 */
#ifndef MATH_KERNELS_H
#define MATH_KERNELS_H

#include "base/error.h"
#include "math/real.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Weights [k, n] in panels of kernels_panel() columns: panel p holds columns
 * [p * panel, …) as k rows of `panel` reals, zero-padded. */
struct packed {
	real *data; /* owned, 64-byte aligned */
	size_t k, n;
	size_t panels;
};

enum product_init {
	PRODUCT_ZERO, /* y  = x w */
	PRODUCT_BIAS, /* y  = bias + x w */
	PRODUCT_ADD,  /* y += x w: continues the sum where y left it */
};

struct product {
	const struct packed *w;
	size_t m;          /* rows */
	const real *x;     /* [m, k], row stride ldx */
	size_t ldx;
	real *y;           /* [m, n], row stride ldy */
	size_t ldy;
	const real *bias;  /* [n], for PRODUCT_BIAS */
	enum product_init init;
};

/* One instruction set's functions. */
struct kernels {
	const char *name;
	size_t panel;

	/* Panels [begin, end) of a product. */
	void (*product)(const struct product *p, size_t begin, size_t end);

	/* c[m, n] (+)= g[rows, m]^T x[rows, n]: a weight gradient, for output
	 * rows [begin, end) of m. `work` holds kernels_outer_work(n) reals. */
	void (*outer)(size_t rows, const real *g, size_t ldg, size_t begin,
		size_t end, const real *x, size_t ldx, size_t n, real *c,
		size_t ldc, bool accumulate, real *work);

	/* sum[j] (+)= sum over rows of g[rows, j], for j in [begin, end). */
	void (*column_sum)(size_t rows, const real *g, size_t ldg, size_t begin,
		size_t end, real *sum, bool accumulate);

	/* Copy rows k of w into panels; transposed: w is [n, k]. */
	void (*pack)(struct packed *p, const real *w, size_t ldw,
		bool transposed, size_t begin, size_t end);

	/* In place: logits [n] to log-softmax, max-shifted. */
	void (*log_softmax)(real *logits, size_t n);

	/* In place: logits [n] to scale * (softmax - one_hot(target)); returns
	 * the cross-entropy in nats. NaN logits give NaN. */
	double (*cross_entropy)(real *logits, size_t n, uint32_t target,
		real scale);

	/* y[j] = f(x[j]): for tests of the error bounds. */
	void (*exp)(real *y, const real *x, size_t n);
	void (*tanh)(real *y, const real *x, size_t n);
	void (*sigmoid)(real *y, const real *x, size_t n);

	/* y[j] += x[j]. */
	void (*add)(real *y, const real *x, size_t n);

	/* Inverted dropout of n units of one row: keeps unit j where 16 bits
	 * of Philox(seed, step; stream, j) are >= threshold, times scale. The
	 * same call gives the same mask. */
	void (*dropout)(real *y, const real *x, size_t n, uint64_t seed,
		uint32_t stream, uint64_t counter, uint32_t threshold,
		real scale);

	/* Sum of squares, in double and fixed order. */
	double (*sum_squares)(const real *x, size_t n);
};

/* The chosen set (math/isa.h), and each by number for the tests. */
const struct kernels *kernels(void);
const char *kernels_name(void);

int packed_open(struct packed *p, size_t k, size_t n, struct error *err);
void packed_release(struct packed *p);
/* Fill all panels from w: [k, n] or, transposed, PyTorch's [n, k]. */
void packed_fill(struct packed *p, const real *w, bool transposed);

/* The whole product. */
void kernels_product(const struct product *p);

/* Reals that `outer` needs as working memory for n columns. */
size_t kernels_outer_work(size_t n);

/* 64-byte aligned zeroed reals; large blocks ask for huge pages. NULL when
 * memory ran out. Free with free(). */
real *kernels_alloc(size_t n);

#endif
