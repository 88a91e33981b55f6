/* POST /v1/activations: a worker's work. */
#include "http/base64.h"
#include "http/call.h"
#include "http/fields.h"
#include "http/logprobs.h"
#include "serve/activations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_LIMIT 1000

struct activations_body {
	const char *model, *series;
	struct request_text text;
	int64_t layer, from, limit, top;
	const json_t *cells;
	int unknown;
};

enum {
	A_MODEL,
	A_TEXT,
	A_LAYER,
	A_CELLS,
	A_SERIES,
	A_FROM,
	A_LIMIT,
	A_TOP,
	A_UNKNOWN
};

#define MEMBER(m) .offset = offsetof(struct activations_body, m)

static const struct field fields[] = {
	[A_MODEL] = MODEL_FIELD(struct activations_body, model,
		"A name of /v1/models; the default one without it"),
	[A_TEXT] = { .name = "text",
		.type = FIELD_TEXT,
		MEMBER(text),
		.help = "What the model reads, of at most 20000 tokens" },
	[A_LAYER] = { .name = "layer",
		.type = FIELD_INT,
		MEMBER(layer),
		.min = 0,
		.max = ARCHITECTURE_MAX_LAYERS - 1,
		.help = "From the input, 0; without it the last" },
	[A_CELLS] = { .name = "cells",
		.type = FIELD_JSON,
		MEMBER(cells),
		.schema = "{\"type\":\"array\",\"items\":{\"type\":"
			  "\"integer\",\"minimum\":0}}",
		.help = "Which units of the layer; all without it" },
	[A_SERIES] = { .name = "series",
		.type = FIELD_NAME,
		MEMBER(series),
		.max = 16,
		.help = "Letters of what to give: h, c, and the gates, of lstm "
			"i f g o, of gru r z n",
		.preset = "\"h\"" },
	[A_FROM] = { .name = "from",
		.type = FIELD_INT,
		MEMBER(from),
		.min = 0,
		.max = ACTIVATIONS_MAX_TOKENS,
		.help = "The first token to tell of: `next` of the page before",
		.preset = "0" },
	[A_LIMIT] = { .name = "limit",
		.type = FIELD_INT,
		MEMBER(limit),
		.min = 1,
		.max = ACTIVATIONS_MAX_TOKENS,
		.help = "Tokens to tell of at most",
		.preset = "1000" },
	[A_TOP] = { .name = "top",
		.type = FIELD_INT,
		MEMBER(top),
		.min = 0,
		.max = GENERATE_MAX_LOGPROBS,
		.help = "So many most probable next tokens after each",
		.preset = "0" },
	[A_UNKNOWN] = { .name = "unknown",
		.type = FIELD_CHOICE,
		MEMBER(unknown),
		.choices = "error|skip|auto",
		.help = "What to do with what the vocabulary lacks of the "
			"text; auto is its <unk> where it has one, else error",
		.preset = "\"auto\"" },
};
#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

struct reading {
	struct token_buf tokens;
	uint32_t *cells;
	struct activations answer;
};

static json_t *describe_series(const struct activations *a)
{
	json_t *all = json_object();

	for (size_t i = 0; i < a->n_series; i++) {
		const struct activations_series *s = &a->series[i];
		char *data = base64_encode(s->values, a->count * a->n_cells);
		json_t *scale = json_array();

		for (size_t j = 0; j < a->n_cells; j++)
			json_array_append_new(
				scale, json_real((double)s->scale[j]));
		json_object_set_new(all, s->name,
			json_pack("{s:o, s:s?}", "scale", scale, "data", data));
		free(data);
	}
	return all;
}

static json_t *describe_top(
	const struct registry_entry *m, const struct activations *a)
{
	json_t *all = json_array();

	for (size_t t = 0; t < a->count; t++) {
		json_t *list = json_array();

		for (size_t i = 0; i < a->n_top; i++) {
			const struct generate_top *top =
				&a->top[t * a->n_top + i];

			json_array_append_new(
				list, json_pack("{s:o, s:f}", "text",
					      logprobs_token(
						      m->tokenizer, top->token),
					      "logprob", (double)top->logprob));
		}
		json_array_append_new(all, list);
	}
	return all;
}

