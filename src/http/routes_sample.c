/* A generation that runs, and its client. Loop thread. */
#include "http/reply.h"
#include "http/sample.h"
#include "http/stream.h"

#include <stdlib.h>
#include <string.h>

static void release_resume(struct sample_resume *r)
{
	record_free(r->record);
	if (r->has_state)
		session_state_release(&r->state);
}

static void release_choice(struct sample_choice *c)
{
	buf_release(&c->text);
	logprobs_release(&c->logprobs);
}

static void unlist(struct sample *s)
{
	if (s->next)
		s->next->prev = s->prev;
	if (s->prev)
		s->prev->next = s->next;
	else
		s->api->samples = s->next;
	s->api->n_samples--;
	s->api->n_detached -= s->detached;
	s->api->n_streams -= s->params.stream && s->submitted;
}

void sample_free(struct sample *s)
{
	struct api *a = s->api;

	unlist(s);
	if (s->submitted)
		quota_end(a->quota, s->client, uv_now(a->loop));
	if (s->group)
		group_leave(s);
	sample_leave_line(s);
	if (s->held)
		session_abort(s->held);
	if (s->stream)
		streams_forget(&a->streams, s->stream);
	if (s->request)
		generate_close(s->request);
	for (size_t i = 0; i < GENERATE_MAX_CHOICES; i++)
		release_choice(&s->choices[i]);
	release_resume(&s->resume);
	if (s->found == 1)
		buf_release(&s->answer.body);
	free(s->stored);
	buf_release(&s->marks);
	buf_release(&s->body);
	buf_release(&s->prompt_text);
	json_decref(s->json);
	/* Whoever is next in line finds what this one has stored. */
	idempotent_release(a->keys, &s->key);
	free(s);
}

void sample_cancel(struct sample *s)
{
	/* Whoever gets its answer whole can ask again from the same state, and
	 * who will come back for its stream gets all of it. */
	uint64_t kept = s->params.stream && !s->detached ? sample_sent(s) : 0;

	if (!s->submitted || s->cancelled)
		return;
	s->cancelled = true;
	generate_cancel_sent(s->request, kept, kept ? s->sent : 0);
}

static bool goes_on(const struct sample *s)
{
	return s->submitted && !s->cancelled && s->params.on_disconnect &&
	       !s->resume.replays &&
	       s->api->n_detached < s->api->o.max_detached;
}

static void on_close(void *data, bool completed)
{
	struct sample *s = data;

	(void)completed;
	if (sample_leave_line(s)) {
		s->x = NULL;
		sample_free(s);
		return;
	}
	if (goes_on(s)) {
		sample_sent(s);
		s->detached = true;
		s->api->n_detached++;
	} else {
		sample_cancel(s);
	}
	s->x = NULL;
	/* What waits in the ring makes way for the end. */
	if (s->submitted)
		sample_pump(s);
}

static void on_writable(void *data)
{
	sample_pump(data);
}

const struct exchange_ops sample_exchange_ops = {
	.on_close = on_close,
	.on_writable = on_writable,
};

void sample_detach(struct sample *s)
{
	if (s->x && !s->group)
		exchange_attach(s->x, NULL, NULL);
	s->x = NULL;
}

void sample_refuse(struct sample *s, const struct error *err)
{
	if (s->group)
		group_failed(s, err);
	else if (s->x)
		api_reply_error(s->api, s->x, err, s->retry_after);
	sample_detach(s);
	sample_free(s);
}

static void begin(
	struct api *a, struct exchange *x, const struct sample_shape *shape)
{
	struct idempotent key;
	struct error err;
	struct sample *s;

	if (!api_admit(a, x))
		return;
	memset(&key, 0, sizeof(key));
	if (idempotent_read(&key, x, &err) < 0) {
		reply_error(x, &err);
		return;
	}
	s = sample_new(a, x, shape);
	if (!s)
		return;
	s->key = key;
	exchange_take_body(x, &s->body);
	sample_start(s);
}

static void sample(
	void *ctx, struct exchange *x, const struct route_params *params)
{
	(void)params;
	begin(ctx, x, &sample_shape_own);
}

static void complete(
	void *ctx, struct exchange *x, const struct route_params *params)
{
	(void)params;
	begin(ctx, x, &sample_shape_completion);
}

/* --- running ---------------------------------------------------------- */

