#include "serve/finetune_private.h"

#include "nn/safetensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY "unrolld_job"

static void set_real(json_t *json, const char *name, double v)
{
	if (!isnan(v))
		json_object_set_new(json, name, json_real(v));
}

static double get_real(const json_t *json, const char *name)
{
	const json_t *v = json_object_get(json, name);

	return json_is_number(v) ? json_number_value(v) : (double)NAN;
}

static uint64_t get_count(const json_t *json, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(json, name));
}

/* Hashes are kept as text: a JSON integer has a sign. */
static json_t *hash_text(uint64_t hash)
{
	char text[17];

	snprintf(text, sizeof(text), "%016llx", (unsigned long long)hash);
	return json_string(text);
}

int finetune_state_save(struct finetune *f, struct error *err)
{
	const struct finetune_report *r = &f->report;
	json_t *state, *metadata = NULL;
	char *text = NULL;
	int rc;

	state = json_pack("{s:o, s:I, s:I, s:I}", "corpus_hash",
		hash_text(r->corpus_hash), "checked", (json_int_t)f->checked,
		"last_step", (json_int_t)r->last_step, "best_step",
		(json_int_t)r->best_step);
	set_real(state, "seconds", r->seconds);
	set_real(state, "loss_before", r->loss_before);
	set_real(state, "best_loss", r->best_loss);
	if (state)
		text = json_dumps(
			state, JSON_COMPACT | JSON_REAL_PRECISION(17));
	if (text)
		metadata = json_pack("{s:s}", KEY, text);
	rc = metadata ? trainer_save(f->trainer, f->state, metadata, err)
		      : error_set_memory(err, "training state", 0);
	free(text);
	json_decref(state);
	json_decref(metadata);
	f->saved_at = r->seconds;
	return rc;
}

static int read_state(struct finetune *f, struct error *err)
{
	struct finetune_report *r = &f->report;
	struct safetensors file;
	const char *text;
	json_t *state;

	if (safetensors_open(&file, f->state, err) < 0)
		return -1;
	text = json_string_value(json_object_get(file.metadata, KEY));
	state = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
	safetensors_close(&file);
	if (!state)
		return error_set(err, ERROR_CORRUPT,
			"%s: __metadata__.%s is missing or not JSON", f->state,
			KEY);
	text = json_string_value(json_object_get(state, "corpus_hash"));
	r->corpus_hash = text ? strtoull(text, NULL, 16) : 0;
	r->last_step = get_count(state, "last_step");
	r->best_step = get_count(state, "best_step");
	r->seconds = f->saved_at = get_real(state, "seconds");
	r->loss_before = get_real(state, "loss_before");
	r->best_loss = get_real(state, "best_loss");
	f->checked = get_count(state, "checked");
	json_decref(state);
	return 0;
}

int finetune_state_restore(struct finetune *f, struct error *err)
{
	struct trainer_report at = { 0 };

	if (access(f->state, F_OK) < 0)
		return 0;
	if (trainer_load(f->trainer, f->state, err) < 0 ||
		read_state(f, err) < 0)
		return -1;
	trainer_position(f->trainer, &at);
	f->report.step = f->told = at.step;
	f->report.tokens = at.tokens;
	f->report.epoch = at.epoch;
	f->report.smooth_loss = at.smooth_loss;
	return 1;
}

static json_t *summary(const struct finetune *f)
{
	const struct finetune_report *r = &f->report;
	json_t *s;

	s = json_pack("{s:{s:o, s:I, s:I}, s:I, s:I, s:o, s:o}", "corpus",
		"hash", hash_text(r->corpus_hash), "characters",
		(json_int_t)r->characters, "tokens",
		(json_int_t)r->corpus_tokens, "steps", (json_int_t)r->step,
		"best_step", (json_int_t)r->best_step, "hyperparameters",
		finetune_options_json(&f->request.options), "losses",
		json_object());
	if (!s)
		return NULL;
	set_real(json_object_get(s, "losses"), "before", r->loss_before);
	set_real(json_object_get(s, "losses"), "after", r->loss_after);
	set_real(json_object_get(s, "losses"), "train", r->loss);
	if (r->base_fingerprint)
		json_object_set_new(s, "parent_fingerprint",
			hash_text(r->base_fingerprint));
	if (f->request.about)
		json_object_update_missing(s, (json_t *)f->request.about);
	return s;
}

int finetune_best_save(struct finetune *f, struct error *err)
{
	struct checkpoint best = f->model;
	int rc;

	best.parameters = *trainer_weights(f->trainer);
	best.training = NULL;
	rc = checkpoint_save(&best, f->best, err);
	if (rc < 0 && err && err->code == ERROR_DIVERGED)
		error_prefix(
			err, "step %llu", (unsigned long long)f->report.step);
	return rc;
}

static int write_model(const struct finetune *f, struct checkpoint *c,
	const char *path, struct error *err)
{
	int rc;

	c->training = summary(f);
	if (!c->training)
		return error_set_memory(err, "training summary", 0);
	rc = checkpoint_save(c, path, err);
	json_decref(c->training);
	return rc;
}

int finetune_publish(
	const struct finetune *f, const char *path, struct error *err)
{
	struct checkpoint c = f->shipped;

	return write_model(f, &c, path, err);
}

int finetune_checkpoint(
	const struct finetune *f, const char *path, struct error *err)
{
	struct checkpoint c = f->model;

	c.parameters = *trainer_weights(f->trainer);
	return write_model(f, &c, path, err);
}
