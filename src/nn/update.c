#include "nn/update.h"

#include "math/kernels.h"

#include <math.h>

#define PART 4096 /* elements */

/* PyTorch's clip_grad_norm_ adds it to the norm: so that curves agree. */
#define CLIP_EPSILON 1e-6

size_t norm_parts(size_t n)
{
	return (n + PART - 1) / PART;
}

void norm_measure(const real *g, size_t n, double *parts, struct team *team,
	unsigned member)
{
	size_t at, end;

	team_share(team, member, n, PART, &at, &end);
	for (; at < end; at += PART)
		parts[at / PART] = kernels()->sum_squares(
			g + at, end - at < PART ? end - at : PART);
}

double norm_add(double sum, const double *parts, size_t n)
{
	for (size_t i = 0; i < norm_parts(n); i++)
		sum += parts[i];
	return sum;
}

double norm_scale(double norm, double most)
{
	return fmin(1, most / (norm + CLIP_EPSILON));
}

int learning_rate_check(double rate, struct error *err)
{
	if (rate > 0 && isfinite(rate))
		return 0;
	return error_set_param(err, ERROR_INVALID, "learning-rate",
		"learning-rate is %g, expected a number above 0", rate);
}

double cosine_at(const struct cosine *c, double rate, uint64_t step)
{
	double progress;

	if (step < c->warmup)
		return rate * (double)(step + 1) / (double)c->warmup;
	if (!c->total)
		return rate;
	if (step >= c->total)
		return rate * c->final;
	progress = (double)(step - c->warmup) / (double)(c->total - c->warmup);
	return rate *
	       (c->final + (1 - c->final) * 0.5 * (1 + cos(M_PI * progress)));
}
