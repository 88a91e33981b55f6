#include "nn/sampler_exp.h"

#include <math.h>
#include <stdint.h>

typedef double lanes __attribute__((vector_size(SAMPLER_LANES * 8)));
typedef int64_t masks __attribute__((vector_size(SAMPLER_LANES * 8)));

#define ALL(x) ((lanes){ x, x })
#define SELECT(mask, a, b) \
	((lanes)(((mask) & (masks)(a)) | (~(mask) & (masks)(b))))

double sampler_maximum(const double *x, size_t n)
{
	const lanes *v = (const lanes *)x;
	lanes most = ALL(-INFINITY);

	for (size_t i = 0; i < n / SAMPLER_LANES; i++)
		most = SELECT(v[i] > most, v[i], most);
	return most[0] > most[1] ? most[0] : most[1];
}

/* 2^k exp(r), |r| <= ln(2) / 2, by the Taylor series in Horner's form:
 * 0.347^14 / 14! < 2^-56. */
void sampler_exponentials(
	double *out, const double *x, size_t n, double best, double temperature)
{
	static const double factorial[] = { 6227020800, 479001600, 39916800,
		3628800, 362880, 40320, 5040, 720, 120, 24, 6, 2, 1, 1 };
	const double shift = 0x1.8p52; /* added, it rounds to whole numbers */
	const double scale = 1 / temperature;
	const lanes *in = (const lanes *)x;
	lanes *to = (lanes *)out;

	for (size_t i = 0; i < n / SAMPLER_LANES; i++) {
		lanes y = (in[i] - ALL(best)) * ALL(scale), k, whole, r, p;
		masks tiny = y < ALL(-700);

		y = SELECT(tiny, ALL(-700), y);
		k = y * ALL(0x1.71547652b82fep0) + ALL(shift);
		whole = k - ALL(shift);
		/* ln(2) in two parts, the first exact times any whole. */
		r = (y - whole * ALL(0x1.62e42fee00000p-1)) -
		    whole * ALL(0x1.a39ef35793c76p-33);
		p = ALL(1 / factorial[0]);
#pragma GCC unroll 16
		for (int term = 1; term < 14; term++)
			p = p * r + ALL(1 / factorial[term]);
		/* The low bits of k are the whole number: into p's exponent. */
		to[i] = (lanes)(((masks)p + ((masks)k << 52)) & ~tiny);
	}
}

double sampler_sum(const double *x, size_t n)
{
	const lanes *v = (const lanes *)x;
	lanes sum = ALL(0);

	for (size_t i = 0; i < n / SAMPLER_LANES; i++)
		sum += v[i];
	return sum[0] + sum[1];
}
