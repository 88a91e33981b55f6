/* The table of jobs and what clients ask of it. Any thread; see the locks in
 * jobs_private.h. */
#include "serve/jobs_private.h"

#include "base/log.h"
#include "base/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECORD_MAX (1u << 20)
#define MAX_NOTES 4

int64_t jobs_now(void)
{
	return store_now() / 1000;
}

void jobs_changed(struct jobs *j)
{
	if (j->o.changed)
		j->o.changed(j->o.arg);
	if (j->wake)
		wake_send(j->wake);
}

static struct job_entry *find(const struct jobs *j, const char *id)
{
	for (size_t i = j->n; i-- > 0;)
		if (!strcmp(j->entries[i]->job.id, id))
			return j->entries[i];
	return NULL;
}

/* Under the lock. */
static struct job_entry *find_owned(const struct jobs *j, const char *owner,
	const char *id, struct error *err)
{
	struct job_entry *e = find(j, id);

	if (e && !strcmp(e->job.owner, owner))
		return e;
	error_set_param(
		err, ERROR_NOT_FOUND, "job", "there is no job '%.60s'", id);
	return NULL;
}

void jobs_draft(struct jobs *j, struct job_entry *e, struct job *next)
{
	pthread_mutex_lock(&j->lock);
	job_copy(next, &e->job);
	pthread_mutex_unlock(&j->lock);
}

static int store_record(struct jobs *j, struct job *next,
	const struct job_note *notes, size_t n_notes, struct error *err)
{
	struct store_change changes[MAX_NOTES * JOBS_NOTE_CHANGES + 1];
	char key[STORE_KEY_MAX];
	struct buf record;
	size_t n = 0;
	int rc;

	buf_init(&record, RECORD_MAX);
	rc = jobs_log_changes(next, notes, n_notes, changes, &n, err);
	if (rc == 0)
		rc = job_save(next, &record, err);
	snprintf(key, sizeof(key), JOBS_KEY_PREFIX "%s", next->id);
	changes[n] = (struct store_change){ .key = key,
		.value = record.data,
		.len = record.len,
		.expires = STORE_NEVER };
	if (rc == 0)
		rc = store_shared_apply(j->o.store, changes, n + 1, err);
	jobs_log_free(changes, n);
	buf_release(&record);
	return rc;
}

/* What a job's end says is shown even when it could not be stored: it is then
 * run again after a restart. */
int jobs_commit(struct jobs *j, struct job_entry *e, struct job *next,
	const struct job_note *notes, size_t n_notes, struct error *err)
{
	struct error why;
	int rc = store_record(j, next, notes, n_notes, &why);

	if (rc < 0)
		log_error("a job's record is not stored",
			log_text("job", next->id), log_fault(&why));
	if (rc < 0 && err)
		*err = why;
	if (rc < 0 && !job_is_over(next)) {
		job_release(next);
		return -1;
	}
	pthread_mutex_lock(&j->lock);
	job_release(&e->job);
	e->job = *next;
	pthread_mutex_unlock(&j->lock);
	jobs_changed(j);
	return rc;
}

/* --- what a job has on the disk ----------------------------------------- */

static void release_files(struct jobs *j, struct job_entry *e)
{
	const char *const ids[] = { e->job.training_file,
		e->job.validation_file };

	for (int i = 0; i < 2; i++) {
		if (e->held[i])
			files_release(j->o.files, ids[i]);
		e->held[i] = false;
	}
}

void jobs_clean(struct jobs *j, struct job_entry *e)
{
	release_files(j, e);
	jobs_remove_work(j, e->job.id);
	if (e->job.status != JOB_SUCCEEDED) {
		jobs_remove_model(j, &e->job);
		jobs_keep_checkpoints(j, &e->job, 0);
	}
}

int jobs_hold_files(struct jobs *j, struct job_entry *e, struct error *err)
{
	static const char *const params[] = { "training_file",
		"validation_file" };
	const char *const ids[] = { e->job.training_file,
		e->job.validation_file };
	struct file_info info;

	for (int i = 0; i < 2; i++) {
		if (!*ids[i])
			continue;
		if (files_hold(j->o.files, e->job.owner, ids[i], &info, err) <
			0) {
			if (err)
				strcpy(err->param, params[i]);
			return -1;
		}
		e->held[i] = true;
	}
	return 0;
}

