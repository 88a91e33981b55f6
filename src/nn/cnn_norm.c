/* Batch norm in training (Ioffe & Szegedy 2015): by channel, over all pixels
 * of a batch, summed in double in a fixed order. */
#include "nn/cnn_private.h"

#include <math.h>
#include <string.h>

#define EPSILON 1e-5
#define MOMENTUM 0.1
#define CHANNEL_UNIT 4

/* Calls for every pixel of a batch: p is its place in an image's output. */
#define EACH_PIXEL(c, s, image, p)                                             \
	for (size_t image = 0; image < (c)->n; image++)                        \
		for (size_t row_ = 0; row_ < (s).height; row_++)               \
			for (size_t p = conv_origin((s).width, (s).channels) + \
					row_ * ((s).width + 2) * (s).channels, \
				    stop_ = p + (s).width * (s).channels;      \
				p < stop_; p += (s).channels)

/* moments: mean and 1 / sqrt(var + epsilon) of channels [begin, end). */
static void measure(struct cnn *c, size_t i, struct cnn_weights *statistics,
	size_t begin, size_t end)
{
	const struct cnn_shape s = c->plan.steps[i].out;
	const double n = (double)(c->n * s.height * s.width);
	double *sum = c->sums, *square = c->sums + c->widest;
	struct cnn_step *step = &c->steps[i];

	memset(sum + begin, 0, (end - begin) * sizeof(*sum));
	memset(square + begin, 0, (end - begin) * sizeof(*sum));
	EACH_PIXEL(c, s, image, at)
	{
		const real *x = cnn_in(c, i, image) + at;

		for (size_t k = begin; k < end; k++) {
			sum[k] += (double)x[k];
			square[k] += (double)x[k] * (double)x[k];
		}
	}
	for (size_t k = begin; k < end; k++) {
		double mean = sum[k] / n;
		double var = fmax(0, square[k] / n - mean * mean);

		step->moments[k] = (real)mean;
		step->moments[s.channels + k] = (real)(1 / sqrt(var + EPSILON));
		if (statistics) {
			real *running = statistics->data +
					(step->mean - c->weights->data);
			real *spread = statistics->data +
				       (step->var - c->weights->data);

			running[k] +=
				(real)(MOMENTUM * (mean - (double)running[k]));
			spread[k] +=
				(real)(MOMENTUM * (var * n / fmax(1, n - 1) -
							  (double)spread[k]));
		}
	}
}

void cnn_norm_forward(struct cnn *c, size_t i, struct cnn_weights *statistics,
	unsigned member)
{
	const struct cnn_shape s = c->plan.steps[i].out;
	const struct cnn_step *step = &c->steps[i];
	const real *mean = step->moments, *inverse = mean + s.channels;
	size_t begin, end;

	team_share(c->team, member, s.channels, CHANNEL_UNIT, &begin, &end);
	if (begin == end)
		return;
	measure(c, i, statistics, begin, end);
	EACH_PIXEL(c, s, image, at)
	{
		const real *x = cnn_in(c, i, image) + at;
		real *y = cnn_out(c, i, image) + at;

		for (size_t k = begin; k < end; k++)
			y[k] = (x[k] - mean[k]) * inverse[k] * step->weight[k] +
			       step->bias[k];
	}
}

/* Sums of g and of g times the normalised input, which are the gradients of
 * the norm's bias and weight. */
static void gradients(
	struct cnn *c, size_t i, const real *g, size_t begin, size_t end)
{
	const struct cnn_plan_step *p = &c->plan.steps[i];
	const struct cnn_shape s = p->out;
	const real *mean = c->steps[i].moments, *inverse = mean + s.channels;
	double *sum = c->sums, *along = c->sums + c->widest;

	memset(sum + begin, 0, (end - begin) * sizeof(*sum));
	memset(along + begin, 0, (end - begin) * sizeof(*sum));
	EACH_PIXEL(c, s, image, at)
	{
		const real *x = cnn_in(c, i, image) + at;
		const real *d = g + image * p->size + at;

		for (size_t k = begin; k < end; k++) {
			sum[k] += (double)d[k];
			along[k] +=
				(double)(d[k] * (x[k] - mean[k]) * inverse[k]);
		}
	}
}

void cnn_norm_backward(struct cnn *c, size_t i, real *g, real *dx,
	struct cnn_weights *grads, unsigned member)
{
	const struct cnn_plan_step *p = &c->plan.steps[i];
	const struct cnn_shape s = p->out;
	const struct cnn_step *step = &c->steps[i];
	const real *mean = step->moments, *inverse = mean + s.channels;
	const real n = (real)(c->n * s.height * s.width);
	real *dw = grads->data + (step->weight - c->weights->data);
	real *db = grads->data + (step->bias - c->weights->data);
	size_t begin, end;

	team_share(c->team, member, s.channels, CHANNEL_UNIT, &begin, &end);
	if (begin == end)
		return;
	gradients(c, i, g, begin, end);
	for (size_t k = begin; k < end; k++) {
		db[k] = (real)c->sums[k];
		dw[k] = (real)c->sums[c->widest + k];
	}
	EACH_PIXEL(c, s, image, at)
	{
		const real *x = cnn_in(c, i, image) + at;
		const real *d = g + image * p->size + at;
		real *out = dx + image * p->size + at;

		for (size_t k = begin; k < end; k++) {
			real unit = (x[k] - mean[k]) * inverse[k];

			out[k] = step->weight[k] * inverse[k] *
				 (d[k] - (db[k] + unit * dw[k]) / n);
		}
	}
}
