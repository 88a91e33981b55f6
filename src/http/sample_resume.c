/*
 * Streams that a client comes back to. What the log still holds is sent from
 * there, and a generation under way gets its new reader. Else the stream is
 * generated again from its record, and what the client has is left out:
 *
 *   OPEN, or CANCELLED and its session stands where the cancel left it: goes on
 *   to its end, and the session with it
 *   CANCELLED, but its session went on without it: up to the cancel
 *   ENDED: all of it, and nothing is stored
 *
 * Loop thread, but for what is a worker's by its comment.
 */
#include "http/reply.h"
#include "http/sample.h"
#include "http/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* For the session of a stream that is just being cancelled. */
#define RESUME_WAIT_MS 10000

/* --- from the log ----------------------------------------------------- */

enum { FROM_BUFFER, FROM_RECORD };

static void count_resumed(struct api *a, size_t from)
{
	metrics_add(a->metrics, MEASURE_STREAMS_RESUMED,
		metrics_series(a->metrics, MEASURE_STREAMS_RESUMED, from, 0),
		1);
}

/* Its client has come by another way: the old one is told, in case it still
 * listens. */
static void part(struct sample *s)
{
	struct exchange *x = s->x;
	struct error err;

	if (!x)
		return;
	sample_sent(s);
	error_set_param(&err, ERROR_CANCELLED, "stream",
		"another connection reads the stream now");
	sample_begin(s);
	sample_detach(s);
	stream_event(x, NULL, reply_error_object(&err, exchange_id(x)));
	stream_end(x);
}

static size_t send_log(
	struct exchange *x, const struct stream *st, size_t offset)
{
	size_t n = st->log.len - offset;

	exchange_add_header(x, "X-Stream-Id", st->id);
	stream_begin(x);
	if (n)
		exchange_stream_write(x, st->log.data + offset, n);
	return n;
}

/* What of the log was sent, as if by this connection from the start. */
static void note_marks(struct sample *s, const struct stream *st, size_t offset)
{
	size_t n = st->marks.len / sizeof(struct stream_mark);
	const struct stream_mark *m = (void *)st->marks.data;

	buf_clear(&s->marks);
	for (size_t i = 0; i < n && s->params.n == 1; i++) {
		struct sample_mark sent = { m[i].end - offset, m[i].settled,
			m[i].tokens };

		if (m[i].end > offset &&
			buf_append(&s->marks, &sent, sizeof(sent)) < 0)
			return;
	}
}

/* The client says what it has. */
static void note_from(struct sample *s, const struct stream *st, uint64_t from)
{
	size_t n = st->marks.len / sizeof(struct stream_mark);
	const struct stream_mark *m = (void *)st->marks.data;
	/* Without texts to stop at nothing is held back. */
	uint64_t settled = s->params.stop ? 0 : from;

	for (size_t i = 0; i < n; i++)
		if (m[i].tokens == from)
			settled = m[i].settled;
	if (settled > s->kept)
		s->kept = settled;
	if (from > s->sent)
		s->sent = from;
}

static void take_over(struct sample *s, struct exchange *x, size_t offset,
	const uint64_t *from)
{
	struct stream *st = s->stream;

	part(s);
	s->api->n_detached -= s->detached;
	s->detached = false;
	s->x = x;
	s->begun = true;
	exchange_attach(x, &sample_exchange_ops, s);
	s->stream_bytes = send_log(x, st, offset);
	s->last_write = uv_now(s->api->loop);
	note_marks(s, st, offset);
	if (from)
		note_from(s, st, *from);
	sample_pump(s);
}

/* Its stream is generated again: it ends as if it had not begun. */
static void abandon(struct sample *s)
{
	part(s);
	streams_forget(&s->api->streams, s->stream);
	s->stream = NULL;
	s->api->n_detached -= s->detached;
	s->detached = false;
	if (!s->cancelled)
		generate_cancel(s->request, 0);
	s->cancelled = true;
}

static bool serve_live(struct exchange *x, struct stream *st, int seek,
	size_t offset, const uint64_t *from)
{
	struct sample *s = st->live;

	if (!seek && !s->cancelled) {
		count_resumed(s->api, FROM_BUFFER);
		take_over(s, x, offset, from);
		return true;
	}
	abandon(s);
	/* What waits in its ring makes way for its end. */
	sample_pump(s);
	return false;
}

