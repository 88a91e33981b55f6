/* What model.c (weights) and model_step.c (a step on them) share. */
#ifndef NN_MODEL_PRIVATE_H
#define NN_MODEL_PRIVATE_H

#include "math/kernels.h"
#include "nn/cell.h"
#include "nn/model.h"
#include "nn/model_watch.h"

#include <stdatomic.h>

struct model_layer {
	struct packed input;  /* [in, width]; unused where layer 0 is a table */
	struct packed hidden; /* [H, width] */
	real *bias;	      /* [width]: b_ih, plus b_hh for additive cells */
	real *hidden_bias;    /* [width]: b_hh for separate cells, else NULL */
};

struct model {
	struct architecture arch;
	enum weight_type type;
	const struct cell_ops *cell;
	size_t width; /* of packed gates: packed_width(G, H) */
	real *table;  /* [V, width] layer 0's input product and bias, or NULL */
	real *embedding; /* [V, E] where there is no table, or NULL */
	struct model_layer layers[ARCHITECTURE_MAX_LAYERS];
	struct packed output; /* [H, V] */
	real *output_bias;    /* [V] */
	size_t bytes;
	atomic_size_t references;
};

struct model_watch {
	size_t layer;
	real *gates, *product; /* [gates][hidden] */
	real *before, *after;  /* [states][hidden] of the layer */
	real *saved;	       /* as the cell's forward wants it */
};

/* Called by a step of one sequence on the watched layer: before it, with the
 * layer's state; with each group of panels that is computed; after the last. */
void model_watch_begin(
	struct model_watch *w, const struct model *m, const real *state);
void model_watch_take(struct model_watch *w, const struct model *m,
	size_t first, size_t panels, const real *gates, const real *product);
void model_watch_end(struct model_watch *w, const struct model *m);

#endif