/* --- the table ---------------------------------------------------------- */

void jobs_entry_free(struct job_entry *e)
{
	jobs_close_body(e);
	job_release(&e->job);
	free(e);
}

struct job_entry *jobs_entry_new(struct jobs *j)
{
	struct job_entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->jobs = j;
	atomic_init(&e->stop, false);
	return e;
}

/* Under the lock. */
int jobs_entry_add(struct jobs *j, struct job_entry *e, struct error *err)
{
	size_t cap = j->cap ? 2 * j->cap : 64;
	struct job_entry **more;

	if (j->n == j->cap) {
		more = realloc(j->entries, cap * sizeof(*more));
		if (!more)
			return error_set_memory(
				err, "jobs", cap * sizeof(*more));
		j->entries = more;
		j->cap = cap;
	}
	if (jobs_owner_join(j, e, err) < 0)
		return -1;
	j->entries[j->n++] = e;
	return 0;
}

/* The oldest that is over, or n. Only who holds the ledger adds and removes. */
static size_t oldest_over(struct jobs *j)
{
	size_t i = 0;

	pthread_mutex_lock(&j->lock);
	while (i < j->n &&
		(!job_is_over(&j->entries[i]->job) || j->entries[i]->at_work ||
			j->entries[i]->claimed))
		i++;
	pthread_mutex_unlock(&j->lock);
	return i;
}

/* Under the ledger. */
static int make_room(struct jobs *j, struct error *err)
{
	char key[STORE_KEY_MAX];
	struct job_entry *e;
	size_t i;

	if (j->n < j->o.max)
		return 0;
	i = oldest_over(j);
	if (i == j->n)
		return error_set(err, ERROR_OVERLOADED,
			"there are %zu jobs that are not over, expected at "
			"most %zu (jobs.max)",
			j->n, j->o.max);
	e = j->entries[i];
	snprintf(key, sizeof(key), JOBS_KEY_PREFIX "%s", e->job.id);
	if (store_shared_delete(j->o.store, key, err) < 0 ||
		jobs_log_forget(j, e->job.id, err) < 0)
		return -1;
	pthread_mutex_lock(&j->lock);
	jobs_owner_leave(j, e);
	memmove(j->entries + i, j->entries + i + 1,
		(--j->n - i) * sizeof(struct job_entry *));
	pthread_mutex_unlock(&j->lock);
	jobs_keep_checkpoints(j, &e->job, 0);
	jobs_entry_free(e);
	return 0;
}

static int check_base(struct jobs *j, const struct job *job, struct error *err)
{
	struct registry_entry *base;

	if (!*job->model)
		return 0;
	base = registry_get(j->o.registry, job->model, err);
	registry_unref(base);
	return base ? 0 : -1;
}

static int prepare_entry(struct jobs *j, struct job_entry *e,
	const struct job *wanted, struct error *err)
{
	char name[RNG_NAME + 1];

	job_copy(&e->job, wanted);
	rng_name(name);
	snprintf(e->job.id, sizeof(e->job.id), JOB_ID_PREFIX "%s", name);
	e->job.status = JOB_VALIDATING;
	e->job.created = jobs_now();
	e->job.order = ++j->orders;
	if (job_name_result(&e->job, err) < 0 ||
		check_base(j, &e->job, err) < 0)
		return -1;
	return jobs_hold_files(j, e, err);
}

/* Under the ledger. */
static int publish_entry(struct jobs *j, struct job_entry *e, struct error *err)
{
	char created[96], checking[96];
	const struct job_note notes[] = { { "info", created, NULL, false },
		{ "info", checking, NULL, false } };
	int rc;

	snprintf(created, sizeof(created), "Created fine-tuning job: %s",
		e->job.id);
	snprintf(checking, sizeof(checking), "Validating training file: %s",
		e->job.training_file);
	if (make_room(j, err) < 0 ||
		store_record(j, &e->job, notes, 2, err) < 0)
		return -1;
	pthread_mutex_lock(&j->lock);
	e->queued = ++j->turns;
	rc = jobs_entry_add(j, e, err);
	pthread_mutex_unlock(&j->lock);
	return rc;
}

