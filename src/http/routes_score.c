/*
 * POST /v1/score. Texts are taken in batches: a worker tokenises one, an engine
 * scores it beside all else, and the next follows when all of it has ended.
 *
 *   OPENING [a worker] -> SCORING [the loop: engine_submit] -> OPENING or
 *   answered [all are done, or one failed]
 */
#include "http/call.h"
#include "http/client.h"
#include "http/fields.h"
#include "http/logprobs.h"
#include "serve/score.h"
#include "serve/session_branch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 128
#define BESIDE_OTHERS 2
#define BATCH_BYTES (1u << 20)
#define MAX_TEXTS 10000
#define MAX_LOGPROBS (1u << 20) /* values in one answer */

struct score_params {
	const json_t *text;
	struct request_text prefix;
	const char *model, *session, *user;
	int64_t logprobs;
	int unknown, priority;
};

enum { S_TEXT, S_PREFIX, S_MODEL, S_SESSION, S_LOGPROBS };

#define MEMBER(m) .offset = offsetof(struct score_params, m)

static const struct field score_fields[] = {
	[S_TEXT] = { .name = "text",
		.type = FIELD_JSON,
		MEMBER(text),
		.schema = "{\"oneOf\":[{\"type\":\"string\"},{\"type\":"
			  "\"array\",\"minItems\":1,\"maxItems\":10000,"
			  "\"items\":{\"type\":\"string\"}}]}",
		.help = "The text to score, or a list of such, each by itself",
		.required = true },
	[S_PREFIX] = { .name = "prefix",
		.type = FIELD_TEXT,
		MEMBER(prefix),
		.help = "Text that is read before each of them and not scored",
		.preset = "\"\"" },
	[S_MODEL] = MODEL_FIELD(struct score_params, model,
		"A name of /v1/models; the session's or the default "
		"one without it"),
	[S_SESSION] = SESSION_FIELD(struct score_params, session,
		"Score each as this session's continuation; it stays "
		"where it is"),
	[S_LOGPROBS] = LOGPROBS_FIELD(struct score_params, logprobs,
		"Give each token's log-probability, and those of so "
		"many most probable ones in its place"),
	UNKNOWN_FIELD(struct score_params, unknown),
	PRIORITY_FIELD(struct score_params, priority),
	USER_FIELD(struct score_params, user),
};
#define N_FIELDS (sizeof(score_fields) / sizeof(score_fields[0]))

struct member {
	struct api_reader reader;
	struct score_run *run;
	struct generate_request *request;
	bool submitted, ended, late;
};

struct score_run {
	struct score_run *next, *prev;
	struct call *call;
	json_t *json; /* what params borrow from */
	struct score_params params;
	bool has_logprobs;
	struct registry_entry *model; /* a reference */
	struct session_info info;
	struct session_state start; /* with a session */
	size_t n_texts, next_text;
	json_t *results;
	uint64_t tokens, skipped, values;
	struct member members[BATCH];
	size_t n, submitted, running;
	struct error err; /* of a worker */
	char id[40];
	/* The loop's: a worker has the members; and all is to stop. */
	bool listed, at_worker, stopped;
};

static void run_free(struct score_run *r)
{
	struct api *a = r->call->api;

	if (r->listed) {
		*(r->prev ? &r->prev->next : &a->scores) = r->next;
		if (r->next)
			r->next->prev = r->prev;
	}
	for (size_t i = 0; i < r->n; i++)
		generate_close(r->members[i].request);
	json_decref(r->results);
	json_decref(r->json);
	session_info_release(&r->info);
	session_state_release(&r->start);
	registry_unref(r->model);
	free(r);
}

static void finish(struct score_run *r)
{
	struct call *c = r->call;

	c->prompt_tokens = r->tokens;
	run_free(r);
	c->left = NULL;
	c->then = NULL;
	call_finish(c);
}

static const json_t *text_of(const struct score_run *r, size_t i)
{
	return json_is_array(r->params.text) ? json_array_get(r->params.text, i)
					     : r->params.text;
}

/* --- on a worker ------------------------------------------------------ */

static int check_texts(struct score_run *r, struct error *err)
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

static int find_model(struct score_run *r, struct error *err)
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
	struct member *m = &r->members[r->n];
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

static void open_batch(struct score_run *r)
{
	size_t bytes = 0;

	r->n = r->submitted = 0;
	while (r->next_text < r->n_texts && r->n < BATCH &&
		bytes < BATCH_BYTES) {
		bytes += json_string_length(text_of(r, r->next_text)) +
			 r->params.prefix.len;
		if (open_text(r, r->next_text, &r->err) < 0)
			return;
		r->next_text++;
	}
}

static json_t *describe(struct score_run *r, const struct member *m, size_t i)
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

static void answer(struct score_run *r)
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

static void describe_batch(struct score_run *r)
{
	size_t first = r->next_text - r->n;

	for (size_t i = 0; i < r->n; i++) {
		json_array_append_new(
			r->results, describe(r, &r->members[i], first + i));
		generate_close(r->members[i].request);
	}
	r->n = 0;
}

static void work_again(struct call *c)
{
	struct score_run *r = c->data;

	describe_batch(r);
	if (r->next_text < r->n_texts)
		open_batch(r);
	else
		answer(r);
	call_done(c);
}

/* --- on the loop ------------------------------------------------------ */

