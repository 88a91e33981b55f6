#include "serve/job.h"
#include "serve/members.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) MEMBER_AT(struct job, field)

static const struct member rows[] = {
	{ "id", MEMBER_TEXT, AT(id) },
	{ "owner", MEMBER_TEXT, AT(owner) },
	{ "status", MEMBER_CHOICE, AT(status), .choices = JOB_STATUS_NAMES },
	{ "validated", MEMBER_BOOL, AT(validated) },
	{ "order", MEMBER_UINT, AT(order) },
	{ "created", MEMBER_INT, AT(created) },
	{ "started", MEMBER_INT, AT(started) },
	{ "finished", MEMBER_INT, AT(finished) },
	{ "model", MEMBER_TEXT, AT(model) },
	{ "training_file", MEMBER_TEXT, AT(training_file) },
	{ "validation_file", MEMBER_TEXT, AT(validation_file) },
	{ "suffix", MEMBER_TEXT, AT(suffix) },
	{ "result", MEMBER_TEXT, AT(result) },
	{ "require_improvement", MEMBER_BOOL, AT(require_improvement) },
	{ "tokenizer", MEMBER_TEXT, AT(tokenizer) },
	{ "metadata", MEMBER_JSON, AT(metadata) },
	{ "batch", MEMBER_UINT, AT(batch) },
	{ "seq_length", MEMBER_UINT, AT(seq_length) },
	{ "last_step", MEMBER_UINT, AT(last_step) },
	{ "step", MEMBER_UINT, AT(step) },
	{ "best_step", MEMBER_UINT, AT(best_step) },
	{ "trained_tokens", MEMBER_UINT, AT(trained_tokens) },
	{ "corpus_tokens", MEMBER_UINT, AT(corpus_tokens) },
	{ "skipped", MEMBER_UINT, AT(skipped) },
	{ "extended", MEMBER_UINT, AT(extended) },
	{ "epochs", MEMBER_REAL, AT(epochs) },
	{ "epoch", MEMBER_REAL, AT(epoch) },
	{ "train_loss", MEMBER_REAL, AT(train_loss) },
	{ "valid_loss", MEMBER_REAL, AT(valid_loss) },
	{ "loss_before", MEMBER_REAL, AT(loss_before) },
	{ "loss_after", MEMBER_REAL, AT(loss_after) },
	{ "seconds", MEMBER_REAL, AT(seconds) },
	{ "tokens_per_second", MEMBER_REAL, AT(tokens_per_second) },
	{ "events", MEMBER_UINT, AT(events) },
	{ "checkpoints", MEMBER_UINT, AT(checkpoints) },
	{ "told", MEMBER_UINT, AT(told) },
	{ "error_code", MEMBER_TEXT, AT(error_code) },
	{ "error_param", MEMBER_TEXT, AT(error_param) },
	{ "error_message", MEMBER_TEXT, AT(error_message) },
};
#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

/* Sizes are kept as integers of one width. */
struct shape {
	char cell[16];
	uint64_t hidden, layers, embedding;
	bool tied;
	char tokenizer[16];
};
#define SHAPE_AT(field) MEMBER_AT(struct shape, field)

static const struct member shape_rows[] = {
	{ "cell", MEMBER_TEXT, SHAPE_AT(cell) },
	{ "hidden", MEMBER_UINT, SHAPE_AT(hidden), .min = 1, .max = 4096 },
	{ "layers", MEMBER_UINT, SHAPE_AT(layers), .min = 1,
		.max = ARCHITECTURE_MAX_LAYERS },
	{ "embedding", MEMBER_UINT, SHAPE_AT(embedding), .min = 0,
		.max = 4096 },
	{ "tied", MEMBER_BOOL, SHAPE_AT(tied) },
	{ "tokenizer", MEMBER_TEXT, SHAPE_AT(tokenizer) },
};
#define N_SHAPE (sizeof(shape_rows) / sizeof(shape_rows[0]))

