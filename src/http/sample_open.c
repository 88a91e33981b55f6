/*
 * A sample until its generation runs. Loop thread, but for the functions that
 * are named _on_worker, which touch only their sample. A client that leaves
 * here leaves nothing behind.
 */
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
/* For a key whose client has left: its request is about to end. */
#define ABANDONED_MS 10000
/* How long an unfinished stream is kept, besides its time after the end. */
#define OPEN_MS 86400000

/* --- lines ------------------------------------------------------------ */

struct sample_timer {
	uv_timer_t timer;
	struct sample *sample; /* NULL: it does not wait any more */
};

static void free_timer(uv_handle_t *handle)
{
	free(handle->data);
}

static void stop_timer(struct sample *s)
{
	if (!s->timer)
		return;
	s->timer->sample = NULL;
	uv_close((uv_handle_t *)&s->timer->timer, free_timer);
	s->timer = NULL;
}

bool sample_leave_line(struct sample *s)
{
	bool in_line = s->timer != NULL;

	stop_timer(s);
	if (!s->in_line)
		return in_line;
	if (!session_leave(s->api->backend.sessions,
		    s->resume.is ? s->resume.record->session
				 : s->params.session,
		    &s->line))
		return false;
	s->in_line = false;
	return true;
}

static void on_timeout(uv_timer_t *timer)
{
	struct sample *s = ((struct sample_timer *)timer->data)->sample;
	bool session = s->in_line;
	struct error err;

	if (!sample_leave_line(s))
		return; /* its turn has come just now */
	if (session)
		error_set_param(&err, ERROR_CONFLICT, "session",
			"session %s is busy with another request, also after "
			"a wait",
			s->resume.is ? s->resume.record->session
				     : s->params.session);
	else
		error_set_param(&err, ERROR_CONFLICT, "Idempotency-Key",
			"the request with Idempotency-Key '%s' is still "
			"running, also after a wait",
			s->key.key);
	sample_refuse(s, &err);
}

static int start_timer(struct sample *s, int64_t ms, struct error *err)
{
	struct sample_timer *t = calloc(1, sizeof(*t));

	if (!t)
		return error_set_memory(err, "wait", sizeof(*t));
	uv_timer_init(s->api->loop, &t->timer);
	t->timer.data = t;
	t->sample = s;
	s->timer = t;
	uv_timer_start(&t->timer, on_timeout, (uint64_t)ms, 0);
	return 0;
}

/* --- options ---------------------------------------------------------- */

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

