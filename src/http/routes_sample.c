/* Loop thread, but for `open_on_worker`, which touches only its sample. */
#include "base/log.h"
#include "http/client.h"
#include "http/reply.h"
#include "http/sample.h"
#include "http/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Over this a body is parsed by a worker. */
#define INLINE_BODY GENERATE_INLINE_PROMPT
#define MAX_MARKS (1u << 20)

static void pump(struct sample *s);
static void read_events(struct api_reader *reader, struct generate_request *r);

static void sample_free(struct sample *s)
{
	if (s->next)
		s->next->prev = s->prev;
	if (s->prev)
		s->prev->next = s->next;
	else
		s->api->samples = s->next;
	s->api->n_samples--;
	s->api->n_streams -= s->params.stream && s->submitted;
	if (s->request)
		generate_close(s->request);
	for (size_t i = 0; i < GENERATE_MAX_CHOICES; i++) {
		struct sample_choice *c = &s->choices[i];

		buf_release(&c->text);
		json_decref(c->tokens);
		json_decref(c->token_logprobs);
		json_decref(c->top_logprobs);
	}
	buf_release(&s->marks);
	buf_release(&s->body);
	json_decref(s->json);
	free(s);
}

static void cancel(struct sample *s)
{
	if (!s->submitted || s->cancelled)
		return;
	s->cancelled = true;
	/* Whoever gets its answer whole can ask again from the same state. */
	generate_cancel(s->request, s->params.stream ? sample_sent(s) : 0);
}

static void on_close(void *data, bool completed)
{
	struct sample *s = data;

	(void)completed;
	cancel(s);
	s->x = NULL;
	/* What waits in the ring makes way for the end. */
	if (s->submitted)
		pump(s);
}

static void on_writable(void *data)
{
	pump(data);
}

static const struct exchange_ops ops = {
	.on_close = on_close,
	.on_writable = on_writable,
};

/* Answered: the exchange goes its own way. */
static void detach(struct sample *s)
{
	if (s->x)
		exchange_attach(s->x, NULL, NULL);
	s->x = NULL;
}

/* Who was turned away from the queue is told when it may be worth a try. */
static void reply_failure(struct sample *s, const struct error *err)
{
	struct engine *engine = s->api->backend.engine;

	if (s->x && err->code == ERROR_OVERLOADED)
		reply_error_later(s->x, err, engine_retry_after(engine));
	else if (s->x)
		reply_error(s->x, err);
}

static void refuse(struct sample *s, const struct error *err)
{
	reply_failure(s, err);
	detach(s);
	sample_free(s);
}

/* --- opening ---------------------------------------------------------- */

static size_t fill_stops(const struct sample_params *p, const char **stops)
{
	size_t n = json_is_array(p->stop) ? json_array_size(p->stop) : 1;

	if (!p->stop)
		return 0;
	for (size_t i = 0; i < n; i++)
		stops[i] = json_string_value(
			json_is_array(p->stop) ? json_array_get(p->stop, i)
					       : p->stop);
	return n;
}

static size_t fill_biases(
	const struct sample_params *p, struct sampler_bias *biases)
{
	const char *key;
	json_t *value;
	size_t n = 0;

	json_object_foreach((json_t *)p->logit_bias, key, value)
	{
		biases[n].token = (uint32_t)strtoul(key, NULL, 10);
		biases[n++].bias = (float)json_number_value(value);
	}
	return n;
}

static void fill_options(const struct sample *s, struct generate_options *o)
{
	const struct sample_params *p = &s->params;

	generate_defaults(o);
	o->prompt = p->prompt.bytes;
	o->prompt_len = p->prompt.len;
	o->unknown = p->unknown ? UNKNOWN_SKIP : UNKNOWN_ERROR;
	o->sampler.temperature = p->temperature;
	o->sampler.top_k = (uint32_t)p->top_k;
	o->sampler.top_p = p->top_p;
	o->sampler.min_p = p->min_p;
	o->sampler.repetition_penalty = p->repetition_penalty;
	o->sampler.presence_penalty = p->presence_penalty;
	o->sampler.frequency_penalty = p->frequency_penalty;
	o->length = (uint64_t)p->length;
	o->seed = p->seed;
	o->has_seed = p->has_seed;
	o->n = (unsigned)p->n;
	o->has_logprobs = p->has_logprobs;
	o->logprobs = (unsigned)p->logprobs;
	o->queue_ms = (int64_t)s->api->o.queue_timeout;
	o->run_ms = (int64_t)s->api->o.run_timeout;
	o->deadline_ms = p->deadline_ms;
	o->priority = (enum scheduler_priority)p->priority;
	o->client = client_identity(s->client, p->user);
	o->user = (void *)&s->reader;
}

