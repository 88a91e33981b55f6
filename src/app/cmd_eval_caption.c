/* `unrolld eval-caption`: a captioner's captions against people's. */
#include "app/cmd.h"

#include "app/caption_set.h"
#include "app/command_line.h"
#include "base/file.h"
#include "base/team.h"
#include "serve/caption.h"
#include "text/scores.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_IMAGE_BYTES (256u << 20)

struct eval_caption_options {
	bool help, json, shuffled;
	char *images, *features, *log;
	uint64_t beam, max_length, threads;
	double length_power;
};

#define AT(field) offsetof(struct eval_caption_options, field)
static const struct option rows[] = {
	{ "help", OPTION_BOOL, AT(help), "no", .help = "show this and stop",
		.letter = 'h' },
	{ "json", OPTION_BOOL, AT(json), "no",
		.help = "print one JSON object" },
	{ "images", OPTION_STRING, AT(images), NULL,
		.help = "where relative paths of images start; else beside "
			"the captions",
		.argument = "DIR" },
	{ "features", OPTION_STRING, AT(features), NULL,
		.help = "instead of images: safetensors whose tensor "
			"`features` "
			"has a row for each line",
		.argument = "FILE" },
	{ "shuffled", OPTION_BOOL, AT(shuffled), "no",
		.help = "caption the next line's image instead: what words "
			"alone are worth" },
	{ "beam", OPTION_UINT, AT(beam), "3", "1", "64",
		.help = "hypotheses kept" },
	{ "length-power", OPTION_DOUBLE, AT(length_power), "0", "0", "5",
		.help = "as `unrolld caption` has it" },
	{ "max-length", OPTION_UINT, AT(max_length), "50", "1", "1000",
		.help = "words" },
	{ "log", OPTION_STRING, AT(log), NULL,
		.help = "write each caption as a JSON line",
		.argument = "FILE" },
	{ "threads", OPTION_UINT, AT(threads), "0", "0", "1024",
		.help = "0: all cores" },
};

struct eval {
	const struct eval_caption_options *o;
	struct caption_set set;
	struct caption_model *model;
	struct scored *items; /* [set.n] */
	char **candidates;    /* [set.n] owned */
};

static int caption_line(struct eval *e, size_t line, struct caption_text *out,
	struct error *err)
{
	const struct eval_caption_options *o = e->o;
	const size_t i = o->shuffled ? (line + 1) % e->set.n : line;
	struct caption_options options;
	size_t len, n;
	char *data;
	int rc;

	caption_defaults(&options);
	options.beam = o->beam;
	options.length_power = o->length_power;
	options.max_length = o->max_length;
	if (e->set.features)
		return caption_model_vector(e->model,
			e->set.features + i * e->set.width, &options, out, &n,
			err);
	if (file_read(e->set.images[i], MAX_IMAGE_BYTES, &data, &len, err) < 0)
		return -1;
	rc = caption_model_image(e->model, data, len, &options, out, &n, err);
	free(data);
	return rc < 0 ? error_prefix(err, "%s", e->set.images[i]) : 0;
}

static int log_line(
	FILE *log, const char *image, const char *text, struct error *err)
{
	json_t *json = json_pack("{s:s, s:s}", "image", image, "caption", text);
	int rc = json ? json_dumpf(json, log, JSON_COMPACT) : -1;

	json_decref(json);
	if (rc < 0 || fputc('\n', log) == EOF)
		return error_set_errno(err, "--log");
	return 0;
}

static int caption_all(struct eval *e, struct error *err)
{
	FILE *log = NULL;
	int rc = 0;

	if (e->o->log && !(log = fopen(e->o->log, "w")))
		return error_set_errno(err, "%s", e->o->log);
	for (size_t i = 0; rc == 0 && i < e->set.n; i++) {
		struct caption_text text;

		rc = caption_line(e, i, &text, err);
		if (rc < 0)
			break;
		e->candidates[i] = text.text;
		if (log)
			rc = log_line(log, e->set.images[i], text.text, err);
	}
	if (log && fclose(log) == EOF && rc == 0)
		rc = error_set_errno(err, "%s", e->o->log);
	return rc;
}

