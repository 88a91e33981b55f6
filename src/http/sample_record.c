/* The record that a stream leaves in the store while it runs and after, from
 * which it can be generated again. */
#include "base/log.h"
#include "http/sample.h"

#include <stdlib.h>
#include <string.h>

/* How long an unfinished stream is kept, besides its time after the end. */
#define OPEN_MS 86400000

/* Before the engine can end it: the end's record is to be the last. */
void sample_post_record(struct sample *s)
{
	const struct request_record *record = generate_record(s->request);
	struct store_change with;
	char key[STORE_KEY_MAX + 1];
	struct buf value;
	struct error err;
	int posted;

	if (!record || s->resume.is)
		return;
	buf_init(&value, 0);
	posted = s->key.key[0] ? idempotent_change(&s->key, 200, true,
					 record->id, strlen(record->id),
					 (int64_t)s->api->o.idempotency_ttl,
					 key, &value, &with, &err)
			       : 0;
	if (!posted)
		posted = record_post(s->api->backend.sessions, record,
			record->ttl + OPEN_MS, s->key.key[0] ? &with : NULL,
			&err);
	if (posted < 0)
		log_warn("a stream can't be resumed", log_fault(&err));
	buf_release(&value);
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

/* The request as it was sent, for a stream that may be resumed. */
struct request_record *sample_make_record(struct sample *s)
{
	uint64_t ttl = s->api->o.streams_ttl;
	struct request_record *r;

	if (s->key.key[0] && ttl < s->api->o.idempotency_ttl)
		ttl = s->api->o.idempotency_ttl;
	if (!s->params.stream || !ttl || s->group ||
		s->body.len > RECORD_BODY_MAX)
		return NULL;
	r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	record_name(r->id);
	memcpy(r->id, s->shape->stream, strlen(s->shape->stream));
	memcpy(r->owner, s->owner, sizeof(r->owner));
	r->created = store_now();
	r->ttl = (int64_t)ttl;
	r->body = s->body.data;
	r->body_len = s->body.len;
	buf_init(&s->body, 0);
	return r;
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
