/* The state file beside a training run's checkpoint: what the run was told and
 * was trained on, as JSON beside the trainer's own blocks. */
#ifndef APP_RUN_STATE_H
#define APP_RUN_STATE_H

#include "base/error.h"
#include "base/options.h"

#include <jansson.h>
#include <stdint.h>

#define RUN_HASH_SIZE 17

/* Of the run that writes NAME.safetensors: NAME.train.safetensors, owned. An
 * error where one of the two can't be written: better known before an hour of
 * training than after. */
int run_state_path(char **path, const char *output, struct error *err);

/* ERROR_INVALID where saving would replace what is read, a `what`. */
int run_state_spare(const char *output, const char *what, const char *input,
	struct error *err);

/* A command's options, and which of them are its run's. */
struct run_options {
	const struct option *rows;
	size_t n_rows;
	const char *const *unsaved;	/* about one call alone; NULL ends */
	const char *const *overridable; /* a resumed run may be told anew */
};

/* Set what a saved run was told; a flag that says otherwise is an error, unless
 * it may be told anew. `saved` maps names to text, `source` is its file. */
int run_options_restore(const struct run_options *o, struct options *table,
	const json_t *saved, const char *source, struct error *err);
/* The inverse: new reference, NULL when memory ran out. */
json_t *run_options_save(
	const struct run_options *o, const struct options *table);

/* A corpus hash as its run's files have it. */
void run_hash_text(char out[RUN_HASH_SIZE], uint64_t hash);

/* {format, corpus_hash, options}; new reference, NULL when memory ran out. */
json_t *run_state_new(const struct run_options *o, const struct options *table,
	uint64_t corpus_hash);
/* The file's metadata that holds it; new reference, NULL when memory ran out or
 * `state` is NULL. */
json_t *run_state_metadata(const json_t *state);
/* It again, for --resume; new reference. NULL: *err says why. */
json_t *run_state_read(const char *path, struct error *err);
/* ERROR_INVALID where the run was on a `what` ("text") of another hash. */
int run_state_check(const json_t *state, const char *what, uint64_t corpus_hash,
	struct error *err);

#endif
