/* Backward: the gradient of a step's output becomes that of its input, in two
 * buffers by turns. Weights' gradients are split by output, so that their bits
 * don't depend on the number of threads. */
#include "nn/cnn_private.h"

#include <string.h>

#define OUTPUT_UNIT 8
#define PIXEL_UNIT 48

struct pass {
	struct cnn *c;
	struct cnn_weights *grads;
	real *g;  /* [n, size] of the step's output */
	real *dx; /* of its input: the other buffer */
	unsigned member;
};

static void swap(struct pass *p)
{
	real *g = p->g;

	p->g = p->dx;
	p->dx = g;
}

/* Where a gradient of the same layout as the weights goes. */
static real *gradient(const struct pass *p, const real *weight)
{
	return p->grads->data + (weight - p->c->weights->data);
}

static size_t in_size(const struct cnn_plan_step *s)
{
	return s->in.height
		       ? conv_frame(s->in.height, s->in.width, s->in.channels)
		       : s->in.channels;
}

static void dense_weights(const struct pass *p, size_t i)
{
	const struct cnn_plan_step *s = &p->c->plan.steps[i];
	const size_t in = s->in.channels, out = s->out.channels;
	const struct cnn_step *step = &p->c->steps[i];
	size_t begin, end;

	team_share(p->c->team, p->member, out, OUTPUT_UNIT, &begin, &end);
	if (begin == end)
		return;
	kernels()->outer(p->c->n, p->g, out, begin, end, cnn_in(p->c, i, 0), in,
		in, gradient(p, step->weight), in, false,
		p->c->work[p->member]);
	kernels()->column_sum(
		p->c->n, p->g, out, begin, end, gradient(p, step->bias), false);
}

static void dense(struct pass *p, size_t i)
{
	const struct cnn_step *step = &p->c->steps[i];
	size_t begin, end;

	dense_weights(p, i);
	team_share(p->c->team, p->member, step->dense_back.panels, 1, &begin,
		&end);
	if (begin < end)
		kernels()->product(&(struct product){ .w = &step->dense_back,
					   .m = p->c->n,
					   .x = p->g,
					   .ldx = step->dense_back.k,
					   .y = p->dx,
					   .ldy = step->dense_back.n,
					   .init = PRODUCT_ZERO },
			begin, end);
	swap(p);
}

/* Each average hands its gradient back in equal parts. */
static void flatten(struct pass *p, size_t i)
{
	const struct cnn_plan_step *s = &p->c->plan.steps[i];
	const struct cnn_shape in = s->in;
	const size_t bins = cnn_bins(s), size = in_size(s);
	size_t at, end;

	team_share(p->c->team, p->member, p->c->n, 1, &at, &end);
	memset(p->dx + at * size, 0, (end - at) * size * sizeof(real));
	for (at *= s->size; at < end * s->size; at++) {
		size_t image = at / s->size, j = at % s->size % (bins * bins);
		size_t k = at % s->size / (bins * bins);
		struct cnn_bin rows = cnn_bin(j / bins, bins, in.height);
		struct cnn_bin columns = cnn_bin(j % bins, bins, in.width);
		real part = p->g[at] / (real)((rows.end - rows.begin) *
					       (columns.end - columns.begin));

		for (size_t y = rows.begin; y < rows.end; y++)
			for (size_t x = columns.begin; x < columns.end; x++)
				p->dx[image * size +
					((y + 1) * (in.width + 2) + x + 1) *
						in.channels +
					k] += part;
	}
	swap(p);
}

