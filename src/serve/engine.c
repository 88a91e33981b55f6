/*
 * An engine's outside: who submits, polls and closes. What happens to a request
 * in between is engine_thread.c's (rounds of one thread), lane.c's (a model's
 * step) and engine_end.c's (the way out).
 */
#include "serve/engine_private.h"

#include "base/queue.h"
#include "base/team.h"

#include <stdlib.h>

#define MAX_THREADS 256
#define MAX_CREW 16	       /* each pair of members shares memory */
#define CREW_REALS (64u << 10) /* values that one may hand to another */
#define DEFAULT_SLOTS 1024
#define DEFAULT_BATCH 64
#define DEFAULT_CHUNK 8
#define DEFAULT_QUEUE 1024

static const double batch_bounds[] = { 1, 2, 4, 8, 12, 16, 24, 32, 48, 64,
	128 };
static const double second_bounds[] = { 0.0001, 0.00025, 0.0005, 0.001, 0.0025,
	0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10 };
#define BOUNDS(a) .bounds = (a), .n_bounds = sizeof(a) / sizeof(*(a))

static const struct metric metric_rows[] = {
	[BATCH_SIZE] = { "unrolld_batch_size", METRIC_HISTOGRAM,
		"Sequences in a model step", BOUNDS(batch_bounds) },
	[QUEUE_SECONDS] = { "unrolld_queue_seconds", METRIC_HISTOGRAM,
		"From a generation's arrival to its slot",
		BOUNDS(second_bounds) },
	[COMMIT_SECONDS] = { "unrolld_commit_seconds", METRIC_HISTOGRAM,
		"From a session's last token to its commit",
		BOUNDS(second_bounds) },
};

unsigned engine_member(const struct engine_thread *t)
{
	return (unsigned)(t - t->engine->threads);
}

void engine_kick_thread(struct engine_thread *t)
{
	pthread_mutex_lock(&t->lock);
	atomic_store(&t->kicked, true);
	pthread_cond_signal(&t->cond);
	pthread_mutex_unlock(&t->lock);
}

static void kick_thread(void *arg)
{
	engine_kick_thread(arg);
}

static void rouse(void *arg, unsigned member)
{
	struct engine *e = arg;

	engine_kick_thread(&e->threads[member]);
}

static void kick_all(struct engine *e)
{
	for (size_t i = 0; i < e->n_threads; i++)
		engine_kick_thread(&e->threads[i]);
}

void engine_kick(struct generate_request *r)
{
	if (!atomic_load(&r->finished))
		engine_kick_thread(r->thread);
}

static void thread_release(struct engine_thread *t)
{
	if (t->inbox)
		queue_close(t->inbox);
	pthread_cond_destroy(&t->cond);
	pthread_mutex_destroy(&t->lock);
	clients_release(&t->clients);
	free(t->heads);
	free(t->shares);
	free(t->plans);
	free(t->active);
	free(t->aside);
	free(t->slots);
	free(t->turns);
	free(t->lanes);
	free(t->tokens);
	free(t->states);
	free(t->logits);
	free(t->rows);
}

static int thread_init(
	struct engine_thread *t, struct engine *e, struct error *err)
{
	const struct scheduler_limits *l = &e->limits;
	pthread_condattr_t monotonic;

	t->engine = e;
	t->soonest = INT64_MAX;
	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&t->cond, &monotonic);
	pthread_condattr_destroy(&monotonic);
	t->active = calloc(l->slots, sizeof(struct sequence *));
	t->aside = calloc(l->slots, sizeof(struct sequence *));
	t->slots = calloc(l->slots, sizeof(*t->slots));
	t->turns = calloc(l->batch, sizeof(*t->turns));
	t->tokens = calloc(l->batch, sizeof(*t->tokens));
	t->states = calloc(l->batch, sizeof(real *));
	t->logits = calloc(l->batch, sizeof(real *));
	t->rows = calloc(l->batch, sizeof(struct sequence *));
	if (!t->active || !t->aside || !t->slots || !t->turns || !t->tokens ||
		!t->states || !t->logits || !t->rows)
		return error_set_memory(
			err, "engine slots", l->slots * sizeof(*t->slots));
	return queue_open(&t->inbox, l->queue + l->slots, kick_thread, t, err);
}

