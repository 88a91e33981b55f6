/* Text to tokens and back, on a worker. A text may also come raw, in any
 * charset; its fields are then in the query. */
#include "http/call.h"
#include "http/fields.h"
#include "http/api_internal.h"
#include "serve/tokenize.h"

#include <stdlib.h>
#include <string.h>

struct tokenize_body {
	struct request_text text;
	const char *model;
	int unknown, errors;
	bool texts;
	const char *encoding;
};

#define MEMBER(member_) .offset = offsetof(struct tokenize_body, member_)
#define MODEL_HELP "Whose tokens; without it the default's"
#define TEXTS_FIELD                                                     \
	{                                                               \
		.name = "texts", .type = FIELD_BOOL, MEMBER(texts),     \
		.help = "Each token's own text, too; what is no whole " \
			"character alone is U+FFFD",                    \
		.preset = "false"                                       \
	}

enum { TOKENIZE_TEXT, TOKENIZE_MODEL, TOKENIZE_UNKNOWN, TOKENIZE_TEXTS };

static const struct field tokenize_fields[] = {
	[TOKENIZE_TEXT] = { .name = "text",
		.type = FIELD_TEXT,
		MEMBER(text),
		.help = "The text" },
	[TOKENIZE_MODEL] = MODEL_FIELD(struct tokenize_body, model, MODEL_HELP),
	[TOKENIZE_UNKNOWN] = UNKNOWN_FIELD(struct tokenize_body, unknown),
	[TOKENIZE_TEXTS] = TEXTS_FIELD,
};
#define N_TOKENIZE (sizeof(tokenize_fields) / sizeof(tokenize_fields[0]))

static const struct field tokenize_query[] = {
	MODEL_FIELD(struct tokenize_body, model, MODEL_HELP),
	UNKNOWN_FIELD(struct tokenize_body, unknown),
	TEXTS_FIELD,
	{ .name = "encoding",
		.type = FIELD_NAME,
		MEMBER(encoding),
		.max = 31,
		.help = "Of a raw body: its charset as iconv names it, or "
			"auto; without it what Content-Type says, else utf-8" },
	{ .name = "encoding_errors",
		.type = FIELD_CHOICE,
		MEMBER(errors),
		.choices = "strict|replace|skip",
		.help = "Of a raw body: what becomes of bytes that the "
			"charset doesn't have",
		.preset = "\"strict\"" },
};
#define N_QUERY (sizeof(tokenize_query) / sizeof(tokenize_query[0]))

static json_t *number_list(const struct token_buf *tokens)
{
	json_t *list = json_array();

	for (size_t i = 0; i < tokens->len; i++)
		json_array_append_new(list, json_integer(tokens->ids[i]));
	return list;
}

static json_t *text_list(
	const struct tokenizer *t, const struct token_buf *tokens)
{
	json_t *list = json_array();

	for (size_t i = 0; i < tokens->len; i++)
		json_array_append_new(list, tokenize_token(t, tokens->ids[i]));
	return list;
}

static json_t *answer(const struct registry_entry *m,
	const struct tokenize_result *r, bool texts)
{
	json_t *json = json_pack(
		"{s:s, s:s, s:o, s:I, s:I, s:I, s:I, s:s, s:I}", "object",
		"tokens", "model", m->name, "tokens", number_list(&r->tokens),
		"count", (json_int_t)r->tokens.len, "characters",
		(json_int_t)r->count.characters, "skipped_characters",
		(json_int_t)r->count.skipped, "unknown_tokens",
		(json_int_t)r->count.unknown, "encoding", r->charset,
		"encoding_errors", (json_int_t)r->faults);

	if (json && texts)
		json_object_set_new(
			json, "texts", text_list(m->tokenizer, &r->tokens));
	return json;
}

static void tokenize(struct call *c, const struct tokenize_body *b)
{
	const struct tokenize_options o = { .text = b->text.bytes,
		.len = b->text.len,
		.charset = b->encoding,
		.faults = (enum encoding_faults)b->errors,
		.unknown = (enum unknown_policy)b->unknown };
	struct tokenize_result r;
	struct registry_entry *m =
		registry_get(c->api->backend.registry, b->model, &c->err);

	if (!m)
		return;
	if (tokenize_text(&r, m->tokenizer, &o, &c->err) == 0) {
		c->answer = answer(m, &r, b->texts);
		tokenize_release(&r);
	}
	registry_unref(m);
}

/* The query as the JSON that its fields would be in a body. */
static int query_json(struct call *c, json_t **json)
{
	char value[128];

	*json = json_object();
	for (size_t i = 0; i < N_QUERY; i++) {
		const struct field *f = &tokenize_query[i];
		const char *text =
			call_query(c, f->name, value, sizeof(value), &c->err);
		json_t *set;

		if (c->err.code)
			return -1;
		if (!text)
			continue;
		set = f->type != FIELD_BOOL    ? json_string(text)
		      : !strcmp(text, "true")  ? json_true()
		      : !strcmp(text, "false") ? json_false()
					       : json_string(text);
		json_object_set_new(*json, f->name, set);
	}
	return call_check_query(c, tokenize_query, N_QUERY, &c->err);
}

static void tokenize_raw(struct call *c)
{
	struct tokenize_body b = { .unknown = UNKNOWN_AUTO,
		.encoding = c->charset[0] ? c->charset : NULL };
	uint64_t given;
	json_t *json;

	if (query_json(c, &json) == 0 &&
		request_read(json, tokenize_query, N_QUERY, &b, &given,
			&c->err) == 0) {
		b.text.bytes = c->body.data ? c->body.data : "";
		b.text.len = c->body.len;
		tokenize(c, &b);
	}
	json_decref(json);
}

