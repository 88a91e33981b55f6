/*
 * The way out of an engine: events to the ready list, sessions to the store,
 * ENDED to the reader. engine_end runs on the request's engine thread; what
 * follows a commit runs on the store writer's, after the writer's lock handed
 * the request over. Each drops the producer's reference as its last act.
 */
#include "serve/engine_private.h"

#include "base/log.h"
#include "math/kernels.h"
#include "serve/session_private.h"

const struct error engine_shutting_down = { .code = ERROR_UNAVAILABLE,
	.message = "the server is shutting down" };
const struct error engine_cancelled = { .code = ERROR_CANCELLED,
	.message = "cancelled" };

/* The list holds a reference: the reader may have read and closed the request
 * by the time it finds it there. */
static void publish(struct engine *e, struct generate_request *r)
{
	struct generate_request *head;

	if (atomic_exchange(&r->listed, true))
		return;
	request_ref(r);
	head = atomic_load(&e->ready);
	do
		r->next_ready = head;
	while (!atomic_compare_exchange_weak(&e->ready, &head, r));
}

void engine_publish_new(struct engine_thread *t, struct generate_request *r)
{
	if (!r->unseen)
		return;
	r->unseen = false;
	publish(t->engine, r);
	t->published = true;
}

static void put_ended(struct generate_request *r)
{
	const struct generate_event e = {
		.type = GENERATE_ENDED,
		.finish = r->result.error.code == ERROR_NONE ? GENERATE_LENGTH
			  : r->result.error.code == ERROR_CANCELLED
				  ? GENERATE_CANCELLED
				  : GENERATE_FAILED,
		.position = r->result.position,
	};

	atomic_store(&r->finished, true);
	events_put(r, &e);
}

static void count_outcome(struct engine *e, const struct generate_request *r)
{
	atomic_fetch_add(&e->requests, 1);
	if (r->result.error.code == ERROR_CANCELLED)
		atomic_fetch_add(&e->cancelled, 1);
	else if (r->result.error.code != ERROR_NONE)
		atomic_fetch_add(&e->failed, 1);
}

/* t is the engine thread that calls, or NULL on the store writer's. */
static void finish(struct generate_request *r, struct engine_thread *t)
{
	struct engine *e = r->engine;

	count_outcome(e, r);
	put_ended(r);
	publish(e, r);
	if (t)
		t->published = true;
	else
		e->wake(e->wake_arg);
	request_unref(r);
	pthread_mutex_lock(&e->lock);
	if (atomic_fetch_sub(&e->active, 1) == 1)
		pthread_cond_broadcast(&e->idle);
	pthread_mutex_unlock(&e->lock);
}

static void on_committed(void *arg, const struct error *err)
{
	struct generate_request *r = arg;
	int64_t took = monotonic_ns() - r->ended;

	r->result.timings.commit = (uint64_t)took;
	metrics_observe(
		r->engine->metrics, COMMIT_SECONDS, 0, (double)took * 1e-9);
	if (err)
		r->result.error = *err;
	else
		r->result.committed = true;
	finish(r, NULL);
}

#define RECORD_BYTES (128u << 20)

/* What the request has come to, from the state it began at: to be stored with
 * the session's new one. Without it the stream can't be resumed, no more. */
static size_t end_record(struct generate_request *r,
	const struct session_state *end, struct buf *out,
	char key[STORE_KEY_MAX + 1], struct store_change *c)
{
	const struct session_state *begin = &r->session->state;
	struct request_record *record = r->record;
	struct error err;
	uint64_t sent;

	if (!record)
		return 0;
	record->phase = r->result.error.code == ERROR_CANCELLED
				? RECORD_CANCELLED
				: RECORD_ENDED;
	record->finish = (int)r->finish;
	record->end = end->position;
	record->kept = end->position - begin->position - r->prompt.len;
	sent = atomic_load(&r->sent);
	if (record->phase == RECORD_ENDED || record->sent < record->kept)
		record->sent = record->kept;
	if (record->phase == RECORD_CANCELLED && record->sent < sent)
		record->sent = sent;
	if (record_encode(record, begin, out, &err) < 0) {
		log_warn("a stream's record is not stored", log_fault(&err));
		return 0;
	}
	record_key(record->id, key);
	*c = (struct store_change){ key, out->data, out->len,
		session_expiry(store_now(), record->ttl) };
	return 1;
}

static void commit(struct generate_request *r, const struct session_state *end)
{
	struct session *session = r->session;
	struct store_change with;
	char key[STORE_KEY_MAX + 1];
	struct buf record;
	size_t n;

	buf_init(&record, RECORD_BYTES);
	n = end_record(r, end, &record, key, &with);
	session_state_copy(&session->state, end);
	r->session = NULL;
	session_commit(session, r->model->system, &with, n, on_committed, r);
	buf_release(&record);
}

static void settle(struct engine_thread *t, struct generate_request *r,
	const struct session_state *end)
{
	const struct generate_event e = { .type = GENERATE_SETTLED,
		.position = end->position };

	session_state_copy(&r->session->state, end);
	/* The reader may commit and close it as soon as it sees this. */
	request_ref(r);
	events_put(r, &e);
	publish(t->engine, r);
	request_unref(r);
	t->published = true;
}

void generate_commit(
	struct generate_request *r, const struct store_change *with, size_t n)
{
	struct session *session = r->session;

	r->session = NULL;
	r->ended = monotonic_ns();
	session_commit(session, r->model->system, with, n, on_committed, r);
}

static void set_timings(struct generate_request *r, int64_t now)
{
	struct generate_timings *t = &r->result.timings;
	int64_t started = r->started ? r->started : now;
	int64_t generating = r->generating ? r->generating : now;

	r->ended = now;
	t->queue = (uint64_t)(started - r->submitted);
	t->prompt = (uint64_t)(generating - started);
	t->decode = (uint64_t)(now - generating);
}

void engine_end(struct engine_thread *t, struct generate_request *r,
	const struct error *error, const struct session_state *state)
{
	struct session *session = r->session;

	set_timings(r, monotonic_ns());
	if (error)
		r->result.error = *error;
	if (state)
		r->result.position = state->position;
	atomic_fetch_sub(&t->load, r->weight);
	if (session && state) {
		if (r->settles)
			settle(t, r, state);
		else
			commit(r, state);
		return;
	}
	r->session = NULL;
	if (session) {
		r->result.position = session->state.position;
		session_abort(session);
	}
	finish(r, t);
}
