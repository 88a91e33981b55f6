/*
 * Dispatch to the subcommands: the only place that exits. To add a command,
 * write cmd_NAME.c and add its row to the table.
 */
#include "app/cmd.h"

#include "app/paths.h"
#include "math/gemm.h"
#include "math/isa.h"
#include "math/kernels.h"
#include "text/jieba.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WORDS 2 /* `unrolld help jobs create` */

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
};

static int cmd_version(int argc, char **argv);
static int cmd_help(int argc, char **argv);

static const struct command commands[] = {
	{ "serve", cmd_serve, "serve models over HTTP" },
	{ "train", cmd_train, "train a model on a text" },
	{ "sample", cmd_sample, "generate text from a model" },
	{ "eval", cmd_eval, "measure a model on a text" },
	{ "score", cmd_score, "tell how probable lines of text are" },
	{ "inspect", cmd_inspect, "show what a model holds" },
	{ "tokenize", cmd_tokenize, "show the tokens of a text" },
	{ "import", cmd_import, "make a model of PyTorch's weights" },
	{ "export", cmd_export, "write a model's weights for PyTorch" },
	{ "train-caption", cmd_train_caption, "train a captioner of images" },
	{ "eval-caption", cmd_eval_caption, "score a captioner" },
	{ "caption", cmd_caption, "describe images" },
	{ "sessions", cmd_sessions, "look after a daemon's sessions" },
	{ "dictionary", cmd_dictionary, "build the jieba tokenizer's words" },
	{ "files", cmd_files, "look after a daemon's texts to learn from" },
	{ "jobs", cmd_jobs, "have a daemon fine-tune a model" },
	{ "health", cmd_health, "ask a daemon whether it is ready" },
	{ "bench", cmd_bench, "measure how fast a model steps here" },
	{ "version", cmd_version, "print the version and what it runs on" },
	{ "help", cmd_help, "explain a command" },
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *out)
{
	fputs("usage: unrolld COMMAND [OPTION...]\n"
	      "\n"
	      "Trains recurrent language models and serves them over HTTP.\n"
	      "\n",
		out);
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(out, "  %-13s %s\n", commands[i].name,
			commands[i].summary);
	fputs("\n`unrolld help COMMAND` explains one of them.\n", out);
}

/* Levenshtein's distance of two short words. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[32];
	size_t n = strlen(b);

	if (n >= 32)
		return 32;
	for (size_t j = 0; j <= n; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; *a; i++, a++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= n; j++) {
			unsigned best = diagonal + (*a != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[n];
}

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static int unknown_command(const char *name)
{
	const struct command *nearest = &commands[0];

	for (size_t i = 1; i < N_COMMANDS; i++)
		if (distance(name, commands[i].name) <
			distance(name, nearest->name))
			nearest = &commands[i];
	fprintf(stderr, "unrolld: unknown command '%s'", name);
	if (distance(name, nearest->name) <= 2)
		fprintf(stderr, "; did you mean '%s'?", nearest->name);
	fputs("\nunrolld: `unrolld help` lists the commands\n", stderr);
	return CMD_USAGE;
}

static int cmd_version(int argc, char **argv)
{
	struct error err;

	if (argc > 1 && strcmp(argv[1], "--help") != 0) {
		fprintf(stderr, "unrolld version: unexpected argument '%s'\n",
			argv[1]);
		return CMD_USAGE;
	}
	if (argc > 1) {
		puts("usage: unrolld version");
		return CMD_OK;
	}
	printf("unrolld %s\nkernels %s\n", UNROLLD_VERSION, kernels_name());
	if (gemm_open(&err) == 0)
		printf("openblas %s\n", gemm_version());
	else
		printf("openblas none: %s\n", err.message);
	return CMD_OK;
}

static int cmd_help(int argc, char **argv)
{
	const struct command *c;
	char *args[MAX_WORDS + 2];
	int n = argc - 1 < MAX_WORDS ? argc - 1 : MAX_WORDS;

	if (argc < 2 || !strcmp(argv[1], "--help") ||
		!strcmp(argv[1], "help")) {
		usage(stdout);
		return CMD_OK;
	}
	c = find(argv[1]);
	if (!c)
		return unknown_command(argv[1]);
	memcpy(args, argv + 1, (size_t)n * sizeof(*args));
	args[n] = (char[]){ "--help" };
	args[n + 1] = NULL;
	return c->run(n + 1, args);
}

static int dispatch(int argc, char **argv)
{
	const struct command *c;

	if (argc < 2) {
		usage(stderr);
		return CMD_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return cmd_help(1, argv + 1);
	if (!strcmp(argv[1], "--version"))
		return cmd_version(1, argv + 1);
	c = find(argv[1]);
	if (!c)
		return unknown_command(argv[1]);
	return c->run(argc - 1, argv + 1);
}

/* Of a command that prints an answer, which nobody got in full. A daemon's log
 * is no answer. */
static int check_output(int argc, char **argv, int rc)
{
	const bool before = ferror(stdout), last = fflush(stdout) == EOF;
	const bool serves = argc > 1 && !strcmp(argv[1], "serve");

	if (!(before || last) || serves || rc != CMD_OK)
		return rc;
	fprintf(stderr, "unrolld: standard output: %s\n",
		last ? strerror(errno) : "could not be written");
	return CMD_FAILED;
}

int main(int argc, char **argv)
{
	char *jieba;
	struct error err;
	int rc;

	if (isa_check(&err) < 0) {
		fprintf(stderr, "unrolld: %s\n", err.message);
		return CMD_USAGE;
	}
	gemm_prepare();
	jieba = paths_jieba();
	jieba_set_default(jieba,
		"there is none beside this program or in share/unrolld; "
		"install python3-jieba and run make again, or let "
		"UNROLLD_JIEBA_DICTIONARY name one");
	rc = dispatch(argc, argv);
	free(jieba);
	return check_output(argc, argv, rc);
}
