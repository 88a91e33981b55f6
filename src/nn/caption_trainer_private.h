/* What caption_trainer*.c share. */
#ifndef NN_CAPTION_TRAINER_PRIVATE_H
#define NN_CAPTION_TRAINER_PRIVATE_H

#include "math/kernels.h"
#include "nn/caption_trainer.h"
#include "nn/network.h"
#include "nn/optimizer.h"

#define CAPTION_BLOCKS 3

/* Weights that are updated together, with what belongs to them. */
struct block {
	real *w, *g; /* borrowed */
	size_t n;
	real *moments[OPTIMIZER_MAX_MOMENTS]; /* owned */
	double *partial;		      /* owned: norm_parts */
};

struct caption_trainer {
	struct captioner_weights *w;  /* borrowed */
	const struct caption_data *d; /* borrowed */
	struct caption_trainer_options o;
	const struct optimizer_ops *optimizer;
	struct team *team;
	struct network *network;
	struct cnn *cnn; /* NULL: features are given */
	struct block blocks[CAPTION_BLOCKS];
	size_t n_blocks;
	struct parameters grads;
	struct cnn_weights cnn_grads;
	real *condition_grads;
	struct packed condition, condition_back;
	size_t batch, longest, width; /* longest: tokens, END included */
	real *images, *v, *d_v;	      /* [batch, …] */
	real *gates, *d_gates;	      /* [batch, width] */
	real *work;		      /* [members] of kernels_outer_work */
	uint32_t *inputs, *targets;   /* [longest, batch] */
	uint32_t *order;	      /* [n] this epoch's */
	size_t position;	      /* in order */
	uint64_t step, epoch;
	double smooth_loss;
	struct network_chunk chunk;
	size_t counted; /* tokens of the batch */
	struct optimizer_step update;
};

/* Order the pairs as that epoch has them, from its first batch on. */
void caption_trainer_shuffle(struct caption_trainer *t, uint64_t epoch);
/* The weights have changed: pack them anew. Run by all members of the team. */
void caption_trainer_refresh(struct caption_trainer *t, unsigned member);

#endif
