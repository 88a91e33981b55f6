/*
 * Forward. In training every step goes over the whole batch and keeps its
 * output; else an image goes through all features at once, in two buffers by
 * turns, and the dense layers take all images together.
 */
#include "nn/cnn_private.h"

#include <string.h>

/* Pixels that a member takes at least: whole tiles on any instruction set. */
#define PIXEL_UNIT 48

/* Outputs of their own before step i: which of two buffers it has. */
static size_t turn_of(const struct cnn *c, size_t i)
{
	size_t turns = 0;

	for (size_t j = 0; j <= i; j++)
		turns += cnn_runs(c, j) && c->plan.steps[j].op != CNN_RELU;
	return turns % 2;
}

real *cnn_out(const struct cnn *c, size_t i, size_t image)
{
	const struct cnn_plan_step *p = &c->plan.steps[i];

	if (c->training) {
		if (p->op == CNN_RELU)
			return cnn_out(c, i - 1, image);
		return c->steps[i].out + image * p->size;
	}
	if (p->out.height)
		return c->turn[turn_of(c, i)];
	return c->flat[turn_of(c, i)] + image * c->widest;
}

real *cnn_in(const struct cnn *c, size_t i, size_t image)
{
	const size_t side = c->weights->config.side;

	while (i && !cnn_runs(c, i - 1))
		i--;
	if (i)
		return cnn_out(c, i - 1, image);
	return c->framed +
	       (c->training ? image : 0) * conv_frame(side, side, 3);
}

struct range {
	size_t image, n; /* images */
	unsigned member;
};

/* The member's rows of the frame around what will be written. */
static void clear_frame(struct cnn *c, size_t i, const struct range *r)
{
	const struct cnn_shape s = c->plan.steps[i].out;
	size_t at, end;

	team_share(c->team, r->member, r->n * s.height, 1, &at, &end);
	for (; at < end; at++)
		conv_clear(s.height, s.width, s.channels,
			cnn_out(c, i, r->image + at / s.height), at % s.height,
			at % s.height + 1);
}

/* Units [first, end) of an image: pixels, or tiles with their ReLU. */
static void convolve_part(struct cnn *c, size_t i, size_t image, size_t first,
	size_t end, unsigned member)
{
	const struct cnn_shape out = c->plan.steps[i].out;
	const struct cnn_step *s = &c->steps[i];
	const real *x = cnn_in(c, i, image);
	real *y = cnn_out(c, i, image);

	if (s->winograd.in)
		winograd_forward(&s->winograd, out.height, out.width, x,
			s->folded, y, first, end, c->work[member]);
	else
		conv_forward(&s->conv, out.height, out.width, x,
			s->folded ? s->folded : s->bias, y, first, end);
}

static void convolve(struct cnn *c, size_t i, const struct range *r)
{
	const struct cnn_shape out = c->plan.steps[i].out;
	const bool tiles = c->steps[i].winograd.in > 0;
	const size_t units = tiles ? winograd_tiles(out.height, out.width)
				   : conv_pixels(out.height, out.width);
	size_t at, end, n;

	if (tiles)
		clear_frame(c, i, r);
	/* Of an image's last layers there are few tiles. */
	team_share(c->team, r->member, r->n * units, tiles ? 1 : PIXEL_UNIT,
		&at, &end);
	for (; units && at < end; at += n) {
		const size_t first = at % units;

		n = units - first < end - at ? units - first : end - at;
		convolve_part(c, i, r->image + at / units, first, first + n,
			r->member);
	}
}

static void relu_rows(struct cnn *c, size_t i, const struct range *r)
{
	const struct cnn_shape s = c->plan.steps[i].out;
	const size_t stride = (s.width + 2) * s.channels;
	size_t at, end;

	if (!s.height) {
		team_share(c->team, r->member, r->n, 1, &at, &end);
		for (; at < end; at++)
			pixels()->relu(
				cnn_out(c, i, r->image + at), s.channels);
		return;
	}
	team_share(c->team, r->member, r->n * s.height, 1, &at, &end);
	for (; at < end; at++) {
		size_t row = at % s.height;
		real *y = cnn_out(c, i, r->image + at / s.height);

		conv_clear(s.height, s.width, s.channels, y, row, row + 1);
		pixels()->relu(y + (row + 1) * stride + s.channels,
			s.width * s.channels);
	}
}

static void pool_rows(struct cnn *c, size_t i, const struct range *r)
{
	const struct cnn_shape in = c->plan.steps[i].in;
	const struct cnn_shape s = c->plan.steps[i].out;
	const size_t wide = (in.width + 2) * in.channels;
	const size_t stride = (s.width + 2) * s.channels;
	size_t at, end;

	team_share(c->team, r->member, r->n * s.height, 1, &at, &end);
	for (; at < end; at++) {
		size_t row = at % s.height, image = r->image + at / s.height;
		const real *x = cnn_in(c, i, image) + (2 * row + 1) * wide +
				in.channels;
		real *y = cnn_out(c, i, image);

		conv_clear(s.height, s.width, s.channels, y, row, row + 1);
		pixels()->pool(x, wide, s.width, s.channels,
			y + (row + 1) * stride + s.channels);
	}
}

