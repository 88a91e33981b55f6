/* What a job's body is asked for: its record and the paths of its files. */
#include "serve/jobs_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int find_file(struct job_entry *e, const char *id, int i, char *path,
	struct error *err)
{
	struct files *files = e->jobs->o.files;

	*path = '\0';
	if (!*id)
		return 0;
	if (files_find(files, e->sources->job.owner, id, &e->sources->files[i],
		    err) < 0)
		return -1;
	return files_path(files, id, path, PATH_MAX);
}

static int find_base(struct job_entry *e, struct error *err)
{
	struct job_sources *s = e->sources;
	struct registry_entry *base;

	s->base[0] = '\0';
	/* What an earlier start has copied is what it goes on with. */
	snprintf(s->base, sizeof(s->base), "%s/base.safetensors", s->dir);
	if (!*s->job.model || access(s->base, F_OK) == 0)
		return 0;
	base = registry_get(e->jobs->o.registry, s->job.model, err);
	if (!base)
		return -1;
	snprintf(s->base, sizeof(s->base), "%s", base->path);
	registry_unref(base);
	return 0;
}

static struct finetune_text text_of(const char *path, const struct file_info *i)
{
	return (struct finetune_text){ .path = *path ? path : NULL,
		.name = i->name,
		.encoding = i->encoding,
		.lines_of_json = i->format == FILE_JSONL };
}

static json_t *about(const struct job_entry *e)
{
	const struct job *job = &e->sources->job;
	json_t *json = json_pack("{s:s, s:s, s:s}", "job", job->id,
		"training_file", job->training_file, "file_name",
		e->sources->files[0].name);

	if (*job->model)
		json_object_set_new(json, "parent", json_string(job->model));
	return json;
}

int jobs_make_request(
	struct job_entry *e, struct finetune_request *r, struct error *err)
{
	struct job_sources *s = calloc(1, sizeof(*s));
	const struct job *job;

	if (!s)
		return error_set_memory(err, "job", sizeof(*s));
	e->sources = s;
	job = &s->job;
	jobs_draft(e->jobs, e, &s->job);
	if (snprintf(s->dir, sizeof(s->dir), "%s/%s", e->jobs->work, job->id) >=
		(int)sizeof(s->dir))
		return error_set(err, ERROR_INVALID, "jobs.dir is too long");
	if (find_file(e, job->training_file, 0, s->training, err) < 0 ||
		find_file(e, job->validation_file, 1, s->validation, err) < 0 ||
		find_base(e, err) < 0)
		return -1;
	s->about = about(e);
	*r = (struct finetune_request){ .options = job->options,
		.base = *job->model ? s->base : NULL,
		.base_name = job->model,
		.arch = job->arch,
		.tokenizer = job->tokenizer,
		.seed = job->seed,
		.training = text_of(s->training, &s->files[0]),
		.validation = text_of(s->validation, &s->files[1]),
		.dir = s->dir,
		.about = s->about,
		.stop = &e->stop,
		.nice = e->jobs->o.nice,
		.crowded = e->jobs->o.nice ? e->jobs->o.crowded : NULL,
		.crowded_arg = e->jobs->o.crowded_arg,
		.tell = jobs_on_event,
		.arg = e };
	return 0;
}