/* All of the batch have ended. */
static void close_batch(struct score_run *r)
{
	struct call *c = r->call;

	if (!c->err.code && !c->x)
		error_set(&c->err, ERROR_CANCELLED, "the client left");
	if (c->err.code || call_again(c, work_again) < 0)
		finish(r);
	else
		r->at_worker = true;
}

static void cancel(struct score_run *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->members[i].submitted)
			generate_cancel(r->members[i].request, 0);
}

static void fail(struct score_run *r, const struct error *err)
{
	if (!r->call->err.code)
		r->call->err = *err;
	cancel(r);
}

/* While others generate, a few side by side: each row of a step costs them. */
static size_t most_at_once(const struct score_run *r)
{
	const struct api *a = r->call->api;

	if (engine_active(a->backend.engine) <= a->n_scoring)
		return BATCH;
	return r->params.priority == SCHEDULER_BULK ? 1 : BESIDE_OTHERS;
}

/* What a full queue refuses goes on when one of ours has ended. */
static void submit_some(struct score_run *r)
{
	struct engine *engine = r->call->api->backend.engine;
	struct error err;

	while (r->submitted < r->n && !r->call->err.code && r->call->x &&
		r->running < most_at_once(r)) {
		struct member *m = &r->members[r->submitted];

		if (engine_submit(engine, m->request, &err) < 0) {
			if (err.code != ERROR_OVERLOADED || !r->running)
				fail(r, &err);
			break;
		}
		m->submitted = true;
		r->submitted++;
		r->running++;
		r->call->api->n_scoring++;
	}
	if (!r->running)
		close_batch(r);
}

static void member_ended(struct member *m)
{
	const struct generate_result *result = generate_result(m->request);
	struct score_run *r = m->run;
	struct error err;

	r->running--;
	r->call->api->n_scoring--;
	if (result->error.code) {
		fail(r, &result->error);
	} else if (m->late) {
		error_set(&err, ERROR_UNAVAILABLE,
			"a text was not read within http.run_timeout");
		fail(r, &err);
	}
	submit_some(r);
}

static void read_events(struct api_reader *reader, struct generate_request *q)
{
	struct member *m = (struct member *)reader;
	const struct generate_event *e;

	while ((e = generate_next(q))) {
		if (e->type == GENERATE_CHOICE_END)
			m->late = e->finish == GENERATE_DEADLINE;
		if (e->type == GENERATE_ENDED) {
			member_ended(m);
			return;
		}
	}
}

/* Else it is seen when the batch is back. */
static void on_left(struct call *c)
{
	struct score_run *r = c->data;

	if (!r->at_worker)
		cancel(r);
}

static void enlist(struct score_run *r)
{
	struct api *a = r->call->api;

	if (r->listed)
		return;
	r->listed = true;
	r->call->left = on_left;
	if (r->call->x)
		snprintf(r->id, sizeof(r->id), "score-%s",
			exchange_serial(r->call->x));
	r->next = a->scores;
	if (r->next)
		r->next->prev = r;
	a->scores = r;
}

static void set_stopped(struct error *err)
{
	error_set(err, ERROR_UNAVAILABLE,
		"the server stopped before all was scored");
}

/* A batch is open; or what there is of it, and an error. */
static void opened(struct call *c)
{
	struct score_run *r = c->data;

	enlist(r);
	r->at_worker = false;
	if (r->err.code)
		c->err = r->err;
	else if (r->stopped)
		set_stopped(&c->err);
	if (c->err.code || !r->n) {
		finish(r);
		return;
	}
	for (size_t i = 0; i < r->n; i++) {
		r->members[i].reader.read = read_events;
		r->members[i].run = r;
		r->members[i].submitted = r->members[i].late = false;
	}
	submit_some(r);
}

void score_cancel_all(struct api *a)
{
	struct error err;

	set_stopped(&err);
	for (struct score_run *r = a->scores; r; r = r->next) {
		r->stopped = true;
		if (!r->at_worker)
			fail(r, &err);
	}
}

static void begin(struct call *c, struct score_run *r)
{
	uint64_t given;

	r->params.unknown = UNKNOWN_AUTO;
	if (call_read(c, score_fields, N_FIELDS, &r->params, &given, &r->json) <
		0)
		return;
	r->has_logprobs = given >> S_LOGPROBS & 1;
	r->results = json_array();
	if (check_texts(r, &c->err) < 0 || find_model(r, &c->err) < 0)
		return;
	open_batch(r);
}

static void work_score(struct call *c)
{
	struct score_run *r = calloc(1, sizeof(*r));

	if (!r) {
		error_set_memory(&c->err, "score", sizeof(*r));
	} else {
		r->call = c;
		begin(c, r);
		if (c->err.code) {
			run_free(r);
		} else {
			c->data = r;
			c->then = opened;
		}
	}
	call_done(c);
}

static void score(void *ctx, struct exchange *x, const struct route_params *p)
{
	call_start_metered(ctx, x, p, work_score);
}

static const struct route rows[] = {
	{ .method = "POST",
		.path = "/v1/score",
		.scope = ROUTE_SAMPLE,
		.handle = score,
		.summary = "How probable texts are: log-probability, "
			   "perplexity, bits per character",
		.fields = score_fields,
		.n_fields = N_FIELDS,
		.status = 200,
		.schema = "Score",
		.example = "{\"text\": [\"The quick\", \"brown fox\"], "
			   "\"logprobs\": 1}",
		.answer = "application/json" },
};

const struct route_table routes_score = { rows,
	sizeof(rows) / sizeof(rows[0]) };
