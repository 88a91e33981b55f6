/*
 * A sample's stages from its parameters to a generation that runs. Loop thread,
 * but for the functions that are named _on_worker, which touch only their
 * sample. A client that leaves here leaves nothing behind.
 */
#include "http/sample.h"

#include <stdio.h>
#include <string.h>

#define MAX_MARKS (1u << 20)

void sample_post(struct sample *s, void (*run)(struct worker_job *job),
	void (*done)(struct worker_job *job))
{
	struct error err;

	s->job.run = run;
	s->job.done = done;
	if (workers_post(s->api->workers, &s->job, &err) < 0)
		sample_refuse(s, &err);
}

/* What a choice's text can come to. */
static size_t text_limit(const struct sample *s)
{
	size_t token = generate_model(s->request)->max_token_bytes + 4;

	return s->params.prompt.len + (size_t)s->params.length * token +
	       GENERATE_MAX_STOP_BYTES;
}

static int begin_log(struct sample *s, struct error *err)
{
	const char *session;

	if (!s->stream_id[0])
		return 0;
	if (!s->stream)
		s->stream = streams_begin(&s->api->streams, s->stream_id,
			s->resume.from, !s->resume.has_from);
	if (!s->stream)
		return error_set_memory(err, "stream", sizeof(*s->stream));
	session = generate_session_id(s->request);
	snprintf(s->stream->session, sizeof(s->stream->session), "%s",
		session ? session : "");
	s->stream->live = s;
	memcpy(s->stream->owner, s->owner, sizeof(s->owner));
	return 0;
}

static void prepare(struct sample *s)
{
	s->submitted = true;
	quota_begin(s->api->quota, s->client, uv_now(s->api->loop));
	s->last_write = uv_now(s->api->loop);
	for (int64_t i = 0; i < s->params.n; i++)
		buf_init(&s->choices[i].text, text_limit(s));
	buf_init(&s->marks, MAX_MARKS);
	if (s->params.stream)
		s->api->n_streams++;
	if (s->params.stream && !s->resume.is && !s->group)
		sample_begin(s);
	if (!s->params.echo) {
		json_decref(s->json);
		s->json = NULL;
	}
}

void sample_submit(struct sample *s)
{
	struct error err;

	if (!s->x || (s->group && group_has_failed(s))) {
		sample_free(s);
		return;
	}
	s->retry_after = api_check_generation(s->api, s->client, &err);
	if (s->retry_after) {
		sample_refuse(s, &err);
		return;
	}
	if (begin_log(s, &err) < 0) {
		sample_refuse(s, &err);
		return;
	}
	if (sample_post_record(s, &err) < 0) {
		sample_refuse(s, &err);
		return;
	}
	if (engine_submit(s->api->backend.engine, s->request, &err) < 0) {
		sample_drop_record(s);
		sample_refuse(s, &err);
		return;
	}
	prepare(s);
	sample_pump(s);
}

void sample_opened(struct worker_job *job)
{
	struct sample *s = (struct sample *)job;

	if (s->err.code)
		sample_refuse(s, &s->err);
	else if (s->group && s->x)
		group_opened(s);
	else
		sample_submit(s);
}

/* Reads the store when there is a session: a worker's work then. */
static int open_fresh(struct sample *s, struct error *err)
{
	const struct sample_params *p = &s->params;
	const struct api_backend *b = &s->api->backend;
	struct generate_options o;
	int opened;

	sample_options(s, &o);
	if (!s->held)
		o.model = registry_get(b->registry, p->model, err);
	else if (session_begin_held(s->held, b->registry, p->model,
			 p->has_position ? (uint64_t)p->expected_position
					 : SESSION_ANY_POSITION,
			 &o.model, err) < 0)
		return -1;
	if (!o.model)
		return -1;
	/* It may be another by that name since it was looked at. */
	if (s->held && *s->owner && strcmp(s->held->info.owner, s->owner)) {
		registry_unref(o.model);
		return error_set_param(err, ERROR_NOT_FOUND, "session",
			"session '%s' does not exist", p->session);
	}
	o.session = s->held;
	o.settles = s->held && s->key.key[0] && !p->stream;
	opened = sample_make_record(s, &o.record, err);
	if (!opened)
		opened = sample_generate(s, &o, err);
	registry_unref(o.model);
	if (opened < 0) {
		record_free(o.record);
		return -1;
	}
	s->held = NULL;
	if (o.record)
		snprintf(
			s->stream_id, sizeof(s->stream_id), "%s", o.record->id);
	return 0;
}

static void open_on_worker(struct worker_job *job)
{
	struct sample *s = (struct sample *)job;

	open_fresh(s, &s->err);
	worker_done(job);
}

void sample_open(struct sample *s)
{
	if (s->resume.is)
		sample_post(s, sample_open_resumed, sample_opened);
	else if (s->held || s->params.prompt.len > GENERATE_INLINE_PROMPT)
		sample_post(s, open_on_worker, sample_opened);
	else {
		open_fresh(s, &s->err);
		sample_opened(&s->job);
	}
}

static void check_on_worker(struct worker_job *job)
{
	struct sample *s = (struct sample *)job;

	session_check_owner(
		s->api->backend.sessions, s->params.session, s->owner, &s->err);
	worker_done(job);
}

static void checked(struct worker_job *job)
{
	struct sample *s = (struct sample *)job;

	if (s->err.code)
		sample_refuse(s, &s->err);
	else if (!s->x)
		sample_free(s);
	else
		sample_hold(s, s->params.session, s->params.wait_ms);
}

/* Whose session it is shows before it is asked for: who may not have it does
 * not learn whether it is busy, nor makes it so. */
void sample_advance(struct sample *s)
{
	if (s->params.n_prompts > 1 && !s->group)
		group_start(s);
	else if (!s->params.session)
		sample_open(s);
	else if (*s->owner)
		sample_post(s, check_on_worker, checked);
	else
		sample_hold(s, s->params.session, s->params.wait_ms);
}
