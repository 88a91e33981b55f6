/*
 * POST /v1/score. Texts are taken in batches: a worker tokenises one, an engine
 * scores it beside all else, and the next follows when all of it has ended.
 *
 *   OPENING [a worker] -> SCORING [the loop: engine_submit] -> OPENING or
 *   answered [all are done, or one failed]
 */
#include "http/call.h"
#include "http/fields.h"
#include "http/score_run.h"

#include <stdio.h>
#include <stdlib.h>

#define BESIDE_OTHERS 2

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

/* --- on a worker ------------------------------------------------------ */

static void work_again(struct call *c)
{
	struct score_run *r = c->data;

	score_run_describe_batch(r);
	if (r->next_text < r->n_texts)
		score_run_open_batch(r);
	else
		score_run_answer(r);
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
		return SCORE_BATCH;
	return r->params.priority == SCHEDULER_BULK ? 1 : BESIDE_OTHERS;
}

/* What a full queue refuses goes on when one of ours has ended. */
static void submit_some(struct score_run *r)
{
	struct engine *engine = r->call->api->backend.engine;
	struct error err;

	while (r->submitted < r->n && !r->call->err.code && r->call->x &&
		r->running < most_at_once(r)) {
		struct score_member *m = &r->members[r->submitted];

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

static void member_ended(struct score_member *m)
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
	struct score_member *m = (struct score_member *)reader;
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
	else if (r->stopped && r->n)
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
	if (score_run_check(r, &c->err) < 0 ||
		score_run_find_model(r, &c->err) < 0)
		return;
	score_run_open_batch(r);
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
