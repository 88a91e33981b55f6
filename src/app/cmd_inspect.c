/* `unrolld inspect`: what a checkpoint holds. */
#include "app/cmd.h"

#include "app/command_line.h"
#include "app/model_file.h"
#include "base/options.h"
#include "serve/caption.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct inspect_options {
	bool help, json, tensors;
};

#define AT(field) offsetof(struct inspect_options, field)
static const struct option rows[] = {
	{ "help", OPTION_BOOL, AT(help), "no", .help = "show this and stop",
		.letter = 'h' },
	{ "json", OPTION_BOOL, AT(json), "no",
		.help = "print one JSON object" },
	{ "tensors", OPTION_BOOL, AT(tensors), "no",
		.help = "list the tensors: name, shape, bytes in the file" },
};

struct inspection {
	const char *path;
	struct model_file model;
	struct caption_model *captioner; /* instead, of a captioner; or NULL */
	const struct checkpoint *checkpoint; /* of either */
	const struct tokenizer *tokenizer;
	struct safetensors file; /* what it is of */
	bool open;
	uint64_t fingerprint;
	size_t parameters;
	size_t bytes; /* of the tensors in the file */
};

static int inspect_text(struct inspection *i, struct error *err)
{
	const struct checkpoint *c = &i->model.checkpoint;

	if (model_file_open(&i->model, i->path, err) < 0)
		return -1;
	i->checkpoint = c;
	i->tokenizer = i->model.tokenizer;
	i->fingerprint = checkpoint_fingerprint(&c->parameters);
	i->parameters = model_file_parameters(&c->parameters);
	return 0;
}

static int inspect_captioner(struct inspection *i, struct error *err)
{
	const struct caption_model_info *info;

	if (caption_model_open(&i->captioner, i->path, 1, 0, err) < 0)
		return -1;
	info = caption_model_info(i->captioner);
	i->checkpoint = &info->weights->decoder;
	i->tokenizer = info->tokenizer;
	i->fingerprint = info->fingerprint;
	i->parameters = info->parameters;
	return 0;
}

static int inspect(struct inspection *i, const char *path, struct error *err)
{
	bool captioner;

	i->path = path;
	if (checkpoint_holds_captioner(path, &captioner, err) < 0 ||
		(captioner ? inspect_captioner(i, err) : inspect_text(i, err)) <
			0 ||
		safetensors_open(&i->file, path, err) < 0)
		return -1;
	i->open = true;
	for (size_t k = 0; k < i->file.n_entries; k++)
		i->bytes += i->file.entries[k].bytes;
	return 0;
}

static void inspection_release(struct inspection *i)
{
	if (i->open)
		safetensors_close(&i->file);
	caption_model_close(i->captioner);
	model_file_release(&i->model);
}

static json_t *tensors_json(const struct inspection *i)
{
	json_t *list = json_array();

	for (size_t k = 0; k < i->file.n_entries; k++) {
		const struct safetensors_entry *e = &i->file.entries[k];
		json_t *shape = json_array();

		for (size_t d = 0; d < e->n_dims; d++)
			json_array_append_new(
				shape, json_integer((json_int_t)e->shape[d]));
		json_array_append_new(list,
			json_pack("{s:s, s:o, s:I}", "name", e->name, "shape",
				shape, "bytes", (json_int_t)e->bytes));
	}
	return list;
}

static int print_json(
	const struct inspection *i, bool tensors, struct error *err)
{
	const struct checkpoint *c = i->checkpoint;
	const struct tokenizer *t = i->tokenizer;
	char fingerprint[17];
	json_t *all;

	snprintf(fingerprint, sizeof(fingerprint), "%016llx",
		(unsigned long long)i->fingerprint);
	all = json_pack(
		"{s:s, s:s, s:s, s:o, s:I, s:I, s:s, s:{s:s, s:I, s:I}, s:O*, "
		"s:O*}",
		"path", i->path, "kind", i->captioner ? "captioner" : "text",
		"fingerprint", fingerprint, "architecture",
		checkpoint_architecture_json(&c->parameters.arch), "parameters",
		(json_int_t)i->parameters, "bytes", (json_int_t)i->bytes,
		"dtype", checkpoint_dtype_name(c->dtype), "tokenizer", "kind",
		tokenizer_kind(t), "vocabulary", (json_int_t)tokenizer_vocab(t),
		"start", (json_int_t)tokenizer_start(t), "training",
		c->training, "captioner", c->captioner);

	if (all && tensors)
		json_object_set_new(all, "tensors", tensors_json(i));
	if (!all)
		return error_set(err, ERROR_NO_MEMORY,
			"%s: out of memory, or a name that is not UTF-8",
			i->path);
	json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
	puts("");
	json_decref(all);
	return 0;
}