#define NO_EDGE (-1)
#define RESUMED (-2) /* VALIDATING or QUEUED, as `validated` says */

/* [from][verb]: to */
static const int edges[JOB_STATUSES][JOB_VERBS] = {
	[JOB_VALIDATING] = { JOB_QUEUED, NO_EDGE, NO_EDGE, JOB_PAUSED, NO_EDGE,
		JOB_CANCELLED, NO_EDGE, JOB_FAILED },
	[JOB_QUEUED] = { NO_EDGE, JOB_RUNNING, NO_EDGE, JOB_PAUSED, NO_EDGE,
		JOB_CANCELLED, NO_EDGE, JOB_FAILED },
	[JOB_RUNNING] = { NO_EDGE, NO_EDGE, JOB_QUEUED, JOB_PAUSED, NO_EDGE,
		JOB_CANCELLED, JOB_SUCCEEDED, JOB_FAILED },
	[JOB_PAUSED] = { NO_EDGE, NO_EDGE, NO_EDGE, NO_EDGE, RESUMED,
		JOB_CANCELLED, NO_EDGE, NO_EDGE },
	[JOB_SUCCEEDED] = { NO_EDGE, NO_EDGE, NO_EDGE, NO_EDGE, NO_EDGE,
		NO_EDGE, NO_EDGE, NO_EDGE },
	[JOB_FAILED] = { NO_EDGE, NO_EDGE, NO_EDGE, NO_EDGE, NO_EDGE, NO_EDGE,
		NO_EDGE, NO_EDGE },
	[JOB_CANCELLED] = { NO_EDGE, NO_EDGE, NO_EDGE, NO_EDGE, NO_EDGE,
		NO_EDGE, NO_EDGE, NO_EDGE },
};

static const char *const status_names[] = { "validating_files", "queued",
	"running", "paused", "succeeded", "failed", "cancelled" };
static const char *const verb_names[] = { "validated", "started", "put back",
	"paused", "resumed", "cancelled", "ended", "failed" };

const char *job_status_name(int status)
{
	return status_names[status];
}

void job_init(struct job *j)
{
	*j = (struct job){
		.arch = { .cell = "lstm", .hidden = 256, .layers = 2 },
		.tokenizer = "char"
	};
	finetune_defaults(&j->options);
	j->train_loss = j->valid_loss = (double)NAN;
	j->loss_before = j->loss_after = (double)NAN;
}

void job_copy(struct job *to, const struct job *from)
{
	*to = *from;
	json_incref(to->metadata);
}

void job_release(struct job *j)
{
	json_decref(j->metadata);
	j->metadata = NULL;
}

int job_move(struct job *j, enum job_verb verb, int64_t now, struct error *err)
{
	int to = edges[j->status][verb];

	if (to == NO_EDGE)
		return error_set_param(err, ERROR_CONFLICT, "status",
			"job '%s' is %s: it can't be %s", j->id,
			job_status_name(j->status), verb_names[verb]);
	if (to == RESUMED)
		to = j->validated ? JOB_QUEUED : JOB_VALIDATING;
	j->validated |= verb == JOB_VALIDATED;
	if (verb == JOB_START && !j->started)
		j->started = now;
	j->status = to;
	if (job_is_over(j))
		j->finished = now;
	return 0;
}

/* BASE of `ft:BASE:SUFFIX:ID`, or all of the name. */
static const char *base_of(const char *model, size_t *len)
{
	*len = strlen(model);
	if (strncmp(model, REGISTRY_MADE, strlen(REGISTRY_MADE)) != 0 ||
		!strchr(model + strlen(REGISTRY_MADE), ':'))
		return model;
	*len = strcspn(model + 3, ":");
	return model + 3;
}

