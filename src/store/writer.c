/*
 * Only the writer's thread applies and expires. Posters put changes into
 * `current` under the lock; the thread takes all of it at once as `flying`,
 * commits it without the lock, and calls back. Readers look into current, then
 * flying, then the store: flying is dropped only after its COMMIT.
 */
#include "store/writer.h"

#include "store/pending.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEFAULT_MAX_BYTES (256u << 20)
#define DEFAULT_SWEEP_MS 10000
#define SWEEP_ROWS 1000 /* in one transaction */

/* Who waits for a group's COMMIT. */
struct batch {
	struct batch *next;
	store_done_fn *done;
	void *arg;
};

struct store_writer {
	struct store *store; /* borrowed */
	size_t max_bytes;
	int64_t sweep_ms;
	pthread_t thread;

	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t work;  /* for the thread */
	pthread_cond_t idle;  /* for flush, and for on_sweep */
	struct pending current, flying;
	struct batch *batches, **batches_end;
	uint64_t posted, finished; /* posts */
	bool stop;
	bool sweeping;
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

/* One group: called with the lock held, and returns so. */
static void write_group(struct store_writer *w)
{
	struct batch *batches = w->batches;
	uint64_t posted = w->posted;
	struct error err = { 0 };
	struct pending done;
	int result;

	w->flying = w->current;
	w->current = (struct pending){ 0 };
	w->batches = NULL;
	w->batches_end = &w->batches;
	pthread_mutex_unlock(&w->lock);

	result = commit(w, &w->flying, &err);

	pthread_mutex_lock(&w->lock);
	done = w->flying;
	w->flying = (struct pending){ 0 };
	pthread_mutex_unlock(&w->lock);
	pending_release(&done);
	call_back(batches, result < 0 ? &err : NULL);

	pthread_mutex_lock(&w->lock);
	w->finished = posted;
	pthread_cond_broadcast(&w->idle);
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
		pthread_mutex_lock(&w->lock);
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

static bool is_past(const struct timespec *t)
{
	struct timespec now = after_ms(0);

	return now.tv_sec > t->tv_sec ||
	       (now.tv_sec == t->tv_sec && now.tv_nsec >= t->tv_nsec);
}

static void *writer_main(void *arg)
{
	struct store_writer *w = arg;
	struct timespec next = after_ms(w->sweep_ms);

	pthread_setname_np(pthread_self(), "store-writer");
	pthread_mutex_lock(&w->lock);
	while (!w->stop || w->batches) {
		if (w->batches) {
			write_group(w);
		} else if (!is_past(&next)) {
			pthread_cond_timedwait(&w->work, &w->lock, &next);
			continue;
		}
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
	w->store = s;
	w->max_bytes = o->max_bytes ? o->max_bytes : DEFAULT_MAX_BYTES;
	w->sweep_ms = o->sweep_ms > 0 ? o->sweep_ms : DEFAULT_SWEEP_MS;
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
		result = pending_add(&w->current, changes, n, err);
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
