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

enum weight_type {
	WEIGHTS_F32,
	WEIGHTS_BF16, /* half the bytes; products and sums in float */
	WEIGHTS_INT8, /* a quarter: a scale for each output, whole-number sums
		       */
};

/* Weights [k, n] in panels of kernels()->panel columns: panel p holds columns
 * [p * panel, …), zero-padded, for ascending k:
 *   f32   rows of `panel` reals
 *   bf16  pairs of rows, each column's two values in one 32-bit word
 *   int8  groups of kernels()->group rows, each column's bytes together */
struct packed {
	enum weight_type type;
	void *data;   /* owned, 64-byte aligned */
	float *scale; /* [panels * panel] owned; int8: w = scale * byte */
	int32_t *sum; /* [panels * panel] owned; int8: sum over k of bytes */
	size_t k, n;
	size_t gates, units; /* of packed_open_gates; else 1 and n */
	size_t panels;
	size_t bytes; /* of all three */
};

enum product_init {
	PRODUCT_ZERO, /* y  = x w */
	PRODUCT_BIAS, /* y  = bias + x w */
	PRODUCT_ADD,  /* y += x w: continues the sum where y left it */
	PRODUCT_ROWS, /* y  = a row of the row's own + x w */
};

struct product {
	const struct packed *w;
	size_t m;      /* rows */
	const real *x; /* [m, k], row stride ldx; unused where `rounded` is */
	size_t ldx;
	real *y; /* [m, n - y_column], row stride ldy */
	size_t ldy;
	size_t y_column;	 /* the output column that y begins at */
	const real *bias;	 /* [n], for PRODUCT_BIAS */
	const real *const *rows; /* [m] of [n], for PRODUCT_ROWS */
	enum product_init init;

	/* x in the form that these weights take: rows of
	 * kernels_rounded(type, k) bytes, each made by kernels_round. NULL
	 * where that is 0 bytes: then x is read as it is. */
	const void *rounded;
	const float *x_scale; /* int8: [m], what kernels_round returned */
};

/* One instruction set's functions. */
struct kernels {
	const char *name;
	size_t panel; /* columns of a packed panel */
	size_t group; /* rows of int8 weights that one instruction sums */
	bool pairs;   /* bf16 products take x as pairs of bf16, too */

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

	/* x [n] to bytes: out[j] = round(x[j] / scale) + 128, and 128 up to
	 * whole groups of 4. scale 0: the row's own, max |x| / 127. Returns
	 * the scale. */
	float (*round_int8)(const real *x, size_t n, float scale, uint8_t *out);

	/* x [n] to bfloat16, to nearest even, and 0 up to whole pairs. */
	void (*round_bf16)(const real *x, size_t n, uint16_t *out);

	/* Copy rows k of w into f32 panels; transposed: w is [n, k]. */
	void (*pack)(struct packed *p, const real *w, size_t ldw,
		bool transposed, size_t begin, size_t end);

	/* In place: logits [n] to log-softmax, max-shifted. */
	void (*log_softmax)(real *logits, size_t n);

	/* In place: logits [n] to scale * (softmax - one_hot(target)); returns
	 * the cross-entropy in nats. NaN logits give NaN. */
	double (*cross_entropy)(
		real *logits, size_t n, uint32_t target, real scale);

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

int packed_open(struct packed *p, enum weight_type type, size_t k, size_t n,
	struct error *err);
/* For a cell's gates, [k, gates * units]: panels of all gates of the same units
 * lie side by side, so that a cell can be computed panel by panel. n becomes
 * packed_width(gates, units): columns that pad a gate's last panel count. */
int packed_open_gates(struct packed *p, enum weight_type type, size_t k,
	size_t gates, size_t units, struct error *err);
void packed_release(struct packed *p);
/* Fill all panels from w: [k, n] (of gates: [k, gates * units]) or, transposed,
 * PyTorch's [n, k]. Rounds to the type: bf16 to nearest even, int8 to scale =
 * max |w| / 127 by output. */
void packed_fill(struct packed *p, const real *w, bool transposed);

/* Columns of packed gates, and the column of unit u of gate g. */
size_t packed_width(size_t gates, size_t units);
size_t packed_column(size_t gates, size_t g, size_t u);

/* Panels [begin, end) as weights of their own, borrowed from p; *column is the
 * first output they compute. */
struct packed packed_view(
	const struct packed *p, size_t begin, size_t end, size_t *column);

/* "f32", "bf16", "int8"; and back: 0, or -1 for another name. */
const char *weight_type_name(enum weight_type type);
int weight_type_find(const char *name, enum weight_type *type);

/* Bytes of a row of k values in the form that products with weights of this
 * type take; 0 where that is reals. */
size_t kernels_rounded(enum weight_type type, size_t k);
/* One row into that form. int8: `scale` as in kernels()->round_int8, and the
 * scale is returned; others return 1. */
float kernels_round(
	enum weight_type type, const real *x, size_t k, float scale, void *out);

/* The whole product. */
void kernels_product(const struct product *p);

/* Reals that `outer` needs as working memory for n columns. */
size_t kernels_outer_work(size_t n);

/* 64-byte aligned zeroed reals; large blocks ask for huge pages. NULL when
 * memory ran out. Free with free(). */
real *kernels_alloc(size_t n);

#endif
