/* Opening a network: its packed weights and where outputs go. */
#include "nn/cnn_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NORM_EPSILON 1e-5 /* PyTorch's */
#define WINOGRAD_MIN_CHANNELS 16

static const real *tensor(
	const struct cnn_weights *w, const char *layer, const char *kind)
{
	char name[48];

	snprintf(name, sizeof(name), "%s.%s", layer, kind);
	for (size_t i = 0; i < w->n_tensors; i++)
		if (!strcmp(w->tensors[i].name, name))
			return w->data + w->tensors[i].offset;
	return NULL;
}

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

static int alloc(real **out, size_t n, const char *what, struct error *err)
{
	*out = kernels_alloc(n);
	return *out ? 0 : error_set_memory(err, what, n * sizeof(real));
}

static int open_conv(struct cnn *c, size_t i, struct error *err)
{
	const struct cnn_plan_step *p = &c->plan.steps[i];
	const size_t in = p->in.channels, out = p->out.channels;
	struct cnn_step *s = &c->steps[i];

	/* Where a gradient comes back, and of few channels, directly. */
	if (c->training || in < WINOGRAD_MIN_CHANNELS) {
		if (conv_open(&s->conv, in, out, err) < 0)
			return -1;
	} else {
		if (winograd_open(&s->winograd, in, out, err) < 0)
			return -1;
		c->largest_work =
			larger(c->largest_work, winograd_work(&s->winograd));
	}
	if (!c->training && alloc(&s->folded, out, "bias", err) < 0)
		return -1;
	/* The first one's input has no gradient. */
	if (c->training && i && conv_open(&s->conv_back, out, in, err) < 0)
		return -1;
	if (!c->training && !c->weights->config.norm)
		return 0;
	return alloc(&s->scaled, 9 * in * out, "kernels", err);
}

static int open_step(struct cnn *c, size_t i, struct error *err)
{
	const struct cnn_plan_step *p = &c->plan.steps[i];
	struct cnn_step *s = &c->steps[i];

	if (*p->name) {
		s->weight = tensor(c->weights, p->name, "weight");
		s->bias = tensor(c->weights, p->name, "bias");
		s->mean = tensor(c->weights, p->name, "running_mean");
		s->var = tensor(c->weights, p->name, "running_var");
	}
	c->largest = larger(c->largest, p->size);
	c->widest = larger(c->widest, p->out.channels);
	if (c->training && p->op != CNN_RELU &&
		alloc(&s->out, c->batch * p->size, "activations", err) < 0)
		return -1;
	if (p->op == CNN_CONV)
		return open_conv(c, i, err);
	if (p->op == CNN_NORM && c->training) {
		c->widest_norm = larger(c->widest_norm, p->out.channels);
		return alloc(&s->moments, 6 * p->out.channels, "norm", err);
	}
	if (p->op != CNN_DENSE)
		return 0;
	if (packed_open(&s->dense, WEIGHTS_F32, p->in.channels, p->out.channels,
		    err) < 0)
		return -1;
	return c->training ? packed_open(&s->dense_back, WEIGHTS_F32,
				     p->out.channels, p->in.channels, err)
			   : 0;
}

/* Reals of x in the widest weight gradient: its working memory's width. */
static size_t widest_row(const struct cnn *c)
{
	size_t widest = 1;

	for (size_t i = 0; i < c->plan.n; i++)
		widest = larger(
			widest, (c->plan.steps[i].op == CNN_CONV ? 9 : 1) *
					c->plan.steps[i].in.channels);
	return widest;
}

static int open_work(struct cnn *c, struct error *err)
{
	const unsigned members = team_size(c->team);
	const size_t count = c->training ? kernels_outer_work(widest_row(c))
					 : c->largest_work;
	const size_t sums = 2 * c->batch * c->widest_norm;

	c->work = calloc(members, sizeof(*c->work));
	c->sums = calloc(sums ? sums : 1, sizeof(*c->sums));
	if (!c->work || !c->sums)
		return error_set_memory(err, "work", sums * sizeof(*c->sums));
	for (unsigned i = 0; i < members; i++)
		if (alloc(&c->work[i], count, "work", err) < 0)
			return -1;
	return 0;
}

static int open_buffers(struct cnn *c, struct error *err)
{
	const size_t side = c->weights->config.side;
	const size_t images = c->training ? c->batch : 1;

	if (alloc(&c->framed, images * conv_frame(side, side, 3), "images",
		    err) < 0)
		return -1;
	for (size_t i = 0; i < 2; i++)
		if (alloc(&c->turn[i], images * larger(c->largest, c->widest),
			    "activations", err) < 0)
			return -1;
	for (size_t i = 0; i < 2 && !c->training; i++)
		if (alloc(&c->flat[i], c->batch * c->widest, "activations",
			    err) < 0)
			return -1;
	return open_work(c, err);
}

