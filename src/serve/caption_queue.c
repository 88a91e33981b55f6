/*
 * Two lists under one lock: what waits, and what was read and is ready. Whoever
 * is free reads as long as a batch is not full and something waits; else it
 * takes a captioner's share of what is ready. A captioner runs one batch at a
 * time, so the others read meanwhile, and the next batch is fuller.
 */
#include "serve/caption_queue.h"

#include "base/pace.h"
#include "base/priority.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* A burst delays an answer of a stream or two, however long it is: bursts have
 * to be few, and a sixth of a core each is enough to get on. */
#define BURST_US 10000
#define REST_US 50000

struct list {
	struct caption_request *head, **tail;
	size_t n;
};

struct caption_queue {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct list waiting, ready;
	const struct registry_entry **running; /* [slots], NULL: none */
	size_t busy, max, max_per_client;
	uint64_t turn; /* of what was taken last */
	int nice;
	struct pace own_pace;
	const struct pace *pace; /* NULL: none */
	bool closing;
	unsigned slots;	    /* of `running` */
	unsigned n_threads; /* that were started */
	pthread_t threads[];
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Since the last lap. */
static double lap(struct caption_request *r)
{
	const double from = r->since;

	r->since = now();
	return r->since - from;
}

static void list_init(struct list *l)
{
	*l = (struct list){ .tail = &l->head };
}

static void insert(
	struct list *l, struct caption_request *r, struct caption_request **at)
{
	r->next = *at;
	*at = r;
	if (!r->next)
		l->tail = &r->next;
	l->n++;
}

static void push(struct list *l, struct caption_request *r)
{
	insert(l, r, l->tail);
}

static struct caption_request *take(struct list *l, struct caption_request **at)
{
	struct caption_request *r = *at;

	*at = r->next;
	if (!*at)
		l->tail = at;
	l->n--;
	return r;
}

static void end(struct caption_queue *q, struct caption_request *r)
{
	image_release(&r->fitted);
	pthread_mutex_lock(&q->lock);
	q->busy--;
	pthread_mutex_unlock(&q->lock);
	r->ended(r);
}

static void end_cancelled(struct caption_queue *q, struct caption_request *r)
{
	error_set(&r->err, ERROR_CANCELLED, "the client left");
	end(q, r);
}

/* --- reading ---------------------------------------------------------- */

static void read_image(struct caption_queue *q, struct caption_request *r)
{
	int rc;

	r->timings.queue = lap(r);
	if (atomic_load(&r->cancelled)) {
		end_cancelled(q, r);
		return;
	}
	pace_begin(q->pace);
	rc = caption_model_read(
		r->model->captioner, r->image, r->len, &r->fitted, &r->err);
	pace_end();
	r->timings.read = lap(r);
	if (rc < 0) {
		end(q, r);
		return;
	}
	pthread_mutex_lock(&q->lock);
	push(&q->ready, r);
	pthread_mutex_unlock(&q->lock);
}

/* --- running ---------------------------------------------------------- */

static bool is_running(
	const struct caption_queue *q, const struct registry_entry *model)
{
	for (unsigned i = 0; i < q->slots; i++)
		if (q->running[i] == model)
			return true;
	return false;
}

/* Under the lock: images of one captioner that is free, or none. */
static size_t take_batch(struct caption_queue *q, unsigned thread,
	struct caption_request *batch[CAPTION_BATCH])
{
	struct caption_request **at = &q->ready.head;
	const struct registry_entry *model = NULL;
	size_t n = 0;

	while (*at && n < CAPTION_BATCH) {
		if (!model && !is_running(q, (*at)->model))
			model = (*at)->model;
		if (model && (*at)->model == model)
			batch[n++] = take(&q->ready, at);
		else
			at = &(*at)->next;
	}
	if (n)
		q->running[thread] = model;
	return n;
}

static void run_batch(struct caption_queue *q, unsigned thread,
	struct caption_request **batch, size_t n)
{
	struct caption_work work[CAPTION_BATCH], *works[CAPTION_BATCH] = { 0 };

