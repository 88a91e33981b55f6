/*
 * The files that jobs have made, in jobs.dir/models: what a job ends with, and
 * its latest checkpoints, RESULT:ckpt-step-N. All are loaded, so that they can
 * be sampled. Any thread; two are never at one job's.
 */
#include "serve/jobs_private.h"

#include "base/log.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECKPOINT ":ckpt-step-"
#define SUFFIX ".safetensors"

static int path_of(
	const struct jobs *j, const char *model, char *path, size_t size)
{
	return snprintf(path, size, "%s/%s" SUFFIX, j->models, model) <
			       (int)size
		       ? 0
		       : -1;
}

int jobs_model_path(
	const struct jobs *j, const struct job *job, char *path, size_t size)
{
	return path_of(j, job->result, path, size);
}

void jobs_remove_model(struct jobs *j, const struct job *job)
{
	char path[PATH_MAX];

	if (jobs_model_path(j, job, path, sizeof(path)) == 0 &&
		unlink(path) == 0)
		registry_unload(j->o.registry, job->result, NULL);
}

/* --- checkpoints -------------------------------------------------------- */

static int checkpoint_name(
	const struct job *job, uint64_t step, char name[REGISTRY_NAME_MAX + 1])
{
	return snprintf(name, REGISTRY_NAME_MAX + 1, "%s" CHECKPOINT "%llu",
		       job->result,
		       (unsigned long long)step) <= REGISTRY_NAME_MAX
		       ? 0
		       : -1;
}

/* Fails where the name is too long: the job goes on without. */
void jobs_publish_checkpoint(struct job_entry *e, uint64_t step)
{
	struct jobs *j = e->jobs;
	const struct job *job = &e->sources->job;
	char name[REGISTRY_NAME_MAX + 1], path[PATH_MAX];
	struct error err;

	if (!j->o.checkpoints || checkpoint_name(job, step, name) < 0 ||
		path_of(j, name, path, sizeof(path)) < 0)
		return;
	if (finetune_checkpoint(e->body, path, &err) < 0 ||
		registry_load(j->o.registry, path, &err) < 0)
		log_warn("a checkpoint can't be sampled",
			log_text("job", job->id), log_fault(&err));
	jobs_keep_checkpoints(j, job, j->o.checkpoints);
}

bool jobs_checkpoint_model(struct jobs *j, const struct job *job, uint64_t step,
	char name[REGISTRY_NAME_MAX + 1])
{
	struct registry_entry *e;

	if (checkpoint_name(job, step, name) < 0)
		return false;
	e = registry_get(j->o.registry, name, NULL);
	registry_unref(e);
	return e != NULL;
}

/* The step in a file's name, if it is of the job's checkpoints. */
static bool read_step(const char *file, const struct job *job, uint64_t *step)
{
	const size_t n = strlen(job->result);
	const char *digits = file + n + strlen(CHECKPOINT);
	char *end;

	if (strncmp(file, job->result, n) != 0 ||
		strncmp(file + n, CHECKPOINT, strlen(CHECKPOINT)) != 0 ||
		*digits < '0' || *digits > '9')
		return false;
	*step = strtoull(digits, &end, 10);
	return !strcmp(end, SUFFIX);
}

static void remove_checkpoint(
	struct jobs *j, const struct job *job, uint64_t step)
{
	char name[REGISTRY_NAME_MAX + 1], path[PATH_MAX];
	struct error err = { 0 };

	if (checkpoint_name(job, step, name) < 0 ||
		path_of(j, name, path, sizeof(path)) < 0)
		return;
	if (registry_unload(j->o.registry, name, &err) < 0 &&
		err.code != ERROR_NOT_FOUND)
		return;
	registry_forget(j->o.registry, name);
	unlink(path);
}

void jobs_keep_checkpoints(struct jobs *j, const struct job *job, size_t keep)
{
	uint64_t steps[JOBS_MAX_CHECKPOINTS + 1], step;
	struct dirent *entry;
	size_t n = 0, i;
	DIR *d = opendir(j->models);

	/* The newest first; what is one too many goes. */
	while (d && (entry = readdir(d))) {
		if (!read_step(entry->d_name, job, &step))
			continue;
		for (i = n++; i > 0 && steps[i - 1] < step; i--)
			steps[i] = steps[i - 1];
		steps[i] = step;
		if (n > keep)
			remove_checkpoint(j, job, steps[--n]);
	}
	if (d)
		closedir(d);
}
