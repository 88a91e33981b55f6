/*
 * Dense products of matrices that change with every call, where nothing is to
 * be packed ahead: OpenBLAS's sgemm. Recurrent steps and training don't come
 * here: math/kernels.h promises bits that sgemm doesn't. Only gemm.c knows that
 * it is OpenBLAS; it is loaded at first use, so that who never multiplies here
 * pays nothing.
 */
#ifndef MATH_GEMM_H
#define MATH_GEMM_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

/* Tell OpenBLAS, which is not loaded yet, which core it runs on and to start no
 * threads: releases older than the processor take it for one without AVX. What
 * the environment says already stays. Changes the environment: call it in main,
 * before there are threads. */
void gemm_prepare(void);

/* The core type that OpenBLAS is told, "" where it may find out by itself. */
const char *gemm_core(void);

/* Load it. ERROR_UNAVAILABLE: not there, or a build that two threads can't use
 * at once. Any thread; the first answer stays. */
int gemm_open(struct error *err);

/* "0.3.21 SkylakeX", as OpenBLAS itself reports; after gemm_open succeeded. */
const char *gemm_version(void);

/* c[m, n] = alpha a b + beta c, in row-major order; a is [m, k], or with
 * transpose_a [k, m]; b is [k, n] or [n, k]. ld* are the rows' strides as
 * stored. One thread, the caller's; any number of callers at once. After
 * gemm_open succeeded. Extents up to INT_MAX. */
struct gemm {
	bool transpose_a, transpose_b;
	size_t m, n, k;
	float alpha, beta;
	const float *a, *b;
	float *c;
	size_t lda, ldb, ldc;
};
void gemm(const struct gemm *g);

#endif
