/* `unrolld dictionary`: the jieba tokenizer's dictionary from python-jieba's
 * data. `make` runs it. */
#include "app/cmd.h"

#include "app/command_line.h"
#include "text/jieba_build.h"

#include <stdio.h>
#include <stdlib.h>

struct dictionary_options {
	bool help;
	char *output, *from, *words;
};

#define AT(field) offsetof(struct dictionary_options, field)
static const struct option rows[] = {
	{ "help", OPTION_BOOL, AT(help), "no", .help = "show this and stop",
		.letter = 'h' },
	{ "output", OPTION_STRING, AT(output), NULL, .help = "file to write",
		.argument = "FILE", .letter = 'o' },
	{ "from", OPTION_STRING, AT(from),
		"/usr/lib/python3/dist-packages/jieba",
		.help = "python-jieba's directory, with dict.txt and "
			"finalseg/prob_*.py",
		.argument = "DIR" },
	{ "words", OPTION_STRING, AT(words), NULL,
		.help = "a word list of the form of dict.txt instead of it: "
			"lines of a word and its frequency",
		.argument = "FILE" },
};

static int check(
	const void *values, const struct option_list *args, struct error *err)
{
	const struct dictionary_options *o = values;

	if (args->n)
		return error_set(err, ERROR_INVALID, "unexpected argument '%s'",
			args->items[0]);
	if (!o->output)
		return error_set_param(err, ERROR_INVALID, "output",
			"no output named, expected -o FILE");
	return 0;
}

static int build(const struct dictionary_options *o, const char *words,
	const char *model, struct error *err)
{
	struct jieba_sources from = { words, model };
	struct jieba_built built;

	if (jieba_build(&from, o->output, &built, err) < 0)
		return -1;
	printf("%s: %zu words, %zu characters, %.1f MB, hash %016llx\n",
		o->output, built.words, built.letters,
		(double)built.bytes / 1e6, (unsigned long long)built.hash);
	return 0;
}

static int run(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	const struct dictionary_options *o = values;
	char *words = NULL, *model = NULL;
	int rc;

	if (asprintf(&words, "%s/dict.txt", o->from) < 0)
		words = NULL;
	if (asprintf(&model, "%s/finalseg", o->from) < 0)
		model = NULL;
	rc = words && model ? build(o, o->words ? o->words : words, model, err)
			    : error_set_memory(err, "path", 0);
	free(words);
	free(model);
	return rc;
}

int cmd_dictionary(int argc, char **argv)
{
	struct dictionary_options values;
	const struct command_line c = {
		.name = "dictionary",
		.about = "usage: unrolld dictionary -o FILE [OPTION...]\n"
			 "\n"
			 "Builds the dictionary that the jieba tokenizer maps. "
			 "`make` does it where\n"
			 "python3-jieba is installed; this is for words of "
			 "your own.\n",
		.details = "UNROLLD_JIEBA_DICTIONARY names the file that "
			   "other commands then use.\n",
		.rows = rows,
		.n_rows = sizeof(rows) / sizeof(rows[0]),
		.values = &values,
		.help = &values.help,
		.check = check,
		.run = run,
	};

	return command_line_run(&c, argc, argv);
}