bool sample_serve(struct api *a, struct exchange *x, const char *stream,
	const uint64_t *from)
{
	struct stream *st = streams_find(&a->streams, stream);
	struct error err;
	size_t offset;
	int seek;

	if (!st)
		return false;
	if (strcmp(st->owner, exchange_owner(x)) != 0) {
		record_missing(stream, &err);
		reply_error(x, &err);
		return true;
	}
	seek = stream_seek(st, from, &offset, &err);
	if (st->live && !st->live->submitted) {
		seek = error_set_param(&err, ERROR_CONFLICT, "stream",
			"stream %s is being resumed by another connection",
			st->id);
	}
	if (seek < 0) {
		reply_error(x, &err);
		return true;
	}
	if (st->live)
		return serve_live(x, st, seek, offset, from);
	if (seek)
		return false;
	count_resumed(a, FROM_BUFFER);
	send_log(x, st, offset);
	exchange_stream_end(x);
	return true;
}

/* --- from the record -------------------------------------------------- */

static int check_from(const struct sample *s, struct error *err)
{
	const struct request_record *r = s->resume.record;
	bool ended = r->phase == RECORD_ENDED ||
		     (r->phase == RECORD_CANCELLED && r->session[0]);
	uint64_t most = ended ? r->sent : (uint64_t)s->params.length;

	if (s->params.n > 1 && s->resume.from)
		return error_set_param(err, ERROR_GONE, "stream",
			"stream %s has %lld choices: it can be resumed from "
			"its buffer only, which is gone, or from the start",
			r->id, (long long)s->params.n);
	if (s->params.n > 1 || s->resume.from <= most)
		return 0;
	return error_set_param(err, ERROR_INVALID, "from",
		"from is %llu, but the last event that was sent is not after "
		"%llu",
		(unsigned long long)s->resume.from, (unsigned long long)most);
}

static int gone(const struct sample *s, const char *why, struct error *err)
{
	return error_set_param(err, ERROR_GONE, "stream",
		"stream %s can't be resumed: %s", s->resume.record->id, why);
}

static void replay(struct sample *s, struct generate_options *o)
{
	const struct sample_resume *r = &s->resume;

	s->resume.replays = true;
	if (s->params.n == 1)
		o->length = r->record->kept;
	o->start = r->has_state ? &r->state : NULL;
	o->timeline = r->record->session[0] ? r->record->session : NULL;
}

/* The session is held. */
static int go_on(
	struct sample *s, struct generate_options *o, struct error *err)
{
	struct request_record *r = s->resume.record;
	uint64_t at = r->phase == RECORD_OPEN ? r->start : r->end;

	if (session_begin_held(s->held, s->api->backend.registry, r->model,
		    SESSION_ANY_POSITION, &o->model, err) < 0)
		return -1;
	if (s->held->state.position != at) {
		if (!s->resume.has_state)
			return gone(s, "its session went on without it", err);
		session_abort(s->held);
		s->held = NULL;
		replay(s, o);
		return 0;
	}
	if (s->resume.has_state) {
		session_state_copy(&s->held->state, &s->resume.state);
		o->floor = s->kept = r->kept;
		s->sent = s->resume.from;
	}
	o->session = s->held;
	o->record = r;
	return 0;
}

/* Without its session: there is none, or it only lends its name. */
static int go_alone(
	struct sample *s, struct generate_options *o, struct error *err)
{
	struct request_record *r = s->resume.record;
	struct session_info info;

	if (s->held)
		session_abort(s->held);
	s->held = NULL;
	/* A system fingerprint begins with the model's. */
	o->model = registry_find(s->api->backend.registry, r->model,
		strtoull(r->system, NULL, 16), err);
	if (!o->model)
		return gone(s, "its model is not loaded any more", err);
	if (r->session[0]) {
		if (session_get(s->api->backend.sessions, r->session, &info,
			    err) < 0)
			return -1;
		session_info_release(&info);
		if (!s->resume.has_state)
			return gone(s, "its start was not stored", err);
	}
	if (r->phase == RECORD_ENDED)
		replay(s, o);
	else
		o->record = r;
	return 0;
}

