/*
 * A fine-tuning job as it is stored: what was asked for, how far it is, how it
 * ended; and the machine of its states. No threads, no files, no clock: the
 * time is handed in. serve/jobs.h has many of these and runs them.
 *
 *   VALIDATING -> QUEUED [validated];  QUEUED -> RUNNING [start]
 *   RUNNING -> SUCCEEDED [succeed];    RUNNING -> QUEUED [yield]
 *   VALIDATING, QUEUED, RUNNING -> PAUSED [pause]
 *   PAUSED -> VALIDATING, QUEUED [resume]: as far as it had come
 *   VALIDATING, QUEUED, RUNNING, PAUSED -> CANCELLED [cancel]
 *   VALIDATING, QUEUED, RUNNING -> FAILED [fail]
 *
 * What is RUNNING when the process ends is so when it starts again, and goes
 * on from its last checkpoint.
 */
#ifndef SERVE_JOB_H
#define SERVE_JOB_H

#include "base/buf.h"
#include "serve/files.h"
#include "serve/finetune.h"
#include "serve/registry.h"

enum job_status {
	JOB_VALIDATING,
	JOB_QUEUED,
	JOB_RUNNING,
	JOB_PAUSED,
	JOB_SUCCEEDED,
	JOB_FAILED,
	JOB_CANCELLED,
	JOB_STATUSES,
};
/* As OpenAI names them, in that order. */
#define JOB_STATUS_NAMES \
	"validating_files|queued|running|paused|succeeded|failed|cancelled"

enum job_verb {
	JOB_VALIDATED,
	JOB_START,
	JOB_YIELD,
	JOB_PAUSE,
	JOB_RESUME,
	JOB_CANCEL,
	JOB_SUCCEED,
	JOB_FAIL,
	JOB_VERBS,
};

#define JOB_ID_MAX 40
#define JOB_ID_PREFIX "ftjob-"
#define JOB_SUFFIX_MAX 40

struct job {
	char id[JOB_ID_MAX + 1];
	char owner[SESSION_OWNER_MAX + 1];
	int status; /* enum job_status */
	bool validated;
	uint64_t order;			    /* of creation */
	int64_t created, started, finished; /* Unix s; 0: not yet */

	/* What was asked for. */
	char model[REGISTRY_NAME_MAX + 1]; /* base; "" from scratch */
	char training_file[FILE_ID_MAX + 1];
	char validation_file[FILE_ID_MAX + 1]; /* or "" */
	char suffix[JOB_SUFFIX_MAX + 1];       /* or "" */
	char result[REGISTRY_NAME_MAX + 1];    /* the name of what it makes */
	bool require_improvement;
	uint64_t seed;
	struct architecture arch; /* from scratch, of which vocab is not said */
	char tokenizer[16];	  /* likewise */
	json_t *metadata;	  /* or NULL; owned */
	struct finetune_options options;

	/* How far it is. */
	uint64_t batch, seq_length, last_step, step, best_step;
	uint64_t trained_tokens, corpus_tokens, corpus_hash, skipped, extended;
	double epochs, epoch;
	double train_loss, valid_loss, loss_before, loss_after; /* or NAN */
	double seconds, tokens_per_second; /* of training */
	uint64_t events, checkpoints;	   /* of which records exist */
	uint64_t told;			   /* the step of the last metrics */

	/* Why it failed. */
	char error_code[32], error_param[64], error_message[512];
};

const char *job_status_name(int status);
static inline bool job_is_over(const struct job *j)
{
	return j->status >= JOB_SUCCEEDED;
}

/* A job of nothing yet, with default hyperparameters. */
void job_init(struct job *j);
void job_copy(struct job *to, const struct job *from);
void job_release(struct job *j);

/* Take the edge: ERROR_CONFLICT (param `status`) where there is none. */
int job_move(struct job *j, enum job_verb verb, int64_t now, struct error *err);

/* `ft:BASE:SUFFIX:ID`; of a model that was made so, BASE is its base.
 * ERROR_INVALID with param `suffix` when that is too long. */
int job_name_result(struct job *j, struct error *err);

/* Fields of a scratch model's `architecture`. */
int job_read_architecture(struct job *j, const json_t *json, struct error *err);
json_t *job_architecture_json(const struct job *j);

/* As the store has it. A text that isn't of a job is ERROR_CORRUPT. */
int job_save(const struct job *j, struct buf *out, struct error *err);
int job_load(struct job *j, const char *text, size_t len, struct error *err);

#endif
