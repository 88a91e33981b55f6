/*
 * The training form of a model: a chunk of T steps of B rows forward and
 * backward through time, on a team of threads. Rows never meet before the
 * weight gradients, and those are split by output, so every bit is the same
 * for any number of threads. Evaluation is the forward half.
 */
#ifndef NN_NETWORK_H
#define NN_NETWORK_H

#include "base/error.h"
#include "base/team.h"
#include "nn/parameters.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct network;

struct network_options {
	size_t batch;	   /* B rows */
	size_t seq_length; /* T steps of a chunk */
	bool training;	   /* false: forward only, no gradients, no dropout */
	/* Rates of inverted dropout, [0, 1). */
	double dropout_input;  /* of the embedding; needs one */
	double dropout_layers; /* between layers */
	double dropout_output; /* before the output layer */
	double dropout_hidden; /* of single weights of W_hh, one mask a chunk
				* (DropConnect; Merity et al. 2017) */
	uint64_t seed;	       /* of the masks and of the sampled tokens */
	/* Tokens that the training loss is over, besides each target: drawn for
	 * each chunk; 0, or more than the vocabulary: all. */
	size_t sampled_softmax;
	size_t logits_max; /* reals of logits held at once; 0:
			    * NETWORK_LOGITS_MAX */
};

/* Above it the output layer goes by tiles of rows: 128 MB. */
#define NETWORK_LOGITS_MAX (1u << 25)

/* The parameters are borrowed for the network's life: the trainer updates
 * them, then calls network_refresh. */
int network_open(struct network **n, const struct parameters *p,
	const struct network_options *o, struct team *team, struct error *err);
void network_close(struct network *n);
/* Bytes of activations, packed weights and scratch. */
size_t network_bytes(const struct network *n);

/* All rows' states to zero. */
void network_reset(struct network *n);
/* The carried states, [layers][states][batch, hidden] in one block. */
size_t network_state_count(const struct network *n);
void network_get_state(const struct network *n, real *out);
void network_set_state(struct network *n, const real *in);

/* A target that counts for nothing: neither loss nor gradient. Not with
 * sampled_softmax. */
#define NETWORK_MASKED UINT32_MAX

struct network_chunk {
	const uint32_t *inputs;	 /* [T, B], time-major */
	const uint32_t *targets; /* [T, B] */
	size_t steps;		 /* T' <= T: a shorter last chunk */
	real loss_scale;	 /* multiplies every token's gradient */
	uint64_t step;		 /* counter of the dropout masks */
	double *losses;		 /* [T, B] or NULL: each token's nats */

	/* What a caption's picture adds to layer 0's pre-activations: [B, gates
	 * * hidden] or NULL, at the first step or at all of them. */
	const real *condition;
	bool condition_always;
	real *d_condition; /* its gradient, from network_backward; with it */
};

/* The four below run inside team_run, by all members together. */

/* Forward; each row's state carries from the last call. Only the member's own
 * rows are touched. In training, losses of a large or sampled output layer come
 * with network_backward only. */
void network_forward(
	struct network *n, const struct network_chunk *c, unsigned member);
/* Backward through the chunk of the last forward, and the weight gradients
 * into grads (added when accumulate). Has barriers. */
void network_backward(struct network *n, const struct network_chunk *c,
	struct parameters *grads, bool accumulate, unsigned member);
/* Make the state at the chunk's end the next chunk's start. */
void network_carry(
	struct network *n, const struct network_chunk *c, unsigned member);
/* Pack the parameters anew after an update; `step` picks the mask of W_hh.
 * Has barriers, one at its end. */
void network_refresh(struct network *n, uint64_t step, unsigned member);

/* Sum of the last chunk's losses in nats, in fixed order; outside team_run.
 */
double network_loss(const struct network *n, const struct network_chunk *c);

#endif