/* Every value of the training summary, by its dotted name. */
static void print_summary(const char *prefix, const json_t *object)
{
	const char *key;
	char name[256], *text;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		snprintf(name, sizeof(name), "%s%s%s", prefix,
			*prefix ? "." : "", key);
		if (json_is_object(value)) {
			print_summary(name, value);
			continue;
		}
		text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT |
						 JSON_REAL_PRECISION(6));
		printf("  %-30s %s\n", name, text ? text : "");
		free(text);
	}
}

static void print_tensors(const struct inspection *i)
{
	char shape[64];

	puts("tensors");
	for (size_t k = 0; k < i->file.n_entries; k++) {
		const struct safetensors_entry *e = &i->file.entries[k];

		safetensors_shape_text(e, shape, sizeof(shape));
		printf("  %-30s %-14s %12zu\n", e->name, shape, e->bytes);
	}
}

static void print_start(const struct tokenizer *t)
{
	json_t *token;
	const char *bytes;
	char *text = NULL;
	size_t len;

	bytes = tokenizer_bytes(t, tokenizer_start(t), &len);
	token = json_stringn(bytes, len);
	if (token)
		text = json_dumps(token, JSON_ENCODE_ANY);
	printf(", start %u %s\n", tokenizer_start(t), text ? text : "");
	free(text);
	json_decref(token);
}

static void print_cnn(const struct captioner_weights *w)
{
	const struct cnn_config *c = &w->cnn.config;

	printf("vector        %zu, at %s\n", w->features,
		w->always ? "every step" : "the first step");
	if (!w->sees) {
		puts("cnn           none: it takes features, no images");
		return;
	}
	printf("cnn           %zu x %zu pixels,", c->side, c->side);
	for (size_t k = 0; k < c->n_layers; k++)
		if (c->layers[k] == CNN_POOL)
			printf(" M");
		else
			printf(" %zu", c->layers[k]);
	printf("%s, until %s\n", c->norm ? ", batch norm" : "", c->until);
}

static void print_text(const struct inspection *i, bool tensors)
{
	const struct checkpoint *c = i->checkpoint;
	const struct architecture *a = &c->parameters.arch;

	printf("model         %s\n", i->path);
	printf("kind          %s\n",
		i->captioner ? "captioner: images to sentences" : "text");
	printf("fingerprint   %016llx\n", (unsigned long long)i->fingerprint);
	if (i->captioner)
		print_cnn(caption_model_info(i->captioner)->weights);
	printf("architecture  %s, %zu layer%s of %zu, ", a->cell, a->layers,
		a->layers == 1 ? "" : "s", a->hidden);
	if (a->embedding)
		printf("embedding %zu", a->embedding);
	else
		printf("one-hot input");
	printf("%s, %s bias\n", a->tied ? ", tied output" : "",
		a->bias == BIAS_SINGLE ? "single" : "double");
	printf("parameters    %zu, %zu bytes of %s\n", i->parameters, i->bytes,
		checkpoint_dtype_name(c->dtype));
	printf("tokenizer     %s, vocabulary %zu", tokenizer_kind(i->tokenizer),
		a->vocab);
	if (i->captioner)
		puts(" with END");
	else
		print_start(i->tokenizer);
	if (c->training) {
		puts("training");
		print_summary("", c->training);
	}
	if (tensors)
		print_tensors(i);
}

static int run(
	const struct inspect_options *o, const char *path, struct error *err)
{
	struct inspection i = { 0 };
	int failed = inspect(&i, path, err);

	if (!failed && o->json)
		failed = print_json(&i, o->tensors, err);
	else if (!failed)
		print_text(&i, o->tensors);
	inspection_release(&i);
	return failed;
}

static const char about[] =
	"usage: unrolld inspect MODEL [OPTION...]\n"
	"\n"
	"Checks a checkpoint's form and prints what it holds.\n";

static int check_usage(
	const void *values, const struct option_list *args, struct error *err)
{
	(void)values;
	return command_line_one(args, "models", "unrolld inspect MODEL", err);
}

static int run_command(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	(void)table;
	return run(values, args->items[0], err);
}

int cmd_inspect(int argc, char **argv)
{
	struct inspect_options o;

	return command_line_run(
		&(struct command_line){ .name = "inspect",
			.about = about,
			.rows = rows,
			.n_rows = sizeof(rows) / sizeof(rows[0]),
			.values = &o,
			.help = &o.help,
			.check = check_usage,
			.run = run_command },
		argc, argv);
}
