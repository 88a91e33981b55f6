/* `unrolld tokenize`: what a model makes of a text, and the way back. */
#include "app/cmd.h"

#include "app/command_line.h"
#include "app/model_file.h"
#include "app/text_rows.h"
#include "base/file.h"
#include "serve/tokenize.h"
#include "text/corpus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_IDS (256u << 20) /* bytes of a file of ids */

struct tokenize_command {
	bool help, json, texts, decode;
	char *text, *encoding, *cache_dir;
	int encoding_errors, unknown;
};

#define AT(field) offsetof(struct tokenize_command, field)
static const struct option rows[] = {
	{ "help", OPTION_BOOL, AT(help), "no", .help = "show this and stop",
		.letter = 'h' },
	{ "text", OPTION_STRING, AT(text), NULL,
		.help = "the text itself, instead of a file",
		.argument = "TEXT", .letter = 'p' },
	{ "decode", OPTION_BOOL, AT(decode), "no",
		.help = "the other way: ids, apart by spaces or lines, to "
			"text" },
	{ "texts", OPTION_BOOL, AT(texts), "no",
		.help = "a token a line, its id and its text as JSON" },
	{ "json", OPTION_BOOL, AT(json), "no",
		.help = "print one JSON object of the counts, without tokens" },
	TEXT_ROWS(AT),
};

static int print_token(
	const struct tokenizer *t, uint32_t id, bool texts, bool first)
{
	json_t *token;
	char *text = NULL;

	if (!texts)
		return printf("%s%u", first ? "" : " ", id) < 0 ? -1 : 0;
	token = tokenize_token(t, id);
	if (token)
		text = json_dumps(token, JSON_ENCODE_ANY);
	printf("%u\t%s\n", id, text ? text : "");
	json_decref(token);
	free(text);
	return 0;
}

static void print_tokens(const struct tokenize_command *o,
	const struct tokenizer *t, const struct tokens_view *tokens)
{
	for (size_t i = 0; i < tokens->count; i++)
		if (print_token(t, tokens_at(tokens, i), o->texts, !i) < 0)
			return;
	if (!o->texts)
		puts("");
}

static void print_counts(const struct tokenizer *t, size_t tokens,
	uint64_t bytes, const struct tokenizer_count *n, const char *charset,
	uint64_t faults)
{
	json_t *line = json_pack(
		"{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I}", "tokenizer",
		tokenizer_kind(t), "vocabulary", (json_int_t)tokenizer_vocab(t),
		"tokens", (json_int_t)tokens, "characters",
		(json_int_t)n->characters, "bytes", (json_int_t)bytes,
		"unknown", (json_int_t)n->unknown, "skipped",
		(json_int_t)n->skipped, "encoding", charset, "faults",
		(json_int_t)faults);

	if (line)
		json_dumpf(line, stdout, 0);
	puts("");
	json_decref(line);
}

static int encode_text(const struct tokenize_command *o,
	const struct tokenizer *t, struct error *err)
{
	struct tokenize_result r;

	if (tokenize_text(&r, t,
		    &(struct tokenize_options){ .text = o->text,
			    .len = strlen(o->text),
			    .charset = o->encoding,
			    .faults = (enum encoding_faults)o->encoding_errors,
			    .unknown = (enum unknown_policy)o->unknown },
		    err) < 0)
		return -1;
	if (o->json)
		print_counts(t, r.tokens.len, strlen(o->text), &r.count,
			r.charset, r.faults);
	else
		print_tokens(o, t,
			&(struct tokens_view){ r.tokens.ids,
				sizeof(*r.tokens.ids), r.tokens.len });
	tokenize_release(&r);
	return 0;
}

