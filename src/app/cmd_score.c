/* `unrolld score`: how probable a model finds each line of a text. Lines go
 * through an engine as a daemon's requests do, a window of them at a time. */
#include "app/cmd.h"

#include "app/command_line.h"
#include "app/paths.h"
#include "base/options.h"
#include "serve/engine.h"
#include "serve/score.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define WINDOW 256
#define MAX_TOP 100000

struct score_command {
	bool help, json;
	char *model, *prefix;
	int unknown, weights;
	uint64_t top, threads;
};

#define AT(field) offsetof(struct score_command, field)
static const struct option rows[] = {
	{ "help", OPTION_BOOL, AT(help), "no", .help = "show this and stop",
		.letter = 'h' },
	{ "model", OPTION_STRING, AT(model), NULL,
		.help = "the model's file; without it the shipped one",
		.argument = "FILE", .letter = 'm' },
	{ "top", OPTION_UINT, AT(top), "0", "0", "100000",
		.help = "print only the N strangest lines, strangest first; "
			"0: all, in their order",
		.argument = "N" },
	{ "prefix", OPTION_STRING, AT(prefix), NULL,
		.help = "text that is read before each line, not scored",
		.argument = "TEXT" },
	{ "unknown", OPTION_ENUM, AT(unknown), "auto",
		.choices = "error|skip|auto",
		.help = "what the vocabulary lacks; auto is its <unk> where it "
			"has one, else error" },
	{ "weights", OPTION_ENUM, AT(weights), "auto",
		.choices = "auto|f32|bf16|int8",
		.help = "in memory; auto is as the checkpoint is stored" },
	{ "threads", OPTION_UINT, AT(threads), "0", "0", "1024",
		.help = "0: all cores" },
	{ "json", OPTION_BOOL, AT(json), "no",
		.help = "print a JSON object a line" },
};

struct line {
	char *text;
	size_t len;
	uint64_t number; /* from 1 */
	struct score score;
	struct generate_request *request;
	struct error err;
	bool ended;
};

struct run {
	const struct score_command *o;
	struct registry *registry;
	struct registry_entry *model;
	struct engine *engine;
	FILE *file;
	int wake_fd;
	struct line window[WINDOW]; /* read - printed of them, in a circle */
	uint64_t read, printed;
	struct line *top; /* [n_top] strangest first; owned */
	size_t n_top;
};

/* --- what comes out --------------------------------------------------- */

static void print_json(const struct line *l)
{
	const struct score *s = &l->score;
	json_t *json = json_pack("{s:I, s:f, s:f, s:o, s:I, s:I, s:o}", "line",
		(json_int_t)l->number, "bits_per_character",
		s->bits_per_character, "logprob", s->logprob, "perplexity",
		s->tokens ? json_real(s->perplexity) : json_null(), "tokens",
		(json_int_t)s->tokens, "characters", (json_int_t)s->characters,
		"text", json_stringn_nocheck(l->text, l->len));

	if (json)
		json_dumpf(json, stdout, JSON_REAL_PRECISION(9));
	puts("");
	json_decref(json);
}

static void print_line(const struct run *r, const struct line *l)
{
	if (r->o->json) {
		print_json(l);
		return;
	}
	printf("%llu\t%.4f\t%.4f\t", (unsigned long long)l->number,
		l->score.bits_per_character, l->score.logprob);
	fwrite(l->text, 1, l->len, stdout);
	putchar('\n');
}

/* Among the strangest, if it is; of equals the earlier one is stranger. */
static void rank(struct run *r, struct line *l)
{
	double bits = l->score.bits_per_character;
	size_t at = r->n_top;

	while (at && r->top[at - 1].score.bits_per_character < bits)
		at--;
	if (at == r->o->top)
		return;
	if (r->n_top == r->o->top)
		free(r->top[--r->n_top].text);
	memmove(r->top + at + 1, r->top + at,
		(r->n_top - at) * sizeof(*r->top));
	r->top[at] = *l;
	r->n_top++;
	l->text = NULL;
}

/* --- what goes in ----------------------------------------------------- */

static void wake(void *arg)
{
	eventfd_write(((struct run *)arg)->wake_fd, 1);
}

static void read_events(struct generate_request *q, void *arg)
{
	struct line *l = generate_user(q);
	const struct generate_event *e;

	(void)arg;
	while ((e = generate_next(q)))
		l->ended |= e->type == GENERATE_ENDED;
	if (!l->ended)
		return;
	l->err = generate_result(q)->error;
	if (!l->err.code)
		score_sum(q, &l->score);
	generate_close(q);
	l->request = NULL;
}

/* A prefix is no line's fault. */
static int say_where(const struct line *l, struct error *err)
{
	if (!strcmp(err->param, "prefix"))
		return error_prefix(err, "--prefix");
	return error_prefix(err, "line %llu", (unsigned long long)l->number);
}

static int submit(struct run *r, struct line *l, struct error *err)
{
	const struct score_options o = {
		.model = r->model,
		.text = l->text,
		.len = l->len,
		.prefix = r->o->prefix,
		.prefix_len = r->o->prefix ? strlen(r->o->prefix) : 0,
		.unknown = (enum unknown_policy)r->o->unknown,
		.user = l,
	};

	if (score_open(&l->request, &o, err) < 0 ||
		engine_submit(r->engine, l->request, err) < 0)
		return say_where(l, err);
	return 0;
}