static json_t *describe(
	const struct activations_options *o, const struct activations *a)
{
	const struct architecture *arch = model_architecture(o->model->model);
	const size_t next = o->from + a->count;
	json_t *tokens = json_array(), *cells = json_array(), *json;

	for (size_t t = o->from; t < next; t++)
		json_array_append_new(tokens,
			logprobs_token(o->model->tokenizer, o->tokens[t]));
	for (size_t j = 0; j < a->n_cells; j++)
		json_array_append_new(
			cells, json_integer(o->cells ? (json_int_t)o->cells[j]
						     : (json_int_t)j));
	json = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o, "
			 "s:o, s:o}",
		"object", "activations", "model", o->model->name,
		"system_fingerprint", o->model->system_fingerprint, "cell",
		arch->cell, "layer", (json_int_t)o->layer, "layers",
		(json_int_t)arch->layers, "hidden", (json_int_t)arch->hidden,
		"total", (json_int_t)o->n, "from", (json_int_t)o->from,
		"tokens", tokens, "cells", cells, "series", describe_series(a));
	if (json)
		json_object_set_new(json, "next",
			a->count && next < o->n ? json_integer((json_int_t)next)
						: json_null());
	if (json && a->n_top)
		json_object_set_new(json, "top", describe_top(o->model, a));
	return json;
}

static int read_cells(const json_t *list, struct activations_options *o,
	struct reading *r, struct error *err)
{
	char what[96];

	o->n_cells = json_array_size(list);
	if (json_is_array(list) && o->n_cells)
		r->cells = calloc(o->n_cells, sizeof(*r->cells));
	for (size_t i = 0; r->cells && i < o->n_cells; i++) {
		const json_t *item = json_array_get(list, i);
		json_int_t id = json_integer_value(item);

		if (json_is_integer(item) && id >= 0 && id < UINT32_MAX) {
			r->cells[i] = (uint32_t)id;
			continue;
		}
		request_describe(item, what, sizeof(what));
		return error_set_param(err, ERROR_INVALID, "cells",
			"cells[%zu] is %s, expected a number of a unit", i,
			what);
	}
	o->cells = r->cells;
	if (r->cells)
		return 0;
	request_describe(list, what, sizeof(what));
	return error_set_param(err, ERROR_INVALID, "cells",
		"cells is %s, expected an array of numbers of units", what);
}

static int fill(struct reading *r, const struct activations_body *b,
	uint64_t given, struct activations_options *o, struct error *err)
{
	size_t skipped;

	if (!b->text.len)
		return error_set_param(err, ERROR_INVALID, "text",
			"text is missing or empty, expected what the model is "
			"to read");
	if (tokenizer_encode(o->model->tokenizer, b->text.bytes, b->text.len,
		    (enum unknown_policy)b->unknown, &r->tokens, &skipped,
		    err) < 0) {
		snprintf(err->param, sizeof(err->param), "text");
		return -1;
	}
	o->tokens = r->tokens.ids;
	o->n = r->tokens.len;
	o->layer = given >> A_LAYER & 1
			   ? (size_t)b->layer
			   : model_architecture(o->model->model)->layers - 1;
	return given >> A_CELLS & 1 ? read_cells(b->cells, o, r, err) : 0;
}

static void read_text(
	struct call *c, const struct activations_body *b, uint64_t given)
{
	struct reading r = { 0 };
	struct activations_options o = { .from = (size_t)b->from,
		.count = (size_t)b->limit,
		.series = b->series,
		.top = (unsigned)b->top };

	o.model = registry_get(c->api->backend.registry, b->model, &c->err);
	if (!o.model)
		return;
	token_buf_init(&r.tokens, ACTIVATIONS_MAX_TOKENS);
	if (fill(&r, b, given, &o, &c->err) == 0 &&
		activations_read(&r.answer, &o, &c->err) == 0) {
		c->prompt_tokens = o.from + r.answer.count;
		c->answer = describe(&o, &r.answer);
	}
	activations_release(&r.answer);
	token_buf_release(&r.tokens);
	free(r.cells);
	registry_unref(o.model);
}

static void work(struct call *c)
{
	struct activations_body b = {
		.series = "h", .limit = DEFAULT_LIMIT, .unknown = UNKNOWN_AUTO
	};
	uint64_t given;
	json_t *json;

	if (call_read(c, fields, N_FIELDS, &b, &given, &json) == 0) {
		read_text(c, &b, given);
		json_decref(json);
	}
	call_done(c);
}

static void activations(
	void *ctx, struct exchange *x, const struct route_params *p)
{
	call_start_metered(ctx, x, p, work);
}

static const struct route rows[] = {
	{ .method = "POST",
		.path = "/v1/activations",
		.scope = ROUTE_SAMPLE,
		.handle = activations,
		.summary = "What a layer's cells do while the model reads a "
			   "text",
		.fields = fields,
		.n_fields = N_FIELDS,
		.status = 200,
		.answer = "application/json" },
};

const struct route_table routes_activations = { rows,
	sizeof(rows) / sizeof(rows[0]) };
