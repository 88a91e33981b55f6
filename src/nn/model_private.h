/* What model.c (weights) and model_step.c (a step on them) share. */
#ifndef NN_MODEL_PRIVATE_H
#define NN_MODEL_PRIVATE_H

#include "math/kernels.h"
#include "nn/cell.h"
#include "nn/model.h"

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

#endif
