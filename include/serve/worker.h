/*
 * A few threads for what the loop must not wait for: reads of files and of the
 * session store, parsing long bodies, training. Jobs are the poster's memory.
 */
#ifndef SERVE_WORKER_H
#define SERVE_WORKER_H

#include "base/error.h"

#include <stddef.h>
#include <uv.h>

struct workers;

struct worker_job {
	void (*run)(struct worker_job *job);  /* on a worker */
	void (*done)(struct worker_job *job); /* then on the loop */
	struct workers *workers;	      /* private */
	struct worker_job *next;	      /* private */
};

/* At most max_jobs wait or run at once. */
int workers_open(struct workers **w, uv_loop_t *loop, unsigned threads,
	size_t max_jobs, struct error *err);
/* The same on threads of libuv's pool (UV_THREADPOOL_SIZE or more of them),
 * which are these workers' until they are closed: a job that ends wakes the
 * loop by serve/wake.h, not by libuv's own means. */
int workers_open_pool(struct workers **w, uv_loop_t *loop, unsigned threads,
	size_t max_jobs, struct error *err);

/* ERROR_OVERLOADED when max_jobs are under way. Loop thread. */
int workers_post(struct workers *w, struct worker_job *job, struct error *err);

/* Called by run, or later by whoever run left the job to: it is ended, done
 * is next. Any thread, once per job. */
void worker_done(struct worker_job *job);

size_t workers_busy(const struct workers *w); /* jobs under way */

/* Runs what is queued to its end, joins, waits for jobs that others still hold;
 * calls done of all. `closed` is called from the loop, which must still run. */
void workers_close(struct workers *w, void (*closed)(void *arg), void *arg);

#endif
