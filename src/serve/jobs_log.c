/* A job's events and checkpoints: rows "event/JOB/NUMBER" and "ckpt/JOB/NUMBER"
 * in the store, written in the transaction of the job's own record. */
#include "serve/jobs_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_AT_ONCE 100

static const char *const key_names[] = { "event", "ckpt" };
static const char *const id_names[] = { "ftevent", "ftckpt" };

static void make_key(
	enum jobs_log log, const char *job, uint64_t number, char *key)
{
	snprintf(key, STORE_KEY_MAX, "%s/%s/%010llu", key_names[log], job,
		(unsigned long long)number);
}

/* ftevent-…-NUMBER of ftjob-… */
static json_t *make_id(enum jobs_log log, const char *job, uint64_t number)
{
	return json_sprintf("%s-%s-%llu", id_names[log],
		job + strlen(JOB_ID_PREFIX), (unsigned long long)number);
}

uint64_t jobs_log_number(const char *id)
{
	const char *dash = strrchr(id, '-');

	return dash ? strtoull(dash + 1, NULL, 10) : 0;
}

static json_t *event(const struct job *job, const struct job_note *note)
{
	json_t *json = json_pack("{s:s, s:o, s:I, s:s, s:s, s:s}", "object",
		"fine_tuning.job.event", "id",
		make_id(JOBS_EVENTS, job->id, job->events), "created_at",
		(json_int_t)jobs_now(), "level", note->level, "message",
		note->message, "type", note->data ? "metrics" : "message");

	if (note->data)
		json_object_set(json, "data", note->data);
	return json;
}

static json_t *checkpoint(const struct job *job, const struct job_note *note)
{
	return json_pack("{s:s, s:o, s:I, s:s, s:I, s:O, s:n}", "object",
		"fine_tuning.job.checkpoint", "id",
		make_id(JOBS_CHECKPOINTS, job->id, job->checkpoints),
		"created_at", (json_int_t)jobs_now(), "fine_tuning_job_id",
		job->id, "step_number",
		json_integer_value(json_object_get(note->data, "step")),
		"metrics", note->data, "fine_tuned_model_checkpoint");
}

/* Takes the reference. */
static int add(struct store_change *c, enum jobs_log log, const char *job,
	uint64_t number, json_t *json, struct error *err)
{
	char key[STORE_KEY_MAX];
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	make_key(log, job, number, key);
	*c = (struct store_change){ .key = strdup(key),
		.value = text,
		.len = text ? strlen(text) : 0,
		.expires = STORE_NEVER };
	return c->key && text ? 0 : error_set_memory(err, "event", 1);
}

int jobs_log_changes(struct job *next, const struct job_note *notes, size_t n,
	struct store_change *changes, size_t *n_changes, struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		next->events++;
		if (add(&changes[(*n_changes)++], JOBS_EVENTS, next->id,
			    next->events, event(next, &notes[i]), err) < 0)
			return -1;
		if (!notes[i].checkpoint)
			continue;
		next->checkpoints++;
		if (add(&changes[(*n_changes)++], JOBS_CHECKPOINTS, next->id,
			    next->checkpoints, checkpoint(next, &notes[i]),
			    err) < 0)
			return -1;
	}
	return 0;
}

void jobs_log_free(struct store_change *changes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free((char *)changes[i].key);
		free((void *)changes[i].value);
	}
}

static int take_row(void *arg, const char *key, const void *value, size_t len,
	int64_t expires)
{
	json_t *json = json_loadb(value, len, 0, NULL);

	(void)key;
	(void)expires;
	return json_array_append_new(arg, json) < 0;
}

/* Rows first..last, both included, oldest first. */
static int read_rows(struct jobs *j, const char *id, enum jobs_log log,
	uint64_t first, uint64_t last, json_t *array, struct error *err)
{
	char prefix[STORE_KEY_MAX], after[STORE_KEY_MAX];

	if (first > last)
		return 0;
	snprintf(prefix, sizeof(prefix), "%s/%s/", key_names[log], id);
	make_key(log, id, first - 1, after);
	return store_shared_list(j->o.store, prefix, after,
		(size_t)(last - first + 1), take_row, array, err);
}

static void reverse(json_t *array)
{
	const size_t n = json_array_size(array);

	for (size_t i = 0; i + 1 < n; i++) {
		json_t *last = json_incref(json_array_get(array, n - 1));

		json_array_remove(array, n - 1);
		json_array_insert_new(array, i, last);
	}
}

/* Of checkpoints: the models that are there now. */
static void name_models(struct jobs *j, const struct job *job, json_t *array)
{
	char name[REGISTRY_NAME_MAX + 1];
	json_t *row;
	size_t i;

	json_array_foreach(array, i, row)
	{
		json_int_t step =
			json_integer_value(json_object_get(row, "step_number"));

		if (jobs_checkpoint_model(j, job, (uint64_t)step, name))
			json_object_set_new(row, "fine_tuned_model_checkpoint",
				json_string(name));
	}
}

int jobs_log(struct jobs *j, const char *owner, const char *id,
	enum jobs_log log, const struct jobs_page *page, json_t **array,
	bool *more, struct error *err)
{
	uint64_t first, last;
	struct job job;
	int rc;

	if (jobs_get(j, owner, id, &job, err) < 0)
		return -1;
	last = log == JOBS_EVENTS ? job.events : job.checkpoints;
	first = 1;
	if (page->newest_first) {
		if (page->after && page->after <= last)
			last = page->after - 1;
		if (last > page->limit)
			first = last - page->limit + 1;
		*more = first > 1;
	} else {
		first = page->after + 1;
		*more = last >= first && last - first >= page->limit;
		if (*more)
			last = first + page->limit - 1;
	}
	*array = json_array();
	rc = read_rows(j, id, log, first, last, *array, err);
	if (rc < 0)
		json_decref(*array);
	else if (page->newest_first)
		reverse(*array);
	if (rc == 0 && log == JOBS_CHECKPOINTS)
		name_models(j, &job, *array);
	job_release(&job);
	return rc;
}

struct keys {
	struct store_change changes[ROWS_AT_ONCE];
	size_t n;
};

static int take_key(void *arg, const char *key, const void *value, size_t len,
	int64_t expires)
{
	struct keys *k = arg;

	(void)value;
	(void)len;
	(void)expires;
	k->changes[k->n] = (struct store_change){ .key = strdup(key) };
	if (!k->changes[k->n].key)
		return 1;
	return ++k->n == ROWS_AT_ONCE;
}

/* All rows of a job that is forgotten. */
int jobs_log_forget(struct jobs *j, const char *id, struct error *err)
{
	char prefix[STORE_KEY_MAX];
	struct keys k;
	int rc = 0;

	for (int log = JOBS_EVENTS; log <= JOBS_CHECKPOINTS; log++) {
		snprintf(prefix, sizeof(prefix), "%s/%s/", key_names[log], id);
		do {
			k.n = 0;
			rc = store_shared_list(j->o.store, prefix, "",
				ROWS_AT_ONCE, take_key, &k, err);
			if (rc == 0 && k.n)
				rc = store_shared_apply(
					j->o.store, k.changes, k.n, err);
			jobs_log_free(k.changes, k.n);
		} while (rc == 0 && k.n == ROWS_AT_ONCE);
	}
	return rc;
}
