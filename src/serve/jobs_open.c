/* Jobs read from their records and let go of. */
#include "serve/jobs_private.h"

#include "base/file.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct loading {
	struct jobs *jobs;
	struct error *err;
	int failed;
};

static int load_row(void *arg, const char *key, const void *value, size_t len,
	int64_t expires)
{
	struct loading *l = arg;
	struct job_entry *e = jobs_entry_new(l->jobs);
	struct error err;

	(void)expires;
	if (!e || job_load(&e->job, value, len, &err) < 0) {
		log_error("a job is left out", log_text("key", key));
		free(e);
		return 0;
	}
	l->failed = jobs_entry_add(l->jobs, e, l->err);
	return l->failed;
}

static int by_order(const void *a, const void *b)
{
	const struct job_entry *x = *(struct job_entry *const *)a;
	const struct job_entry *y = *(struct job_entry *const *)b;

	return (x->job.order > y->job.order) - (x->job.order < y->job.order);
}

static bool is_lost(const struct job *job)
{
	return job_is_over(job) && job->status != JOB_SUCCEEDED;
}

static int load_all(struct jobs *j, struct error *err)
{
	struct loading l = { .jobs = j, .err = err };

	if (store_shared_list(j->o.store, JOBS_KEY_PREFIX, "", SIZE_MAX,
		    load_row, &l, err) < 0 ||
		l.failed)
		return -1;
	if (j->n)
		qsort(j->entries, j->n, sizeof(struct job_entry *), by_order);
	for (size_t i = 0; i < j->n; i++) {
		struct job_entry *e = j->entries[i];

		j->orders = e->job.order;
		e->queued = ++j->turns;
		/* It was published, but its job doesn't say so. */
		if (e->job.status != JOB_SUCCEEDED)
			jobs_remove_model(j, &e->job);
		jobs_keep_checkpoints(
			j, &e->job, is_lost(&e->job) ? 0 : j->o.checkpoints);
		/* A file that is missing is said when it runs. */
		if (!job_is_over(&e->job))
			jobs_hold_files(j, e, NULL);
	}
	return 0;
}

static int make_directory(
	char **path, const char *dir, const char *name, struct error *err)
{
	if (asprintf(path, "%s/%s", dir, name) < 0) {
		*path = NULL;
		return error_set_memory(err, "jobs", strlen(dir));
	}
	return file_make_directories(*path, 0700, err);
}

int jobs_open(
	struct jobs **out, const struct jobs_options *o, struct error *err)
{
	struct jobs *j = calloc(1, sizeof(*j));

	*out = NULL;
	if (!j)
		return error_set_memory(err, "jobs", sizeof(*j));
	j->o = *o;
	pthread_mutex_init(&j->ledger, NULL);
	pthread_mutex_init(&j->lock, NULL);
	if (make_directory(&j->work, o->dir, "work", err) < 0 ||
		make_directory(&j->models, o->dir, "models", err) < 0 ||
		jobs_metrics_open(j, err) < 0 || load_all(j, err) < 0) {
		jobs_close(j);
		return -1;
	}
	jobs_sweep(j);
	*out = j;
	return 0;
}

void jobs_close(struct jobs *j)
{
	if (!j)
		return;
	if (j->wake)
		wake_close(j->wake, free, j->wake);
	if (j->pool)
		workers_close(j->pool, NULL, NULL);
	for (size_t i = 0; i < j->n; i++)
		jobs_entry_free(j->entries[i]);
	for (size_t i = 0; i < j->n_owners; i++)
		free(j->owners[i]);
	metrics_close(j->metrics);
	free(j->owners);
	free(j->entries);
	free(j->work);
	free(j->models);
	pthread_mutex_destroy(&j->lock);
	pthread_mutex_destroy(&j->ledger);
	free(j);
}
