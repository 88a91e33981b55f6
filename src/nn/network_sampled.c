/*
 * Sampled softmax (Jean et al. 2015; Bengio and Senécal 2008): the training
 * loss of a chunk is over S tokens drawn without replacement from a log-uniform
 * distribution, which is Zipf's for ids in the order of frequency, and each
 * row's own target. From each logit the log of the probability that the token
 * is there is subtracted, so that the gradient estimates that of all V; a
 * sampled token that is the target itself is left out. Draws are Philox(seed,
 * step), so that the same chunk draws the same on any thread.
 */
#include "nn/network_internal.h"

#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NEVER ((real)-1e30) /* a logit whose exponential is 0 */
#define TRIES 64	    /* for each token, before the rest is filled up */
#define NEGATIVE_SITE 64    /* among the sites of masks: no layer has it */

struct network_sampled {
	size_t count;	 /* S */
	double tries;	 /* that it took to draw this chunk's */
	uint32_t *ids;	 /* [S] owned */
	uint32_t *where; /* [V] owned: place in ids + 1; 0: not drawn */
	real *weights;	 /* [S, H] owned: rows of the output layer */
	real *bias;	 /* [S] owned: of it, less log Q */
	real *d_weights; /* [S, H] owned */
	real *d_bias;	 /* [S] owned */
	real *d_targets; /* [T * B] owned: gradients of the targets' logits */
	struct packed forward, back;
};

int network_sampled_open(struct network *n, struct error *err)
{
	const size_t count = n->options.sampled_softmax, h = n->arch.hidden;
	const size_t rows = n->options.seq_length * n->options.batch;
	struct network_sampled *s = calloc(1, sizeof(*s));

	if (!s)
		return error_set_memory(err, "sampled softmax", sizeof(*s));
	n->sampled = s;
	s->count = count;
	s->ids = calloc(count, sizeof(*s->ids));
	s->where = calloc(n->arch.vocab, sizeof(*s->where));
	s->weights = kernels_alloc(count * h);
	s->bias = kernels_alloc(count);
	s->d_weights = kernels_alloc(count * h);
	s->d_bias = kernels_alloc(count);
	s->d_targets = kernels_alloc(rows);
	if (!s->ids || !s->where || !s->weights || !s->bias || !s->d_weights ||
		!s->d_bias || !s->d_targets)
		return error_set_memory(
			err, "sampled softmax", 2 * count * h * sizeof(real));
	if (packed_open(&s->forward, WEIGHTS_F32, h, count, err) < 0 ||
		packed_open(&s->back, WEIGHTS_F32, count, h, err) < 0)
		return -1;
	n->bytes += (2 * count * h + 2 * count + rows) * sizeof(real) +
		    s->forward.bytes + s->back.bytes +
		    n->arch.vocab * sizeof(*s->where);
	return 0;
}

void network_sampled_close(struct network_sampled *s)
{
	if (!s)
		return;
	packed_release(&s->forward);
	packed_release(&s->back);
	free(s->ids);
	free(s->where);
	free(s->weights);
	free(s->bias);
	free(s->d_weights);
	free(s->d_bias);
	free(s->d_targets);
	free(s);
}

size_t network_sampled_width(const struct network_sampled *s)
{
	return s->count + 1;
}

static void take(struct network_sampled *s, size_t at, uint32_t id)
{
	s->ids[at] = id;
	s->where[id] = (uint32_t)at + 1;
}

static void draw(struct network *n, uint64_t step)
{
	struct network_sampled *s = n->sampled;
	const double range = log((double)n->arch.vocab + 1);
	const uint64_t most = TRIES * (uint64_t)s->count;
	uint64_t tries = 0;
	size_t have = 0;
	uint32_t id;

	for (size_t i = 0; i < s->count; i++)
		s->where[s->ids[i]] = 0;
	for (; have < s->count && tries < most; tries++) {
		struct philox p = rng_block(n->options.seed, RNG_DROPOUT,
			NEGATIVE_SITE, step << 32 | tries);

		id = (uint32_t)exp(range * rng_double(p.v[0], p.v[1])) - 1;
		if (id < n->arch.vocab && !s->where[id])
			take(s, have++, id);
	}
	/* Nearly all of V is wanted: the rest by their ids. */
	for (id = 0; have < s->count; id++)
		if (!s->where[id])
			take(s, have++, id);
	s->tries = (double)tries;
}

/* log of the probability that a token was drawn in as many tries. */
static real log_q(const struct network *n, uint32_t id)
{
	const double range = log((double)n->arch.vocab + 1);
	const double p = log1p(1 / ((double)id + 1)) / range;

	if (n->sampled->count == n->arch.vocab)
		return 0;
	return (real)log(-expm1(n->sampled->tries * log1p(-p)));
}

/* The drawn rows of the output layer, packed both ways. */
static void gather(struct network *n, unsigned member)
{
	struct network_sampled *s = n->sampled;
	const size_t h = n->arch.hidden;
	size_t begin, end;

	team_share(n->team, member, s->count, 16, &begin, &end);
	for (size_t j = begin; j < end; j++) {
		memcpy(s->weights + j * h, n->w_out + s->ids[j] * h,
			h * sizeof(real));
		s->bias[j] = n->b_out[s->ids[j]] - log_q(n, s->ids[j]);
	}
	team_barrier(n->team, member);
	team_share(n->team, member, s->forward.panels, 1, &begin, &end);
	n->k->pack(&s->forward, s->weights, h, true, begin, end);
	team_share(n->team, member, s->back.panels, 1, &begin, &end);
	n->k->pack(&s->back, s->weights, h, false, begin, end);
	team_barrier(n->team, member);
}

