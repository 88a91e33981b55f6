/*
 * One engine thread: a round takes what came in, lets waiting requests join,
 * looks after those that are to end early, steps every model once, and lets
 * go of what is done. Only this thread touches its slots; others post to its
 * inbox, or set a request's flags, and kick it.
 */
#include "serve/engine_private.h"

#include "base/queue.h"
#include "base/team.h"

#include <stdlib.h>

#define JOIN_AT_ONCE 64
#define NS_PER_MS 1000000
/* Longer than a lone stream's pause between two steps. */
#define HELP_NS 200000

static const struct error shutting_down = { .code = ERROR_UNAVAILABLE,
	.message = "the server is shutting down" };
static const struct error cancelled = { .code = ERROR_CANCELLED,
	.message = "cancelled" };

static void take_inbox(struct engine_thread *t)
{
	struct generate_request *r;

	while ((r = queue_pop(t->inbox)) != NULL) {
		r->next_waiting = NULL;
		*t->waiting_end = r;
		t->waiting_end = &r->next_waiting;
		t->n_waiting++;
	}
}

/* r is the one that *at points to. */
static void leave_queue(struct engine_thread *t, struct generate_request **at,
	struct generate_request *r)
{
	*at = r->next_waiting;
	if (!*at)
		t->waiting_end = at;
	t->n_waiting--;
	atomic_fetch_sub(&t->engine->queued, 1);
}

static int64_t queue_deadline(const struct generate_request *r)
{
	return r->queue_ms ? r->submitted + r->queue_ms * NS_PER_MS : INT64_MAX;
}

static int64_t run_deadline(const struct generate_request *r)
{
	return r->run_ms ? r->started + r->run_ms * NS_PER_MS : INT64_MAX;
}

static struct scheduler_waiting describe(const struct generate_request *r)
{
	return (struct scheduler_waiting){ r->n, queue_deadline(r) };
}

/* Those that wait in vain end here. */
static void sort_out(struct engine_thread *t)
{
	bool cancelling = atomic_load(&t->engine->cancelling);
	struct generate_request **at = &t->waiting, *r;

	while ((r = *at) != NULL) {
		struct scheduler_waiting w = describe(r);
		struct error late;

		if (cancelling || atomic_load(&r->cancelled)) {
			leave_queue(t, at, r);
			engine_end(t, r,
				cancelling ? &shutting_down : &cancelled, NULL);
		} else if (scheduler_expired(&w, t->now)) {
			leave_queue(t, at, r);
			error_set(&late, ERROR_OVERLOADED,
				"waited %lld ms for a slot, try later",
				(long long)r->queue_ms);
			engine_end(t, r, &late, NULL);
		} else {
			at = &r->next_waiting;
		}
	}
}

static int open_sequences(
	struct engine_thread *t, struct generate_request *r, struct error *err)
{
	size_t first = t->n_active, lane;

	if (lane_find(t, r->model, &lane, err) < 0)
		return -1;
	for (unsigned i = 0; i < r->n; i++) {
		if (sequence_open(&t->active[t->n_active], r, i, lane, err) <
			0) {
			while (t->n_active > first)
				sequence_close(t->active[--t->n_active]);
			return -1;
		}
		t->n_active++;
	}
	t->lanes[lane].sequences += r->n;
	return 0;
}

static void start(struct engine_thread *t, struct generate_request *r)
{
	size_t first = t->n_active;
	struct error err;

	r->started = t->now;
	metrics_observe(t->engine->metrics, QUEUE_SECONDS, 0,
		(double)(r->started - r->submitted) * 1e-9);
	if (open_sequences(t, r, &err) < 0) {
		engine_end(t, r, &err, NULL);
		return;
	}
	r->running = r->n;
	r->commits = r->session != NULL;
	if (r->prompt.len)
		return;
	r->generating = t->now;
	for (size_t i = first; i < t->n_active; i++) {
		t->active[i]->forked = true;
		sequence_settle(t->active[i]);
	}
}

static void join(struct engine_thread *t)
{
	struct scheduler_waiting waiting[JOIN_AT_ONCE];
	size_t joined, n;

	do {
		struct generate_request *r = t->waiting;

		for (n = 0; r && n < JOIN_AT_ONCE; r = r->next_waiting)
			waiting[n++] = describe(r);
		joined = scheduler_join(&t->engine->limits, waiting, n,
			t->engine->limits.slots - t->n_active);
		for (size_t i = 0; i < joined && t->waiting; i++) {
			r = t->waiting;
			leave_queue(t, &t->waiting, r);
			start(t, r);
		}
	} while (joined == JOIN_AT_ONCE);
}

/* The client left: its session advances to what it kept, or not at all. */
static void cancel(struct sequence *s)
{
	struct generate_request *r = s->request;
	uint64_t kept = atomic_load(&r->kept);

	r->result.error = cancelled;
	r->commits = r->session && kept > r->floor && s->drawn > r->floor;
	if (!r->commits) {
		s->done = true;
		return;
	}
	r->replaying = true;
	sequence_rewind(s, kept);
}

/* A prompt that was not wholly fed leaves its session as it was. */
static void run_out(struct sequence *s)
{
	struct generate_request *r = s->request;

	r->commits =
		r->session && !sequence_prompt_left(s) && s->drawn >= r->floor;
	sequence_finish(s, GENERATE_DEADLINE);
}

