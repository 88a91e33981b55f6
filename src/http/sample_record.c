/* The record that a stream leaves in the store while it runs and after, from
 * which it can be generated again. */
#include "base/log.h"
#include "http/sample.h"

#include <stdlib.h>
#include <string.h>

/* How long an unfinished stream is kept, besides its time after the end. */
#define OPEN_MS 86400000

/* Before the engine can end it: the end's record is to be the last. */
int sample_post_record(struct sample *s, struct error *err)
{
	const struct request_record *record = generate_record(s->request);
	struct store_change with;
	char key[STORE_KEY_MAX + 1];
	struct buf value;
	int posted;

	if (!record || s->resume.is)
		return 0;
	buf_init(&value, 0);
	posted = s->key.key[0]
			 ? idempotent_change(&s->key, 200, IDEMPOTENT_STREAM,
				   record->id, strlen(record->id),
				   (int64_t)s->api->o.idempotency_ttl, key,
				   &value, &with, err)
			 : 0;
	if (!posted)
		posted = record_post(s->api->backend.sessions, record,
			record->ttl + OPEN_MS, s->key.key[0] ? &with : NULL,
			err);
	buf_release(&value);
	/* Whoever gives a key relies on it. */
	if (posted < 0 && s->key.key[0])
		return -1;
	if (posted < 0)
		log_warn("a stream can't be resumed", log_fault(err));
	return 0;
}

void sample_drop_record(struct sample *s)
{
	char key[STORE_KEY_MAX + 1];
	struct store_change with;

	if (!s->stream_id[0] || s->resume.is)
		return;
	if (s->key.key[0])
		idempotent_unchange(&s->key, key, &with);
	record_drop(s->api->backend.sessions, s->stream_id, s->params.session,
		s->key.key[0] ? &with : NULL);
}

int sample_make_record(
	struct sample *s, struct request_record **out, struct error *err)
{
	uint64_t ttl = s->api->o.streams_ttl;
	struct request_record *r;

	if (s->key.key[0] && ttl < s->api->o.idempotency_ttl)
		ttl = s->api->o.idempotency_ttl;
	*out = NULL;
	if (!s->params.stream || !ttl || s->group)
		return 0;
	if (s->body.len > RECORD_BODY_MAX && s->key.key[0])
		return error_set_param(err, ERROR_INVALID, "Idempotency-Key",
			"the body has %zu bytes, but a stream with an "
			"Idempotency-Key at most %u",
			s->body.len, RECORD_BODY_MAX);
	if (s->body.len > RECORD_BODY_MAX)
		return 0;
	r = calloc(1, sizeof(*r));
	if (!r)
		return error_set_memory(err, "stream", sizeof(*r));
	record_name(r->id);
	memcpy(r->id, s->shape->stream, strlen(s->shape->stream));
	memcpy(r->owner, s->owner, sizeof(r->owner));
	r->created = store_now();
	r->ttl = (int64_t)ttl;
	r->body = s->body.data;
	r->body_len = s->body.len;
	buf_init(&s->body, 0);
	*out = r;
	return 0;
}

void sample_keep_record(struct sample *s)
{
	const struct generate_result *result = generate_result(s->request);
	struct request_record *r = generate_record(s->request);
	bool cancelled = result->error.code == ERROR_CANCELLED;
	struct error err;

	if (!r || result->committed || !s->stream)
		return;
	/* Its start state, once stored, is not for us to lose. */
	if (r->session[0] && r->phase != RECORD_OPEN)
		return;
	if (!r->session[0] && (cancelled || !result->error.code)) {
		r->phase = cancelled ? RECORD_CANCELLED : RECORD_ENDED;
		r->finish = (int)s->choices[0].finish;
		r->kept = r->sent = result->usage.completion_tokens;
	}
	if (record_post(s->api->backend.sessions, r, r->ttl, NULL, &err) < 0)
		log_warn("a stream's record is not stored", log_fault(&err));
}
