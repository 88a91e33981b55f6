/*
 * The body of a fine-tuning job: a text and a model in, a better model out, in
 * slices. It knows nothing of clients, queues or states of jobs; whoever runs
 * it says where its files are and what to stop for.
 *
 *   PREPARING -> BEFORE [its files are open] or where a stopped one was
 *   BEFORE -> TRAINING [the model's loss on what is held out is known]
 *   TRAINING -> CHECKING [a checkpoint is due];  CHECKING -> TRAINING
 *   CHECKING -> AFTER [the last step];  AFTER -> DONE
 *
 * Everything that the next step depends on is in its directory: a body that is
 * stopped, or killed, and opened again there ends with the same bits. Files:
 *   base.safetensors   the model before step 1, its vocabulary extended
 *   state.safetensors  the trainer's state and the numbers of the run so far
 *   best.safetensors   the weights that were best on what is held out
 * One thread at a time has a body.
 */
#ifndef SERVE_FINETUNE_H
#define SERVE_FINETUNE_H

#include "base/error.h"
#include "nn/architecture.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum finetune_unknown { FINETUNE_EXTEND, FINETUNE_SKIP, FINETUNE_ERROR };

/* Hyperparameters, as clients name them. */
struct finetune_options {
	double epochs;			 /* 0: auto */
	uint64_t batch;			 /* 0: auto */
	double learning_rate_multiplier; /* 0: auto, which is 1 */
	uint64_t seq_length;		 /* 0: auto */
	char optimizer[16];
	double learning_rate; /* 0: auto */
	double dropout;	      /* -1: auto */
	double clip;	      /* threshold of the gradient's norm; 0: none */
	int schedule;	      /* enum schedule */
	int unknown;	      /* enum finetune_unknown */
	double validation_fraction;
	uint64_t max_steps;   /* 0: as the epochs say */
	double time_limit;    /* seconds of training; 0: none */
	uint64_t checkpoints; /* steps between them; 0: auto */
};

void finetune_defaults(struct finetune_options *o);
/* Fields of a JSON object, checked; errors name `hyperparameters.FIELD`. */
int finetune_options_read(
	struct finetune_options *o, const json_t *json, struct error *err);
/* A new reference; what is automatic is "auto". NULL: no memory. */
json_t *finetune_options_json(const struct finetune_options *o);
/* Their JSON schema, as text. */
#define FINETUNE_SCHEMA "{\"type\":\"object\"}"

struct finetune_text {
	const char *path;     /* NULL: there is none */
	const char *name;     /* for messages */
	const char *encoding; /* a charset */
	bool lines_of_json;
};

enum finetune_level { FINETUNE_INFO, FINETUNE_WARN };

/* What a body tells of itself; texts are borrowed. */
struct finetune_event {
	enum finetune_level level;
	const char *message;
	/* Of a step: numbers that are known, else NAN. */
	uint64_t step;
	double train_loss, valid_loss, learning_rate;
	bool metrics;	 /* of a step, not only a message */
	bool checkpoint; /* … at which a checkpoint was made, and what its
			  * weights write, as UTF-8; NULL: no memory */
	const char *sample;
	size_t sample_len;
};

struct finetune_request {
	struct finetune_options options;
	/* The model it begins with, and its name for messages; or NULL: */
	const char *base, *base_name;
	struct architecture arch; /* … made from scratch, and */
	const char *tokenizer;	  /* … learnt, of this kind */
	uint64_t seed;
	struct finetune_text training, validation;
	const char *dir;	 /* its own, made if missing */
	const json_t *about;	 /* goes into the model's training summary */
	const atomic_bool *stop; /* polled at every step */
	int nice;		 /* of the threads that help */
	/* Whether others are in a hurry, so that it makes way; or NULL. A
	 * signal handler calls it. */
	bool (*crowded)(void *arg);
	void *crowded_arg;
	void (*tell)(void *arg, const struct finetune_event *e);
	void *arg;
};

/* Where it is. Losses are nats per token, NAN before there is one. */
struct finetune_report {
	uint64_t step, last_step, tokens;
	double epoch, epochs, loss, smooth_loss, seconds;
	double loss_before, loss_after, best_loss;
	uint64_t best_step;
	uint64_t corpus_hash, corpus_tokens, characters, skipped, extended;
	uint64_t base_fingerprint; /* 0: from scratch */
	size_t batch, seq_length;
	double learning_rate;
};

struct finetune;

/* Cheap: files are opened by the first slice. The request's texts must outlive
 * the body. */
int finetune_open(struct finetune **f, const struct finetune_request *r,
	struct error *err);
/* Work for about so many nanoseconds, or until *stop: 1: there is more, 0: it
 * is DONE, -1: it failed (the step is named when it diverged). */
int finetune_run(struct finetune *f, uint64_t ns, struct error *err);
void finetune_report(const struct finetune *f, struct finetune_report *r);
/* Keep what was done since the last checkpoint. */
int finetune_save(struct finetune *f, struct error *err);
void finetune_close(struct finetune *f); /* NULL is fine */

/* After DONE: write the model, atomically; its summary tells of the run. */
int finetune_publish(
	const struct finetune *f, const char *path, struct error *err);

/* While a checkpoint is told of: the same for the weights of that moment. */
int finetune_checkpoint(
	const struct finetune *f, const char *path, struct error *err);

/* Read the text as a body would, and tell whether it can be trained on: what a
 * report says of the corpus is set. */
int finetune_check(const struct finetune_request *r,
	struct finetune_report *report, struct error *err);

#endif