static void look_after(struct engine_thread *t)
{
	bool cancelling = atomic_load(&t->engine->cancelling);

	for (size_t i = 0; i < t->n_active; i++) {
		struct sequence *s = t->active[i];
		struct generate_request *r = s->request;

		if (s->done)
			continue;
		if (cancelling) {
			r->result.error = shutting_down;
			r->commits = false;
			s->done = true;
		} else if (atomic_load(&r->cancelled) && !r->replaying) {
			cancel(s);
		} else if (t->now >= run_deadline(r) && !r->replaying) {
			run_out(s);
		}
	}
}

/* Fill the scheduler's view; returns how many can run. */
static size_t survey(struct engine_thread *t)
{
	size_t runnable = 0;

	for (size_t i = 0; i < t->n_active; i++) {
		struct sequence *s = t->active[i];
		uint64_t left = sequence_prompt_left(s);
		bool runs = s->forked && !s->done &&
			    (left || events_room(s->request));

		t->slots[i] = (struct scheduler_slot){ runs, s->lane, left };
		runnable += runs;
	}
	return runnable;
}

static void step(struct engine_thread *t)
{
	bool others = t->n_waiting || queue_length(t->inbox);

	for (size_t i = 0; i < t->n_lanes; i++) {
		struct lane *l = &t->lanes[i];
		size_t n;

		if (!l->sequences)
			continue;
		n = scheduler_plan(&t->engine->limits, t->slots, t->n_active, i,
			others, &l->cursor, t->turns);
		lane_step(t, l, n);
	}
}

static void end_request(struct engine_thread *t, struct sequence *last)
{
	struct generate_request *r = last->request;

	engine_end(t, r, NULL, r->commits ? &last->state : NULL);
}

static size_t retire(struct engine_thread *t)
{
	size_t i = 0, retired = 0;

	while (i < t->n_active) {
		struct sequence *s = t->active[i];
		struct generate_request *r = s->request;

		if (!s->done) {
			i++;
			continue;
		}
		if (s->choice == 0)
			r->result.position = s->state.position;
		retired++;
		t->active[i] = t->active[--t->n_active];
		t->lanes[s->lane].sequences--;
		engine_publish_new(t, r);
		if (--r->running == 0)
			end_request(t, s);
		sequence_close(s);
	}
	return retired;
}

/* Of slots and waiting, added to the engine's sums as what changed. */
static void report(struct engine_thread *t, size_t runnable)
{
	size_t paused = t->n_active - runnable;

	atomic_fetch_add(
		&t->engine->slots_active, t->n_active - t->told_active);
	atomic_fetch_add(&t->engine->slots_paused, paused - t->told_paused);
	t->told_active = t->n_active;
	t->told_paused = paused;
}

static int64_t next_deadline(const struct engine_thread *t)
{
	struct generate_request *r;
	int64_t next = INT64_MAX, d;

	for (r = t->waiting; r; r = r->next_waiting)
		if ((d = queue_deadline(r)) < next)
			next = d;
	for (size_t i = 0; i < t->n_active; i++)
		if ((d = run_deadline(t->active[i]->request)) < next)
			next = d;
	return next;
}

static void sleep_until_kicked(struct engine_thread *t)
{
	int64_t deadline = next_deadline(t);
	struct timespec until = { (time_t)(deadline / 1000000000),
		(long)(deadline % 1000000000) };
	int rc = 0;

	pthread_mutex_lock(&t->lock);
	while (!atomic_load(&t->kicked) && !rc) {
		if (deadline == INT64_MAX)
			pthread_cond_wait(&t->cond, &t->lock);
		else
			rc = pthread_cond_timedwait(&t->cond, &t->lock, &until);
	}
	atomic_store(&t->kicked, false);
	pthread_mutex_unlock(&t->lock);
}

static bool is_kicked(void *arg)
{
	struct engine_thread *t = arg;

	return atomic_load_explicit(&t->kicked, memory_order_relaxed);
}

/* Nothing to do: help the others for a while, then sleep. */
static void rest(struct engine_thread *t)
{
	struct crew *crew = t->engine->crew;

	if (crew) {
		crew_help(crew, engine_member(t), HELP_NS, is_kicked, t);
		crew_set_idle(crew, engine_member(t), true);
	}
	sleep_until_kicked(t);
	if (crew)
		crew_set_idle(crew, engine_member(t), false);
}

void *engine_thread_main(void *arg)
{
	struct engine_thread *t = arg;
	size_t runnable, retired;

	pthread_setname_np(pthread_self(), "engine");
	team_flush_denormals();
	while (!atomic_load(&t->engine->stopping)) {
		t->now = monotonic_ns();
		take_inbox(t);
		look_after(t);
		retired = retire(t);
		sort_out(t);
		join(t);
		runnable = survey(t);
		report(t, runnable);
		step(t);
		retired += retire(t);
		if (t->published) {
			t->published = false;
			t->engine->wake(t->engine->wake_arg);
		}
		/* A slot that came free may be what someone waits for. */
		if (!runnable && !retired) {
			lanes_trim(t, false);
			rest(t);
		}
	}
	lanes_trim(t, true);
	return NULL;
}
