/* Batch norm in training (Ioffe & Szegedy 2015): by channel, over all pixels
 * of a batch. Each image's sums are its own, and those of images are added in
 * double and in order: the same bits at any number of threads. */
#include "nn/cnn_private.h"

#include <math.h>
#include <string.h>

#define EPSILON 1e-5
#define MOMENTUM 0.1
#define CHANNEL_UNIT 8

/* Image i's two sums of each channel. */
static double *sums_of(const struct cnn *c, size_t image)
{
	return c->sums + 2 * c->widest_norm * image;
}

/* Sums of all images, of channel k: the first or the second. */
static double total(const struct cnn *c, size_t k, bool second)
{
	double sum = 0;

	for (size_t image = 0; image < c->n; image++)
		sum += sums_of(c, image)[k + (second ? c->widest_norm : 0)];
	return sum;
}

/* A row of pixels, of the member's share of a batch's. */
struct row {
	size_t image, at; /* where in an image's output it starts */
};

static struct row row_at(const struct cnn_shape *s, size_t row)
{
	return (struct row){ row / s->height,
		conv_origin(s->width, s->channels) +
			row % s->height * (s->width + 2) * s->channels };
}

static void measure(struct cnn *c, size_t i, unsigned member)
{
	const struct cnn_shape s = c->plan.steps[i].out;
	size_t image, end;

	team_share(c->team, member, c->n, 1, &image, &end);
	memset(sums_of(c, image), 0,
		(end - image) * 2 * c->widest_norm * sizeof(*c->sums));
	for (size_t row = image * s.height; row < end * s.height; row++) {
		struct row r = row_at(&s, row);
		double *sums = sums_of(c, r.image);

		pixels()->moments(cnn_in(c, i, r.image) + r.at, s.width,
			s.channels, sums, sums + c->widest_norm);
	}
	team_barrier(c->team, member);
}

static void follow(
	const struct cnn *c, struct cnn_weights *w, const real *at, double now)
{
	real *running = w->data + (at - c->weights->data);

	*running += (real)(MOMENTUM * (now - (double)*running));
}

/* moments: mean and 1 / sqrt(var + epsilon); and the line that they make of
 * the norm, y = slope x + start. */
static void conclude(struct cnn *c, size_t i, struct cnn_weights *statistics,
	unsigned member)
{
	const struct cnn_shape s = c->plan.steps[i].out;
	const double n = (double)(c->n * s.height * s.width);
	const struct cnn_step *step = &c->steps[i];
	real *inverse = step->moments + s.channels;
	real *slope = inverse + s.channels, *start = slope + s.channels;
	size_t k, end;

	team_share(c->team, member, s.channels, CHANNEL_UNIT, &k, &end);
	for (; k < end; k++) {
		double mean = total(c, k, false) / n;
		double var = fmax(0, total(c, k, true) / n - mean * mean);

		step->moments[k] = (real)mean;
		inverse[k] = (real)(1 / sqrt(var + EPSILON));
		slope[k] = step->weight[k] * inverse[k];
		start[k] = step->bias[k] - step->moments[k] * slope[k];
		if (!statistics)
			continue;
		follow(c, statistics, step->mean + k, mean);
		follow(c, statistics, step->var + k, var * n / fmax(1, n - 1));
	}
	team_barrier(c->team, member);
}

void cnn_norm_forward(struct cnn *c, size_t i, struct cnn_weights *statistics,
	unsigned member)
{
	const struct cnn_shape s = c->plan.steps[i].out;
	const real *slope = c->steps[i].moments + 2 * s.channels;
	size_t row, end;

	measure(c, i, member);
	conclude(c, i, statistics, member);
	team_share(c->team, member, c->n * s.height, 1, &row, &end);
	for (; row < end; row++) {
		struct row r = row_at(&s, row);

		pixels()->scale(cnn_in(c, i, r.image) + r.at, s.width,
			s.channels, slope, slope + s.channels,
			cnn_out(c, i, r.image) + r.at);
	}
}

static void measure_back(
	struct cnn *c, size_t i, const real *g, unsigned member)
{
	const struct cnn_plan_step *p = &c->plan.steps[i];
	const struct cnn_shape s = p->out;
	size_t image, end;

	team_share(c->team, member, c->n, 1, &image, &end);
	memset(sums_of(c, image), 0,
		(end - image) * 2 * c->widest_norm * sizeof(*c->sums));
	for (size_t row = image * s.height; row < end * s.height; row++) {
		struct row r = row_at(&s, row);
		double *sums = sums_of(c, r.image);

		pixels()->moments_back(g + r.image * p->size + r.at,
			cnn_in(c, i, r.image) + r.at, s.width, s.channels, sums,
			sums + c->widest_norm);
	}
	team_barrier(c->team, member);
}

/* The weights' gradients; and with x' the normalised input and n pixels, what
 * slope (g - (sum g + x' sum g x') / n) is in terms of g and x. */
static void conclude_back(
	struct cnn *c, size_t i, struct cnn_weights *grads, unsigned member)
{
	const struct cnn_shape s = c->plan.steps[i].out;
	const double n = (double)(c->n * s.height * s.width);
	const struct cnn_step *step = &c->steps[i];
	const real *inverse = step->moments + s.channels;
	const real *slope = inverse + s.channels;
	real *of_x = step->moments + 4 * s.channels;
	real *constant = of_x + s.channels;
	size_t k, end;

	team_share(c->team, member, s.channels, CHANNEL_UNIT, &k, &end);
	for (; k < end; k++) {
		const double mean = (double)step->moments[k];
		const double part = (double)slope[k] / n;
		double sum = total(c, k, false);
		double along =
			(total(c, k, true) - mean * sum) * (double)inverse[k];

		grads->data[step->bias + k - c->weights->data] = (real)sum;
		grads->data[step->weight + k - c->weights->data] = (real)along;
		along *= part * (double)inverse[k];
		of_x[k] = (real)-along;
		constant[k] = (real)(along * mean - part * sum);
	}
	team_barrier(c->team, member);
}

void cnn_norm_backward(struct cnn *c, size_t i, const real *g, real *dx,
	struct cnn_weights *grads, unsigned member)
{
	const struct cnn_plan_step *p = &c->plan.steps[i];
	const struct cnn_shape s = p->out;
	const real *slope = c->steps[i].moments + 2 * s.channels;
	const real *of_x = slope + 2 * s.channels;
	size_t row, end;

	measure_back(c, i, g, member);
	conclude_back(c, i, grads, member);
	team_share(c->team, member, c->n * s.height, 1, &row, &end);
	for (; row < end; row++) {
		struct row r = row_at(&s, row);
		size_t at = r.image * p->size + r.at;

		pixels()->combine(g + at, cnn_in(c, i, r.image) + r.at, s.width,
			s.channels, slope, of_x, of_x + s.channels, dx + at);
	}
}
