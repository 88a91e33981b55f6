/* The state file beside a training run's checkpoint: what the run was told and
 * was trained on, as JSON beside the trainer's own blocks. */
#ifndef APP_RUN_STATE_H
#define APP_RUN_STATE_H

#include "base/error.h"
#include "base/options.h"

#include <jansson.h>
#include <stdint.h>

/* NAME.train.safetensors of NAME.safetensors; owned, NULL when memory ran out.
 */
char *run_state_path(const char *output);

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
