/*
 * One engine thread: a round takes what came in, lets waiting requests join,
 * looks after those that are to end early, steps every model once, and lets
 * go of what is done. Only this thread touches its slots; others post to its
 * inbox, or set a request's flags, and kick it.
 */
#include "serve/engine_private.h"

#include "base/priority.h"
#include "base/queue.h"
#include "base/team.h"

#include <stdlib.h>
#include <string.h>

#define JOIN_AT_ONCE 64
#define NS_PER_MS 1000000
/* Longer than a lone stream's pause between two steps. */
#define HELP_NS 200000
/* Of the kernel's turns: a step begins when it may, whatever else runs. */
#define TURN_NS 400000

static int64_t run_deadline(const struct generate_request *r)
{
	int64_t run =
		r->run_ms ? r->started + r->run_ms * NS_PER_MS : INT64_MAX;
	int64_t whole = r->deadline_ms
				? r->submitted + r->deadline_ms * NS_PER_MS
				: INT64_MAX;

	return run < whole ? run : whole;
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
		engine_let_go(t, r, r->n);
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

/* Some at a time, so that those that run get their steps in between; returns
 * how many. */
static size_t join(struct engine_thread *t)
{
	size_t heads = engine_line_up(t), joined = 0;
	struct generate_request *r;

	while (joined < JOIN_AT_ONCE && (r = engine_next(t, &heads))) {
		start(t, r);
		joined++;
	}
	return joined;
}

/* The client left: its session advances to what it kept, or not at all. */
static void cancel(struct sequence *s)
{
	struct generate_request *r = s->request;
	uint64_t kept = atomic_load(&r->kept);

	r->result.error = engine_cancelled;
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
			r->result.error = engine_shutting_down;
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

		t->slots[i] = (struct scheduler_slot){
			.runnable = runs,
			.waits_first = !s->drawn,
			.priority = s->request->priority,
			.client = s->request->known,
			.model = s->lane,
			.prompt = left,
		};
		runnable += runs;
	}
	scheduler_survey(t->slots, t->n_active, t->plans, t->n_lanes);
	return runnable;
}

/* Those that were fed in this round go behind the others. */
static void send_to_back(struct engine_thread *t)
{
	size_t kept = 0, fed = 0;

	for (size_t i = 0; i < t->n_active; i++) {
		if (t->active[i]->fed_round == t->round)
			t->aside[fed++] = t->active[i];
		else
			t->active[kept++] = t->active[i];
	}
	memcpy(t->active + kept, t->aside, fed * sizeof(struct sequence *));
}

/* Returns whether some of the model's slots had to wait. */
static bool step_lane(struct engine_thread *t, size_t i, bool others_wait)
{
	const struct scheduler_limits *l = &t->engine->limits;
	struct scheduler_lane *plan = &t->plans[i];
	size_t chunk = scheduler_chunk(l, t->plans, t->n_lanes, i, others_wait);
	size_t n = scheduler_plan(l, t->slots, t->n_active, i, chunk, plan,
		t->shares, t->clients.n, t->turns);

	for (size_t k = 0; k < n; k++)
		t->active[t->turns[k].slot]->fed_round = t->round;
	lane_step(t, &t->lanes[i], n);
	return n < plan->runnable;
}

static void step(struct engine_thread *t)
{
	bool others = t->n_waiting || queue_length(t->inbox);
	bool crowded = false;

	t->round++;
	for (size_t i = 0; i < t->n_lanes; i++)
		if (scheduler_takes_turn(t->plans, t->n_lanes, i))
			crowded |= step_lane(t, i, others);
	if (crowded)
		send_to_back(t);
}

static void end_request(struct engine_thread *t, struct sequence *last)
{
	struct generate_request *r = last->request;

	engine_end(t, r, NULL, r->commits ? &last->state : NULL);
}

static size_t retire(struct engine_thread *t)
{
	size_t kept = 0, n = t->n_active;

	for (size_t i = 0; i < n; i++) {
		struct sequence *s = t->active[i];
		struct generate_request *r = s->request;

		if (!s->done) {
			t->active[kept++] = s;
			continue;
		}
		if (s->choice == 0)
			r->result.position = s->state.position;
		t->lanes[s->lane].sequences--;
		engine_let_go(t, r, 1);
		engine_publish_new(t, r);
		if (--r->running == 0)
			end_request(t, s);
		sequence_close(s);
	}
	t->n_active = kept;
	return n - kept;
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
	int64_t next = t->n_waiting ? t->soonest : INT64_MAX, d;

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
	pthread_mutex_unlock(&t->lock);
}

static bool is_kicked(void *arg)
{
	struct engine_thread *t = arg;

	return atomic_load_explicit(&t->kicked, memory_order_relaxed);
}

/* Has work of its own, or nobody is left to help. */
static bool is_wanted(void *arg)
{
	struct engine_thread *t = arg;

	return is_kicked(t) || !atomic_load_explicit(&t->engine->slots_active,
				       memory_order_relaxed);
}

/* Nothing to do: help the others for a while, then sleep. Who just had work
 * looks out for more, too: the next request of a client that asks one after
 * another comes soon, and waking a core takes longer than most steps. */
static void rest(struct engine_thread *t, bool worked)
{
	struct crew *crew = t->engine->crew;

	if (crew) {
		crew_help(crew, engine_member(t), HELP_NS,
			worked ? is_kicked : is_wanted, t);
		crew_set_idle(crew, engine_member(t), true);
	}
	sleep_until_kicked(t);
	if (crew)
		crew_set_idle(crew, engine_member(t), false);
}

void *engine_thread_main(void *arg)
{
	struct engine_thread *t = arg;
	size_t joined, runnable, retired;
	bool worked = false;

	pthread_setname_np(pthread_self(), "engine");
	priority_short_turns(TURN_NS);
	team_flush_denormals();
	for (;;) {
		/* Before anything is looked at: who kicks later is seen in the
		 * next round, and cuts this one's chunk short. */
		t->looks = atomic_exchange(&t->kicked, false);
		if (atomic_load(&t->engine->stopping))
			break;
		t->now = monotonic_ns();
		engine_take_inbox(t);
		look_after(t);
		retired = retire(t);
		engine_sort_out(t);
		joined = join(t);
		runnable = survey(t);
		report(t, runnable);
		step(t);
		retired += retire(t);
		if (t->published) {
			t->published = false;
			t->engine->wake(t->engine->wake_arg);
		}
		/* A slot that came free may be what someone waits for. */
		if (!runnable && !retired && !joined) {
			lanes_trim(t, false);
			rest(t, worked);
			worked = false;
		} else {
			worked = true;
		}
	}
	lanes_trim(t, true);
	return NULL;
}
