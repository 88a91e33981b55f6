/*
 * Only the writer's thread applies and expires. Posters put changes into
 * `current` under the lock; the thread takes all of it at once as `flying`,
 * commits it without the lock, and calls back. Readers look into current, then
 * flying, then the store: flying is dropped only after its COMMIT.
 */
#include "store/writer.h"

#include "base/log.h"
#include "base/metrics.h"
#include "store/pending.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEFAULT_MAX_BYTES (256u << 20)
#define DEFAULT_SWEEP_MS 10000
#define DEFAULT_IDLE_MS 200
#define SWEEP_ROWS 1000 /* in one transaction */

enum {
	PENDING_CHANGES,
	PENDING_BYTES,
	LAG,
	COMMITS,
	COMMIT_SECONDS,
	GROUP,
	EXPIRED
};

static const double seconds[] = { 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
	0.05, 0.1, 0.25, 0.5, 1, 2.5, 5 };
static const double sizes[] = { 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024,
	4096, 16384 };

static const struct metric measures[] = {
	[PENDING_CHANGES] = { "unrolld_store_pending_changes", METRIC_GAUGE,
		"Changes that are not committed yet" },
	[PENDING_BYTES] = { "unrolld_store_pending_bytes", METRIC_GAUGE,
		"Bytes of changes that are not committed yet" },
	[LAG] = { "unrolld_store_lag_seconds", METRIC_GAUGE,
		"Age of the oldest change that is not committed yet" },
	[COMMITS] = { "unrolld_store_commits_total", METRIC_COUNTER,
		"Groups of changes committed, or not",
		{ { "outcome", "ok|error" } } },
	[COMMIT_SECONDS] = { "unrolld_store_commit_seconds", METRIC_HISTOGRAM,
		"Time that a group takes to be written and synced",
		.bounds = seconds,
		.n_bounds = sizeof(seconds) / sizeof(double) },
	[GROUP] = { "unrolld_store_group_changes", METRIC_HISTOGRAM,
		"Changes in a group", .bounds = sizes,
		.n_bounds = sizeof(sizes) / sizeof(double) },
	[EXPIRED] = { "unrolld_store_expired_total", METRIC_COUNTER,
		"Entries removed because their time had come" },
};

/* Who waits for a group's COMMIT. */
struct batch {
	struct batch *next;
	store_done_fn *done;
	void *arg;
};

struct store_writer {
	struct store *store; /* borrowed */
	size_t max_bytes;
	int64_t sweep_ms, idle_ms;
	pthread_t thread;
	struct metrics *metrics;

	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t work;  /* for the thread */
	pthread_cond_t idle;  /* for flush, and for on_sweep */
	struct pending current, flying;
	double current_since, flying_since; /* of their oldest, monotonic s */
	struct batch *batches, **batches_end;
	uint64_t posted, finished; /* posts */
	bool stop;
	bool sweeping;
	bool untended; /* something was written since the last upkeep */
	void (*swept)(void *arg, const char *key);
	void *swept_arg;
};

static void call_back(struct batch *b, const struct error *err)
{
	struct batch *next;

	for (; b; b = next) {
		next = b->next;
		if (b->done)
			b->done(b->arg, err);
		free(b);
	}
}

static int commit(
	struct store_writer *w, const struct pending *p, struct error *err)
{
	struct store_change *changes;
	size_t i = 0;
	int result;

	if (!p->count)
		return 0;
	changes = malloc(p->count * sizeof(*changes));
	if (!changes)
		return error_set_memory(
			err, "store transaction", p->count * sizeof(*changes));
	for (struct pending_entry *e = p->first; e; e = e->next)
		changes[i++] = (struct store_change){ e->key, e->value, e->len,
			e->expires };
	result = store_apply(w->store, changes, p->count, err);
	free(changes);
	return result;
}

static double monotonic_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void measure(struct store_writer *w, int result, double took)
{
	metrics_add(w->metrics, COMMITS, result < 0, 1);
	metrics_observe(w->metrics, COMMIT_SECONDS, 0, took);
	metrics_observe(w->metrics, GROUP, 0, (double)w->flying.count);
}

/* Trouble that upkeep meets, a COMMIT will meet, too: that is where it is told.
 * 1 when there is more to do. */
static int tend(struct store_writer *w, bool idle)
{
	struct error err = { 0 };
	int more = store_tend(w->store, idle, &err);

	if (more < 0)
		log_warn("upkeep of the store failed", log_fault(&err));
	return more > 0;
}