static void work_tokenize(struct call *c)
{
	struct tokenize_body b = { .unknown = UNKNOWN_AUTO };
	uint64_t given;
	json_t *json;

	if (c->binary_body) {
		tokenize_raw(c);
	} else if (call_read(c, tokenize_fields, N_TOKENIZE, &b, &given,
			   &json) == 0) {
		if (given >> TOKENIZE_TEXT & 1)
			tokenize(c, &b);
		else
			error_set_param(&c->err, ERROR_INVALID, "text",
				"text is missing, expected a string; or send "
				"it raw as " ROUTE_TEXT);
		json_decref(json);
	}
	call_done(c);
}

struct detokenize_body {
	const json_t *tokens;
	const char *model;
};

static const struct field detokenize_fields[] = {
	{ .name = "tokens",
		.type = FIELD_JSON,
		.offset = offsetof(struct detokenize_body, tokens),
		.schema = "{\"type\":\"array\",\"items\":{\"type\":"
			  "\"integer\",\"minimum\":0}}",
		.help = "Token ids" },
	MODEL_FIELD(struct detokenize_body, model, MODEL_HELP),
};
#define N_DETOKENIZE (sizeof(detokenize_fields) / sizeof(detokenize_fields[0]))

static uint32_t *read_ids(const json_t *list, struct error *err)
{
	size_t n = json_array_size(list);
	uint32_t *ids = malloc(n * sizeof(*ids) + 1);
	char what[96];

	if (!ids)
		error_set_memory(err, "tokens", n * sizeof(*ids));
	for (size_t i = 0; ids && i < n; i++) {
		const json_t *item = json_array_get(list, i);
		json_int_t id = json_integer_value(item);

		if (json_is_integer(item) && id >= 0 && id < UINT32_MAX) {
			ids[i] = (uint32_t)id;
			continue;
		}
		request_describe(item, what, sizeof(what));
		error_set_param(err, ERROR_INVALID, "tokens",
			"tokens[%zu] is %s, expected a token id", i, what);
		free(ids);
		return NULL;
	}
	return ids;
}

static json_t *text_answer(const struct registry_entry *m,
	const struct buf *text, size_t n, struct error *err)
{
	json_t *string = json_stringn(text->data ? text->data : "", text->len);

	if (!string)
		error_set_memory(err, "text", text->len);
	return string ? json_pack("{s:s, s:s, s:o, s:I}", "object", "text",
				"model", m->name, "text", string, "count",
				(json_int_t)n)
		      : NULL;
}

static void detokenize(struct call *c, const struct detokenize_body *b)
{
	size_t n = json_array_size(b->tokens);
	uint32_t *ids = read_ids(b->tokens, &c->err);
	struct registry_entry *m =
		ids ? registry_get(c->api->backend.registry, b->model, &c->err)
		    : NULL;
	struct buf text;

	buf_init(&text,
		3 * (n + 1) *
			(m && m->max_token_bytes ? m->max_token_bytes : 1));
	if (m && tokenize_decode(m->tokenizer, ids, n, &text, &c->err) == 0)
		c->answer = text_answer(m, &text, n, &c->err);
	buf_release(&text);
	registry_unref(m);
	free(ids);
}

static void work_detokenize(struct call *c)
{
	struct detokenize_body b = { 0 };
	uint64_t given;
	json_t *json;
	char what[96];

	if (call_read(c, detokenize_fields, N_DETOKENIZE, &b, &given, &json) ==
		0) {
		if (json_is_array(b.tokens)) {
			detokenize(c, &b);
		} else {
			if (b.tokens)
				request_describe(b.tokens, what, sizeof(what));
			error_set_param(&c->err, ERROR_INVALID, "tokens",
				"tokens is %s, expected an array of token ids",
				b.tokens ? what : "missing");
		}
		json_decref(json);
	}
	call_done(c);
}

static void handle_tokenize(
	void *ctx, struct exchange *x, const struct route_params *p)
{
	call_start(ctx, x, p, work_tokenize);
}

static void handle_detokenize(
	void *ctx, struct exchange *x, const struct route_params *p)
{
	call_start(ctx, x, p, work_detokenize);
}

static const struct route rows[] = {
	{ .method = "POST",
		.path = "/v1/tokenize",
		.scope = ROUTE_SAMPLE,
		.handle = handle_tokenize,
		.summary = "A text's tokens",
		.fields = tokenize_fields,
		.n_fields = N_TOKENIZE,
		.query = tokenize_query,
		.n_query = N_QUERY,
		.binary = true,
		.text = true,
		.status = 200,
		.answer = "application/json",
		.schema = "Tokens",
		.example = "{\"text\":\"O me!\",\"texts\":true}" },
	{ .method = "POST",
		.path = "/v1/detokenize",
		.scope = ROUTE_SAMPLE,
		.handle = handle_detokenize,
		.summary = "The text of tokens",
		.fields = detokenize_fields,
		.n_fields = N_DETOKENIZE,
		.status = 200,
		.answer = "application/json",
		.schema = "Text",
		.example = "{\"tokens\":[3,4,5]}" },
};

const struct route_table routes_tokenize = { rows,
	sizeof(rows) / sizeof(rows[0]) };