static int encode_files(const struct tokenize_command *o, struct tokenizer *t,
	char *const *paths, size_t n, struct error *err)
{
	struct corpus_options options = {
		.paths = (const char *const *)paths,
		.n_paths = n,
		.encoding = o->encoding,
		.faults = (enum encoding_faults)o->encoding_errors,
		.unknown = (enum unknown_policy)o->unknown,
		.keep_newlines = true,
		.cache_dir = o->cache_dir,
	};
	struct tokenizer_count count;
	struct corpus c;

	if (corpus_open(&c, &options, t, err) < 0)
		return -1;
	count = (struct tokenizer_count){ c.characters, c.skipped, c.unknown,
		c.unknown_characters };
	if (o->json)
		print_counts(t, c.tokens.count, c.bytes, &count, c.charset,
			c.faults);
	else
		print_tokens(o, t, &c.tokens);
	corpus_release(&c);
	return 0;
}

/* Numbers apart by white space, to ids. */
static int parse_ids(const char *text, const char *path, struct token_buf *ids,
	struct error *err)
{
	static const char blank[] = " \t\r\n";
	unsigned long id;
	char *end;

	for (text += strspn(text, blank); *text; text = end) {
		errno = 0;
		id = strtoul(text, &end, 10);
		if (*text < '0' || *text > '9' || errno || id >= UINT32_MAX ||
			(*end && !strchr(blank, *end)))
			return error_set_param(err, ERROR_INVALID, "tokens",
				"%s: token %zu is '%.*s', expected a number",
				path, ids->len,
				(int)(strcspn(text, blank) < 32
						? strcspn(text, blank)
						: 32),
				text);
		if (token_buf_append(ids, (uint32_t)id) < 0)
			return error_set_memory(err, "tokens", ids->len);
		end += strspn(end, blank);
	}
	return 0;
}

static int decode_file(
	const struct tokenizer *t, const char *path, struct error *err)
{
	struct token_buf ids;
	struct buf text;
	char *read;
	size_t len;
	int rc;

	if (!strcmp(path, "-"))
		path = "/dev/stdin";
	if (file_read(path, MAX_IDS, &read, &len, err) < 0)
		return -1;
	token_buf_init(&ids, MAX_IDS);
	buf_init(&text, SIZE_MAX);
	rc = parse_ids(read, path, &ids, err);
	if (rc == 0)
		rc = tokenize_decode(t, ids.ids, ids.len, &text, err);
	if (rc == 0 && text.len)
		fwrite(text.data, 1, text.len, stdout);
	buf_release(&text);
	token_buf_release(&ids);
	free(read);
	return rc;
}

static const char about[] =
	"usage: unrolld tokenize MODEL TEXT... [OPTION...]\n"
	"       unrolld tokenize MODEL --decode FILE\n"
	"\n"
	"Prints the ids of the model's tokens for texts (- is standard "
	"input).\n";

static int check_usage(
	const void *values, const struct option_list *args, struct error *err)
{
	const struct tokenize_command *o = values;

	if (!args->n)
		return error_set(err, ERROR_INVALID,
			"no model named; usage: unrolld tokenize MODEL "
			"TEXT...");
	if (o->text && (args->n > 1 || o->decode))
		return error_set(err, ERROR_INVALID,
			"--text excludes files and --decode");
	if (!o->text && args->n < 2)
		return error_set(err, ERROR_INVALID,
			"no text named; usage: unrolld tokenize MODEL TEXT...");
	if (o->decode && args->n != 2)
		return error_set(err, ERROR_INVALID,
			"--decode takes one file, %zu are named", args->n - 1);
	return 0;
}

static int run_command(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	const struct tokenize_command *o = values;
	struct model_file m;
	int rc;

	(void)table;
	if (model_file_open(&m, args->items[0], err) < 0)
		return -1;
	if (o->decode)
		rc = decode_file(m.tokenizer, args->items[1], err);
	else if (o->text)
		rc = encode_text(o, m.tokenizer, err);
	else
		rc = encode_files(
			o, m.tokenizer, args->items + 1, args->n - 1, err);
	model_file_release(&m);
	return rc;
}

int cmd_tokenize(int argc, char **argv)
{
	struct tokenize_command o;

	return command_line_run(
		&(struct command_line){ .name = "tokenize",
			.about = about,
			.rows = rows,
			.n_rows = sizeof(rows) / sizeof(rows[0]),
			.values = &o,
			.help = &o.help,
			.check = check_usage,
			.run = run_command },
		argc, argv);
}
