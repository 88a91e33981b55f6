/*
 * All fine-tuning jobs of a daemon: their records in the store, their turns on
 * a pool, what they publish to the registry. A job is told of by copy; whoever
 * is not its owner finds nothing.
 *
 * jobs_open, jobs_close and the calls for clients wait for disks: not on the
 * loop, any other thread. jobs_start, jobs_stop and jobs_busy: on the loop. In
 * jobs.dir are jobs.db (the records), work/ID/ (a job's files, until it is
 * over) and models/NAME.safetensors (what jobs have made).
 */
#ifndef SERVE_JOBS_H
#define SERVE_JOBS_H

#include "serve/job.h"
#include "store/shared.h"

#include <uv.h>

struct jobs;

struct jobs_options {
	const char *dir;
	struct store_shared *store; /* borrowed, as the next two */
	struct files *files;
	struct registry *registry;
	unsigned max_running; /* that train at once; the pool has one more
			       * thread, which validates */
	int nice;	      /* of all threads that train */
	size_t max;	      /* jobs kept; the oldest that are over go */
	/* A job or its events changed: any thread, no lock is held. */
	void (*changed)(void *arg);
	void *arg;
};

/* Reads the records; what was left over by a crash is removed. */
int jobs_open(struct jobs **j, const struct jobs_options *o, struct error *err);
/* From now on they run. */
int jobs_start(struct jobs *j, uv_loop_t *loop, struct error *err);
/* None begins any more, and those that run stop at a checkpoint, soon. */
void jobs_stop(struct jobs *j);
bool jobs_busy(const struct jobs *j);
/* Once it is not busy; the loop must still run afterwards. NULL is fine. */
void jobs_close(struct jobs *j);

/* `wanted` says what is asked for; its id and result are chosen. *job is the
 * copy of what became of it. Errors name the field: training_file,
 * validation_file, model, suffix. ERROR_OVERLOADED: there are too many. */
int jobs_create(struct jobs *j, const struct job *wanted, struct job *job,
	struct error *err);
/* ERROR_NOT_FOUND with param `job`. */
int jobs_get(struct jobs *j, const char *owner, const char *id, struct job *job,
	struct error *err);
/* JOB_PAUSE, JOB_RESUME or JOB_CANCEL; holds when it returns, and what runs
 * stops within its step. */
int jobs_ask(struct jobs *j, const char *owner, const char *id,
	enum job_verb verb, struct job *job, struct error *err);

/* Whether a job is to be listed. */
typedef bool jobs_filter(void *arg, const struct job *job);
/* Newest first, those after the job `after` ("": from the first). The caller
 * releases each of jobs[*n], at most limit. */
int jobs_list(struct jobs *j, const char *owner, const char *after,
	size_t limit, jobs_filter *wants, void *arg, struct job *jobs,
	size_t *n, bool *more, struct error *err);

enum jobs_log { JOBS_EVENTS, JOBS_CHECKPOINTS };

struct jobs_page {
	uint64_t after; /* number of an event; 0: from the end of the list */
	bool newest_first;
	size_t limit;
};
/* Events or checkpoints of a job, as JSON objects in an array. */
int jobs_log(struct jobs *j, const char *owner, const char *id,
	enum jobs_log log, const struct jobs_page *page, json_t **array,
	bool *more, struct error *err);
/* The number that is in the id of an event or checkpoint; 0: it isn't one. */
uint64_t jobs_log_number(const char *id);

/* Append metrics in Prometheus text: 0, or -1 when out is full. */
int jobs_metrics(struct jobs *j, struct buf *out);
/* Jobs that train now. */
unsigned jobs_running(const struct jobs *j);

#endif