int jobs_create(struct jobs *j, const struct job *wanted, struct job *job,
	struct error *err)
{
	struct job_entry *e = jobs_entry_new(j);
	int rc;

	if (!e)
		return error_set_memory(err, "job", sizeof(*e));
	pthread_mutex_lock(&j->ledger);
	rc = prepare_entry(j, e, wanted, err);
	if (rc == 0)
		rc = publish_entry(j, e, err);
	if (rc == 0)
		job_copy(job, &e->job);
	else
		release_files(j, e);
	pthread_mutex_unlock(&j->ledger);
	if (rc < 0)
		jobs_entry_free(e);
	else
		jobs_changed(j);
	return rc;
}

int jobs_get(struct jobs *j, const char *owner, const char *id, struct job *job,
	struct error *err)
{
	struct job_entry *e;

	pthread_mutex_lock(&j->lock);
	e = find_owned(j, owner, id, err);
	if (e)
		job_copy(job, &e->job);
	pthread_mutex_unlock(&j->lock);
	return e ? 0 : -1;
}

/* Under the ledger. */
static int ask(struct jobs *j, struct job_entry *e, enum job_verb verb,
	struct error *err)
{
	static const char *const messages[JOB_VERBS] = {
		[JOB_PAUSE] = "The job is paused",
		[JOB_RESUME] = "The job is resumed",
		[JOB_CANCEL] = "The job was cancelled",
	};
	const struct job_note note = { "info", messages[verb], NULL, false };
	struct job next;
	bool idle;

	jobs_draft(j, e, &next);
	if (job_move(&next, verb, jobs_now(), err) < 0) {
		job_release(&next);
		return -1;
	}
	if (jobs_commit(j, e, &next, &note, 1, err) < 0)
		return -1;
	pthread_mutex_lock(&j->lock);
	if (verb != JOB_RESUME)
		atomic_store(&e->stop, true);
	else
		e->queued = ++j->turns;
	idle = !e->claimed && !e->at_work;
	pthread_mutex_unlock(&j->lock);
	/* Else its slice does that. */
	if (verb == JOB_CANCEL && idle)
		jobs_clean(j, e);
	return 0;
}

int jobs_ask(struct jobs *j, const char *owner, const char *id,
	enum job_verb verb, struct job *job, struct error *err)
{
	struct job_entry *e;
	int rc = -1;

	pthread_mutex_lock(&j->ledger);
	pthread_mutex_lock(&j->lock);
	e = find_owned(j, owner, id, err);
	pthread_mutex_unlock(&j->lock);
	if (e)
		rc = ask(j, e, verb, err);
	if (rc == 0)
		jobs_draft(j, e, job);
	pthread_mutex_unlock(&j->ledger);
	return rc;
}

int jobs_list(struct jobs *j, const char *owner, const char *after,
	size_t limit, jobs_filter *wants, void *arg, struct job *jobs,
	size_t *n, bool *more, struct error *err)
{
	bool begun = !*after;

	*n = 0;
	*more = false;
	pthread_mutex_lock(&j->lock);
	for (size_t i = j->n; i-- > 0 && !*more;) {
		const struct job *job = &j->entries[i]->job;

		if (strcmp(job->owner, owner) != 0)
			continue;
		if (!begun) {
			begun = !strcmp(job->id, after);
			continue;
		}
		if (wants && !wants(arg, job))
			continue;
		*more = *n == limit;
		if (!*more)
			job_copy(&jobs[(*n)++], job);
	}
	pthread_mutex_unlock(&j->lock);
	if (begun)
		return 0;
	return error_set_param(err, ERROR_NOT_FOUND, "after",
		"after is '%.60s', which is none of the jobs", after);
}
