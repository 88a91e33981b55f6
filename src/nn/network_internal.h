/* What network*.c share; nobody else includes it. */
#ifndef NN_NETWORK_INTERNAL_H
#define NN_NETWORK_INTERNAL_H

#include "math/kernels.h"
#include "nn/cell.h"
#include "nn/network.h"

struct network_dropout {
	uint32_t threshold; /* of 65536: units below are dropped */
	real scale;	    /* 1 / (1 - rate) */
};

struct network_layer {
	const real *w_ih, *w_hh, *b_ih, *b_hh; /* borrowed parameters */
	struct packed input;	   /* [in, GH] forward; unused with a table */
	struct packed hidden;	   /* [H, GH] forward */
	struct packed input_back;  /* [GH, in] */
	struct packed hidden_back; /* [GH, H] */
	real *bias;		   /* [GH]: b_ih + b_hh where they add up */
	real *gates;		   /* [T * B, GH]; backward: their gradient */
	real *product;		   /* [T * B, GH] of separate cells */
	real *saved;		   /* [T * B, saved * H] */
	real *states[CELL_MAX_STATES]; /* [(T + 1) * B, H]; block 0 carried */
	real *dropped;		       /* [T * B, H] h after dropout, or NULL */
	real *thinned;		       /* [GH, H] w_hh after dropout, or NULL */
};

struct network {
	const struct parameters *parameters; /* borrowed */
	struct architecture arch;
	const struct cell_ops *cell;
	const struct kernels *k;
	struct team *team; /* borrowed */
	struct network_options options;
	size_t width;  /* GH */
	size_t groups; /* members that own rows */
	struct network_layer layers[ARCHITECTURE_MAX_LAYERS];

	/* Layer 0's input, one of two ways. */
	bool by_table;	  /* product of each token once: [V, GH] */
	real *table;	  /* owned with an embedding, else weight_ih_l0 */
	real *d_table;	  /* [V, GH] owned, with an embedding in training */
	real *embedded;	  /* [T * B, E] otherwise */
	real *d_embedded; /* [T * B, E] */

	const real *embedding, *w_out, *b_out;
	struct packed output;	   /* [H, V] */
	struct packed output_back; /* [V, H] */
	/* [T * B, V]; backward: their gradient. With tile_rows, of as many rows
	 * at a time; with `sampled` of its tokens and the target. */
	real *logits;
	size_t tile_rows;		 /* 0: all at once */
	struct network_sampled *sampled; /* owned, NULL: all of V */
	real *d_above; /* [T * B, H] gradient of a layer's output */
	real *d_state[CELL_MAX_STATES]; /* [B, H] running through time */
	double *losses;			/* [T * B] */
	real **work;			/* [members] of kernels_outer_work */

	struct network_dropout drop_input, drop_layers, drop_output;
	struct network_dropout drop_hidden;
	uint64_t mask_step; /* of the mask of W_hh in use */
	size_t bytes;
};

/* Rows [*begin, *end) of the batch that a member owns; empty beyond B. */
void network_rows(
	const struct network *n, unsigned member, size_t *begin, size_t *end);

/*
 * A product over `steps` blocks of rows [begin, end) of the batch: in one go
 * where they are contiguous, else step by step. x and y are whole [T * B]
 * arrays.
 */
void network_product(const struct network *n, const struct product *whole,
	size_t steps, size_t begin, size_t end);

/* The same dropout, forward on x and backward on its gradient. */
void network_dropout(const struct network *n, const struct network_dropout *d,
	size_t site, const struct network_chunk *c, size_t begin, size_t end,
	size_t width, const real *x, real *y);

/* The loss comes with the backward pass, tile by tile. */
static inline bool network_deferred(const struct network *n)
{
	return n->options.training && n->tile_rows;
}

/* Where a gradient of the same layout as the parameter block goes. */
static inline real *network_gradient(const struct network *n,
	struct parameters *grads, const real *parameter)
{
	return grads->data + (parameter - n->parameters->data);
}

/* w's gradient [out, in] (+)= g^T x over `rows` rows, the member's share of
 * out; g has rows of ldg. */
void network_weight(struct network *n, size_t rows, const real *g, size_t ldg,
	size_t out, const real *x, size_t in, real *d, bool accumulate,
	unsigned member);
void network_column_sums(struct network *n, size_t rows, const real *g,
	size_t ldg, size_t width, real *d, bool accumulate, unsigned member);

/* Logits of rows [begin, end) of the batch, their cross-entropy, and in place
 * the gradient; deferred, nothing. */
void network_output_forward(struct network *n, const struct network_chunk *c,
	size_t begin, size_t end, unsigned member);
/* The deferred output layer: losses, d_above of all rows (before dropout), and
 * its gradients. By all members; barriers, one at its start and its end. */
void network_output_backward(struct network *n, const struct network_chunk *c,
	struct parameters *grads, bool accumulate, unsigned member);

/* The same over sampled tokens (Jean et al. 2015). */
int network_sampled_open(struct network *n, struct error *err);
void network_sampled_close(struct network_sampled *s);
size_t network_sampled_width(const struct network_sampled *s);
void network_sampled_backward(struct network *n, const struct network_chunk *c,
	struct parameters *grads, bool accumulate, unsigned member);

/* Rows [begin, end) of w [GH, H] through layer l's mask of W_hh. */
void network_thin(const struct network *n, size_t l, size_t begin, size_t end,
	const real *w, real *out);

/* What feeds layer l, and what layer l hands on: after dropout if any. */
static inline const real *network_output(const struct network *n, size_t l)
{
	const struct network_layer *layer = &n->layers[l];

	return layer->dropped
		       ? layer->dropped
		       : layer->states[0] + n->options.batch * n->arch.hidden;
}

#endif