int job_name_result(struct job *j, struct error *err)
{
	size_t len;
	const char *base = base_of(*j->model ? j->model : "scratch", &len);
	int n = snprintf(j->result, sizeof(j->result),
		REGISTRY_MADE "%.*s:%s:%.8s", (int)len, base, j->suffix,
		j->id + strlen(JOB_ID_PREFIX));

	if (n < (int)sizeof(j->result))
		return 0;
	return error_set_param(err, ERROR_INVALID, "suffix",
		"suffix is '%s': the model's name would be %d bytes long, "
		"expected at most %d",
		j->suffix, n, REGISTRY_NAME_MAX);
}

int job_read_architecture(struct job *j, const json_t *json, struct error *err)
{
	struct architecture *a = &j->arch;
	struct shape s = { .hidden = a->hidden,
		.layers = a->layers,
		.embedding = a->embedding,
		.tied = a->tied };

	strcpy(s.cell, a->cell);
	strcpy(s.tokenizer, j->tokenizer);
	if (members_read(json, shape_rows, N_SHAPE, "architecture.", &s, err) <
		0)
		return -1;
	*a = (struct architecture){ .vocab = 2,
		.hidden = s.hidden,
		.layers = s.layers,
		.embedding = s.embedding,
		.tied = s.tied };
	strcpy(a->cell, s.cell);
	strcpy(j->tokenizer, s.tokenizer);
	if (architecture_check(a, err) < 0)
		return -1;
	for (const char *const *k = tokenizer_kinds(); *k; k++)
		if (!strcmp(*k, s.tokenizer))
			return 0;
	return error_set_param(err, ERROR_INVALID, "architecture.tokenizer",
		"architecture.tokenizer is '%s', which is no tokenizer",
		s.tokenizer);
}

json_t *job_architecture_json(const struct job *j)
{
	const struct architecture *a = &j->arch;

	return json_pack("{s:s, s:I, s:I, s:I, s:b, s:s}", "cell", a->cell,
		"hidden", (json_int_t)a->hidden, "layers",
		(json_int_t)a->layers, "embedding", (json_int_t)a->embedding,
		"tied", a->tied, "tokenizer", j->tokenizer);
}

static json_t *unsigned_text(uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	return json_string(text);
}

static uint64_t read_unsigned(const json_t *json, const char *name)
{
	const char *text = json_string_value(json_object_get(json, name));

	return text ? strtoull(text, NULL, 10) : 0;
}

/* What rows can't hold: 64 bits without a sign, and tables of others. */
static int write_rest(json_t *json, const struct job *j)
{
	return json_object_set_new(json, "seed", unsigned_text(j->seed)) |
	       json_object_set_new(
		       json, "corpus_hash", unsigned_text(j->corpus_hash)) |
	       json_object_set_new(
		       json, "architecture", job_architecture_json(j)) |
	       json_object_set_new(json, "hyperparameters",
		       finetune_options_json(&j->options));
}

int job_save(const struct job *j, struct buf *out, struct error *err)
{
	json_t *json = json_object();
	char *text = NULL;
	int rc = -1;

	if (members_write(json, rows, N_ROWS, j) == 0 &&
		write_rest(json, j) == 0)
		text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(17));
	if (text)
		rc = buf_puts(out, text);
	free(text);
	json_decref(json);
	return rc < 0 ? error_set_memory(err, "job", sizeof(*j)) : 0;
}

int job_load(struct job *j, const char *text, size_t len, struct error *err)
{
	json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	int rc = -1;

	job_init(j);
	if (json && members_restore(json, rows, N_ROWS, j, err) == 0 &&
		job_read_architecture(
			j, json_object_get(json, "architecture"), err) == 0)
		rc = finetune_options_read(&j->options,
			json_object_get(json, "hyperparameters"), err);
	j->seed = read_unsigned(json, "seed");
	j->corpus_hash = read_unsigned(json, "corpus_hash");
	json_decref(json);
	if (rc == 0 && *j->id)
		return 0;
	job_release(j);
	return error_set(err, ERROR_CORRUPT, "a job's record is damaged");
}
