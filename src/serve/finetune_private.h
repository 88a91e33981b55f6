/* What finetune*.c share. */
#ifndef SERVE_FINETUNE_PRIVATE_H
#define SERVE_FINETUNE_PRIVATE_H

#include "serve/finetune.h"

#include "base/buf.h"
#include "nn/checkpoint.h"
#include "nn/trainer.h"
#include "text/corpus.h"

enum finetune_phase {
	FINETUNE_PREPARING,
	FINETUNE_BEFORE,
	FINETUNE_TRAINING,
	FINETUNE_CHECKING,
	FINETUNE_AFTER,
	FINETUNE_DONE,
};

struct finetune {
	struct finetune_request request; /* texts borrowed */
	enum finetune_phase phase;
	bool only_checks; /* nothing is trained: no model is made larger */
	char *base, *state, *best;	     /* owned: paths of its files */
	struct corpus corpus, held;	     /* held: of a validation file */
	struct checkpoint model;	     /* parameters being trained */
	struct checkpoint shipped;	     /* what AFTER measures */
	struct streams training, validation; /* validation may be empty */
	struct team *team;
	struct pace pace; /* of the team */
	struct trainer *trainer;
	struct evaluation *evaluation; /* of BEFORE, CHECKING, AFTER */
	struct finetune_report report;
	uint64_t every;	  /* steps between checkpoints */
	uint64_t checked; /* the last step that was CHECKED */
	double saved_at;  /* report.seconds at the last save */
	double told_at;	  /* the same at the last metrics */
	uint64_t told;	  /* the step of those */
};

/* finetune.c: what is held out, as it is measured; *warm tokens of each row are
 * not scored. */
struct streams finetune_held_rows(const struct finetune *f, size_t *warm);

/* finetune_prepare.c: from PREPARING on, or the error. */
int finetune_prepare(struct finetune *f, struct error *err);

/* finetune_state.c: state.safetensors, best.safetensors. */
int finetune_state_save(struct finetune *f, struct error *err);
/* 1: restored; 0: there is none. */
int finetune_state_restore(struct finetune *f, struct error *err);
int finetune_best_save(struct finetune *f, struct error *err);

/* finetune_sample.c: a text that the weights write as they are, the same draws
 * each time, appended to out. */
int finetune_sample(
	const struct finetune *f, struct buf *out, struct error *err);

void finetune_tell(const struct finetune *f, enum finetune_level level,
	const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
