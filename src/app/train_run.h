/* What cmd_train.c, train_open.c and train_files.c share: one run of
 * `unrolld train`. */
#ifndef APP_TRAIN_RUN_H
#define APP_TRAIN_RUN_H

#include "app/train_options.h"
#include "app/train_progress.h"
#include "nn/checkpoint.h"
#include "text/corpus.h"

#include <jansson.h>

struct train_run {
	struct train_options o;
	struct options table;
	struct option_list texts;
	char *state_path; /* NAME.train.safetensors */
	json_t *resumed;  /* what the resumed run's state file said */
	struct corpus corpus;
	struct checkpoint model; /* parameters being trained, tokenizer */
	struct streams training, validation;
	struct streams stopping; /* early stopping's; empty when off */
	struct team *team;
	struct trainer *trainer;
	struct train_progress_view progress;
	double best; /* early stopping's lowest loss, or INFINITY */
	double best_epoch;
	uint64_t last_step; /* 0: until interrupted */
};

/* Everything up to the first step, resumed where that was asked for. Names and
 * files are checked before any text is read. */
int train_run_open(struct train_run *r, struct error *err);
void train_run_release(struct train_run *r);

/* What the state file says of the run that is resumed: r->resumed. */
int train_run_read_state(struct train_run *r, struct error *err);
/* The weights as they are shipped; and those with all that a resumed run
 * needs, but the checkpoint only until early stopping has a best one. */
int train_run_save_checkpoint(struct train_run *r,
	const struct trainer_report *at, struct error *err);
int train_run_save(struct train_run *r, const struct trainer_report *at,
	struct error *err);

#endif
