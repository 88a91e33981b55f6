/* `unrolld jobs create`. What the options mean is for the daemon to say: values
 * go as they are, numbers as numbers. */
#include "app/command_line.h"
#include "app/jobs_commands.h"
#include "app/upload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_ID "file-"

struct values {
	struct remote_values remote;
	bool watch, scratch, tied, require_improvement;
	char *model, *suffix, *seed, *validation, *encoding;
	struct {
		char *epochs, *batch, *seq_length, *learning_rate_multiplier;
		char *learning_rate, *optimizer, *dropout, *clip, *schedule;
		char *unknown, *validation_fraction, *max_steps, *time_limit;
		char *checkpoint_every;
	} hyper;
	struct {
		char *cell, *hidden, *layers, *embedding, *tokenizer;
	} arch;
};

#define AT(field) offsetof(struct values, field)
#define VALUE(flag, field, help_)                                  \
	{                                                          \
		(flag), OPTION_STRING, AT(field), .help = (help_), \
						  .argument = "X"  \
	}
#define HYPER(flag, field, help_) VALUE(flag, hyper.field, help_)
#define ARCH(flag, field, help_) VALUE(flag, arch.field, "from scratch: " help_)

static const struct option rows[] = {
	REMOTE_ROWS,
	{ "watch", OPTION_BOOL, AT(watch), "no",
		.help = "follow it until it is over", .letter = 'w' },
	{ "model", OPTION_STRING, AT(model),
		.help = "to begin with; else the daemon's default",
		.argument = "NAME" },
	{ "scratch", OPTION_BOOL, AT(scratch), "no",
		.help = "begin without a model" },
	{ "suffix", OPTION_STRING, AT(suffix),
		.help = "part of the new model's name", .argument = "TEXT" },
	{ "validation", OPTION_STRING, AT(validation),
		.help = "a text to measure on, instead of the end of TEXT",
		.argument = "TEXT" },
	{ "encoding", OPTION_STRING, AT(encoding),
		.help = "charset of what is uploaded; else utf-8",
		.argument = "CHARSET" },
	{ "seed", OPTION_STRING, AT(seed), .help = "of its draws",
		.argument = "N" },
	{ "require-improvement", OPTION_BOOL, AT(require_improvement), "no",
		.help = "fail when the held-out loss does not fall" },
	HYPER("epochs", epochs, "passes over the text"),
	HYPER("batch", batch, "rows of a step"),
	HYPER("seq-length", seq_length, "tokens of a row in a step"),
	HYPER("learning-rate-multiplier", learning_rate_multiplier,
		"of the learning rate that is chosen"),
	HYPER("learning-rate", learning_rate, "instead of one that is chosen"),
	HYPER("optimizer", optimizer, "adamw, adam, rmsprop, adagrad or sgd"),
	HYPER("dropout", dropout, "part of the inputs that is dropped"),
	HYPER("clip", clip, "limit of the gradient's norm"),
	HYPER("schedule", schedule, "constant, epoch-decay or cosine"),
	HYPER("unknown", unknown,
		"characters that the model lacks: extend, skip or error"),
	HYPER("validation-fraction", validation_fraction,
		"part of the text that is held out"),
	HYPER("max-steps", max_steps, "steps at most"),
	HYPER("time-limit", time_limit, "seconds of training at most"),
	HYPER("checkpoint-every", checkpoint_every,
		"steps between checkpoints"),
	ARCH("cell", cell, "rnn, lstm or gru"),
	ARCH("hidden", hidden, "units of a layer"),
	ARCH("layers", layers, "their number"),
	ARCH("embedding", embedding, "width of an embedding; 0: none"),
	ARCH("tokenizer", tokenizer, "kind of tokens"),
	{ "tied", OPTION_BOOL, AT(tied), "no",
		.help = "from scratch: one matrix for embedding and output" },
};
#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

/* What the daemon calls a flag: as OpenAI does, or with '_' for each '-'. */
static void field_name(const char *flag, char *out, size_t size)
{
	static const char *const names[][2] = {
		{ "epochs", "n_epochs" },
		{ "batch", "batch_size" },
		{ "time-limit", "time_limit_s" },
	};

	snprintf(out, size, "%s", flag);
	for (size_t i = 0; i < 3; i++)
		if (!strcmp(flag, names[i][0]))
			snprintf(out, size, "%s", names[i][1]);
	while ((out = strchr(out, '-')))
		*out = '_';
}

/* A number if it is one. */
static json_t *value_of(const char *text)
{
	json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);

	if (json_is_number(json))
		return json;
	json_decref(json);
	return json_string(text);
}

static bool is_within(const struct option *row, size_t offset, size_t size)
{
	return row->offset >= offset && row->offset < offset + size;
}

static const char *given(const struct values *v, const struct option *row)
{
	return *(char *const *)((const char *)v + row->offset);
}

