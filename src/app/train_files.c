/* The files of a training run: its checkpoint, and the state beside it that
 * it is resumed from. */
#include "app/train_run.h"

#include "nn/safetensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STATE_KEY "unrolld_training"

/* The JSON that a state file carries; new reference. */
static json_t *read_state(const char *path, struct error *err)
{
	struct safetensors file;
	const char *text;
	json_error_t where;
	json_t *state;

	if (safetensors_open(&file, path, err) < 0)
		return NULL;
	text = json_string_value(json_object_get(file.metadata, STATE_KEY));
	state = text ? json_loads(text, JSON_REJECT_DUPLICATES, &where) : NULL;
	safetensors_close(&file);
	if (!state || !json_is_object(json_object_get(state, "options"))) {
		error_set(err, ERROR_CORRUPT,
			"%s: __metadata__.%s is missing or not JSON with "
			"options",
			path, STATE_KEY);
		json_decref(state);
		return NULL;
	}
	return state;
}

int train_run_read_state(struct train_run *r, struct error *err)
{
	r->resumed = read_state(r->state_path, err);
	if (!r->resumed)
		return error_prefix(err, "--resume");
	return train_options_restore(&r->table,
		json_object_get(r->resumed, "options"), r->state_path, err);
}

static json_t *summary(
	const struct train_run *r, const struct trainer_report *at)
{
	char hash[17];
	json_t *s;

	snprintf(hash, sizeof(hash), "%016llx",
		(unsigned long long)r->corpus.hash);
	s = json_pack("{s:{s:s, s:I, s:I, s:s}, s:I, s:f, s:f, s:o*}", "corpus",
		"hash", hash, "characters", (json_int_t)r->corpus.characters,
		"tokens", (json_int_t)r->corpus.tokens.count, "encoding",
		r->corpus.charset, "steps", (json_int_t)at->step, "epochs",
		at->epoch, "smooth_loss", at->smooth_loss, "options",
		train_options_save(&r->table));
	return s;
}

int train_run_save_checkpoint(
	struct train_run *r, const struct trainer_report *at, struct error *err)
{
	struct checkpoint shipped = r->model;

	shipped.parameters = *trainer_weights(r->trainer);
	shipped.dtype = (enum checkpoint_dtype)r->o.dtype;
	json_decref(r->model.training);
	r->model.training = shipped.training = summary(r, at);
	if (!shipped.training)
		return error_set_memory(err, "training summary", 0);
	if (checkpoint_save(&shipped, r->o.output, err) == 0)
		return 0;
	if (err->code == ERROR_DIVERGED)
		error_prefix(err, "step %llu", (unsigned long long)at->step);
	return -1;
}

static int save_state(struct train_run *r, struct error *err)
{
	json_t *state, *metadata = NULL;
	char hash[17];
	char *text = NULL;
	int rc;

	snprintf(hash, sizeof(hash), "%016llx",
		(unsigned long long)r->corpus.hash);
	state = json_pack("{s:i, s:s, s:o*}", "format", 1, "corpus_hash", hash,
		"options", train_options_save(&r->table));
	if (state && isfinite(r->best)) {
		json_object_set_new(state, "best", json_real(r->best));
		json_object_set_new(
			state, "best_epoch", json_real(r->best_epoch));
	}
	if (state)
		text = json_dumps(state, JSON_COMPACT);
	if (text)
		metadata = json_pack("{s:s}", STATE_KEY, text);
	rc = metadata ? trainer_save(r->trainer, r->state_path, metadata, err)
		      : error_set_memory(err, "training state", 0);
	free(text);
	json_decref(state);
	json_decref(metadata);
	return rc;
}

/* With early stopping the checkpoint is the best so far, written when it was;
 * before there is one, any. */
int train_run_save(
	struct train_run *r, const struct trainer_report *at, struct error *err)
{
	if (!isfinite(r->best) && train_run_save_checkpoint(r, at, err) < 0)
		return -1;
	return save_state(r, err);
}
