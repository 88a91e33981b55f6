/*
 * The output layer and its loss. Small, it is one product of all rows; with a
 * large vocabulary it goes by tiles of rows, so that a chunk's logits are never
 * held together. A row's numbers are the same bits in either way.
 */
#include "nn/network_internal.h"

#include <string.h>

/* In place, and kept. */
static void lose(struct network *n, const struct network_chunk *c, size_t row,
	real *logits)
{
	n->losses[row] = 0;
	if (c->targets[row] == NETWORK_MASKED)
		memset(logits, 0, n->arch.vocab * sizeof(real));
	else
		n->losses[row] = n->k->cross_entropy(
			logits, n->arch.vocab, c->targets[row], c->loss_scale);
	if (c->losses)
		c->losses[row] = n->losses[row];
}

/* Rows [row, row + m) of all, into logits. */
static void tile_logits(
	const struct network *n, size_t row, size_t m, real *logits)
{
	const size_t h = n->arch.hidden;

	kernels_product(&(struct product){ .w = &n->output,
		.m = m,
		.x = network_output(n, n->arch.layers - 1) + row * h,
		.ldx = h,
		.y = logits,
		.ldy = n->arch.vocab,
		.bias = n->b_out,
		.init = PRODUCT_BIAS });
}

/* The member's own rows in its own part of the tile. */
static void forward_tiles(struct network *n, const struct network_chunk *c,
	size_t begin, size_t end, unsigned member)
{
	const size_t share = n->tile_rows / n->groups, v = n->arch.vocab;
	real *logits = n->logits + member * share * v;

	for (size_t t = 0; t < c->steps; t++)
		for (size_t i = begin; i < end; i += share) {
			size_t row = t * n->options.batch + i;
			size_t m = end - i < share ? end - i : share;

			tile_logits(n, row, m, logits);
			for (size_t k = 0; k < m; k++)
				lose(n, c, row + k, logits + k * v);
		}
}

void network_output_forward(struct network *n, const struct network_chunk *c,
	size_t begin, size_t end, unsigned member)
{
	const size_t b = n->options.batch, v = n->arch.vocab;

	if (network_deferred(n))
		return;
	if (n->tile_rows) {
		forward_tiles(n, c, begin, end, member);
		return;
	}
	network_product(n,
		&(struct product){ .w = &n->output,
			.x = network_output(n, n->arch.layers - 1),
			.ldx = n->arch.hidden,
			.y = n->logits,
			.ldy = v,
			.bias = n->b_out,
			.init = PRODUCT_BIAS },
		c->steps, begin, end);
	for (size_t t = 0; t < c->steps; t++)
		for (size_t i = begin; i < end; i++)
			lose(n, c, t * b + i, n->logits + (t * b + i) * v);
}

/* A member's rows of one tile: losses, and what goes down to the top layer. */
static void tile_part(struct network *n, const struct network_chunk *c,
	size_t tile, size_t begin, size_t end)
{
	const size_t h = n->arch.hidden, v = n->arch.vocab;
	real *logits = n->logits + begin * v;

	if (begin == end)
		return;
	tile_logits(n, tile + begin, end - begin, logits);
	for (size_t i = begin; i < end; i++)
		lose(n, c, tile + i, n->logits + i * v);
	kernels_product(&(struct product){ .w = &n->output_back,
		.m = end - begin,
		.x = logits,
		.ldx = v,
		.y = n->d_above + (tile + begin) * h,
		.ldy = h,
		.init = PRODUCT_ZERO });
}

void network_output_backward(struct network *n, const struct network_chunk *c,
	struct parameters *grads, bool accumulate, unsigned member)
{
	const size_t rows = c->steps * n->options.batch;
	const size_t h = n->arch.hidden, v = n->arch.vocab;
	const real *x = network_output(n, n->arch.layers - 1);
	size_t begin, end;

	if (n->sampled) {
		network_sampled_backward(n, c, grads, accumulate, member);
		return;
	}
	team_barrier(n->team, member);
	for (size_t tile = 0; tile < rows; tile += n->tile_rows) {
		size_t m =
			rows - tile < n->tile_rows ? rows - tile : n->tile_rows;
		bool add = accumulate || tile;

		team_share(n->team, member, m, 1, &begin, &end);
		tile_part(n, c, tile, begin, end);
		team_barrier(n->team, member);
		network_weight(n, m, n->logits, v, v, x + tile * h, h,
			network_gradient(n, grads, n->w_out), add, member);
		network_column_sums(n, m, n->logits, v, v,
			network_gradient(n, grads, n->b_out), add, member);
		team_barrier(n->team, member);
	}
}
