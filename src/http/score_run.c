#include "http/score_run.h"

#include "http/client.h"
#include "http/logprobs.h"
#include "serve/score.h"

#include <string.h>

#define BATCH_BYTES (1u << 20)
#define MAX_TEXTS 10000
#define MAX_LOGPROBS (1u << 20) /* values in one answer */

static const json_t *text_of(const struct score_run *r, size_t i)
{
	return json_is_array(r->params.text) ? json_array_get(r->params.text, i)
					     : r->params.text;
}

int score_run_check(struct score_run *r, struct error *err)
{
	const json_t *list = r->params.text;
	char what[96];

	r->n_texts = json_is_array(list) ? json_array_size(list) : 1;
	if (!list)
		return error_set_param(err, ERROR_INVALID, "text",
			"text is missing, expected a string or an array of 1 "
			"to %d",
			MAX_TEXTS);
	if (!r->n_texts || r->n_texts > MAX_TEXTS)
		return error_set_param(err, ERROR_INVALID, "text",
			"text has %zu items, expected 1 to %d", r->n_texts,
			MAX_TEXTS);
	for (size_t i = 0; i < r->n_texts; i++) {
		if (json_is_string(text_of(r, i)))
			continue;
		request_describe(text_of(r, i), what, sizeof(what));
		return error_set_param(err, ERROR_INVALID, "text",
			"text is or has %s, expected a string or an array of "
			"such",
			what);
	}
	return 0;
}

int score_run_find_model(struct score_run *r, struct error *err)
{
	const struct session_point now = { .position = SESSION_ANY_POSITION };
	const struct api_backend *b = &r->call->api->backend;
	const struct score_params *p = &r->params;

	if (!p->session) {
		r->model = registry_get(b->registry, p->model, err);
		return r->model ? 0 : -1;
	}
	if (session_check_owner(b->sessions, p->session, r->call->owner, err) <
			0 ||
		session_look(b->sessions, b->registry, p->session, &now,
			&r->info, &r->start, &r->model, err) < 0)
		return -1;
	if (!p->model || !strcmp(p->model, r->model->name))
		return 0;
	return error_set_param(err, ERROR_CONFLICT, "model",
		"session %s was made with model %s, not %s", p->session,
		r->model->name, p->model);
}

static int open_text(struct score_run *r, size_t i, struct error *err)
{
	const struct api_options *o = &r->call->api->o;
	struct score_member *m = &r->members[r->n];
	const struct score_params *p = &r->params;
	const json_t *text = text_of(r, i);
	const struct score_options s = {
		.model = r->model,
		.text = json_string_value(text),
		.len = json_string_length(text),
		.prefix = p->prefix.bytes,
		.prefix_len = p->prefix.len,
		.max_prompt = o->max_prompt,
		.unknown = (enum unknown_policy)p->unknown,
		.start = p->session ? &r->start : NULL,
		.has_top = r->has_logprobs,
		.top = (unsigned)p->logprobs,
		.queue_ms = (int64_t)o->queue_timeout,
		.run_ms = (int64_t)o->run_timeout,
		.client = client_identity(r->call->client, p->user),
		.priority = (enum scheduler_priority)p->priority,
		.user = &m->reader,
	};

	if (score_open(&m->request, &s, err) < 0)
		return r->n_texts > 1 ? error_prefix(err, "text %zu", i) : -1;
	r->n++;
	r->values +=
		(generate_prompt_tokens(m->request) - score_from(m->request)) *
		(1 + (uint64_t)p->logprobs);
	if (r->has_logprobs && r->values > MAX_LOGPROBS)
		return error_set_param(err, ERROR_INVALID, "logprobs",
			"logprobs asks for more than %u values in one answer",
			MAX_LOGPROBS);
	return 0;
}

void score_run_open_batch(struct score_run *r)
{
	size_t bytes = 0;

	r->n = r->submitted = 0;
	while (r->next_text < r->n_texts && r->n < SCORE_BATCH &&
		bytes < BATCH_BYTES) {
		bytes += json_string_length(text_of(r, r->next_text)) +
			 r->params.prefix.len;
		if (open_text(r, r->next_text, &r->err) < 0)
			return;
		r->next_text++;
	}
}

static json_t *describe(
	struct score_run *r, const struct score_member *m, size_t i)
{
	const struct tokenizer *t = r->model->tokenizer;
	const uint32_t *ids = generate_prompt(m->request);
	const float *scores = generate_scores(m->request);
	uint64_t n = generate_prompt_tokens(m->request);
	const struct generate_top *top;
	struct logprobs all = { 0 };
	struct score s;
	unsigned n_top;
	json_t *json;

	score_sum(m->request, &s);
	r->tokens += n;
	r->skipped += generate_result(m->request)->usage.skipped;
	json = json_pack("{s:I, s:f, s:I, s:I, s:o, s:o}", "index",
		(json_int_t)i, "logprob", s.logprob, "tokens",
		(json_int_t)s.tokens, "characters", (json_int_t)s.characters,
		"perplexity", s.tokens ? json_real(s.perplexity) : json_null(),
		"bits_per_character",
		s.characters ? json_real(s.bits_per_character) : json_null());
	if (!r->has_logprobs)
		return json;
	top = generate_score_tops(m->request, &n_top);
	for (uint64_t k = score_from(m->request); k < n; k++)
		logprobs_add(&all, t, ids[k], &scores[k],
			n_top ? top + k * n_top : NULL, n_top, true);
	json_object_set_new(
		json, "logprobs", s.tokens ? logprobs_take(&all) : json_null());
	return json;
}

void score_run_answer(struct score_run *r)
{
	r->call->answer = json_pack(
		"{s:s, s:s, s:s, s:s?, s:I, s:o, s:{s:I, s:I, s:I}, s:s}", "id",
		r->id, "object", "score", "model", r->model->name, "session",
		r->params.session, "position", (json_int_t)r->start.position,
		"results", json_incref(r->results), "usage", "prompt_tokens",
		(json_int_t)r->tokens, "total_tokens", (json_int_t)r->tokens,
		"skipped_characters", (json_int_t)r->skipped,
		"system_fingerprint", r->model->system_fingerprint);
}

void score_run_describe_batch(struct score_run *r)
{
	size_t first = r->next_text - r->n;

	for (size_t i = 0; i < r->n; i++) {
		json_array_append_new(
			r->results, describe(r, &r->members[i], first + i));
		generate_close(r->members[i].request);
	}
	r->n = 0;
}
