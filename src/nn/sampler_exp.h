/*
 * The sampler's loops over doubles, two lanes at a time. Arrays are padded to
 * whole groups of lanes, 16-byte aligned; each lane's arithmetic is plain IEEE
 * (no fused operations, no libm), so all machines get the same bits.
 */
#ifndef NN_SAMPLER_EXP_H
#define NN_SAMPLER_EXP_H

#include <stddef.h>

#define SAMPLER_LANES 2

/* n is a multiple of SAMPLER_LANES; x holds no NaN. */
double sampler_maximum(const double *x, size_t n);

/* out[i] = exp((x[i] - best) / temperature), x[i] <= best, best finite: within
 * 2 ulp, 0 where it would be below exp(-700). */
void sampler_exponentials(double *out, const double *x, size_t n, double best,
	double temperature);

/* In an order that depends on n alone. */
double sampler_sum(const double *x, size_t n);

#endif