static void first_token(struct sample *s)
{
	if (s->told_first || !s->x)
		return;
	s->told_first = true;
	metrics_observe(s->api->metrics, MEASURE_FIRST_TOKEN_SECONDS, 0,
		exchange_elapsed(s->x));
}

/* Into the pending frame; a frame is of one choice. */
static int take(struct sample *s, const struct generate_event *e)
{
	/* What the client has got already is only counted. */
	if (e->type == GENERATE_TOKEN && e->index <= s->resume.from) {
		sample_skip(s, e);
		return 0;
	}
	if (e->type == GENERATE_TOKEN)
		first_token(s);
	if (s->params.stream && e->choice != s->frame_choice &&
		sample_flush(s) < 0)
		return -1;
	if (sample_take(s, e) < 0)
		return -1;
	return s->params.stream && sample_frame_full(s) ? sample_flush(s) : 0;
}

static void read_event(struct sample *s)
{
	if (s->event)
		return;
	s->event = generate_next(s->request);
	if (s->event && !s->seen_event) {
		s->seen_event = true;
		sample_see_first(s);
	}
}

/* Read what the engine has for it, as far as its client keeps up: what is left
 * in the ring pauses the slot. */
void sample_pump(struct sample *s)
{
	const struct generate_event *e;

	for (;;) {
		read_event(s);
		if ((s->x || s->detached) && !sample_echo(s))
			return;
		if (s->params.stream && s->x &&
			exchange_stream_room(s->x) < SAMPLE_FRAME_ROOM)
			return;
		e = s->event;
		s->event = NULL;
		if (!e)
			break;
		if (e->type == GENERATE_ENDED) {
			sample_end(s);
			return;
		}
		if (e->type == GENERATE_SETTLED)
			sample_settled(s);
		else if ((s->x || s->detached) && take(s, e) < 0)
			sample_cancel(s);
	}
	/* Nobody waits for it: let frames grow full. */
	if (s->params.stream && s->x && sample_flush(s) < 0)
		sample_cancel(s);
}

static void on_events(struct generate_request *r, void *arg)
{
	struct api_reader *reader = generate_user(r);

	(void)arg;
	reader->read(reader, r);
}

void sample_poll(struct api *a)
{
	engine_poll(a->backend.engine, on_events, NULL);
}

void sample_heartbeat(struct api *a)
{
	uint64_t now = uv_now(a->loop);

	for (struct sample *s = a->samples; s; s = s->next)
		if (s->begun && s->x && s->params.stream &&
			now - s->last_write >= a->o.heartbeat) {
			size_t room = exchange_stream_room(s->x);

			stream_ping(s->x);
			s->stream_bytes += room - exchange_stream_room(s->x);
			s->last_write = now;
		}
}

/* Who is refused gives way to others, which may end them, too: so the list is
 * looked at afresh after each. */
static struct sample *next_to_stop(struct api *a)
{
	struct sample *s = a->samples;

	while (s && s->stopping)
		s = s->next;
	return s;
}

void sample_cancel_all(struct api *a)
{
	struct sample *s;
	struct error err;

	error_set(&err, ERROR_UNAVAILABLE, SAMPLE_STOPPED);
	while ((s = next_to_stop(a))) {
		s->stopping = true;
		if (sample_leave_line(s))
			sample_refuse(s, &err);
		else
			sample_cancel(s);
	}
}

static const struct route rows[] = {
	{ .method = "POST",
		.path = "/sample",
		.scope = ROUTE_SAMPLE,
		.handle = sample,
		.summary = "Continue a prompt or a session",
		.fields = sample_fields,
		.n_fields = SAMPLE_FIELDS,
		.status = 200,
		.schema = "Sample",
		.streams = true,
		.example = "{\"prompt\": \"The \", \"length\": 20, "
			   "\"temperature\": 0.8, \"seed\": 1}",
		.answer = "application/json" },
	{ .method = "POST",
		.path = "/v1/completions",
		.scope = ROUTE_SAMPLE,
		.handle = complete,
		.summary = "Continue prompts, in OpenAI's shape",
		.fields = sample_fields + COMPLETION_FIRST,
		.n_fields = COMPLETION_FIELDS,
		.lenient = true,
		.status = 200,
		.schema = "Completion",
		.streams = true,
		.example =
			"{\"prompt\": [\"The \", \"quick\"], \"max_tokens\": "
			"8, \"n\": 2, \"logprobs\": 1, \"seed\": 1}",
		.answer = "application/json" },
};

const struct route_table routes_sample = { rows,
	sizeof(rows) / sizeof(rows[0]) };