/* One group: called with the lock held, and returns so. */
static void write_group(struct store_writer *w)
{
	struct batch *batches = w->batches;
	uint64_t posted = w->posted;
	struct error err = { 0 };
	struct pending done;
	double started = monotonic_s();
	int result;

	w->flying = w->current;
	w->flying_since = w->current_since;
	w->current = (struct pending){ 0 };
	w->batches = NULL;
	w->batches_end = &w->batches;
	pthread_mutex_unlock(&w->lock);

	result = commit(w, &w->flying, &err);
	measure(w, result, monotonic_s() - started);

	pthread_mutex_lock(&w->lock);
	done = w->flying;
	w->flying = (struct pending){ 0 };
	pthread_mutex_unlock(&w->lock);
	pending_release(&done);
	call_back(batches, result < 0 ? &err : NULL);

	pthread_mutex_lock(&w->lock);
	w->finished = posted;
	w->untended = true;
	pthread_cond_broadcast(&w->idle);
	pthread_mutex_unlock(&w->lock);
	tend(w, false);
	pthread_mutex_lock(&w->lock);
}

/* One transaction of a sweep, and the calls for what it removed. Called without
 * the lock; returns the rows. */
static size_t sweep_some(struct store_writer *w,
	void (*swept)(void *arg, const char *key), void *arg)
{
	struct buf keys;
	size_t n;

	buf_init(&keys, SWEEP_ROWS * (STORE_KEY_MAX + 1));
	if (store_expire(w->store, store_now(), SWEEP_ROWS,
		    swept ? &keys : NULL, &n, NULL) < 0)
		n = 0;
	for (size_t at = 0; swept && at < keys.len;
		at += strlen(keys.data + at) + 1)
		swept(arg, keys.data + at);
	buf_release(&keys);
	return n;
}

/* Called with the lock held, and returns so. A store that cannot be swept now
 * is tried again at the next one; writers hear of its trouble. */
static void sweep(struct store_writer *w)
{
	size_t n = SWEEP_ROWS;

	w->sweeping = true;
	while (n == SWEEP_ROWS && !w->stop && !w->batches) {
		void (*swept)(void *, const char *) = w->swept;
		void *arg = w->swept_arg;

		pthread_mutex_unlock(&w->lock);
		n = sweep_some(w, swept, arg);
		metrics_add(w->metrics, EXPIRED, 0, (double)n);
		pthread_mutex_lock(&w->lock);
		w->untended = w->untended || n;
	}
	w->sweeping = false;
	pthread_cond_broadcast(&w->idle);
}

static struct timespec after_ms(int64_t ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	return t;
}

