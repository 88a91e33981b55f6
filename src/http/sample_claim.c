/*
 * A sample with an Idempotency-Key: it waits for whoever has the key, is
 * answered from the store, carries on the key's stream, or goes on with the key
 * its own. Loop thread, but for the function that is named _on_worker.
 */
#include "http/sample.h"
#include "http/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* For a key whose client has left: its request is about to end. */
#define ABANDONED_MS 10000

static void look_up_on_worker(struct worker_job *job)
{
	struct sample *s = (struct sample *)job;

	s->found = idempotent_find(
		&s->key, s->api->backend.sessions, &s->answer, &s->err);
	worker_done(job);
}

static void replay_body(struct sample *s)
{
	struct buf *b = &s->answer.body;
	char *text = strndup(b->data ? b->data : "", b->len);

	if (s->x && s->answer.kind == IDEMPOTENT_EVENTS)
		stream_headers(s->x);
	if (s->x)
		exchange_reply(s->x, s->answer.status,
			s->answer.kind == IDEMPOTENT_EVENTS
				? STREAM_TYPE
				: "application/json",
			text, text ? b->len : 0);
	else
		free(text);
	sample_detach(s);
	sample_free(s);
}

static void tell_replayed(struct sample *s)
{
	if (!s->replayed)
		exchange_add_header(s->x, IDEMPOTENT_REPLAYED, "true");
	s->replayed = true;
}

/* Hand the client over to a stream that is at hand; true: s is gone. */
static bool hand_over(struct sample *s, const char *stream)
{
	struct exchange *x = s->x;

	sample_detach(s);
	if (sample_serve(s->api, x, stream, NULL)) {
		sample_free(s);
		return true;
	}
	s->x = x;
	exchange_attach(x, &sample_exchange_ops, s);
	return false;
}

static void replay_stream(struct sample *s)
{
	char id[RECORD_ID_MAX + 1];

	snprintf(id, sizeof(id), "%s",
		s->answer.body.data ? s->answer.body.data : "");
	if (!hand_over(s, id))
		sample_resume(s, id, NULL);
}

static void looked_up(struct worker_job *job)
{
	struct sample *s = (struct sample *)job;

	if (s->found < 0) {
		sample_refuse(s, &s->err);
		return;
	}
	if (!s->x) {
		sample_free(s);
		return;
	}
	if (!s->found) {
		sample_advance(s);
		return;
	}
	metrics_add(s->api->metrics, MEASURE_REPLAYED, 0, 1);
	tell_replayed(s);
	if (s->answer.kind == IDEMPOTENT_STREAM)
		replay_stream(s);
	else
		replay_body(s);
}

static void on_key_granted(struct idempotent *key)
{
	struct sample *s =
		(struct sample *)((char *)key - offsetof(struct sample, key));

	sample_stop_wait(s);
	sample_post(s, look_up_on_worker, looked_up);
}

/* A sample, not a group of them, has the key. */
static struct sample *sample_of(struct idempotent *holder)
{
	if (holder->granted != on_key_granted)
		return NULL;
	return (struct sample *)((char *)holder - offsetof(struct sample, key));
}

static bool is_abandoned(struct idempotent *holder)
{
	const struct sample *s = sample_of(holder);

	return s ? !s->x : holder->left;
}

/* Goes on without its client, who is here again. */
static bool rejoin(struct sample *s, const struct sample *other)
{
	if (!other->detached || !other->stream)
		return false;
	tell_replayed(s);
	return hand_over(s, other->stream_id);
}

void sample_claim(struct sample *s)
{
	struct idempotent *holder = idempotent_holder(s->api->keys, &s->key);
	bool abandoned = holder && is_abandoned(holder);
	int64_t wait = s->params.wait_ms;
	struct error err;
	int claimed;

	s->key.granted = on_key_granted;
	if (abandoned && sample_of(holder) &&
		XXH128_isEqual(holder->body, s->key.body) &&
		rejoin(s, sample_of(holder)))
		return;
	if (abandoned && wait < ABANDONED_MS)
		wait = ABANDONED_MS;
	claimed = idempotent_claim(s->api->keys, &s->key, wait > 0, &err);
	if (claimed > 0 && sample_wait(s, wait, &err) < 0)
		claimed = -1;
	if (claimed < 0)
		sample_refuse(s, &err);
	else if (!claimed)
		sample_post(s, look_up_on_worker, looked_up);
}
