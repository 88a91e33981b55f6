#include "nn/network_internal.h"

#include <string.h>

/* Rows of a weight gradient go to a member by whole tiles. */
#define OUTPUT_UNIT 24

/* d_above = what the output layer sends to the top layer's h. */
static void from_output(struct network *n, const struct network_chunk *c,
	size_t begin, size_t end)
{
	const size_t h = n->arch.hidden;

	if (!network_deferred(n))
		network_product(n,
			&(struct product){ .w = &n->output_back,
				.x = n->logits,
				.ldx = n->arch.vocab,
				.y = n->d_above,
				.ldy = h,
				.init = PRODUCT_ZERO },
			c->steps, begin, end);
	if (n->drop_output.threshold)
		network_dropout(n, &n->drop_output, n->arch.layers, c, begin,
			end, h, n->d_above, n->d_above);
}

/*
 * Back through time in one layer: the gates become their gradient. The
 * gradient of h_t is what came from above plus what h_{t+1} sent back.
 */
static void recur_back(struct network *n, struct network_layer *layer,
	size_t steps, size_t begin, size_t end)
{
	const size_t b = n->options.batch, h = n->arch.hidden;
	const size_t width = n->width, saved = n->cell->saved * h;
	const size_t m = end - begin;
	struct product p = { .w = &layer->hidden_back,
		.m = m,
		.ldx = width,
		.y = n->d_state[0] + begin * h,
		.ldy = h,
		.init = PRODUCT_ADD };
	struct cell_step step = {
		.m = m, .hidden = h, .ld_gates = width, .ld_state = h
	};

	for (size_t s = 0; s < n->cell->states; s++) {
		step.d_after[s] = n->d_state[s] + begin * h;
		memset(step.d_after[s], 0, m * h * sizeof(real));
	}
	for (size_t t = steps; t-- > 0;) {
		size_t row = t * b + begin;

		step.gates = layer->gates + row * width;
		if (layer->product)
			step.product = layer->product + row * width;
		if (saved)
			step.saved = layer->saved + row * saved;
		for (size_t s = 0; s < n->cell->states; s++) {
			step.before[s] = layer->states[s] + row * h;
			step.after[s] = layer->states[s] + (row + b) * h;
		}
		n->k->add(step.d_after[0], n->d_above + row * h, m * h);
		n->cell->backward(&step);
		if (!t)
			break;
		p.x = layer->product ? step.product : step.gates;
		kernels_product(&p);
	}
}

static void condition_back(struct network *n, const struct network_chunk *c,
	size_t begin, size_t end)
{
	const size_t steps = c->condition_always ? c->steps : 1;
	const size_t b = n->options.batch, width = n->width;
	const size_t count = (end - begin) * width;
	const real *g = n->layers[0].gates + begin * width;
	real *d = c->d_condition + begin * width;

	memcpy(d, g, count * sizeof(real));
	for (size_t t = 1; t < steps; t++)
		n->k->add(d, g + t * b * width, count);
}

/* The gradient of what fed layer l: the layer below, or the embedding. */
static void to_input(struct network *n, const struct network_chunk *c, size_t l,
	size_t begin, size_t end)
{
	const size_t in = architecture_input(&n->arch, l);
	struct network_layer *layer = &n->layers[l];
	real *d = l ? n->d_above : n->d_embedded;

	network_product(n,
		&(struct product){ .w = &layer->input_back,
			.x = layer->gates,
			.ldx = n->width,
			.y = d,
			.ldy = in,
			.init = PRODUCT_ZERO },
		c->steps, begin, end);
	if ((l ? &n->drop_layers : &n->drop_input)->threshold)
		network_dropout(n, l ? &n->drop_layers : &n->drop_input, l, c,
			begin, end, in, d, d);
}

void network_weight(struct network *n, size_t rows, const real *g, size_t ldg,
	size_t out, const real *x, size_t in, real *d, bool accumulate,
	unsigned member)
{
	size_t begin, end;

	team_share(n->team, member, out, OUTPUT_UNIT, &begin, &end);
	if (begin < end)
		n->k->outer(rows, g, ldg, begin, end, x, in, in, d, in,
			accumulate, n->work[member]);
}

void network_column_sums(struct network *n, size_t rows, const real *g,
	size_t ldg, size_t width, real *d, bool accumulate, unsigned member)
{
	size_t begin, end;

	team_share(n->team, member, width, 64, &begin, &end);
	n->k->column_sum(rows, g, ldg, begin, end, d, accumulate);
}

static void weight(struct network *n, size_t rows, const real *g, size_t out,
	const real *x, size_t in, real *d, bool accumulate, unsigned member)
{
	network_weight(n, rows, g, out, out, x, in, d, accumulate, member);
}

static void column_sums(struct network *n, size_t rows, const real *g,
	size_t width, real *d, bool accumulate, unsigned member)
{
	network_column_sums(n, rows, g, width, width, d, accumulate, member);
}

/* d[token] += g[row] for every row, the member's share of columns. */
static void scatter(struct network *n, const struct network_chunk *c,
	const real *g, size_t width, real *d, bool accumulate, unsigned member)
{
	size_t begin, end;

	team_share(n->team, member, width, 16, &begin, &end);
	if (begin == end)
		return;
	for (size_t v = 0; !accumulate && v < n->arch.vocab; v++)
		memset(d + v * width + begin, 0, (end - begin) * sizeof(real));
	for (size_t row = 0; row < c->steps * n->options.batch; row++)
		n->k->add(d + c->inputs[row] * width + begin,
			g + row * width + begin, end - begin);
}