static int check_system(const struct sample *s,
	const struct generate_options *o, struct error *err)
{
	const struct request_record *r = s->resume.record;

	if (!strcmp(r->system, o->model->system_fingerprint))
		return 0;
	return error_set_param(err, ERROR_GONE, "stream",
		"stream %s was computed by %s, but this is %s: its tokens "
		"would be others",
		r->id, r->system, o->model->system_fingerprint);
}

static int open_chosen(
	struct sample *s, struct generate_options *o, struct error *err)
{
	if (check_system(s, o, err) < 0 || sample_generate(s, o, err) < 0)
		return -1;
	if (o->record)
		s->resume.record = NULL;
	if (o->session)
		s->held = NULL;
	return 0;
}

/* A worker's. */
static int open_resumed(struct sample *s, struct error *err)
{
	struct request_record *r = s->resume.record;
	struct generate_options o;
	int opened;

	if (check_from(s, err) < 0)
		return -1;
	sample_options(s, &o);
	o.seed = r->seed;
	o.has_seed = true;
	s->created = r->created / 1000;
	s->resume.echoed = s->params.echo && s->resume.has_from;
	if (s->resume.has_from)
		s->params.echo = false;
	s->stream_tokens = s->resume.from;
	opened = r->session[0] && r->phase != RECORD_ENDED
			 ? go_on(s, &o, err)
			 : go_alone(s, &o, err);
	if (!opened)
		opened = open_chosen(s, &o, err);
	registry_unref(o.model);
	return opened;
}

/* A worker's. */
static int read_record(struct sample *s, struct error *err)
{
	struct request_record *record = NULL;
	struct sample_resume *r = &s->resume;

	record_free(r->record);
	if (r->has_state)
		session_state_release(&r->state);
	r->record = NULL;
	r->has_state = false;
	if (record_read(s->api->backend.sessions, s->stream_id, &record,
		    &r->state, &r->has_state, err) < 0)
		return -1;
	r->record = record;
	return strcmp(record->owner, s->owner)
		       ? record_missing(s->stream_id, err)
		       : 0;
}

/* A worker's: the session is held, and who held it before has stored what it
 * came to. */
void sample_open_resumed(struct worker_job *job)
{
	struct sample *s = (struct sample *)job;

	if (!read_record(s, &s->err))
		open_resumed(s, &s->err);
	worker_done(job);
}

static bool needs_session(const struct sample *s)
{
	const struct request_record *r = s->resume.record;

	return r->session[0] && r->phase != RECORD_ENDED;
}

static void read_on_worker(struct worker_job *job)
{
	struct sample *s = (struct sample *)job;
	struct request_record *r;

	if (!read_record(s, &s->err)) {
		r = s->resume.record;
		json_decref(s->json);
		s->json = NULL;
		s->resume.needs_session = needs_session(s);
		if (!sample_parse(s, r->body, r->body_len, &s->err) &&
			!s->resume.needs_session)
			open_resumed(s, &s->err);
	}
	worker_done(job);
}

static void was_read(struct worker_job *job)
{
	struct sample *s = (struct sample *)job;

	if (s->err.code || !s->resume.needs_session)
		sample_opened(job);
	else if (!s->x)
		sample_free(s);
	else
		sample_hold(s, s->resume.record->session, RESUME_WAIT_MS);
}

void sample_resume(struct sample *s, const char *stream, const uint64_t *from)
{
	struct error err;

	s->resume.is = true;
	s->resume.has_from = from != NULL;
	s->resume.from = from ? *from : 0;
	snprintf(s->stream_id, sizeof(s->stream_id), "%s", stream);
	s->stream = streams_begin(
		&s->api->streams, s->stream_id, s->resume.from, !from);
	if (!s->stream) {
		error_set_memory(&err, "stream", sizeof(*s->stream));
		sample_refuse(s, &err);
		return;
	}
	s->stream->live = s;
	memcpy(s->stream->owner, s->owner, sizeof(s->owner));
	count_resumed(s->api, FROM_RECORD);
	sample_post(s, read_on_worker, was_read);
}
