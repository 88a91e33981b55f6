#include "nn/network_internal.h"

#include <string.h>

void network_product(const struct network *n, const struct product *whole,
	size_t steps, size_t begin, size_t end)
{
	const size_t b = n->options.batch;
	struct product p = *whole;

	if (begin == 0 && end == b) {
		p.m = steps * b;
		kernels_product(&p);
		return;
	}
	p.m = end - begin;
	for (size_t t = 0; t < steps; t++) {
		p.x = whole->x + (t * b + begin) * p.ldx;
		p.y = whole->y + (t * b + begin) * p.ldy;
		kernels_product(&p);
	}
}

void network_dropout(const struct network *n, const struct network_dropout *d,
	size_t site, const struct network_chunk *c, size_t begin, size_t end,
	size_t width, const real *x, real *y)
{
	const size_t b = n->options.batch;

	for (size_t t = 0; t < c->steps; t++)
		for (size_t i = begin; i < end; i++) {
			size_t row = t * b + i;
			uint64_t at = c->step * n->options.seq_length * b + row;

			n->k->dropout(y + row * width, x + row * width, width,
				n->options.seed, (uint32_t)site, at,
				d->threshold, d->scale);
		}
}

/* gates = bias + the input's product, for the member's rows. */
static void first_input(struct network *n, const struct network_chunk *c,
	size_t begin, size_t end)
{
	const size_t b = n->options.batch, width = n->width;
	const size_t e = n->arch.embedding;
	struct network_layer *layer = &n->layers[0];

	for (size_t t = 0; t < c->steps; t++)
		for (size_t i = begin; i < end; i++) {
			size_t row = t * b + i;
			size_t token = c->inputs[row];

			if (!n->by_table) {
				memcpy(n->embedded + row * e,
					n->embedding + token * e,
					e * sizeof(real));
				continue;
			}
			memcpy(layer->gates + row * width,
				n->table + token * width, width * sizeof(real));
			n->k->add(
				layer->gates + row * width, layer->bias, width);
		}
	if (n->by_table)
		return;
	if (n->drop_input.threshold)
		network_dropout(n, &n->drop_input, 0, c, begin, end, e,
			n->embedded, n->embedded);
	network_product(n,
		&(struct product){ .w = &layer->input,
			.x = n->embedded,
			.ldx = e,
			.y = layer->gates,
			.ldy = width,
			.bias = layer->bias,
			.init = PRODUCT_BIAS },
		c->steps, begin, end);
}

static void add_condition(struct network *n, const struct network_chunk *c,
	size_t begin, size_t end)
{
	const size_t steps = c->condition_always ? c->steps : 1;
	const size_t b = n->options.batch, width = n->width;

	for (size_t t = 0; t < steps; t++)
		n->k->add(n->layers[0].gates + (t * b + begin) * width,
			c->condition + begin * width, (end - begin) * width);
}

static void recur(struct network *n, struct network_layer *layer, size_t steps,
	size_t begin, size_t end)
{
	const size_t b = n->options.batch, h = n->arch.hidden;
	const size_t width = n->width, saved = n->cell->saved * h;
	struct product p = { .w = &layer->hidden,
		.m = end - begin,
		.ldx = h,
		.ldy = width,
		.bias = layer->b_hh,
		.init = layer->product ? PRODUCT_BIAS : PRODUCT_ADD };
	struct cell_step step = {
		.m = end - begin, .hidden = h, .ld_gates = width, .ld_state = h
	};

	for (size_t t = 0; t < steps; t++) {
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
		p.x = step.before[0];
		p.y = layer->product ? step.product : step.gates;
		kernels_product(&p);
		n->cell->forward(&step);
	}
}

void network_forward(
	struct network *n, const struct network_chunk *c, unsigned member)
{
	const size_t b = n->options.batch, h = n->arch.hidden;
	size_t begin, end;

	network_rows(n, member, &begin, &end);
	if (begin == end)
		return;
	for (size_t l = 0; l < n->arch.layers; l++) {
		struct network_layer *layer = &n->layers[l];

		if (l == 0)
			first_input(n, c, begin, end);
		if (l == 0 && c->condition)
			add_condition(n, c, begin, end);
		if (l > 0)
			network_product(n,
				&(struct product){ .w = &layer->input,
					.x = network_output(n, l - 1),
					.ldx = h,
					.y = layer->gates,
					.ldy = n->width,
					.bias = layer->bias,
					.init = PRODUCT_BIAS },
				c->steps, begin, end);
		recur(n, layer, c->steps, begin, end);
		if (layer->dropped)
			network_dropout(n,
				l + 1 == n->arch.layers ? &n->drop_output
							: &n->drop_layers,
				l + 1, c, begin, end, h,
				layer->states[0] + b * h, layer->dropped);
	}
	network_output_forward(n, c, begin, end, member);
}

void network_carry(
	struct network *n, const struct network_chunk *c, unsigned member)
{
	const size_t b = n->options.batch, h = n->arch.hidden;
	size_t begin, end;

	network_rows(n, member, &begin, &end);
	for (size_t l = 0; l < n->arch.layers; l++)
		for (size_t s = 0; s < n->cell->states; s++) {
			real *states = n->layers[l].states[s];

			memcpy(states + begin * h,
				states + (c->steps * b + begin) * h,
				(end - begin) * h * sizeof(real));
		}
}
