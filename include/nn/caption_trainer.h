/*
 * Training a captioner: minibatches of (picture, caption) pairs, each caption
 * from START to END, all of it back-propagated; through the CNN, too, where
 * pictures are given. Padding counts for nothing. The same bits at any number
 * of threads.
 */
#ifndef NN_CAPTION_TRAINER_H
#define NN_CAPTION_TRAINER_H

#include "base/team.h"
#include "nn/captioner.h"

/* Pairs, and what they are of: pictures for the CNN, or features. Borrowed. */
struct caption_data {
	size_t n;		/* pairs */
	const uint32_t *image;	/* [n] the pair's picture */
	const uint32_t *tokens; /* all captions', END not among them */
	const size_t *starts;	/* [n + 1] of each in tokens */
	size_t images;
	const uint8_t *pixels; /* [images, crop, crop, 3] fitted, or NULL */
	const float *features; /* [images, features], or NULL */
};

struct caption_trainer_options {
	size_t batch;
	const char *optimizer; /* borrowed: a name of the optimizer table */
	double learning_rate;
	uint64_t warmup_steps; /* a linear rise, then … */
	uint64_t total_steps; /* … a cosine down to 0 at this step; 0: never */
	double weight_decay;
	double clip_norm; /* 0: off */
	double dropout_input, dropout_output;
	double word_dropout; /* rate of words that are read as START: what
			      * follows must then come from the picture
			      * (Bowman et al. 2016) */
	uint64_t seed;
};

struct caption_report {
	uint64_t step;
	double epoch;
	double loss;	    /* of this batch, nats per token, END included */
	double smooth_loss; /* 0.98 / 0.02 */
	double learning_rate;
	double gradient_norm; /* before clipping */
};

/* Start the weights that w's shapes call for: CNN, condition and decoder, whose
 * output bias is the words' log frequency. */
int caption_initialise(struct captioner_weights *w,
	const struct caption_data *data, bool cnn, uint64_t seed,
	struct error *err);

struct caption_trainer;
/* Weights are updated in place; with data's pixels the CNN trains along.
 * ERROR_INVALID for options out of range or data of another shape. */
int caption_trainer_open(struct caption_trainer **t,
	struct captioner_weights *w, const struct caption_data *data,
	const struct caption_trainer_options *o, struct team *team,
	struct error *err);
void caption_trainer_close(struct caption_trainer *t);
/* One batch. ERROR_DIVERGED with the step; the weights are then those before
 * it. */
int caption_trainer_step(
	struct caption_trainer *t, struct caption_report *r, struct error *err);
/* What the next step would continue from: step, epoch and smooth_loss. */
void caption_trainer_position(
	const struct caption_trainer *t, struct caption_report *r);

/* All that the next step depends on, in one safetensors file: weights (a
 * checkpoint may be rounded), the CNN's running statistics, moments and the
 * place in the epoch. */
int caption_trainer_save(const struct caption_trainer *t, const char *path,
	const json_t *metadata, struct error *err);
/* Restore what caption_trainer_save wrote into a trainer opened the same way:
 * what follows is what would have followed, to the bit. ERROR_CORRUPT for a
 * file of another shape; nothing has changed then. */
int caption_trainer_load(
	struct caption_trainer *t, const char *path, struct error *err);

#endif
