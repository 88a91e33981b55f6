/* What trainer*.c share; nobody else includes it. */
#ifndef NN_TRAINER_INTERNAL_H
#define NN_TRAINER_INTERNAL_H

#include "nn/network.h"
#include "nn/optimizer.h"
#include "nn/trainer.h"

struct trainer {
	struct parameters *parameters; /* borrowed */
	struct parameters gradients;
	struct parameters average; /* data NULL without averaging */
	real *moments[OPTIMIZER_MAX_MOMENTS];
	const struct optimizer_ops *optimizer;
	struct trainer_options options;
	struct streams streams;
	struct team *team; /* borrowed */
	struct network *network;
	uint32_t *inputs, *targets; /* [T, B] */
	double *partial;	    /* norm_parts of the gradient */
	uint64_t step, updates;
	uint64_t wraps;	    /* times the data started again */
	size_t position;    /* of the next chunk, in each stream */
	double smooth_loss; /* nats per token */
};

#endif
