/*
 * Truncated back-propagation through time over B contiguous streams: one call
 * trains one chunk. Everything that the next step depends on can be saved and
 * restored, so that stopping and resuming changes no bit, at any number of
 * threads. Prints nothing, opens no text: it is handed tokens.
 */
#ifndef NN_TRAINER_H
#define NN_TRAINER_H

#include "base/error.h"
#include "base/team.h"
#include "nn/parameters.h"
#include "nn/streams.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum clip_mode { CLIP_NONE, CLIP_VALUE, CLIP_NORM };
enum loss_scale {
	LOSS_SUM,  /* summed over time, averaged over the batch: the lecture */
	LOSS_MEAN, /* averaged over both: PyTorch's habit */
};
enum schedule { SCHEDULE_CONSTANT, SCHEDULE_EPOCH_DECAY, SCHEDULE_COSINE };
enum initialisation {
	INIT_NORMAL,  /* N(0, 1) * init_scale, biases 0: the lecture */
	INIT_UNIFORM, /* U(-init_scale, init_scale), biases too: char-rnn */
	INIT_PYTORCH, /* U(+-1/sqrt(H)); the embedding N(0, 1) */
	INIT_XAVIER,  /* U(+-sqrt(6 / (in + out))) by gate, W_hh orthogonal,
		       * biases 0 */
};

struct trainer_options {
	size_t seq_length;
	const char *optimizer; /* borrowed: a name of the optimizer table */
	double learning_rate;
	/* NAN takes the optimizer's own default. */
	double decay, decay2, epsilon;
	double weight_decay;
	enum clip_mode clip;
	double clip_threshold;
	enum loss_scale loss_scale;
	double dropout_input, dropout_layers, dropout_output, dropout_hidden;
	bool reset_at_end; /* states to zero when the data starts again */
	enum schedule schedule;
	double schedule_decay;	/* EPOCH_DECAY: factor per epoch … */
	double schedule_after;	/* … from this epoch on */
	uint64_t warmup_steps;	/* COSINE: linear rise first … */
	uint64_t total_steps;	/* … then down to final_rate at this step;
				 * 0: no end, so no fall */
	double final_rate;	/* COSINE: a fraction of learning_rate */
	double averaging;	/* weights' exponential moving average: decay
				 * per step, 0 = off */
	uint64_t accumulate;	/* chunks per update, 1 or more */
	size_t sampled_softmax; /* tokens of the training loss; 0: all */
	size_t logits_max;	/* as of network_options */
	uint64_t seed;
};

/* ERROR_INVALID naming the optimizers, where `name` is none of them. */
int trainer_check_optimizer(const char *name, struct error *err);

struct trainer;

/* Parameters are borrowed and updated in place. Streams are copied; the tokens
 * behind them must outlive the trainer. */
int trainer_open(struct trainer **t, struct parameters *p,
	const struct streams *training, const struct trainer_options *o,
	struct team *team, struct error *err);
void trainer_close(struct trainer *t);
size_t trainer_bytes(const struct trainer *t);

struct trainer_report {
	uint64_t step;	      /* chunks trained so far, this one included */
	uint64_t tokens;      /* tokens of them all */
	double epoch;	      /* passes over the training streams */
	double loss;	      /* of this chunk, nats per token */
	double smooth_loss;   /* 0.999 / 0.001, nats per token */
	double gradient_norm; /* before clipping; NAN unless asked or needed */
	double learning_rate; /* used by this chunk's update */
	bool wrapped;	      /* the data starts again after this chunk */
};

/* Train one chunk. ERROR_DIVERGED names the step and the tensor; parameters
 * are then those before the step where that was still possible. */
int trainer_step(struct trainer *t, bool want_norm, struct trainer_report *r,
	struct error *err);
/* What the next call of trainer_step would continue from. */
void trainer_position(const struct trainer *t, struct trainer_report *r);
/* The weights to ship: the moving average when there is one, else the
 * parameters. Borrowed, valid until the next step. */
const struct parameters *trainer_weights(const struct trainer *t);
/* The training rows' hidden state of row 0, as model_step takes it:
 * [layers][states][hidden]; for samples in mid-course. */
int trainer_row_state(const struct trainer *t, real *state, struct error *err);
/* The token that row 0 reads next. */
uint32_t trainer_next_token(const struct trainer *t);

/* Everything beside the weights, in one safetensors file: moments, average,
 * states, raw parameters (a checkpoint may be rounded), position. What has
 * diverged is not written: ERROR_DIVERGED. */
int trainer_save(const struct trainer *t, const char *path,
	const json_t *metadata, struct error *err);
/* Restore what trainer_save wrote into a trainer opened the same way; a file
 * of another shape is refused with both values. */
int trainer_load(struct trainer *t, const char *path, struct error *err);

/* Draw initial weights; forget gates' bias_ih starts at forget_bias. */
void trainer_initialise(struct parameters *p, enum initialisation how,
	double scale, double forget_bias, uint64_t seed);

/* Mean nats per token over streams, from the initial state, the state carried
 * through. The first `skip` predictions of each row only warm its state.
 * *tokens (may be NULL) counts what was scored. */
int trainer_evaluate(const struct parameters *p, const struct streams *s,
	size_t skip, struct team *team, double *nats, uint64_t *tokens,
	struct error *err);

#endif
