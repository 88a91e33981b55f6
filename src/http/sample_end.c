/* How a generation ends: it is counted, its answer is stored and told. Loop
 * thread. */
#include "base/log.h"
#include "http/reply.h"
#include "http/sample.h"
#include "http/stream.h"

#include <stdio.h>
#include <string.h>

static enum generate_finish outcome(const struct sample *s)
{
	const struct generate_result *r = generate_result(s->request);

	if (s->cancelled || r->error.code == ERROR_CANCELLED)
		return GENERATE_CANCELLED;
	if (r->error.code)
		return GENERATE_FAILED;
	return s->choices[0].finish;
}

static void observe(struct sample *s, const struct generate_result *r)
{
	const struct generate_timings *t = &r->timings;
	uint64_t n = r->usage.completion_tokens / (uint64_t)s->params.n;

	if (r->error.code)
		return;
	metrics_observe(s->api->metrics, MEASURE_GENERATION_SECONDS, 0,
		(double)(t->queue + t->prompt + t->decode + t->commit) / 1e9);
	if (n > 1)
		metrics_observe(s->api->metrics, MEASURE_TOKEN_SECONDS, 0,
			(double)t->decode / 1e9 / (double)(n - 1));
}

static void tell_timings(struct sample *s)
{
	const struct generate_timings *t =
		&generate_result(s->request)->timings;
	char text[128];

	snprintf(text, sizeof(text),
		"queue;dur=%.3f, prompt;dur=%.3f, decode;dur=%.3f, "
		"commit;dur=%.3f",
		(double)t->queue / 1e6, (double)t->prompt / 1e6,
		(double)t->decode / 1e6, (double)t->commit / 1e6);
	exchange_set_timing(s->x, text);
}

static void account(struct sample *s)
{
	static const int columns[] = {
		[GENERATE_LENGTH] = 0,
		[GENERATE_STOP] = 1,
		[GENERATE_DEADLINE] = 2,
		[GENERATE_CANCELLED] = 3,
		[GENERATE_FAILED] = 4,
	};
	const struct generate_result *r = generate_result(s->request);
	struct metrics *m = s->api->metrics;

	metrics_add(m, MEASURE_GENERATIONS,
		metrics_series(
			m, MEASURE_GENERATIONS, (size_t)columns[outcome(s)], 0),
		1);
	if (s->x)
		exchange_count_tokens(s->x, r->usage.prompt_tokens,
			r->usage.completion_tokens);
	observe(s, r);
	quota_spend(s->api->quota, s->client, uv_now(s->api->loop),
		r->usage.prompt_tokens + r->usage.completion_tokens);
	if (r->committed)
		api_note_store(s->api, NULL);
	else if (r->error.code == ERROR_IO || r->error.code == ERROR_NO_SPACE)
		api_note_store(s->api, &r->error);
}

static void answer_whole(struct sample *s)
{
	const struct generate_result *r = generate_result(s->request);

	tell_timings(s);
	if (s->stopping && r->error.code)
		reply_refuse(s->x, 503, "unavailable", "", SAMPLE_STOPPED);
	else if (r->error.code)
		api_reply_error(s->api, s->x, &r->error, s->retry_after);
	else if (s->stored) {
		exchange_reply(s->x, 200, "application/json", s->stored,
			strlen(s->stored));
		s->stored = NULL;
	} else
		reply_json(s->x, 200, s->shape->answer(s));
}

/* The answer, as a change that stores it under its key. */
static int store_answer(struct sample *s, char key[STORE_KEY_MAX + 1],
	struct buf *value, struct store_change *c, struct error *err)
{
	json_t *json = s->shape->answer(s);

	s->stored = json ? json_dumps(json, REPLY_JSON) : NULL;
	json_decref(json);
	if (!s->stored)
		return error_set_memory(err, "answer", 1);
	return idempotent_change(&s->key, 200, IDEMPOTENT_JSON, s->stored,
		strlen(s->stored), (int64_t)s->api->o.idempotency_ttl, key,
		value, c, err);
}

void sample_settled(struct sample *s)
{
	char key[STORE_KEY_MAX + 1];
	struct store_change c;
	struct buf value;
	struct error err;

	buf_init(&value, 0);
	if (store_answer(s, key, &value, &c, &err) < 0) {
		log_warn("an answer is not stored", log_fault(&err));
		generate_commit(s->request, NULL, 0);
	} else {
		generate_commit(s->request, &c, 1);
	}
	buf_release(&value);
}

static void answered(struct sample *s)
{
	if (s->group)
		group_take(s);
	else if (s->x)
		answer_whole(s);
	sample_detach(s);
	sample_free(s);
}

static void kept_arrived(struct arrival *a)
{
	struct sample *s = (struct sample *)((char *)a - offsetof(struct sample,
								 kept_arrival));

	api_note_store(s->api, s->kept_error.code ? &s->kept_error : NULL);
	if (!s->kept_error.code)
		answered(s);
	else
		sample_refuse(s, &s->kept_error);
}

/* On the writer's thread. */
static void on_kept(void *arg, const struct error *err)
{
	struct sample *s = arg;

	if (err)
		s->kept_error = *err;
	api_arrive(s->api, &s->kept_arrival);
}

/* An answer without a session to store it with: true when it waits for that. */
static bool keep_answer(struct sample *s)
{
	char key[STORE_KEY_MAX + 1];
	struct store_change c;
	struct buf value;
	struct error err;
	int kept;

	if (!s->key.key[0] || s->stored || s->cancelled ||
		generate_result(s->request)->error.code)
		return false;
	buf_init(&value, 0);
	s->kept_arrival.arrived = kept_arrived;
	kept = store_answer(s, key, &value, &c, &err);
	if (!kept)
		kept = sessions_keep(s->api->backend.sessions, NULL, &c, 1,
			on_kept, s, &err);
	buf_release(&value);
	if (kept < 0)
		log_warn("an answer is not stored", log_fault(&err));
	return kept == 0;
}

/* The client named an event that there never was. */
static bool is_beyond(const struct sample *s)
{
	const struct sample_resume *r = &s->resume;

	/* Some of it was not settled when it was cut. */
	if (r->replays && r->from <= r->record->sent)
		return false;
	return s->resume.has_from && !s->begun && !s->cancelled &&
	       !generate_result(s->request)->error.code &&
	       s->frame_index < s->resume.from;
}

static void end_stream(struct sample *s)
{
	const struct generate_result *r = generate_result(s->request);
	bool whole = !s->cancelled && !s->stopping && !r->error.code;
	struct error err;

	if (s->x && is_beyond(s)) {
		error_set_param(&err, ERROR_INVALID, "from",
			"from is %llu, but the stream ended at %llu",
			(unsigned long long)s->resume.from,
			(unsigned long long)s->frame_index);
		reply_error(s->x, &err);
		return;
	}
	if (s->x || whole) {
		sample_flush(s);
		sample_send_last(s);
	}
	if (whole && s->stream) {
		stream_over(&s->api->streams, s->stream, uv_now(s->api->loop));
		s->stream = NULL;
	}
}

void sample_end(struct sample *s)
{
	account(s);
	if (!s->params.stream) {
		if (!keep_answer(s))
			answered(s);
		return;
	}
	sample_keep_record(s);
	end_stream(s);
	if (s->group)
		group_take(s);
	sample_detach(s);
	sample_free(s);
}