static int start_threads(struct engine *e, struct error *err)
{
	for (size_t i = 0; i < e->n_threads; i++) {
		struct engine_thread *t = &e->threads[i];
		int rc =
			pthread_create(&t->thread, NULL, engine_thread_main, t);

		if (rc)
			return error_set(err, ERROR_INTERNAL,
				"engine: cannot start thread %zu (error %d)", i,
				rc);
		t->started = true;
	}
	return 0;
}

static void stop(struct engine *e)
{
	atomic_store(&e->stopping, true);
	kick_all(e);
	for (size_t i = 0; i < e->n_threads; i++) {
		if (e->threads[i].started)
			pthread_join(e->threads[i].thread, NULL);
		thread_release(&e->threads[i]);
	}
	crew_close(e->crew);
	metrics_close(e->metrics);
	admission_release(&e->admission);
	pthread_cond_destroy(&e->idle);
	pthread_mutex_destroy(&e->lock);
	free(e->threads);
	free(e);
}

int engine_open(struct engine **engine, const struct engine_options *o,
	struct error *err)
{
	size_t n = o->threads ? o->threads : team_default_size();
	struct engine *e;

	if (n > MAX_THREADS)
		return error_set_param(err, ERROR_INVALID, "engine.threads",
			"engine.threads is %zu, at most %d are supported", n,
			MAX_THREADS);
	e = calloc(1, sizeof(*e));
	if (!e)
		return error_set_memory(err, "engine", sizeof(*e));
	e->wake = o->wake;
	e->wake_arg = o->wake_arg;
	e->limits.slots = o->slots ? o->slots : DEFAULT_SLOTS;
	e->limits.batch = o->batch ? o->batch : DEFAULT_BATCH;
	e->limits.chunk = o->chunk ? o->chunk : DEFAULT_CHUNK;
	e->limits.queue = o->queue ? o->queue : DEFAULT_QUEUE;
	e->limits.queue_per_client = o->queue_per_client;
	admission_init(&e->admission);
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->idle, NULL);
	e->threads = calloc(n, sizeof(*e->threads));
	if (!e->threads) {
		error_set_memory(err, "engine", n * sizeof(*e->threads));
		goto fail;
	}
	if (metrics_open(&e->metrics, metric_rows,
		    sizeof(metric_rows) / sizeof(*metric_rows), err) < 0)
		goto fail;
	for (; e->n_threads < n; e->n_threads++)
		if (thread_init(&e->threads[e->n_threads], e, err) < 0) {
			e->n_threads++; /* released as far as it got */
			goto fail;
		}
	if (n > 1 && n <= MAX_CREW &&
		crew_open(&e->crew, (unsigned)n, CREW_REALS, rouse, e, err) < 0)
		goto fail;
	if (start_threads(e, err) < 0)
		goto fail;
	*engine = e;
	return 0;
fail:
	stop(e);
	return -1;
}

/* Loads are read without a lock: a stale one costs balance, nothing else. */
static struct engine_thread *place(struct engine *e)
{
	size_t loads[MAX_THREADS];

	for (size_t i = 0; i < e->n_threads; i++)
		loads[i] = atomic_load(&e->threads[i].load);
	return &e->threads[scheduler_place(loads, e->n_threads)];
}

int engine_submit(
	struct engine *e, struct generate_request *r, struct error *err)
{
	struct engine_thread *t = place(e);
	bool room;