static int open_generation(struct sample *s,
	const struct generate_options *base, struct error *err)
{
	struct generate_options o = *base;
	const struct sample_params *p = &s->params;
	const char *stops[GENERATE_MAX_STOPS];
	struct sampler_bias *biases = NULL;
	size_t n = p->logit_bias ? json_object_size(p->logit_bias) : 0;
	int opened;

	if (n) {
		biases = calloc(n, sizeof(*biases));
		if (!biases)
			return error_set_memory(err, "logit_bias", n);
		o.sampler.n_bias = fill_biases(p, biases);
		o.sampler.bias = biases;
	}
	o.n_stop = fill_stops(p, stops);
	o.stop = stops;
	opened = generate_open(&s->request, &o, err);
	free(biases);
	return opened;
}

/* Reads the store when there is a session: a worker's work then. */
static int open_sample(struct sample *s, struct error *err)
{
	const struct sample_params *p = &s->params;
	const struct api_backend *b = &s->api->backend;
	struct generate_options o;
	int opened;

	fill_options(s, &o);
	if (p->session) {
		if (session_begin(b->sessions, b->registry, p->session,
			    p->model,
			    p->has_position ? (uint64_t)p->expected_position
					    : SESSION_ANY_POSITION,
			    &o.session, &o.model, err) < 0)
			return -1;
	} else {
		o.model = registry_get(b->registry, p->model, err);
		if (!o.model)
			return -1;
	}
	opened = open_generation(s, &o, err);
	if (opened < 0 && o.session)
		session_abort(o.session);
	registry_unref(o.model);
	return opened;
}

static int parse(struct sample *s, struct error *err)
{
	const char *text = s->body.data ? s->body.data : "";

	if (request_parse(text, s->body.len, false, &s->json, err) < 0)
		return -1;
	buf_release(&s->body);
	return sample_read(s->json, s->api->o.max_length, &s->params, err);
}

/* What a choice's text can come to. */
static size_t text_limit(const struct sample *s)
{
	size_t token = generate_model(s->request)->max_token_bytes + 4;

	return s->params.prompt.len + (size_t)s->params.length * token +
	       GENERATE_MAX_STOP_BYTES;
}

static void submit(struct sample *s)
{
	struct error err;

	if (!s->x) {
		sample_free(s);
		return;
	}
	if (engine_submit(s->api->backend.engine, s->request, &err) < 0) {
		refuse(s, &err);
		return;
	}
	s->submitted = true;
	s->last_write = uv_now(s->api->loop);
	for (int64_t i = 0; i < s->params.n; i++)
		buf_init(&s->choices[i].text, text_limit(s));
	buf_init(&s->marks, MAX_MARKS);
	if (s->params.stream) {
		s->api->n_streams++;
		stream_begin(s->x);
	}
	if (!s->params.echo) {
		json_decref(s->json);
		s->json = NULL;
	}
	pump(s);
}

static void open_on_worker(struct worker_job *job)
{
	struct sample *s = (struct sample *)job;

	if (s->json || !parse(s, &s->err))
		open_sample(s, &s->err);
	worker_done(job);
}

static void opened(struct worker_job *job)
{
	struct sample *s = (struct sample *)job;

	if (s->err.code)
		refuse(s, &s->err);
	else
		submit(s);
}

static struct sample *sample_new(struct api *a, struct exchange *x)
{
	struct sample *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->job.run = open_on_worker;
	s->job.done = opened;
	s->reader.read = read_events;
	s->api = a;
	s->x = x;
	s->created = time(NULL);
	snprintf(s->id, sizeof(s->id), "sample-%s", exchange_id(x) + 4);
	s->client = client_of(x);
	exchange_take_body(x, &s->body);
	exchange_attach(x, &ops, s);
	s->next = a->samples;
	if (s->next)
		s->next->prev = s;
	a->samples = s;
	a->n_samples++;
	return s;
}