static real dot(const real *x, const real *y, size_t n)
{
	real sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += x[i] * y[i];
	return sum;
}

/* One row of a tile: its loss, the logits become their gradient, and what the
 * target's weights send down is added to d_above. */
static void lose(struct network *n, const struct network_chunk *c, size_t row,
	real *logits)
{
	struct network_sampled *s = n->sampled;
	const size_t h = n->arch.hidden;
	const uint32_t target = c->targets[row], at = s->where[target];
	const real *x = network_output(n, n->arch.layers - 1) + row * h;

	logits[s->count] = dot(x, n->w_out + target * h, h) + n->b_out[target] -
			   log_q(n, target);
	if (at)
		logits[at - 1] = NEVER;
	n->losses[row] = n->k->cross_entropy(
		logits, s->count + 1, (uint32_t)s->count, c->loss_scale);
	if (at)
		logits[at - 1] = 0;
	if (c->losses)
		c->losses[row] = n->losses[row];
	s->d_targets[row] = logits[s->count];
}

static void tile_part(struct network *n, const struct network_chunk *c,
	size_t tile, size_t begin, size_t end)
{
	struct network_sampled *s = n->sampled;
	const size_t h = n->arch.hidden, width = s->count + 1;
	real *logits = n->logits + begin * width;
	real *below = n->d_above + (tile + begin) * h;

	if (begin == end)
		return;
	kernels_product(&(struct product){ .w = &s->forward,
		.m = end - begin,
		.x = network_output(n, n->arch.layers - 1) + (tile + begin) * h,
		.ldx = h,
		.y = logits,
		.ldy = width,
		.bias = s->bias,
		.init = PRODUCT_BIAS });
	for (size_t i = begin; i < end; i++)
		lose(n, c, tile + i, n->logits + i * width);
	kernels_product(&(struct product){ .w = &s->back,
		.m = end - begin,
		.x = logits,
		.ldx = width,
		.y = below,
		.ldy = h,
		.init = PRODUCT_ZERO });
	for (size_t i = begin; i < end; i++) {
		const uint32_t target = c->targets[tile + i];
		const real g = s->d_targets[tile + i];
		const real *w = n->w_out + target * h;
		real *d = n->d_above + (tile + i) * h;

		for (size_t j = 0; j < h; j++)
			d[j] += g * w[j];
	}
}

/* The sampled rows' gradients to their places, each of which one member
 * writes; then the targets', by columns, in the order of the rows. */
static void scatter(struct network *n, const struct network_chunk *c, real *d_w,
	real *d_b, unsigned member)
{
	struct network_sampled *s = n->sampled;
	const size_t h = n->arch.hidden, rows = c->steps * n->options.batch;
	const real *x = network_output(n, n->arch.layers - 1);
	size_t begin, end;

	team_share(n->team, member, s->count, 16, &begin, &end);
	for (size_t j = begin; j < end; j++) {
		n->k->add(d_w + s->ids[j] * h, s->d_weights + j * h, h);
		d_b[s->ids[j]] += s->d_bias[j];
	}
	team_barrier(n->team, member);
	team_share(n->team, member, h, 16, &begin, &end);
	for (size_t row = 0; row < rows; row++) {
		const real g = s->d_targets[row];
		real *d = d_w + c->targets[row] * h;

		for (size_t j = begin; j < end; j++)
			d[j] += g * x[row * h + j];
		if (member == 0)
			d_b[c->targets[row]] += g;
	}
	team_barrier(n->team, member);
}

static void clear(struct network *n, real *d_w, real *d_b, unsigned member)
{
	const size_t h = n->arch.hidden;
	size_t begin, end;

	team_share(n->team, member, n->arch.vocab, 64, &begin, &end);
	memset(d_w + begin * h, 0, (end - begin) * h * sizeof(real));
	memset(d_b + begin, 0, (end - begin) * sizeof(real));
}

void network_sampled_backward(struct network *n, const struct network_chunk *c,
	struct parameters *grads, bool accumulate, unsigned member)
{
	struct network_sampled *s = n->sampled;
	const size_t rows = c->steps * n->options.batch, h = n->arch.hidden;
	const real *x = network_output(n, n->arch.layers - 1);
	real *d_w = network_gradient(n, grads, n->w_out);
	real *d_b = network_gradient(n, grads, n->b_out);
	size_t begin, end;

	if (member == 0)
		draw(n, c->step);
	if (!accumulate)
		clear(n, d_w, d_b, member);
	team_barrier(n->team, member);
	gather(n, member);
	for (size_t tile = 0; tile < rows; tile += n->tile_rows) {
		size_t m =
			rows - tile < n->tile_rows ? rows - tile : n->tile_rows;

		team_share(n->team, member, m, 1, &begin, &end);
		tile_part(n, c, tile, begin, end);
		team_barrier(n->team, member);
		network_weight(n, m, n->logits, s->count + 1, s->count,
			x + tile * h, h, s->d_weights, tile > 0, member);
		network_column_sums(n, m, n->logits, s->count + 1, s->count,
			s->d_bias, tile > 0, member);
		team_barrier(n->team, member);
	}
	scatter(n, c, d_w, d_b, member);
}