/* 1: there is none left. */
static int read_line(struct run *r, struct line *l, struct error *err)
{
	size_t size = 0;
	ssize_t n;

	*l = (struct line){ .number = r->read + 1 };
	n = getline(&l->text, &size, r->file);
	if (n < 0) {
		free(l->text);
		l->text = NULL;
		return ferror(r->file) ? error_set_errno(err, "read") : 1;
	}
	l->len = (size_t)n;
	if (l->len && l->text[l->len - 1] == '\n')
		l->len--;
	if (l->len && l->text[l->len - 1] == '\r')
		l->len--;
	r->read++;
	return submit(r, l, err);
}

static int settle(struct run *r, struct error *err)
{
	struct line *l;

	while (r->printed < r->read &&
		(l = &r->window[r->printed % WINDOW])->ended) {
		if (l->err.code) {
			*err = l->err;
			return say_where(l, err);
		}
		if (!r->o->top)
			print_line(r, l);
		else if (l->score.characters)
			rank(r, l);
		free(l->text);
		l->text = NULL;
		r->printed++;
	}
	return 0;
}

static int score_lines(struct run *r, struct error *err)
{
	int end = 0;
	eventfd_t n;

	while (!end || r->printed < r->read) {
		while (!end && r->read - r->printed < WINDOW)
			end = read_line(r, &r->window[r->read % WINDOW], err);
		if (end < 0)
			return -1;
		if (r->printed < r->read) {
			eventfd_read(r->wake_fd, &n);
			engine_poll(r->engine, read_events, NULL);
		}
		if (settle(r, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < r->n_top; i++)
		print_line(r, &r->top[i]);
	return 0;
}

/* --- from its parts to its end ---------------------------------------- */

static int open_model(struct run *r, struct error *err)
{
	struct registry_options o = { .weights = r->o->weights - 1 };
	const char *path;
	struct stat st;
	char *models;

	if (paths_models(r->o->model, &models, err) < 0)
		return -1;
	path = models;
	if (path && !stat(path, &st) && S_ISDIR(st.st_mode)) {
		o.dir = path;
	} else {
		o.paths = &path;
		o.n_paths = path ? 1 : 0;
	}
	if (registry_open(&r->registry, &o, err) == 0)
		r->model = registry_get(r->registry, NULL, NULL);
	if (!r->model && !err->code)
		error_set(err, ERROR_NOT_FOUND, "%s: no model to score with",
			path ? path : "--model");
	free(models);
	return r->model ? 0 : -1;
}

static int open_run(struct run *r, const char *path, struct error *err)
{
	struct engine_options o = {
		.threads = (unsigned)r->o->threads, .wake = wake, .wake_arg = r
	};

	r->wake_fd = eventfd(0, EFD_CLOEXEC);
	r->top = calloc(r->o->top + 1, sizeof(*r->top));
	if (r->wake_fd < 0 || !r->top)
		return error_set_memory(
			err, "lines", (r->o->top + 1) * sizeof(*r->top));
	r->file = strcmp(path, "-") ? fopen(path, "re") : stdin;
	if (!r->file)
		return error_set_errno(err, "%s", path);
	return open_model(r, err) < 0 ? -1 : engine_open(&r->engine, &o, err);
}

static void close_run(struct run *r)
{
	if (r->engine)
		engine_close(r->engine);
	for (size_t i = 0; i < WINDOW; i++) {
		while (r->window[i].request &&
			generate_next(r->window[i].request))
			;
		generate_close(r->window[i].request);
		free(r->window[i].text);
	}
	for (size_t i = 0; i < r->n_top; i++)
		free(r->top[i].text);
	free(r->top);
	registry_unref(r->model);
	if (r->registry)
		registry_close(r->registry);
	if (r->file && r->file != stdin)
		fclose(r->file);
	if (r->wake_fd >= 0)
		close(r->wake_fd);
}

static const char usage[] = "unrolld score FILE [OPTION...]";
static const char about[] =
	"usage: unrolld score FILE [OPTION...]\n"
	"\n"
	"Prints for each line of a text (- is standard input) its number, bits "
	"per\n"
	"character, log-probability in nats, and the line itself, with tabs "
	"between\n"
	"them. Each line is read from the model's initial state.\n";

static int check_usage(
	const void *values, const struct option_list *args, struct error *err)
{
	(void)values;
	return command_line_one(args, "text", usage, err);
}

static int run_command(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	struct run *r = calloc(1, sizeof(*r));
	int rc;

	(void)table;
	if (!r)
		return error_set_memory(err, "lines", sizeof(*r));
	r->o = values;
	r->wake_fd = -1;
	err->code = ERROR_NONE;
	rc = open_run(r, args->items[0], err);
	if (rc == 0)
		rc = score_lines(r, err);
	close_run(r);
	free(r);
	return rc;
}

int cmd_score(int argc, char **argv)
{
	struct score_command o;

	return command_line_run(
		&(struct command_line){ .name = "score",
			.about = about,
			.rows = rows,
			.n_rows = sizeof(rows) / sizeof(rows[0]),
			.values = &o,
			.help = &o.help,
			.check = check_usage,
			.run = run_command },
		argc, argv);
}