	for (size_t i = 0; i < n; i++) {
		batch[i]->timings.queue += lap(batch[i]);
		work[i] = (struct caption_work){ .fitted = &batch[i]->fitted,
			.options = batch[i]->options,
			.out = batch[i]->texts };
		works[i] = &work[i];
	}
	caption_model_run(batch[0]->model->captioner, works, n, q->pace);
	pthread_mutex_lock(&q->lock);
	q->running[thread] = NULL;
	pthread_cond_broadcast(&q->wake);
	pthread_mutex_unlock(&q->lock);
	for (size_t i = 0; i < n; i++) {
		batch[i]->timings.run = lap(batch[i]);
		batch[i]->n = work[i].n;
		batch[i]->err = work[i].err;
		end(q, batch[i]);
	}
}

/* --- threads ---------------------------------------------------------- */

struct start {
	struct caption_queue *q;
	unsigned thread;
};

/* With the lock, which it gives up while it computes; false: nothing to do. */
static bool work_once(struct caption_queue *q, unsigned thread)
{
	struct caption_request *batch[CAPTION_BATCH], *r = NULL;
	size_t n = 0;

	if (q->waiting.n && q->ready.n < CAPTION_BATCH) {
		r = take(&q->waiting, &q->waiting.head);
		q->turn = r->turn;
	} else {
		n = take_batch(q, thread, batch);
	}
	if (!r && !n)
		return false;
	pthread_mutex_unlock(&q->lock);
	if (r)
		read_image(q, r);
	else
		run_batch(q, thread, batch, n);
	pthread_mutex_lock(&q->lock);
	return true;
}

static void *work(void *arg)
{
	struct start *s = arg;
	struct caption_queue *q = s->q;
	const unsigned thread = s->thread;

	free(s);
	pthread_setname_np(pthread_self(), "captions");
	if (q->nice)
		priority_lower(q->nice);
	pthread_mutex_lock(&q->lock);
	while (!q->closing)
		if (!work_once(q, thread))
			pthread_cond_wait(&q->wake, &q->lock);
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

static int start(struct caption_queue *q, unsigned thread)
{
	struct start *s = malloc(sizeof(*s));

	if (!s)
		return -1;
	*s = (struct start){ q, thread };
	if (pthread_create(&q->threads[thread], NULL, work, s) == 0)
		return 0;
	free(s);
	return -1;
}

int caption_queue_open(struct caption_queue **out,
	const struct caption_queue_options *o, struct error *err)
{
	struct caption_queue *q =
		calloc(1, sizeof(*q) + o->threads * sizeof(q->threads[0]));

	*out = NULL;
	if (!q)
		return error_set_memory(err, "captions", sizeof(*q));
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->wake, NULL);
	list_init(&q->waiting);
	list_init(&q->ready);
	q->max = o->max;
	q->max_per_client = o->max_per_client;
	q->nice = o->nice;
	q->own_pace = (struct pace){ .crowded = o->crowded,
		.arg = o->crowded_arg,
		.burst_us = BURST_US,
		.rest_us = REST_US };
	q->pace = o->nice && o->crowded ? &q->own_pace : NULL;
	q->slots = o->threads;
	q->running = calloc(o->threads, sizeof(*q->running));
	while (q->running && q->n_threads < o->threads &&
		start(q, q->n_threads) == 0)
		q->n_threads++;
	if (q->n_threads == o->threads) {
		*out = q;
		return 0;
	}
	caption_queue_close(q);
	return error_set(
		err, ERROR_INTERNAL, "cannot start a thread for captions");
}

void caption_queue_close(struct caption_queue *q)
{
	if (!q)
		return;
	pthread_mutex_lock(&q->lock);
	q->closing = true;
	pthread_cond_broadcast(&q->wake);
	pthread_mutex_unlock(&q->lock);
	for (unsigned i = 0; i < q->n_threads; i++)
		pthread_join(q->threads[i], NULL);
	pthread_mutex_destroy(&q->lock);
	pthread_cond_destroy(&q->wake);
	free(q->running);
	free(q);
}

/* Under the lock: into the first turn in which its client has no other. Returns
 * false where it has too many. */
static bool line_up(struct caption_queue *q, struct caption_request *r)
{
	struct caption_request **at = &q->waiting.head;
	size_t of_client = 0;

	r->turn = q->turn + 1;
	for (const struct caption_request *x = *at; x; x = x->next)
		if (x->client == r->client) {
			of_client++;
			r->turn = x->turn + 1;
		}
	if (q->max_per_client && of_client >= q->max_per_client)
		return false;
	while (*at && (*at)->turn <= r->turn)
		at = &(*at)->next;
	insert(&q->waiting, r, at);
	return true;
}

int caption_queue_post(
	struct caption_queue *q, struct caption_request *r, struct error *err)
{
	bool full, lined_up = false;

	r->since = now();
	pthread_mutex_lock(&q->lock);
	full = q->busy == q->max;
	if (!full && (lined_up = line_up(q, r))) {
		q->busy++;
		pthread_cond_signal(&q->wake);
	}
	pthread_mutex_unlock(&q->lock);
	if (lined_up)
		return 0;
	if (full)
		return error_set_param(err, ERROR_OVERLOADED, "captions.queue",
			"%zu images wait to be described already", q->max);
	return error_set_param(err, ERROR_OVERLOADED,
		"captions.queue_per_client",
		"%zu images of this client wait to be described already",
		q->max_per_client);
}

void caption_queue_drop(struct caption_queue *q)
{
	struct caption_request *r, *next;

	pthread_mutex_lock(&q->lock);
	r = q->waiting.head;
	list_init(&q->waiting);
	pthread_mutex_unlock(&q->lock);
	for (; r; r = next) {
		next = r->next;
		error_set(&r->err, ERROR_UNAVAILABLE, "the server is stopping");
		end(q, r);
	}
}

size_t caption_queue_busy(struct caption_queue *q)
{
	size_t n;

	pthread_mutex_lock(&q->lock);
	n = q->busy;
	pthread_mutex_unlock(&q->lock);
	return n;
}
