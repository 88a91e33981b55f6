/*
 * The one thread that writes a store. Batches of changes are posted to it from
 * any thread and committed in groups: whatever came in during one COMMIT goes
 * into the next. Of several puts of one key only the latest is written. Reads
 * through the writer see what was posted, committed or not.
 */
#ifndef STORE_WRITER_H
#define STORE_WRITER_H

#include "store/store.h"

struct store_writer;

struct store_writer_options {
	size_t max_bytes; /* posted and not yet committed; 0 = 256 MiB */
	int64_t sweep_ms; /* between sweeps of what expired; 0 = 10 s */
	int64_t idle_ms;  /* without a post, then upkeep; 0 = 200 ms */
};

/* Called once on the writer's thread: err is NULL after the COMMIT, else says
 * why nothing of the batch was stored. Must not block nor post and wait. */
typedef void store_done_fn(void *arg, const struct error *err);

/* The store is borrowed, and closed by the caller after the writer. */
int store_writer_open(struct store_writer **w, struct store *s,
	const struct store_writer_options *o, struct error *err);
/* Commits all that was posted, then ends the thread. */
void store_writer_close(struct store_writer *w);

/* Have fn called on the writer's thread for each key that a sweep removed; it
 * may post. NULL ends that, and returns when no call is under way. Any other
 * thread. */
void store_writer_on_sweep(struct store_writer *w,
	void (*fn)(void *arg, const char *key), void *arg);

/* Post n changes as one transaction; keys and values are copied. done may be
 * NULL. ERROR_OVERLOADED at max_bytes: then done is not called. Any thread;
 * does not wait for the disk. */
int store_writer_post(struct store_writer *w,
	const struct store_change *changes, size_t n, store_done_fn *done,
	void *arg, struct error *err);

/* As store_get, posted changes included. Any thread; may read the disk. */
int store_writer_get(struct store_writer *w, const char *key, int64_t now,
	struct buf *value, struct error *err);

/* Wait until all that was posted before is committed or has failed. Not on
 * the writer's thread, nor on the loop. */
void store_writer_flush(struct store_writer *w);

/* As store_list and store_count, after a flush. */
int store_writer_list(struct store_writer *w, const char *prefix,
	const char *after, size_t limit, int64_t now, store_row_fn *fn,
	void *arg, struct error *err);
/* As store_list: only what is committed, without waiting for more. Any thread,
 * the writer's included. */
int store_writer_list_committed(struct store_writer *w, const char *prefix,
	const char *after, size_t limit, int64_t now, store_row_fn *fn,
	void *arg, struct error *err);
/* As store_bytes. Any thread; does not wait for a COMMIT. */
int store_writer_bytes(struct store_writer *w, uint64_t *n, struct error *err);
int store_writer_count(struct store_writer *w, const char *prefix, int64_t now,
	uint64_t *n, struct error *err);

/* Append the writer's metrics, unrolld_store_*: what waits to be committed and
 * for how long, commits, groups, what expired. -1 when out is full. Any thread.
 */
int store_writer_metrics(struct store_writer *w, struct buf *out);

#endif