/* A line's captions lie side by side. */
static void refer(struct eval *e)
{
	for (size_t i = 0, pair = 0; i < e->set.n; i++) {
		struct scored *item = &e->items[i];

		item->candidate = e->candidates[i];
		item->references = (const char *const *)e->set.captions + pair;
		while (pair < e->set.n_pairs && e->set.image[pair] == i) {
			item->n_references++;
			pair++;
		}
	}
}

static void print(const struct eval *e, const struct scores *s)
{
	if (e->o->json) {
		json_t *json = json_pack(
			"{s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "images",
			(json_int_t)e->set.n, "exact", s->exact, "bleu_1",
			s->bleu[0], "bleu_2", s->bleu[1], "bleu_3", s->bleu[2],
			"bleu_4", s->bleu[3], "rouge_l", s->rouge_l, "cider_d",
			s->cider_d);

		json_dumpf(json, stdout, JSON_COMPACT);
		puts("");
		json_decref(json);
		return;
	}
	printf("images   %zu\nexact    %.4f\n", e->set.n, s->exact);
	for (size_t k = 0; k < 4; k++)
		printf("BLEU-%zu   %.4f\n", k + 1, s->bleu[k]);
	printf("ROUGE-L  %.4f\nCIDEr-D  %.4f\n", s->rouge_l, s->cider_d);
}

static int run(struct eval *e, const char *path, struct error *err)
{
	const size_t features = caption_model_info(e->model)->weights->features;
	const struct eval_caption_options *o = e->o;
	struct scores scores;

	if (caption_set_open(&e->set, path, o->images, err) < 0 ||
		(o->features &&
			caption_set_features(&e->set, o->features, err) < 0))
		return -1;
	if (o->features && e->set.width != features)
		return error_set_param(err, ERROR_INVALID, "features",
			"features have %zu values, the model takes %zu",
			e->set.width, features);
	if (!o->features && caption_set_there(&e->set, err) < 0)
		return -1;
	e->items = calloc(e->set.n, sizeof(*e->items));
	e->candidates = calloc(e->set.n, sizeof(*e->candidates));
	if (!e->items || !e->candidates)
		return error_set_memory(err, "captions", e->set.n);
	if (caption_all(e, err) < 0)
		return -1;
	refer(e);
	if (scores_measure(&scores, e->items, e->set.n, err) < 0)
		return -1;
	print(e, &scores);
	return 0;
}

static const char about[] =
	"usage: unrolld eval-caption MODEL CAPTIONS [OPTION...]\n"
	"\n"
	"Captions the images of a data set (see `unrolld help train-caption`) "
	"and scores\n"
	"that against its captions: the share that is exact, BLEU, ROUGE-L, "
	"CIDEr-D.\n";

static int check_usage(
	const void *values, const struct option_list *args, struct error *err)
{
	(void)values;
	if (args->n == 2)
		return 0;
	return error_set(err, ERROR_INVALID,
		"expected a model and captions: unrolld eval-caption MODEL "
		"CAPTIONS");
}

static int run_command(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	struct eval e = { .o = values };
	int rc = caption_model_open(&e.model, args->items[0],
		e.o->threads ? (unsigned)e.o->threads : team_default_size(), 0,
		err);

	(void)table;
	if (rc == 0)
		rc = run(&e, args->items[1], err);
	for (size_t i = 0; e.candidates && i < e.set.n; i++)
		free(e.candidates[i]);
	free(e.candidates);
	free(e.items);
	caption_set_release(&e.set);
	caption_model_close(e.model);
	return rc;
}

int cmd_eval_caption(int argc, char **argv)
{
	struct eval_caption_options o;

	return command_line_run(
		&(struct command_line){ .name = "eval-caption",
			.about = about,
			.rows = rows,
			.n_rows = sizeof(rows) / sizeof(rows[0]),
			.values = &o,
			.help = &o.help,
			.check = check_usage,
			.run = run_command },
		argc, argv);
}