static void refresh_member(void *arg, unsigned member)
{
	cnn_refresh(arg, member);
}

int cnn_open(struct cnn **out, const struct cnn_weights *w, size_t batch,
	bool training, struct team *team, struct error *err)
{
	struct cnn *c = calloc(1, sizeof(*c));

	*out = NULL;
	if (!c)
		return error_set_memory(err, "network", sizeof(*c));
	c->weights = w;
	c->team = team;
	c->batch = batch;
	c->training = training;
	cnn_plan(&c->plan, &w->config);
	for (size_t i = 0; i < c->plan.n; i++)
		if (open_step(c, i, err) < 0)
			goto fail;
	if (open_buffers(c, err) < 0)
		goto fail;
	team_run(team, refresh_member, c);
	*out = c;
	return 0;
fail:
	cnn_close(c);
	return -1;
}

void cnn_close(struct cnn *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->plan.n; i++) {
		struct cnn_step *s = &c->steps[i];

		conv_release(&s->conv);
		conv_release(&s->conv_back);
		winograd_release(&s->winograd);
		packed_release(&s->dense);
		packed_release(&s->dense_back);
		free(s->folded);
		free(s->scaled);
		free(s->out);
		free(s->moments);
	}
	for (unsigned i = 0; c->work && i < team_size(c->team); i++)
		free(c->work[i]);
	free(c->work);
	free(c->sums);
	free(c->framed);
	for (size_t i = 0; i < 2; i++) {
		free(c->turn[i]);
		free(c->flat[i]);
	}
	free(c);
}

/* A convolution with the norm after it is another convolution. */
static void fold(struct cnn *c, size_t i, size_t begin, size_t end)
{
	const struct cnn_plan_step *p = &c->plan.steps[i];
	const struct cnn_step *norm = &c->steps[i + 1];
	const size_t n = 9 * p->in.channels;
	struct cnn_step *s = &c->steps[i];

	for (size_t o = begin; o < end; o++) {
		real scale = 1;

		s->folded[o] = s->bias[o];
		if (s->scaled) {
			scale = norm->weight[o] /
				(real)sqrt((double)norm->var[o] + NORM_EPSILON);
			s->folded[o] = (s->bias[o] - norm->mean[o]) * scale +
				       norm->bias[o];
		}
		for (size_t k = 0; s->scaled && k < n; k++)
			s->scaled[o * n + k] = s->weight[o * n + k] * scale;
	}
}

static size_t panels(const struct cnn_step *s)
{
	return s->winograd.in ? winograd_panels(&s->winograd)
			      : conv_panels(&s->conv);
}

static void refresh_conv(struct cnn *c, size_t i, unsigned member)
{
	const struct cnn_plan_step *p = &c->plan.steps[i];
	const size_t in = p->in.channels, out = p->out.channels;
	struct cnn_step *s = &c->steps[i];
	bool back = s->conv_back.in > 0;
	const real *w;
	size_t begin, end;

	team_share(c->team, member, out, 1, &begin, &end);
	if (s->folded)
		fold(c, i, begin, end);
	if (back)
		conv_flip(s->weight, in, out, begin, end, s->scaled);
	team_barrier(c->team, member);
	w = s->folded && s->scaled ? s->scaled : s->weight;
	team_share(c->team, member, panels(s), 1, &begin, &end);
	if (s->winograd.in)
		winograd_pack(&s->winograd, w, begin, end);
	else
		conv_pack(&s->conv, w, begin, end);
	if (!back)
		return;
	team_share(
		c->team, member, conv_panels(&s->conv_back), 1, &begin, &end);
	conv_pack_back(&s->conv_back, s->scaled, begin, end);
}

static void pack(const struct cnn *c, struct packed *p, const real *w,
	bool transposed, unsigned member)
{
	size_t begin, end;

	if (!p->data)
		return;
	team_share(c->team, member, p->panels, 1, &begin, &end);
	kernels()->pack(p, w, transposed ? p->k : p->n, transposed, begin, end);
}

void cnn_refresh(struct cnn *c, unsigned member)
{
	for (size_t i = 0; i < c->plan.n; i++) {
		struct cnn_step *s = &c->steps[i];

		if (c->plan.steps[i].op == CNN_CONV)
			refresh_conv(c, i, member);
		if (c->plan.steps[i].op != CNN_DENSE)
			continue;
		pack(c, &s->dense, s->weight, true, member);
		pack(c, &s->dense_back, s->weight, false, member);
	}
	team_barrier(c->team, member);
}
