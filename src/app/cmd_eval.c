/* `unrolld eval`: how well a model predicts a text. */
#include "app/cmd.h"

#include "app/command_line.h"
#include "app/model_file.h"
#include "app/text_measure.h"
#include "app/text_rows.h"
#include "base/options.h"
#include "nn/checkpoint.h"
#include "nn/model.h"
#include "nn/trainer.h"
#include "text/corpus.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum part { PART_ALL, PART_TAIL, PART_HEAD };
/* Of --weights: before the packed types. */
enum { CHECKPOINT_WEIGHTS, FIRST_TYPE };

struct eval_options {
	bool help, json;
	char *encoding, *cache_dir;
	int encoding_errors, unknown, part, weights;
	double fraction;
	uint64_t threads;
};

#define AT(field) offsetof(struct eval_options, field)
static const struct option rows[] = {
	{ "help", OPTION_BOOL, AT(help), "no", .help = "show this and stop",
		.letter = 'h' },
	{ "json", OPTION_BOOL, AT(json), "no",
		.help = "print one JSON object" },
	TEXT_ROWS(AT),
	{ "part", OPTION_ENUM, AT(part), "all", .choices = "all|tail|head",
		.help = "of the text: all, the last --fraction, or what is "
			"before it" },
	{ "fraction", OPTION_DOUBLE, AT(fraction), "0.1", "0", "1",
		.help = "what --part tail keeps and --part head leaves" },
	{ "weights", OPTION_ENUM, AT(weights), "checkpoint",
		.choices = "checkpoint|f32|bf16|int8",
		.help = "as they are in the checkpoint, or packed and rounded "
			"as `unrolld serve --engine.weights` would, one step "
			"at a time" },
	{ "threads", OPTION_UINT, AT(threads), "0", "0", "1024",
		.help = "0: all cores; packed weights use one" },
};

struct eval {
	struct eval_options o;
	struct checkpoint model;
	struct tokenizer *tokenizer;
	struct corpus corpus;
	struct team *team;
	struct streams streams;
	uint64_t tokens;
	struct text_measure measure;
	double nats;
};

/* The same cut as training's --validation-split tail. */
static void cut(struct eval *e)
{
	const size_t n = e->corpus.tokens.count;
	size_t tail = (size_t)((double)n * e->o.fraction);
	size_t begin = e->o.part == PART_TAIL ? n - tail : 0;
	size_t end = e->o.part == PART_HEAD ? n - tail : n;

	e->streams = (struct streams){
		.tokens = tokens_slice(&e->corpus.tokens, begin, end),
		.batch = 1,
		.stride = end - begin,
		.end = end - begin,
	};
}

static int evaluate_packed(struct eval *e, struct error *err)
{
	struct model *m;
	int rc;

	if (model_open(&m, &e->model.parameters,
		    (enum weight_type)(e->o.weights - FIRST_TYPE), err) < 0)
		return -1;
	rc = model_evaluate(m, &e->streams, &e->nats, &e->tokens, err);
	model_unref(m);
	return rc;
}

static int run(struct eval *e, const char *model, char *const *texts, size_t n,
	struct error *err)
{
	struct corpus_options corpus = {
		.paths = (const char *const *)texts,
		.n_paths = n,
		.encoding = e->o.encoding,
		.faults = (enum encoding_faults)e->o.encoding_errors,
		.unknown = (enum unknown_policy)e->o.unknown,
		.cache_dir = e->o.cache_dir,
	};

	int rc;

	if (checkpoint_load(&e->model, model, err) < 0 ||
		model_file_tokenizer(&e->tokenizer, &e->model, model, err) <
			0 ||
		corpus_open(&e->corpus, &corpus, e->tokenizer, err) < 0 ||
		team_open(&e->team,
			e->o.threads ? (unsigned)e->o.threads
				     : team_default_size(),
			err) < 0)
		return -1;
	cut(e);
	rc = e->o.weights == CHECKPOINT_WEIGHTS
		     ? trainer_evaluate(&e->model.parameters, &e->streams, 0,
			       e->team, &e->nats, &e->tokens, err)
		     : evaluate_packed(e, err);
	if (rc == 0)
		text_measure(&e->measure, &e->corpus, &e->streams);
	return rc;
}

static void print(const struct eval *e)
{
	static const char *const parts[] = { "all", "tail", "head" };
	const uint64_t characters = e->measure.characters;
	const double per_character =
		text_measure_per_character(&e->measure, e->nats);
	const double unknown = text_measure_unknown_rate(&e->measure);
	json_t *line;

	if (!e->o.json) {
		printf("split       %s", parts[e->o.part]);
		if (e->o.part != PART_ALL)
			printf(" %g", e->o.fraction);
		printf(", batch 1, stateful from the initial state\n"
		       "tokens      %llu\n"
		       "characters  %llu\n"
		       "faults      %llu\n"
		       "skipped     %llu\n"
		       "unknown     %llu (%.3f%% of the tokens)\n"
		       "nats/token  %.4f\n"
		       "nats/char   %.4f\n"
		       "bits/char   %.4f\n"
		       "perplexity  %.4f\n",
			(unsigned long long)e->tokens,
			(unsigned long long)characters,
			(unsigned long long)e->corpus.faults,
			(unsigned long long)e->corpus.skipped,
			(unsigned long long)e->measure.unknown, 100 * unknown,
			e->nats, per_character, per_character / M_LN2,
			exp(e->nats));
		return;
	}
	line = json_pack("{s:s, s:f, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, "
			 "s:f, s:f}",
		"split", parts[e->o.part], "fraction", e->o.fraction, "tokens",
		(json_int_t)e->tokens, "characters", (json_int_t)characters,
		"faults", (json_int_t)e->corpus.faults, "skipped",
		(json_int_t)e->corpus.skipped, "unknown",
		(json_int_t)e->measure.unknown, "unknown_rate", unknown,
		"nats_per_token", e->nats, "nats_per_character", per_character,
		"bits_per_character", per_character / M_LN2, "perplexity",
		exp(e->nats));
	if (line)
		json_dumpf(line, stdout, JSON_REAL_PRECISION(9));
	puts("");
	json_decref(line);
}

static const char about[] =
	"usage: unrolld eval MODEL TEXT... [OPTION...]\n"
	"\n"
	"Prints a model's mean cross-entropy on texts (- is standard "
	"input), its state\n"
	"carried from the first token to the last.\n";

static int check_usage(
	const void *values, const struct option_list *args, struct error *err)
{
	(void)values;
	if (args->n >= 2)
		return 0;
	return error_set(err, ERROR_INVALID,
		"%s named; usage: unrolld eval MODEL TEXT...",
		args->n ? "no text" : "no model");
}

static int run_command(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	struct eval e = { .o = *(const struct eval_options *)values };
	int rc;

	(void)table;
	rc = run(&e, args->items[0], args->items + 1, args->n - 1, err);
	if (rc == 0)
		print(&e);
	team_close(e.team);
	corpus_release(&e.corpus);
	tokenizer_unref(e.tokenizer);
	checkpoint_release(&e.model);
	return rc;
}

int cmd_eval(int argc, char **argv)
{
	struct eval_options o;

	return command_line_run(
		&(struct command_line){ .name = "eval",
			.about = about,
			.rows = rows,
			.n_rows = sizeof(rows) / sizeof(rows[0]),
			.values = &o,
			.help = &o.help,
			.check = check_usage,
			.run = run_command },
		argc, argv);
}