/* What was given of the part of the values at `offset`. */
static json_t *collect(const struct values *v, size_t offset, size_t size)
{
	json_t *json = json_object();
	char name[64];

	for (size_t i = 0; i < N_ROWS; i++) {
		if (!is_within(&rows[i], offset, size) || !given(v, &rows[i]))
			continue;
		field_name(rows[i].name, name, sizeof(name));
		json_object_set_new(json, name, value_of(given(v, &rows[i])));
	}
	return json;
}

/* A text of the daemon's. */
struct text {
	char *id;      /* owned */
	bool uploaded; /* for this job */
};

/* One that it has, or gets now. */
static int find_text(const struct values *v, const char *name, struct text *t,
	struct error *err)
{
	const struct upload_options o = { .encoding = v->encoding };
	struct http_client *c;
	json_t *answer;
	int result;

	if (!strncmp(name, FILE_ID, strlen(FILE_ID)) &&
		access(name, F_OK) < 0) {
		t->id = strdup(name);
		return t->id ? 0 : error_set_memory(err, "id", strlen(name));
	}
	if (remote_open(&c, &v->remote, err) < 0)
		return -1;
	result = upload_file(c, name, &o, &answer, err);
	if (!result) {
		t->uploaded = true;
		t->id = strdup(remote_text(answer, "id"));
		json_decref(answer);
		if (!t->id)
			result = error_set_memory(err, "id", 0);
	}
	http_client_close(c);
	return result;
}

/* Of a job that was refused nothing stays: it would count for the quota. */
static void take_back(const struct values *v, const struct text *t)
{
	json_t *answer = NULL;

	if (t->uploaded && t->id)
		remote_ask(&v->remote, "DELETE", FILES "/", t->id, "", NULL,
			&answer, NULL);
	json_decref(answer);
}

static json_t *make_body(
	const struct values *v, const char *training, const char *validation)
{
	json_t *body = json_pack("{s:s, s:s*, s:s*, s:s*, s:o, s:b}",
		"training_file", training, "validation_file", validation,
		"model", v->model, "suffix", v->suffix, "hyperparameters",
		collect(v, AT(hyper), sizeof(v->hyper)), "require_improvement",
		v->require_improvement);

	if (v->seed)
		json_object_set_new(body, "seed", value_of(v->seed));
	if (v->scratch) {
		json_t *arch = collect(v, AT(arch), sizeof(v->arch));

		if (v->tied)
			json_object_set_new(arch, "tied", json_true());
		json_object_set_new(body, "from", json_string("scratch"));
		json_object_set_new(body, "architecture", arch);
	}
	return body;
}

static int create(const struct values *v, const char *training,
	const char *validation, json_t **job, struct error *err)
{
	return remote_ask(&v->remote, "POST", JOBS, "", "",
		make_body(v, training, validation), job, err);
}

static int run(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	const struct values *v = values;
	struct text training = { 0 }, validation = { 0 };
	json_t *job = NULL;
	int result = find_text(v, args->items[0], &training, err);

	(void)table;
	if (!result && v->validation)
		result = find_text(v, v->validation, &validation, err);
	if (!result)
		result = create(v, training.id, validation.id, &job, err);
	/* Where no answer came the job may be there, and have them. */
	if (result < 0 && err->code != ERROR_UNAVAILABLE) {
		take_back(v, &training);
		take_back(v, &validation);
	}
	if (job && v->watch)
		result = jobs_follow(&v->remote, remote_text(job, "id"), err);
	else if (job)
		remote_print(job, v->remote.json);
	json_decref(job);
	free(training.id);
	free(validation.id);
	return result;
}

/* What only --scratch asks for; NULL: nothing of it. */
static const char *of_scratch(const struct values *v)
{
	for (size_t i = 0; i < N_ROWS; i++)
		if (is_within(&rows[i], AT(arch), sizeof(v->arch)) &&
			given(v, &rows[i]))
			return rows[i].name;
	return v->tied ? "tied" : NULL;
}

static int check(
	const void *values, const struct option_list *args, struct error *err)
{
	const struct values *v = values;

	if (v->scratch && v->model)
		return error_set(err, ERROR_INVALID,
			"--scratch begins without a model, and --model names "
			"one");
	if (!v->scratch && of_scratch(v))
		return error_set(err, ERROR_INVALID,
			"--%s is of a new model: it goes with --scratch",
			of_scratch(v));
	return command_line_one(args, "texts", "unrolld jobs create TEXT", err);
}

int jobs_create_command(int argc, char **argv)
{
	struct values v;

	return command_line_run(
		&(struct command_line){ .name = "jobs create",
			.about = "usage: unrolld jobs create TEXT "
				 "[OPTION...]\n\n"
				 "Has the daemon train a model on TEXT: a "
				 "file, which is uploaded, - for standard\n"
				 "input, or the id of one that was uploaded "
				 "before.\n",
			.details = "\nWhat is left out, and what is auto, the "
				   "daemon chooses.",
			.rows = rows,
			.n_rows = N_ROWS,
			.values = &v,
			.help = &v.remote.help,
			.check = check,
			.run = run },
		argc, argv);
}
