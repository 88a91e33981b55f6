/* `unrolld sample`: text from a checkpoint, streamed to standard output. */
#include "app/cmd.h"

#include "app/command_line.h"
#include "app/model_file.h"
#include "app/text_sampler.h"
#include "base/file.h"
#include "base/options.h"
#include "base/rng.h"
#include "nn/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PRIME (1u << 30)

struct sample_options {
	bool help;
	char *prompt, *prompt_file;
	uint64_t length, top_k, seed;
	double temperature, top_p, min_p;
	double repetition_penalty, presence_penalty, frequency_penalty;
	struct option_list stop;
	int unknown, weights;
	bool echo;
};

#define AT(field) offsetof(struct sample_options, field)
static const struct option rows[] = {
	{ "help", OPTION_BOOL, AT(help), "no", .help = "show this and stop",
		.letter = 'h' },
	{ "prompt", OPTION_STRING, AT(prompt), NULL,
		.help = "text to begin with", .argument = "TEXT",
		.letter = 'p' },
	{ "prompt-file", OPTION_STRING, AT(prompt_file), NULL,
		.help = "the same from a file", .argument = "FILE" },
	{ "echo", OPTION_BOOL, AT(echo), "yes",
		.help = "print the prompt too" },
	{ "unknown", OPTION_ENUM, AT(unknown), "auto",
		.choices = "error|skip|auto",
		.help = "characters of the prompt outside the vocabulary" },
	{ "length", OPTION_UINT, AT(length), "500", "1", "1000000000000",
		.help = "tokens to generate", .letter = 'n' },
	{ "weights", OPTION_ENUM, AT(weights), "auto",
		.choices = "auto|f32|bf16|int8",
		.help = "in memory: bf16 halves and int8 quarters them; auto "
			"is as the checkpoint is stored" },
	{ "temperature", OPTION_DOUBLE, AT(temperature), "1", "0", "100",
		.help = "0: always the likeliest", .letter = 't' },
	{ "top-k", OPTION_UINT, AT(top_k), "0", "0", "4294967295",
		.help = "only the k likeliest; 0: all" },
	{ "top-p", OPTION_DOUBLE, AT(top_p), "1", "0", "1",
		.help = "only the likeliest that make up this probability" },
	{ "min-p", OPTION_DOUBLE, AT(min_p), "0", "0", "1",
		.help = "only those this likely, relative to the likeliest" },
	{ "repetition-penalty", OPTION_DOUBLE, AT(repetition_penalty), "1",
		"0.01", "100", .help = "divides the logits of recent tokens" },
	{ "presence-penalty", OPTION_DOUBLE, AT(presence_penalty), "0", "-2",
		"2", .help = "subtracted where a token is recent" },
	{ "frequency-penalty", OPTION_DOUBLE, AT(frequency_penalty), "0", "-2",
		"2", .help = "subtracted for each time it was" },
	{ "seed", OPTION_UINT, AT(seed), "0",
		.help = "the same seed gives the same text; without it a "
			"fresh one is drawn and printed to stderr",
		.letter = 's' },
	{ "stop", OPTION_LIST, AT(stop), NULL,
		.help = "end before this text; may be repeated",
		.argument = "TEXT" },
};

static int emit(void *arg, const char *text, size_t len)
{
	(void)arg;
	if (fwrite(text, 1, len, stdout) < len || fflush(stdout))
		return -1;
	return 0;
}

static void set_sampler(
	const struct sample_options *o, struct sampler_options *s)
{
	sampler_defaults(s);
	s->temperature = o->temperature;
	s->top_k = (uint32_t)o->top_k;
	s->top_p = o->top_p;
	s->min_p = o->min_p;
	s->repetition_penalty = o->repetition_penalty;
	s->presence_penalty = o->presence_penalty;
	s->frequency_penalty = o->frequency_penalty;
}

static int prime(struct text_sampler *s, const struct sample_options *o,
	struct error *err)
{
	char *text = o->prompt, *read = NULL;
	size_t len = text ? strlen(text) : 0, skipped = 0;
	int rc;

	if (o->prompt_file &&
		file_read(o->prompt_file, MAX_PRIME, &read, &len, err) < 0)
		return -1;
	text = read ? read : text;
	if (!text)
		return 0;
	rc = text_sampler_prime(
		s, text, len, (enum unknown_policy)o->unknown, &skipped, err);
	if (rc < 0)
		error_prefix(err, "prompt");
	else if (skipped)
		fprintf(stderr,
			"unrolld sample: %zu characters of the prompt left "
			"out\n",
			skipped);
	if (rc == 0 && o->echo)
		emit(NULL, text, len);
	free(read);
	return rc;
}

static int run(const char *path, const struct sample_options *o, uint64_t seed,
	struct error *err)
{
	struct sampler_options options;
	struct text_sampler_request request = { .options = &options,
		.seed = seed,
		.length = o->length,
		.stop = (const char *const *)o->stop.items,
		.n_stop = o->stop.n,
		.emit = emit };
	struct tokenizer *tokenizer = NULL;
	struct text_sampler *s = NULL;
	struct model *model = NULL;
	struct checkpoint c;
	int rc = -1;

	set_sampler(o, &options);
	if (sampler_check(&options, err) < 0 ||
		checkpoint_load(&c, path, err) < 0)
		return -1;
	if (model_file_tokenizer(&tokenizer, &c, path, err) == 0)
		rc = model_open(&model, &c.parameters,
			o->weights ? (enum weight_type)(o->weights - 1)
				   : checkpoint_weights(&c),
			err);
	checkpoint_release(&c);
	if (rc == 0)
		rc = text_sampler_open(&s, model, tokenizer, err);
	if (rc == 0)
		rc = prime(s, o, err);
	if (rc == 0)
		rc = text_sampler_run(s, &request, err);
	text_sampler_close(s);
	model_unref(model);
	tokenizer_unref(tokenizer);
	return rc;
}

static const char about[] = "usage: unrolld sample MODEL [OPTION...]\n"
			    "\n"
			    "Generates text from a checkpoint, as it comes.\n";

static int check_usage(
	const void *values, const struct option_list *args, struct error *err)
{
	const struct sample_options *o = values;

	if (command_line_one(args, "models", "unrolld sample MODEL", err) < 0)
		return -1;
	for (size_t i = 0; i < o->stop.n; i++)
		if (!*o->stop.items[i])
			return error_set_param(err, ERROR_INVALID, "stop",
				"--stop is '', expected a text");
	if (!o->prompt || !o->prompt_file)
		return 0;
	return error_set(err, ERROR_INVALID,
		"--prompt and --prompt-file exclude each other");
}

static int run_command(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	const struct sample_options *o = values;
	uint64_t seed = o->seed;

	if (!options_source(table, "seed")) {
		seed = rng_entropy();
		fprintf(stderr, "seed %" PRIu64 "\n", seed);
	}
	if (run(args->items[0], o, seed, err) < 0)
		return -1;
	puts("");
	return 0;
}

int cmd_sample(int argc, char **argv)
{
	struct sample_options o;

	return command_line_run(
		&(struct command_line){ .name = "sample",
			.about = about,
			.rows = rows,
			.n_rows = sizeof(rows) / sizeof(rows[0]),
			.values = &o,
			.help = &o.help,
			.check = check_usage,
			.run = run_command },
		argc, argv);
}
