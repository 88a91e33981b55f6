/* The files of a training run: its checkpoint, and the state beside it that
 * it is resumed from. */
#include "app/train_run.h"

#include <math.h>

int train_run_read_state(struct train_run *r, struct error *err)
{
	r->resumed = run_state_read(r->state_path, err);
	if (!r->resumed)
		return -1;
	return run_options_restore(&train_run_options, &r->table,
		json_object_get(r->resumed, "options"), r->state_path, err);
}

static json_t *summary(
	const struct train_run *r, const struct trainer_report *at)
{
	char hash[RUN_HASH_SIZE];
	json_t *s;

	run_hash_text(hash, r->corpus.hash);
	s = json_pack("{s:{s:s, s:I, s:I, s:s}, s:I, s:f, s:f, s:o}", "corpus",
		"hash", hash, "characters", (json_int_t)r->corpus.characters,
		"tokens", (json_int_t)r->corpus.tokens.count, "encoding",
		r->corpus.charset, "steps", (json_int_t)at->step, "epochs",
		at->epoch, "smooth_loss", at->smooth_loss, "options",
		run_options_save(&train_run_options, &r->table));
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
	json_t *metadata;
	int rc;
	json_t *state =
		run_state_new(&train_run_options, &r->table, r->corpus.hash);

	if (state && isfinite(r->best)) {
		json_object_set_new(state, "best", json_real(r->best));
		json_object_set_new(
			state, "best_epoch", json_real(r->best_epoch));
	}
	metadata = run_state_metadata(state);
	json_decref(state);
	rc = metadata ? trainer_save(r->trainer, r->state_path, metadata, err)
		      : error_set_memory(err, "training state", 0);
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
