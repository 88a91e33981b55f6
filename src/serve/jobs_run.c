/*
 * Who works next. On the loop, which also takes back what the pool is done
 * with; it takes `lock` for moments, and never the ledger.
 *
 * A job that is claimed has one of max_running places, and a slice of it is in
 * the pool or about to be; slices of several come in turn. Places go to owners
 * in turn: first to those with fewer jobs that run, then to whose last turn is
 * longest ago. One job at a time is validated, beside those that run.
 */
#include "serve/jobs_private.h"

#include "base/log.h"

#include <malloc.h>
#include <stdlib.h>

static bool wants_to_run(const struct job_entry *e)
{
	return !e->claimed && !e->at_work &&
	       (e->job.status == JOB_QUEUED || e->job.status == JOB_RUNNING);
}

static bool comes_before(const struct job_entry *a, const struct job_entry *b)
{
	const struct job_owner *x = a->owner, *y = b->owner;

	if (x == y)
		return a->queued < b->queued;
	return x->running < y->running ||
	       (x->running == y->running && x->turn < y->turn);
}

/* Under the lock: the one whose turn it is, or NULL. */
static struct job_entry *pick(const struct jobs *j)
{
	struct job_entry *best = NULL;

	for (size_t i = 0; i < j->n; i++) {
		struct job_entry *e = j->entries[i];

		if (!wants_to_run(e))
			continue;
		if (e->job.status == JOB_RUNNING) /* before a restart */
			return e;
		if (!best || comes_before(e, best))
			best = e;
	}
	return best;
}

static void run(struct worker_job *work)
{
	jobs_slice((struct job_entry *)work);
	worker_done(work);
}

static void after(struct worker_job *work);

static void post(struct jobs *j, struct job_entry *e)
{
	e->at_work = true;
	j->n_at_work++;
	e->work.run = run;
	e->work.done = after;
	workers_post(j->pool, &e->work, NULL); /* which takes any number */
}

/* Under the lock, as wants_to_run is, so that no stop is missed. */
static void begin(struct jobs *j, struct job_entry *e, bool claims)
{
	atomic_store(&e->stop, false);
	if (claims) {
		e->claimed = true;
		e->turn = e->owner->turn = ++j->turns;
		e->owner->running++;
		atomic_fetch_add(&j->n_running, 1);
	}
	post(j, e);
}

static struct job_entry *pick_validation(const struct jobs *j)
{
	struct job_entry *first = NULL;

	for (size_t i = 0; i < j->n; i++) {
		struct job_entry *e = j->entries[i];

		if (e->at_work && !e->claimed)
			return NULL;
		if (!first && !e->at_work && !e->claimed &&
			e->job.status == JOB_VALIDATING)
			first = e;
	}
	return first;
}

void jobs_schedule(struct jobs *j)
{
	struct job_entry *e;

	if (atomic_load(&j->stopping))
		return;
	pthread_mutex_lock(&j->lock);
	while (atomic_load(&j->n_running) < j->o.max_running &&
		(e = pick(j)) != NULL)
		begin(j, e, true);
	e = pick_validation(j);
	if (e)
		begin(j, e, false);
	pthread_mutex_unlock(&j->lock);
}

/* A slice is done. */
static void after(struct worker_job *work)
{
	struct job_entry *e = (struct job_entry *)work;
	struct jobs *j = e->jobs;

	pthread_mutex_lock(&j->lock);
	e->at_work = false;
	j->n_at_work--;
	if (e->claimed && !e->more) {
		e->claimed = false;
		e->owner->running--;
		atomic_fetch_sub(&j->n_running, 1);
	} else if (e->claimed) {
		post(j, e);
	}
	pthread_mutex_unlock(&j->lock);
	/* What it had is the system's again: the next one may be small. */
	if (!e->claimed)
		malloc_trim(0);
	jobs_schedule(j);
}

static void on_wake(void *arg)
{
	jobs_schedule(arg);
}

int jobs_start(struct jobs *j, uv_loop_t *loop, struct error *err)
{
	struct wake *wake = malloc(sizeof(*wake));

	if (!wake)
		return error_set_memory(err, "jobs", sizeof(*wake));
	if (wake_open(wake, loop, on_wake, j, err) < 0) {
		free(wake);
		return -1;
	}
	j->wake = wake;
	if (workers_open_pool(
		    &j->pool, loop, j->o.max_running + 1, SIZE_MAX, err) < 0)
		return -1;
	jobs_schedule(j);
	return 0;
}

void jobs_stop(struct jobs *j)
{
	atomic_store(&j->stopping, true);
	pthread_mutex_lock(&j->lock);
	for (size_t i = 0; i < j->n; i++)
		atomic_store(&j->entries[i]->stop, true);
	pthread_mutex_unlock(&j->lock);
}

bool jobs_busy(const struct jobs *j)
{
	return j->n_at_work > 0;
}

unsigned jobs_running(const struct jobs *j)
{
	return atomic_load(&j->n_running);
}