static void unpool(struct pass *p, size_t i)
{
	const struct cnn_plan_step *s = &p->c->plan.steps[i];
	const struct cnn_shape in = s->in, out = s->out;
	const size_t stride = (in.width + 2) * in.channels, size = in_size(s);
	size_t at, end;

	team_share(p->c->team, p->member, p->c->n, 1, &at, &end);
	/* An odd row or column was left out. */
	if (in.height % 2 || in.width % 2)
		memset(p->dx + at * size, 0, (end - at) * size * sizeof(real));
	for (at *= out.height; at < end * out.height; at++) {
		size_t image = at / out.height, row = at % out.height;
		size_t from = (2 * row + 1) * stride + in.channels;

		pixels()->pool_back(cnn_in(p->c, i, image) + from,
			p->g + image * s->size +
				conv_origin(out.width, out.channels) +
				row * (out.width + 2) * out.channels,
			stride, out.width, out.channels,
			p->dx + image * size + from);
	}
	swap(p);
}

/* Also clears the frame: the convolution before sums over it. */
static void relu(struct pass *p, size_t i)
{
	const struct cnn_plan_step *s = &p->c->plan.steps[i];
	size_t at, end;

	team_share(p->c->team, p->member, p->c->n, 1, &at, &end);
	for (; at < end; at++)
		pixels()->relu_back(
			cnn_out(p->c, i, at), s->size, p->g + at * s->size);
}

static void norm(struct pass *p, size_t i)
{
	const struct cnn_plan_step *s = &p->c->plan.steps[i];
	size_t at, end;

	cnn_norm_backward(p->c, i, p->g, p->dx, p->grads, p->member);
	team_barrier(p->c->team, p->member);
	team_share(p->c->team, p->member, p->c->n, 1, &at, &end);
	for (; at < end; at++)
		conv_clear(s->out.height, s->out.width, s->out.channels,
			p->dx + at * s->size, 0, s->out.height);
	swap(p);
}

static void conv_gradients(const struct pass *p, size_t i)
{
	const struct cnn_plan_step *s = &p->c->plan.steps[i];
	const struct cnn_shape out = s->out;
	const struct cnn_step *step = &p->c->steps[i];
	size_t begin, end;

	team_share(
		p->c->team, p->member, out.channels, OUTPUT_UNIT, &begin, &end);
	if (begin == end)
		return;
	for (size_t image = 0; image < p->c->n; image++)
		conv_weights(&step->conv, out.height, out.width,
			p->g + image * s->size, cnn_in(p->c, i, image), begin,
			end, gradient(p, step->weight), image > 0,
			p->c->work[p->member]);
	kernels()->column_sum(p->c->n * (out.height + 2) * (out.width + 2),
		p->g, out.channels, begin, end, gradient(p, step->bias), false);
}

static void conv(struct pass *p, size_t i)
{
	const struct cnn_plan_step *s = &p->c->plan.steps[i];
	const size_t h = s->out.height, w = s->out.width;
	const size_t pixels = conv_pixels(h, w), size = in_size(s);
	size_t at, end, n;

	conv_gradients(p, i);
	if (!i)
		return;
	team_share(
		p->c->team, p->member, p->c->n * pixels, PIXEL_UNIT, &at, &end);
	for (; at < end; at += n) {
		size_t image = at / pixels, first = at % pixels;

		n = pixels - first < end - at ? pixels - first : end - at;
		conv_forward(&p->c->steps[i].conv_back, h, w,
			p->g + image * s->size, NULL, p->dx + image * size,
			first, first + n);
	}
	swap(p);
}

void cnn_backward(struct cnn *c, const real *d_v, struct cnn_weights *grads,
	unsigned member)
{
	static void (*const back[])(struct pass * p, size_t i) = {
		[CNN_CONV] = conv,
		[CNN_NORM] = norm,
		[CNN_RELU] = relu,
		[CNN_MAXPOOL] = unpool,
		[CNN_FLATTEN] = flatten,
		[CNN_DENSE] = dense,
	};
	struct pass p = { c, grads, c->turn[0], c->turn[1], member };

	if (member == 0)
		memcpy(p.g, d_v,
			c->n * c->plan.steps[c->plan.n - 1].out.channels *
				sizeof(real));
	team_barrier(c->team, member);
	for (size_t i = c->plan.n; i-- > 0;) {
		back[c->plan.steps[i].op](&p, i);
		team_barrier(c->team, member);
	}
}