static void sample(
	void *ctx, struct exchange *x, const struct route_params *params)
{
	struct api *a = ctx;
	struct error err;
	struct sample *s;

	(void)params;
	if (!api_admit(a, x))
		return;
	s = sample_new(a, x);
	if (!s) {
		error_set_memory(&err, "request", sizeof(*s));
		reply_error(x, &err);
		return;
	}
	if (s->body.len <= INLINE_BODY) {
		if (parse(s, &err) < 0) {
			refuse(s, &err);
			return;
		}
		if (!s->params.session) {
			if (open_sample(s, &err) < 0)
				refuse(s, &err);
			else
				submit(s);
			return;
		}
	}
	if (workers_post(a->workers, &s->job, &err) < 0)
		refuse(s, &err);
}

/* --- running ---------------------------------------------------------- */

static enum generate_finish outcome(const struct sample *s)
{
	const struct generate_result *r = generate_result(s->request);

	if (s->cancelled || r->error.code == ERROR_CANCELLED)
		return GENERATE_CANCELLED;
	if (r->error.code)
		return GENERATE_FAILED;
	return s->choices[0].finish;
}

static void account(struct sample *s)
{
	static const int columns[] = {
		[GENERATE_LENGTH] = 0,
		[GENERATE_STOP] = 1,
		[GENERATE_DEADLINE] = 2,
		[GENERATE_CANCELLED] = 3,
		[GENERATE_FAILED] = 4,
	};
	const struct generate_result *r = generate_result(s->request);
	struct metrics *m = s->api->metrics;

	metrics_add(m, MEASURE_GENERATIONS,
		metrics_series(
			m, MEASURE_GENERATIONS, (size_t)columns[outcome(s)], 0),
		1);
	if (r->committed)
		api_note_store(s->api, NULL);
	else if (r->error.code == ERROR_IO || r->error.code == ERROR_NO_SPACE)
		api_note_store(s->api, &r->error);
}

static void answer_whole(struct sample *s)
{
	const struct generate_result *r = generate_result(s->request);

	if (s->stopping)
		reply_refuse(s->x, 503, "unavailable", "", SAMPLE_STOPPED);
	else if (r->error.code)
		reply_failure(s, &r->error);
	else
		reply_json(s->x, 200, sample_answer(s));
}

static void end(struct sample *s)
{
	account(s);
	if (s->x && s->params.stream) {
		sample_flush(s);
		sample_send_last(s);
	} else if (s->x) {
		answer_whole(s);
	}
	detach(s);
	sample_free(s);
}

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
	if (e->type == GENERATE_TOKEN)
		first_token(s);
	if (s->params.stream && e->choice != s->frame_choice &&
		sample_flush(s) < 0)
		return -1;
	if (sample_take(s, e) < 0)
		return -1;
	return s->params.stream && sample_frame_full(s) ? sample_flush(s) : 0;
}

/* Read what the engine has for it, as far as its client keeps up: what is left
 * in the ring pauses the slot. */
static void pump(struct sample *s)
{
	const struct generate_event *e;

	if (s->x && !sample_echo(s))
		return;
	for (;;) {
		if (s->params.stream && s->x &&
			exchange_stream_room(s->x) < SAMPLE_FRAME_ROOM)
			return;
		e = generate_next(s->request);
		if (!e)
			break;
		if (e->type == GENERATE_ENDED) {
			end(s);
			return;
		}
		if (s->x && take(s, e) < 0)
			cancel(s);
	}
	if (s->params.stream && s->x && sample_flush(s) < 0)
		cancel(s);
}

static void read_events(struct api_reader *reader, struct generate_request *r)
{
	(void)r;
	pump((struct sample *)((char *)reader -
			       offsetof(struct sample, reader)));
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
		if (s->submitted && s->x && s->params.stream &&
			now - s->last_write >= a->o.heartbeat) {
			size_t room = exchange_stream_room(s->x);

			stream_ping(s->x);
			s->stream_bytes += room - exchange_stream_room(s->x);
			s->last_write = now;
		}
}

void sample_cancel_all(struct api *a)
{
	for (struct sample *s = a->samples; s; s = s->next) {
		s->stopping = true;
		cancel(s);
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
		.answer = "application/json" },
};

const struct route_table routes_sample = { rows,
	sizeof(rows) / sizeof(rows[0]) };