struct cnn_bin cnn_bin(size_t i, size_t bins, size_t n)
{
	return (struct cnn_bin){ i * n / bins,
		((i + 1) * n + bins - 1) / bins };
}

static real mean(const real *x, size_t stride, size_t channels,
	struct cnn_bin rows, struct cnn_bin columns)
{
	real sum = 0;

	for (size_t y = rows.begin; y < rows.end; y++)
		for (size_t k = columns.begin; k < columns.end; k++)
			sum += x[(y + 1) * stride + (k + 1) * channels];
	return sum /
	       (real)((rows.end - rows.begin) * (columns.end - columns.begin));
}

size_t cnn_bins(const struct cnn_plan_step *p)
{
	size_t bins = 1;

	while (bins * bins * p->in.channels < p->out.channels)
		bins++;
	return bins;
}

/* PyTorch's adaptive average, then its order: channels outermost. */
static void flatten(struct cnn *c, size_t i, const struct range *r)
{
	const struct cnn_plan_step *p = &c->plan.steps[i];
	const struct cnn_shape in = p->in;
	const size_t bins = cnn_bins(p);
	size_t at, end;

	team_share(c->team, r->member, r->n * in.channels, 1, &at, &end);
	for (; at < end; at++) {
		size_t image = r->image + at / in.channels;
		size_t k = at % in.channels;
		const real *x = cnn_in(c, i, image) + k;
		real *y = cnn_out(c, i, image) + k * bins * bins;

		for (size_t j = 0; j < bins * bins; j++)
			y[j] = mean(x, (in.width + 2) * in.channels,
				in.channels, cnn_bin(j / bins, bins, in.height),
				cnn_bin(j % bins, bins, in.width));
	}
}

static void dense(struct cnn *c, size_t i, const struct range *r)
{
	const struct cnn_step *s = &c->steps[i];
	const struct cnn_plan_step *p = &c->plan.steps[i];
	size_t begin, end;

	team_share(c->team, r->member, s->dense.panels, 1, &begin, &end);
	if (begin == end)
		return;
	kernels()->product(
		&(struct product){ .w = &s->dense,
			.m = r->n,
			.x = cnn_in(c, i, 0),
			.ldx = c->training ? p->in.channels : c->widest,
			.y = cnn_out(c, i, 0),
			.ldy = c->training ? p->out.channels : c->widest,
			.bias = s->bias,
			.init = PRODUCT_BIAS },
		begin, end);
}

static void run(struct cnn *c, size_t i, const struct range *r,
	struct cnn_weights *statistics)
{
	switch (c->plan.steps[i].op) {
	case CNN_CONV:
		convolve(c, i, r);
		break;
	case CNN_NORM:
		cnn_norm_forward(c, i, statistics, r->member);
		break;
	case CNN_RELU:
		relu_rows(c, i, r);
		break;
	case CNN_MAXPOOL:
		pool_rows(c, i, r);
		break;
	case CNN_FLATTEN:
		flatten(c, i, r);
		break;
	case CNN_DENSE:
		dense(c, i, r);
		break;
	}
	team_barrier(c->team, r->member);
}

/* Images as they come to framed ones, the member's share of rows. */
static void frame(struct cnn *c, const real *images, const struct range *r)
{
	const size_t side = c->weights->config.side;
	size_t at, end;

	team_share(c->team, r->member, r->n * side, 1, &at, &end);
	for (; at < end; at++) {
		size_t image = r->image + at / side, row = at % side;

		memcpy(cnn_in(c, 0, image) + (row + 1) * (side + 2) * 3 + 3,
			images + (image * side + row) * side * 3,
			3 * side * sizeof(real));
	}
	team_barrier(c->team, r->member);
}

void cnn_forward(struct cnn *c, const real *images, size_t n, real *v,
	struct cnn_weights *statistics, unsigned member)
{
	const size_t width = c->plan.steps[c->plan.n - 1].out.channels;
	struct range r = { 0, c->training ? n : 1, member };
	size_t i, flat = 0;

	if (member == 0)
		c->n = n;
	while (c->plan.steps[flat].op != CNN_FLATTEN)
		flat++;
	for (; r.image < n; r.image += r.n) {
		frame(c, images, &r);
		for (i = 0; i <= flat; i++)
			if (cnn_runs(c, i))
				run(c, i, &r, statistics);
	}
	r = (struct range){ 0, n, member };
	for (i = flat + 1; i < c->plan.n; i++)
		run(c, i, &r, NULL);
	for (size_t image = 0; member == 0 && image < n; image++)
		memcpy(v + image * width, cnn_out(c, c->plan.n - 1, image),
			width * sizeof(real));
	team_barrier(c->team, member);
}