	if (atomic_load(&e->draining))
		return error_set(
			err, ERROR_UNAVAILABLE, "the server is shutting down");
	if (r->n > e->limits.slots)
		return error_set_param(err, ERROR_INVALID, "n",
			"n is %u, but an engine has only %zu slots", r->n,
			e->limits.slots);
	room = atomic_load(&t->load) + r->n <= e->limits.slots;
	if (admission_enter(&e->admission, &e->limits, r->client, r->priority,
		    room, &r->admitted, err) < 0)
		return -1;
	r->engine = e;
	r->thread = t;
	r->submitted = monotonic_ns();
	r->submitted_ok = true;
	request_ref(r);
	atomic_fetch_add(&e->active, 1);
	r->weight = scheduler_weight(r->n, r->prompt.len);
	atomic_fetch_add(&t->load, r->weight);
	if (queue_push(t->inbox, r) == 0)
		return 0;
	/* An inbox takes as many as may wait and as find a slot at once: this
	 * is for form's sake. */
	admission_leave(&e->admission, r->admitted, r->priority);
	r->submitted_ok = false;
	atomic_fetch_sub(&t->load, r->weight);
	atomic_fetch_sub(&e->active, 1);
	request_unref(r);
	return error_set(err, ERROR_OVERLOADED, "an engine's inbox is full");
}

unsigned engine_retry_after(struct engine *e)
{
	return admission_retry_after(&e->admission);
}

size_t engine_poll(struct engine *e,
	void (*fn)(struct generate_request *r, void *arg), void *arg)
{
	struct generate_request *r = atomic_exchange(&e->ready, NULL);
	struct generate_request *list = NULL, *next;
	size_t n = 0;

	for (; r; r = next) { /* oldest first */
		next = r->next_ready;
		r->next_ready = list;
		list = r;
	}
	for (; list; list = next) {
		next = list->next_ready;
		/* Before its events are read: later ones list it again. */
		atomic_store(&list->listed, false);
		if (!list->closed) {
			fn(list, arg);
			n++;
		}
		request_unref(list);
	}
	return n;
}

void engine_drain(struct engine *e)
{
	atomic_store(&e->draining, true);
}

size_t engine_active(const struct engine *e)
{
	return atomic_load(&e->active);
}

void engine_cancel_all(struct engine *e)
{
	atomic_store(&e->cancelling, true);
	kick_all(e);
}

void engine_forget(struct engine *e)
{
	kick_all(e);
}

void engine_close(struct engine *e)
{
	struct generate_request *r, *next;

	if (!e)
		return;
	engine_drain(e);
	engine_cancel_all(e);
	pthread_mutex_lock(&e->lock);
	while (atomic_load(&e->active))
		pthread_cond_wait(&e->idle, &e->lock);
	pthread_mutex_unlock(&e->lock);
	for (r = atomic_exchange(&e->ready, NULL); r; r = next) {
		next = r->next_ready;
		request_unref(r);
	}
	stop(e);
}

bool engine_busy(const struct engine *e)
{
	return atomic_load_explicit(&e->slots_active, memory_order_relaxed) >
	       atomic_load_explicit(&e->slots_paused, memory_order_relaxed);
}

void engine_stats(const struct engine *e, struct engine_stats *s)
{
	*s = (struct engine_stats){
		.steps = atomic_load(&e->steps),
		.rows = atomic_load(&e->n_rows),
		.prompt_tokens = atomic_load(&e->prompt_tokens),
		.generated_tokens = atomic_load(&e->generated_tokens),
		.requests = atomic_load(&e->requests),
		.cancelled = atomic_load(&e->cancelled),
		.rejected = atomic_load(&e->admission.rejected),
		.failed = atomic_load(&e->failed),
		.slots_active = atomic_load(&e->slots_active),
		.slots_paused = atomic_load(&e->slots_paused),
		.queued = admission_queued(&e->admission),
	};
	for (size_t p = 0; p < SCHEDULER_PRIORITIES; p++)
		s->waiting[p] = atomic_load(&e->admission.waiting[p]);
}

int engine_metrics(const struct engine *e, struct buf *out)
{
	return metrics_render(e->metrics, out);
}