/* Layer 0's input weights and the embedding. */
static void input_gradients(struct network *n, const struct network_chunk *c,
	struct parameters *grads, bool accumulate, unsigned member)
{
	const size_t rows = c->steps * n->options.batch;
	const size_t e = n->arch.embedding, v = n->arch.vocab;
	struct network_layer *layer = &n->layers[0];
	real *d_ih = network_gradient(n, grads, layer->w_ih);
	/* The output layer has been there before where they are tied. */
	bool add = accumulate || n->arch.tied;
	struct product p;
	size_t begin, end;

	if (!e) {
		scatter(n, c, layer->gates, n->width, d_ih, accumulate, member);
		return;
	}
	if (!n->by_table) {
		weight(n, rows, layer->gates, n->width, n->embedded, e, d_ih,
			accumulate, member);
		team_barrier(n->team, member);
		scatter(n, c, n->d_embedded, e,
			network_gradient(n, grads, n->embedding), add, member);
		return;
	}
	scatter(n, c, layer->gates, n->width, n->d_table, false, member);
	team_barrier(n->team, member);
	weight(n, v, n->d_table, n->width, n->embedding, e, d_ih, accumulate,
		member);
	p = (struct product){ .w = &layer->input_back,
		.m = v,
		.x = n->d_table,
		.ldx = n->width,
		.y = network_gradient(n, grads, n->embedding),
		.ldy = e,
		.init = add ? PRODUCT_ADD : PRODUCT_ZERO };
	team_share(n->team, member, p.w->panels, 1, &begin, &end);
	n->k->product(&p, begin, end);
}

/* What a mask took from W_hh it takes from its gradient. Packed copies are no
 * longer needed: the thinned weights' place holds the new gradient. */
static void thinned_weight(struct network *n, size_t l, size_t rows,
	const real *g, struct parameters *grads, bool accumulate,
	unsigned member)
{
	const size_t h = n->arch.hidden;
	struct network_layer *layer = &n->layers[l];
	real *d = network_gradient(n, grads, layer->w_hh);
	real *fresh = layer->thinned;
	size_t begin, end;

	weight(n, rows, g, n->width, layer->states[0], h, fresh, false, member);
	team_share(n->team, member, n->width, OUTPUT_UNIT, &begin, &end);
	network_thin(n, l, begin, end, fresh, fresh);
	if (accumulate)
		n->k->add(d + begin * h, fresh + begin * h, (end - begin) * h);
	else
		memcpy(d + begin * h, fresh + begin * h,
			(end - begin) * h * sizeof(real));
}

static void layer_gradients(struct network *n, const struct network_chunk *c,
	size_t l, struct parameters *grads, bool accumulate, unsigned member)
{
	const size_t rows = c->steps * n->options.batch, h = n->arch.hidden;
	struct network_layer *layer = &n->layers[l];
	const real *g = layer->product ? layer->product : layer->gates;

	if (layer->thinned)
		thinned_weight(n, l, rows, g, grads, accumulate, member);
	else
		weight(n, rows, g, n->width, layer->states[0], h,
			network_gradient(n, grads, layer->w_hh), accumulate,
			member);
	if (l)
		weight(n, rows, layer->gates, n->width,
			network_output(n, l - 1), h,
			network_gradient(n, grads, layer->w_ih), accumulate,
			member);
	column_sums(n, rows, layer->gates, n->width,
		network_gradient(n, grads, layer->b_ih), accumulate, member);
	if (n->arch.bias == BIAS_DOUBLE)
		column_sums(n, rows, g, n->width,
			network_gradient(n, grads, layer->b_hh), accumulate,
			member);
}

void network_backward(struct network *n, const struct network_chunk *c,
	struct parameters *grads, bool accumulate, unsigned member)
{
	const size_t rows = c->steps * n->options.batch;
	const size_t top = n->arch.layers - 1;
	size_t begin, end;

	if (network_deferred(n))
		network_output_backward(n, c, grads, accumulate, member);
	network_rows(n, member, &begin, &end);
	if (begin < end) {
		from_output(n, c, begin, end);
		for (size_t l = top + 1; l-- > 0;) {
			recur_back(n, &n->layers[l], c->steps, begin, end);
			if (!l && c->condition)
				condition_back(n, c, begin, end);
			if (l || !n->by_table)
				to_input(n, c, l, begin, end);
		}
	}
	team_barrier(n->team, member);
	if (!network_deferred(n)) {
		weight(n, rows, n->logits, n->arch.vocab,
			network_output(n, top), n->arch.hidden,
			network_gradient(n, grads, n->w_out), accumulate,
			member);
		column_sums(n, rows, n->logits, n->arch.vocab,
			network_gradient(n, grads, n->b_out), accumulate,
			member);
	}
	for (size_t l = 0; l < n->arch.layers; l++)
		layer_gradients(n, c, l, grads, accumulate, member);
	if (n->arch.tied)
		team_barrier(n->team, member);
	input_gradients(n, c, grads, accumulate, member);
	team_barrier(n->team, member);
}
