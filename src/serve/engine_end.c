/*
 * The way out of an engine: events to the ready list, sessions to the store,
 * ENDED to the reader. engine_end runs on the request's engine thread; what
 * follows a commit runs on the store writer's, after the writer's lock handed
 * the request over. Each drops the producer's reference as its last act.
 */
#include "serve/engine_private.h"

#include "math/kernels.h"

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
	r->session = NULL;
	atomic_fetch_sub(&t->load, r->weight);
	if (session && state) {
		session_state_copy(&session->state, state);
		session_commit(session, r->model->system, on_committed, r);
		return;
	}
	if (session) {
		r->result.position = session->state.position;
		session_abort(session);
	}
	finish(r, t);
}
