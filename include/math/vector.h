/*
 * The vector type of this compilation and what is done with it. For sources in
 * the vector folders only (they are compiled once per instruction set).
 * Arithmetic is the compiler's own on vectors; a fused multiply-add is always
 * written as vr_fma, so that the same source means the same bits in every tile.
 */
#ifndef MATH_VECTOR_H
#define MATH_VECTOR_H

#include "math/real.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Each set is the one before and more. */
#if defined(ISA_avx512bf16)
#define ISA_avx512vnni
#endif
#if defined(ISA_avx512vnni)
#define ISA_avx512
#endif
#if defined(ISA_avx512) || defined(ISA_avx2)
#include <immintrin.h>
#endif

#if defined(ISA_avx512)
#define VR_BYTES 64
#elif defined(ISA_avx2)
#define VR_BYTES 32
#else
#define VR_BYTES 16
#endif
#define VR ((int)(VR_BYTES / sizeof(real))) /* lanes */
#define PANEL ((size_t)(2 * VR))	    /* columns of a packed panel */

#ifdef REAL_IS_DOUBLE
typedef int64_t vr_int;
#else
typedef int32_t vr_int;
#endif
typedef real vr __attribute__((vector_size(VR_BYTES)));
typedef vr_int vi __attribute__((vector_size(VR_BYTES)));
typedef real vr_unaligned __attribute__((
	vector_size(VR_BYTES), aligned(sizeof(real)), may_alias));

#define VECTOR_INLINE static inline __attribute__((always_inline, unused))

VECTOR_INLINE vr vr_load(const real *p)
{
	return *(const vr_unaligned *)p;
}

VECTOR_INLINE void vr_store(real *p, vr v)
{
	*(vr_unaligned *)p = v;
}

VECTOR_INLINE vr vr_set(real x)
{
	return x - (vr){ 0 };
}

/* a * b + c, rounded once where the instruction set can. */
VECTOR_INLINE vr vr_fma(vr a, vr b, vr c)
{
#if defined(ISA_avx512)
	return (vr)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(ISA_avx2)
	return (vr)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
	return a * b + c;
#endif
}

/* The first n lanes (0 < n < VR) from p, zeros above; and back. */
VECTOR_INLINE vr vr_load_part(const real *p, size_t n)
{
#if defined(ISA_avx512)
	return (vr)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#else
	vr v = { 0 };

	memcpy(&v, p, n * sizeof(real));
	return v;
#endif
}

VECTOR_INLINE void vr_store_part(real *p, vr v, size_t n)
{
#if defined(ISA_avx512)
	_mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#else
	memcpy(p, &v, n * sizeof(real));
#endif
}

/* Lanes [j, j + VR) of a run of n: whole, or its last part. */
VECTOR_INLINE vr vr_get(const real *p, size_t j, size_t n)
{
	return n - j >= (size_t)VR ? vr_load(p + j)
				   : vr_load_part(p + j, n - j);
}

VECTOR_INLINE void vr_put(real *p, vr v, size_t j, size_t n)
{
	if (n - j >= (size_t)VR)
		vr_store(p + j, v);
	else
		vr_store_part(p + j, v, n - j);
}

/* mask ? a : b, lane by lane; mask is all ones or all zeros. */
VECTOR_INLINE vr vr_select(vi mask, vr a, vr b)
{
	return (vr)((mask & (vi)a) | (~mask & (vi)b));
}

/* The greater (smaller) of both; b where either is NaN. */
VECTOR_INLINE vr vr_max(vr a, vr b)
{
#if defined(ISA_avx512)
	return (vr)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(ISA_avx2)
	return (vr)_mm256_max_ps((__m256)a, (__m256)b);
#else
	return vr_select(a > b, a, b);
#endif
}

VECTOR_INLINE vr vr_min(vr a, vr b)
{
#if defined(ISA_avx512)
	return (vr)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(ISA_avx2)
	return (vr)_mm256_min_ps((__m256)a, (__m256)b);
#else
	return vr_select(a < b, a, b);
#endif
}

VECTOR_INLINE vr vr_abs(vr a)
{
#ifdef REAL_IS_DOUBLE
	return (vr)((vi)a & INT64_MAX);
#else
	return (vr)((vi)a & INT32_MAX);
#endif
}

VECTOR_INLINE vr vr_sqrt(vr a)
{
#if defined(ISA_avx512)
	return (vr)_mm512_sqrt_ps((__m512)a);
#elif defined(ISA_avx2)
	return (vr)_mm256_sqrt_ps((__m256)a);
#else
	for (int i = 0; i < VR; i++)
		a[i] = sizeof(real) == 4 ? __builtin_sqrtf((float)a[i])
					 : (real)__builtin_sqrt(a[i]);
	return a;
#endif
}

/* 1 / sqrt(a) for normal a > 0, within 2 ulp: Newton's steps from an integer
 * guess, so that it costs a few multiplications and means the same bits on
 * every maker's processor. */
VECTOR_INLINE vr vr_rsqrt(vr a)
{
#ifdef REAL_IS_DOUBLE
	return 1 / vr_sqrt(a);
#else
	vr half = a * vr_set(-0.5f);
	vr y = (vr)(0x5f375a86 - ((vi)a >> 1));

	/* 3.4e-2, 1.8e-3, 4.7e-6 … */
	for (int i = 0; i < 2; i++) {
		vr slope = vr_fma(half * y, y, vr_set(1.5f));

		y *= slope;
	}
	/* … and a last step, on the residual, keeps the low bits. */
	return vr_fma(y, vr_fma(half * y, y, vr_set(0.5f)), y);
#endif
}

/* rows[i][j] becomes rows[j][i]: log2(VR) rounds of interleaving. */
VECTOR_INLINE void vr_transpose(vr rows[VR])
{
	vi low, high;

	for (int i = 0; i < VR; i++) {
		low[i] = i / 2 + i % 2 * VR;
		high[i] = low[i] + VR / 2;
	}
	for (int round = 1; round < VR; round *= 2) {
		vr next[VR];

		_Pragma("GCC unroll 16") for (int i = 0; i < VR / 2; i++)
		{
			vr a = rows[i], b = rows[i + VR / 2];

			next[2 * i] = __builtin_shuffle(a, b, low);
			next[2 * i + 1] = __builtin_shuffle(a, b, high);
		}
		_Pragma("GCC unroll 16") for (int i = 0; i < VR; i++) rows[i] =
			next[i];
	}
}

/* Sum of lanes in a fixed order: halves folded onto each other. */
VECTOR_INLINE real vr_sum(vr v)
{
	real lanes[VR];

	vr_store(lanes, v);
	for (int half = VR / 2; half; half /= 2)
		for (int i = 0; i < half; i++)
			lanes[i] += lanes[i + half];
	return lanes[0];
}

/* The greatest lane. */
VECTOR_INLINE real vr_top(vr v)
{
	real lanes[VR];

	vr_store(lanes, v);
	for (int half = VR / 2; half; half /= 2)
		for (int i = 0; i < half; i++)
			if (lanes[i + half] > lanes[i])
				lanes[i] = lanes[i + half];
	return lanes[0];
}

#endif
