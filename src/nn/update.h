/* What trainers do between a gradient and its update: the gradient's norm, the
 * rate of a schedule. */
#ifndef NN_UPDATE_H
#define NN_UPDATE_H

#include "base/error.h"
#include "base/team.h"
#include "math/real.h"

#include <stddef.h>
#include <stdint.h>

/* Sums of squares of fixed parts of a gradient of n: the norm is the same bits
 * for any number of threads. */
size_t norm_parts(size_t n);
/* parts [norm_parts(n)]; the member's share, no barrier. */
void norm_measure(const real *g, size_t n, double *parts, struct team *team,
	unsigned member);
/* sum + all parts. */
double norm_add(double sum, const double *parts, size_t n);
/* What a gradient is scaled by so that its norm is `most` at most. */
double norm_scale(double norm, double most);

/* ERROR_INVALID unless it is a number above 0. */
int learning_rate_check(double rate, struct error *err);

/* A linear rise to 1 over `warmup` steps, then half a cosine down to `final` at
 * step `total`; 0: it has no end and stays at 1. */
struct cosine {
	uint64_t warmup, total;
	double final;
};
double cosine_at(const struct cosine *c, double rate, uint64_t step);

#endif