void sample_options(const struct sample *s, struct generate_options *o)
{
	const struct sample_params *p = &s->params;

	generate_defaults(o);
	o->prompt = p->prompt.bytes;
	o->prompt_len = p->prompt.len;
	o->unknown = (enum unknown_policy)p->unknown;
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

int sample_generate(struct sample *s, const struct generate_options *base,
	struct error *err)
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

/* --- stages ----------------------------------------------------------- */

void sample_post(struct sample *s, void (*run)(struct worker_job *job),
	void (*done)(struct worker_job *job))
{
	struct error err;

	s->job.run = run;
	s->job.done = done;
	if (workers_post(s->api->workers, &s->job, &err) < 0)
		sample_refuse(s, &err);
}

/* What a choice's text can come to. */
static size_t text_limit(const struct sample *s)
{
	size_t token = generate_model(s->request)->max_token_bytes + 4;

	return s->params.prompt.len + (size_t)s->params.length * token +
	       GENERATE_MAX_STOP_BYTES;
}

/* Before the engine can end it: the end's record is to be the last. */
static void post_record(struct sample *s)
{
	const struct request_record *record = generate_record(s->request);
	struct store_change with;
	char key[STORE_KEY_MAX + 1];
	struct buf value;
	struct error err;
	int posted;

	if (!record || s->resume.is)
		return;
	buf_init(&value, 0);
	posted = s->key.key[0] ? idempotent_change(&s->key, 200, true,
					 record->id, strlen(record->id),
					 (int64_t)s->api->o.idempotency_ttl,
					 key, &value, &with, &err)
			       : 0;
	if (!posted)
		posted = record_post(s->api->backend.sessions, record,
			record->ttl + OPEN_MS, s->key.key[0] ? &with : NULL,
			&err);
	if (posted < 0)
		log_warn("a stream can't be resumed", log_fault(&err));
	buf_release(&value);
}

static void drop_record(struct sample *s)
{
	char key[STORE_KEY_MAX + 1];
	struct store_change with;

	if (!s->stream_id[0] || s->resume.is)
		return;
	if (s->key.key[0])
		idempotent_unchange(&s->key, key, &with);
	record_drop(s->api->backend.sessions, s->stream_id, s->params.session,
		s->key.key[0] ? &with : NULL);
}

static int begin_log(struct sample *s, struct error *err)
{
	const char *session;

	if (!s->stream_id[0])
		return 0;
	if (!s->stream)
		s->stream = streams_begin(&s->api->streams, s->stream_id,
			s->resume.from, !s->resume.has_from);
	if (!s->stream)
		return error_set_memory(err, "stream", sizeof(*s->stream));
	session = generate_session_id(s->request);
	snprintf(s->stream->session, sizeof(s->stream->session), "%s",
		session ? session : "");
	s->stream->live = s;
	return 0;
}

static void prepare(struct sample *s)
{
	s->submitted = true;
	s->last_write = uv_now(s->api->loop);
	for (int64_t i = 0; i < s->params.n; i++)
		buf_init(&s->choices[i].text, text_limit(s));
	buf_init(&s->marks, MAX_MARKS);
	if (s->params.stream)
		s->api->n_streams++;
	if (s->params.stream && !s->resume.is)
		sample_begin(s);
	if (!s->params.echo) {
		json_decref(s->json);
		s->json = NULL;
	}
}

static void submit(struct sample *s)
{
	struct error err;

	if (!s->x) {
		sample_free(s);
		return;
	}
	if (begin_log(s, &err) < 0) {
		sample_refuse(s, &err);
		return;
	}
	post_record(s);
	if (engine_submit(s->api->backend.engine, s->request, &err) < 0) {
		drop_record(s);
		sample_refuse(s, &err);
		return;
	}
	prepare(s);
	sample_pump(s);
}

void sample_opened(struct worker_job *job)
{
	struct sample *s = (struct sample *)job;

	if (s->err.code)
		sample_refuse(s, &s->err);
	else
		submit(s);
}

/* The request as it was sent, for a stream that may be resumed. */
static struct request_record *make_record(struct sample *s)
{
	uint64_t ttl = s->api->o.streams_ttl;
	struct request_record *r;

	if (s->key.key[0] && ttl < s->api->o.idempotency_ttl)
		ttl = s->api->o.idempotency_ttl;
	if (!s->params.stream || !ttl || s->body.len > RECORD_BODY_MAX)
		return NULL;
	r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	record_name(r->id);
	r->created = store_now();
	r->ttl = (int64_t)ttl;
	r->body = s->body.data;
	r->body_len = s->body.len;
	buf_init(&s->body, 0);
	return r;
}

/* Reads the store when there is a session: a worker's work then. */
static int open_fresh(struct sample *s, struct error *err)
{
	const struct sample_params *p = &s->params;
	const struct api_backend *b = &s->api->backend;
	struct generate_options o;
	int opened;

	sample_options(s, &o);
	if (!s->held)
		o.model = registry_get(b->registry, p->model, err);
	else if (session_begin_held(s->held, b->registry, p->model,
			 p->has_position ? (uint64_t)p->expected_position
					 : SESSION_ANY_POSITION,
			 &o.model, err) < 0)
		return -1;
	if (!o.model)
		return -1;
	o.session = s->held;
	o.settles = s->held && s->key.key[0] && !p->stream;
	o.record = make_record(s);
	opened = sample_generate(s, &o, err);
	registry_unref(o.model);
	if (opened < 0) {
		record_free(o.record);
		return -1;
	}
	s->held = NULL;
	if (o.record)
		snprintf(
			s->stream_id, sizeof(s->stream_id), "%s", o.record->id);
	return 0;
}

static void open_on_worker(struct worker_job *job)
{
	struct sample *s = (struct sample *)job;

	open_fresh(s, &s->err);
	worker_done(job);
}

static void open_now(struct sample *s)
{
	if (s->resume.is)
		sample_post(s, sample_open_resumed, sample_opened);
	else if (s->held || s->params.prompt.len > GENERATE_INLINE_PROMPT)
		sample_post(s, open_on_worker, sample_opened);
	else {
		open_fresh(s, &s->err);
		sample_opened(&s->job);
	}
}

static void arrived(struct arrival *a)
{
	struct sample *s =
		(struct sample *)((char *)a - offsetof(struct sample, granted));

	stop_timer(s);
	s->in_line = false;
	s->held = s->line.session;
	if (!s->x)
		sample_free(s);
	else
		open_now(s);
}

/* On the thread of whoever lets go of the session. */
static void on_session_granted(struct session_wait *w)
{
	struct sample *s =
		(struct sample *)((char *)w - offsetof(struct sample, line));

	api_arrive(s->api, &s->granted);
}

void sample_hold(struct sample *s, const char *session, int64_t wait_ms)
{
	struct error err;
	int held;

	s->line.granted = on_session_granted;
	s->granted.arrived = arrived;
	if (wait_ms && start_timer(s, wait_ms, &err) < 0) {
		sample_refuse(s, &err);
		return;
	}
	held = session_hold(s->api->backend.sessions, session,
		wait_ms ? &s->line : NULL, s->resume.is, &s->held, &err);
	s->in_line = held > 0;
	if (held < 0) {
		sample_refuse(s, &err);
	} else if (!held) {
		stop_timer(s);
		open_now(s);
	}
}

static void after_key(struct sample *s)
{
	if (s->params.session)
		sample_hold(s, s->params.session, s->params.wait_ms);
	else
		open_now(s);
}

/* --- idempotency ------------------------------------------------------ */

static void look_up_on_worker(struct worker_job *job)
{
	struct sample *s = (struct sample *)job;

	s->found = idempotent_find(
		&s->key, s->api->backend.sessions, &s->answer, &s->err);
	worker_done(job);
}

static void replay_body(struct sample *s)
{
	struct buf *b = &s->answer.body;
	char *text = strndup(b->data ? b->data : "", b->len);

	if (s->x)
		exchange_reply(s->x, s->answer.status, "application/json", text,
			text ? b->len : 0);
	else
		free(text);
	sample_detach(s);
	sample_free(s);
}

static void tell_replayed(struct sample *s)
{
	if (!s->replayed)
		exchange_add_header(s->x, IDEMPOTENT_REPLAYED, "true");
	s->replayed = true;
}

/* Hand the client over to a stream that is at hand; true: s is gone. */
static bool hand_over(struct sample *s, const char *stream)
{
	struct exchange *x = s->x;

	sample_detach(s);
	if (sample_serve(s->api, x, stream, NULL)) {
		sample_free(s);
		return true;
	}
	s->x = x;
	exchange_attach(x, &sample_exchange_ops, s);
	return false;
}

static void replay_stream(struct sample *s)
{
	char id[RECORD_ID_MAX + 1];

	snprintf(id, sizeof(id), "%s",
		s->answer.body.data ? s->answer.body.data : "");
	if (!hand_over(s, id))
		sample_resume(s, id, NULL);
}

static void looked_up(struct worker_job *job)
{
	struct sample *s = (struct sample *)job;

	if (s->found < 0) {
		sample_refuse(s, &s->err);
		return;
	}
	if (!s->x) {
		sample_free(s);
		return;
	}
	if (!s->found) {
		after_key(s);
		return;
	}
	metrics_add(s->api->metrics, MEASURE_REPLAYED, 0, 1);
	tell_replayed(s);
	if (s->answer.is_stream)
		replay_stream(s);
	else
		replay_body(s);
}

static void on_key_granted(struct idempotent *key)
{
	struct sample *s =
		(struct sample *)((char *)key - offsetof(struct sample, key));

	stop_timer(s);
	sample_post(s, look_up_on_worker, looked_up);
}

/* The one that has the key, if its client has left. */
static struct sample *abandoned(struct sample *s)
{
	struct idempotent *holder = idempotent_holder(s->api->keys, &s->key);
	struct sample *other;

	if (!holder)
		return NULL;
	other = (struct sample *)((char *)holder -
				  offsetof(struct sample, key));
	return other->x ? NULL : other;
}

/* Goes on without its client, who is here again. */
static bool rejoin(struct sample *s, const struct sample *other)
{
	if (!other->detached || !other->stream)
		return false;
	tell_replayed(s);
	return hand_over(s, other->stream_id);
}

static void claim(struct sample *s)
{
	struct sample *other = abandoned(s);
	int64_t wait = s->params.wait_ms;
	struct error err;
	int claimed;

	s->key.granted = on_key_granted;
	if (other && XXH128_isEqual(other->key.body, s->key.body) &&
		rejoin(s, other))
		return;
	if (other && wait < ABANDONED_MS)
		wait = ABANDONED_MS;
	claimed = idempotent_claim(s->api->keys, &s->key, wait > 0, &err);
	if (claimed > 0 && start_timer(s, wait, &err) < 0)
		claimed = -1;
	if (claimed < 0)
		sample_refuse(s, &err);
	else if (!claimed)
		sample_post(s, look_up_on_worker, looked_up);
}

/* --- parsing ---------------------------------------------------------- */

int sample_parse(
	struct sample *s, const char *text, size_t len, struct error *err)
{
	if (request_parse(text, len, false, &s->json, err) < 0)
		return -1;
	return sample_read(s->json, s->api->o.max_length, &s->params, err);
}

static int parse_body(struct sample *s, struct error *err)
{
	const char *text = s->body.data ? s->body.data : "";

	if (sample_parse(s, text, s->body.len, err) < 0)
		return -1;
	if (!s->params.stream || s->body.len > RECORD_BODY_MAX)
		buf_release(&s->body);
	return 0;
}

static void parse_on_worker(struct worker_job *job)
{
	struct sample *s = (struct sample *)job;

	parse_body(s, &s->err);
	worker_done(job);
}

static void parsed(struct worker_job *job)
{
	struct sample *s = (struct sample *)job;

	if (s->err.code)
		sample_refuse(s, &s->err);
	else if (!s->x)
		sample_free(s);
	else if (s->key.key[0])
		claim(s);
	else
		after_key(s);
}

void sample_start(struct sample *s)
{
	if (s->body.len > INLINE_BODY) {
		sample_post(s, parse_on_worker, parsed);
		return;
	}
	parse_body(s, &s->err);
	parsed(&s->job);
}

static void read_events(struct api_reader *reader, struct generate_request *r)
{
	(void)r;
	sample_pump((struct sample *)((char *)reader -
				      offsetof(struct sample, reader)));
}

struct sample *sample_new(struct api *a, struct exchange *x)
{
	struct sample *s = calloc(1, sizeof(*s));
	struct error err;

	if (!s) {
		error_set_memory(&err, "request", sizeof(*s));
		reply_error(x, &err);
		return NULL;
	}
	s->reader.read = read_events;
	s->api = a;
	s->x = x;
	s->created = time(NULL);
	snprintf(s->id, sizeof(s->id), "sample-%s", exchange_id(x) + 4);
	s->client = client_of(x);
	exchange_attach(x, &sample_exchange_ops, s);
	s->next = a->samples;
	if (s->next)
		s->next->prev = s;
	a->samples = s;
	a->n_samples++;
	return s;
}
