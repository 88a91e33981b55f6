/*
 * Vector exp, sigmoid and tanh: the same operations in every lane and every
 * remainder. NaN passes through; |tanh| <= 1 and 0 <= sigmoid <= 1 always. In
 * float the error is at most 1.1 ulp for exp on [-87, 88], 2.5 for sigmoid
 * above -87 and 2.6 for tanh (tests/math/test_activations.c); in double they
 * are libm's. For sources in the vector folders only.
 */
#ifndef MATH_ACTIVATIONS_H
#define MATH_ACTIVATIONS_H

#include "math/vector.h"

#include <math.h>

#ifdef REAL_IS_DOUBLE

VECTOR_INLINE vr vr_exp(vr x)
{
	for (int i = 0; i < VR; i++)
		x[i] = exp(x[i]);
	return x;
}

VECTOR_INLINE vr vr_tanh(vr x)
{
	for (int i = 0; i < VR; i++)
		x[i] = tanh(x[i]);
	return x;
}

VECTOR_INLINE vr vr_sigmoid(vr x)
{
	for (int i = 0; i < VR; i++)
		x[i] = 1 / (1 + exp(-x[i]));
	return x;
}

#else

/*
 * x = n ln 2 + r, |r| <= ln 2 / 2; *two_n = 2^n; returns e^r - 1 with a small
 * relative error (Cephes expf's polynomial). -87 <= x <= 88, or NaN.
 */
VECTOR_INLINE vr vr_exp_parts(vr x, vr *two_n)
{
	/* Adding 1.5 * 2^23 leaves the rounded integer in the low bits. */
	const vr magic = vr_set(0x1.8p23f);
	vr shifted = vr_fma(x, vr_set(0x1.715476p0f), magic);
	vr n = shifted - magic;
	vr r = vr_fma(n, vr_set(-0x1.62e4p-1f), x);
	vr p = vr_set(1.9875691500e-4f);

	*two_n = (vr)(((vi)shifted << 23) + (vi)vr_set(1.0f));
	r = vr_fma(n, vr_set(-0x1.7f7d1cp-20f), r);
	p = vr_fma(p, r, vr_set(1.3981999507e-3f));
	p = vr_fma(p, r, vr_set(8.3334519073e-3f));
	p = vr_fma(p, r, vr_set(4.1665795894e-2f));
	p = vr_fma(p, r, vr_set(1.6666665459e-1f));
	p = vr_fma(p, r, vr_set(5.0000001201e-1f));
	return vr_fma(p, r * r, r);
}

/* e^x for x <= 88; below -87 it is e^-87. */
VECTOR_INLINE vr vr_exp(vr x)
{
	vr two_n, q;

	x = vr_min(vr_set(88.0f), vr_max(vr_set(-87.0f), x));
	q = vr_exp_parts(x, &two_n);
	return vr_fma(two_n, q, two_n);
}

/* 1 / (1 + e^-x), from e^-|x| so that both tails keep their precision. */
VECTOR_INLINE vr vr_sigmoid(vr x)
{
	const vr one = vr_set(1.0f);
	vr e = vr_exp(-vr_abs(x));

	return vr_select(x < 0.0f, e, one) / (one + e);
}

/* -E / (2 + E) with E = e^(-2|x|) - 1, and x's sign: no cancellation. */
VECTOR_INLINE vr vr_tanh(vr x)
{
	const vi sign = (vi)vr_set(-0.0f);
	vr two_n, q, e, t;

	t = vr_max(vr_set(-20.0f), vr_set(-2.0f) * vr_abs(x));
	q = vr_exp_parts(t, &two_n);
	e = vr_fma(two_n, q, two_n - vr_set(1.0f));
	t = e / (vr_set(-2.0f) - e);
	return vr_select(sign, x, t);
}

#endif
#endif