static bool is_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec ||
	       (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

static bool is_past(const struct timespec *t)
{
	struct timespec now = after_ms(0);

	return !is_before(&now, t);
}

/* Called with the lock held, and returns so. */
static void tend_idle(struct store_writer *w)
{
	int more = 1;

	while (more && !w->stop && !w->batches) {
		pthread_mutex_unlock(&w->lock);
		more = tend(w, true);
		pthread_mutex_lock(&w->lock);
	}
	w->untended = more;
}

/* Until there is something to write, or a time to do something else. */
static void wait_for_work(struct store_writer *w, const struct timespec *sweep)
{
	struct timespec idle = after_ms(w->idle_ms);
	bool early = w->untended && is_before(&idle, sweep);

	while (!w->stop && !w->batches && !is_past(early ? &idle : sweep))
		pthread_cond_timedwait(
			&w->work, &w->lock, early ? &idle : sweep);
	if (early && !w->stop && !w->batches)
		tend_idle(w);
}

static void *writer_main(void *arg)
{
	struct store_writer *w = arg;
	struct timespec next = after_ms(w->sweep_ms);

	pthread_setname_np(pthread_self(), "store-writer");
	pthread_mutex_lock(&w->lock);
	while (!w->stop || w->batches) {
		if (w->batches)
			write_group(w);
		else
			wait_for_work(w, &next);
		if (is_past(&next) && !w->batches) {
			sweep(w);
			next = after_ms(w->sweep_ms);
		}
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

int store_writer_open(struct store_writer **writer, struct store *s,
	const struct store_writer_options *o, struct error *err)
{
	struct store_writer *w = calloc(1, sizeof(*w));
	pthread_condattr_t monotonic;
	int rc;

	if (!w)
		return error_set_memory(err, "store writer", sizeof(*w));
	if (metrics_open(&w->metrics, measures,
		    sizeof(measures) / sizeof(measures[0]), err) < 0) {
		free(w);
		return -1;
	}
	w->store = s;
	w->max_bytes = o->max_bytes ? o->max_bytes : DEFAULT_MAX_BYTES;
	w->sweep_ms = o->sweep_ms > 0 ? o->sweep_ms : DEFAULT_SWEEP_MS;
	w->idle_ms = o->idle_ms > 0 ? o->idle_ms : DEFAULT_IDLE_MS;
	w->batches_end = &w->batches;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&w->work, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_cond_init(&w->idle, NULL);
	rc = pthread_create(&w->thread, NULL, writer_main, w);
	if (rc) {
		pthread_cond_destroy(&w->idle);
		pthread_cond_destroy(&w->work);
		pthread_mutex_destroy(&w->lock);
		metrics_close(w->metrics);
		free(w);
		return error_set(err, ERROR_INTERNAL,
			"store writer: cannot start a thread (error %d)", rc);
	}
	*writer = w;
	return 0;
}

void store_writer_close(struct store_writer *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->work);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->idle);
	pthread_cond_destroy(&w->work);
	pthread_mutex_destroy(&w->lock);
	metrics_close(w->metrics);
	free(w);
}

void store_writer_on_sweep(struct store_writer *w,
	void (*fn)(void *arg, const char *key), void *arg)
{
	pthread_mutex_lock(&w->lock);
	w->swept = fn;
	w->swept_arg = arg;
	while (!fn && w->sweeping)
		pthread_cond_wait(&w->idle, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

static size_t batch_bytes(const struct store_change *changes, size_t n)
{
	size_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes += sizeof(struct pending_entry) + changes[i].len;
	return bytes;
}

static int add(struct store_writer *w, const struct store_change *changes,
	size_t n, struct error *err)
{
	if (!w->current.count)
		w->current_since = monotonic_s();
	return pending_add(&w->current, changes, n, err);
}

int store_writer_post(struct store_writer *w,
	const struct store_change *changes, size_t n, store_done_fn *done,
	void *arg, struct error *err)
{
	struct batch *b = malloc(sizeof(*b));
	size_t held;
	int result;

	if (!b)
		return error_set_memory(err, "store batch", sizeof(*b));
	*b = (struct batch){ .done = done, .arg = arg };
	pthread_mutex_lock(&w->lock);
	held = w->current.bytes + w->flying.bytes;
	/* An idle writer takes any batch: one too large would never fit. */
	if (held && held + batch_bytes(changes, n) > w->max_bytes)
		result = error_set(err, ERROR_OVERLOADED,
			"store: %zu bytes wait to be written, at most %zu may",
			held, w->max_bytes);
	else
		result = add(w, changes, n, err);
	if (result < 0) {
		free(b);
	} else {
		*w->batches_end = b;
		w->batches_end = &b->next;
		w->posted++;
		pthread_cond_signal(&w->work);
	}
	pthread_mutex_unlock(&w->lock);
	return result;
}

/* 1 when the answer is a posted change (then *result is get's), else 0. */
static int get_posted(const struct pending *p, const char *key, int64_t now,
	struct buf *value, int *result, struct error *err)
{
	const struct pending_entry *e = pending_find(p, key);

	if (!e)
		return 0;
	*result = 0;
	if (!e->value || e->expires <= now)
		*result = error_set(
			err, ERROR_NOT_FOUND, "store: no entry '%s'", key);
	else if (buf_append(value, e->value, e->len) < 0)
		*result = error_set(err, ERROR_TOO_LARGE,
			"store: entry '%s' has %zu bytes, more than %zu", key,
			e->len, value->max);
	return 1;
}

int store_writer_get(struct store_writer *w, const char *key, int64_t now,
	struct buf *value, struct error *err)
{
	int found, result;

	pthread_mutex_lock(&w->lock);
	found = get_posted(&w->current, key, now, value, &result, err) ||
		get_posted(&w->flying, key, now, value, &result, err);
	pthread_mutex_unlock(&w->lock);
	return found ? result : store_get(w->store, key, now, value, err);
}

void store_writer_flush(struct store_writer *w)
{
	uint64_t posted;

	pthread_mutex_lock(&w->lock);
	posted = w->posted;
	while (w->finished < posted)
		pthread_cond_wait(&w->idle, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

int store_writer_list(struct store_writer *w, const char *prefix,
	const char *after, size_t limit, int64_t now, store_row_fn *fn,
	void *arg, struct error *err)
{
	store_writer_flush(w);
	return store_list(w->store, prefix, after, limit, now, fn, arg, err);
}

int store_writer_list_committed(struct store_writer *w, const char *prefix,
	const char *after, size_t limit, int64_t now, store_row_fn *fn,
	void *arg, struct error *err)
{
	return store_list(w->store, prefix, after, limit, now, fn, arg, err);
}

int store_writer_bytes(struct store_writer *w, uint64_t *n, struct error *err)
{
	return store_bytes(w->store, n, err);
}

int store_writer_count(struct store_writer *w, const char *prefix, int64_t now,
	uint64_t *n, struct error *err)
{
	store_writer_flush(w);
	return store_count(w->store, prefix, now, n, err);
}

static void set_gauges(struct store_writer *w)
{
	double now = monotonic_s(), lag = 0;

	pthread_mutex_lock(&w->lock);
	if (w->flying.count)
		lag = now - w->flying_since;
	else if (w->current.count)
		lag = now - w->current_since;
	metrics_set(w->metrics, PENDING_CHANGES, 0,
		(double)(w->current.count + w->flying.count));
	metrics_set(w->metrics, PENDING_BYTES, 0,
		(double)(w->current.bytes + w->flying.bytes));
	pthread_mutex_unlock(&w->lock);
	metrics_set(w->metrics, LAG, 0, lag);
}

int store_writer_metrics(struct store_writer *w, struct buf *out)
{
	set_gauges(w);
	return metrics_render(w->metrics, out);
}
