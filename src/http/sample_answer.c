/* What a client gets of a generation: one JSON object, or frames of a stream.
 * A frame covers all tokens of one choice that had come when it was written. */
#include "http/reply.h"
#include "http/sample.h"
#include "http/stream.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_BYTES 4096 /* of text after which a frame is sent */
#define FRAME_LOGPROBS 32

/* What is replayed ends as it did, which may be earlier than it was to. */
static enum generate_finish sample_finish(
	const struct sample *s, enum generate_finish finish)
{
	const struct sample_resume *r = &s->resume;

	if (!r->replays || s->params.n > 1)
		return finish;
	return r->record->phase == RECORD_CANCELLED
		       ? GENERATE_CANCELLED
		       : (enum generate_finish)r->record->finish;
}

static int take_logprob(const struct sample *s, struct sample_choice *c,
	const struct generate_event *e)
{
	return logprobs_add(&c->logprobs, generate_model(s->request)->tokenizer,
		e->token, &e->logprob, e->top, e->n_top,
		s->shape->text_offsets);
}

/* Has the prompt its log-probabilities, too? */
static bool scores_prompt(const struct sample *s)
{
	return s->shape->text_offsets && s->params.echo &&
	       s->params.has_logprobs;
}

void sample_see_first(struct sample *s)
{
	const struct generate_event *e = s->event;
	uint64_t n = generate_prompt_tokens(s->request);
	const uint32_t *ids = generate_prompt(s->request);

	s->scored = generate_scores(s->request) &&
		    (e->type == GENERATE_TOKEN ||
			    (e->type == GENERATE_CHOICE_END &&
				    (e->finish == GENERATE_LENGTH ||
					    e->finish == GENERATE_STOP)));
	s->from_zero = e->position == n + e->index;
	/* What follows counts on from what the client has. */
	for (uint64_t i = 0; s->resume.echoed && i < n; i++)
		logprobs_skip(&s->choices[0].logprobs,
			generate_model(s->request)->tokenizer, ids[i]);
}

void sample_skip(struct sample *s, const struct generate_event *e)
{
	logprobs_skip(&s->choices[e->choice].logprobs,
		generate_model(s->request)->tokenizer, e->token);
	s->frame_index = e->index;
	s->frame_settled = e->settled;
}

/* Tokens [from, to) of the prompt. P of the first of all is nobody's, as OpenAI
 * has it. */
static int add_scores(
	struct sample *s, struct logprobs *l, uint64_t from, uint64_t to)
{
	const struct tokenizer *t = generate_model(s->request)->tokenizer;
	const uint32_t *ids = generate_prompt(s->request);
	const float *scores = generate_scores(s->request);
	const struct generate_top *top;
	unsigned n_top;

	top = generate_score_tops(s->request, &n_top);
	for (uint64_t i = from; i < to; i++)
		if (logprobs_add(l, t, ids[i],
			    !i && s->from_zero ? NULL : &scores[i],
			    n_top ? top + i * n_top : NULL, n_top, true) < 0)
			return -1;
	return 0;
}

void sample_echo_logprobs(struct sample *s, struct sample_choice *c)
{
	struct logprobs all = { 0 };

	if (!s->scored)
		return;
	add_scores(s, &all, 0, generate_prompt_tokens(s->request));
	logprobs_extend(&all, &c->logprobs);
	c->logprobs = all;
}

int sample_take(struct sample *s, const struct generate_event *e)
{
	struct sample_choice *c = &s->choices[e->choice];

	if (e->type == GENERATE_CHOICE_END) {
		c->ended = true;
		c->finish = sample_finish(s, e->finish);
	} else if (s->params.has_logprobs && take_logprob(s, c, e) < 0) {
		return -1;
	}
	if (e->type == GENERATE_TOKEN) {
		s->frame_tokens++;
		s->frame_index = e->index;
		c->nats += (double)e->logprob;
		c->drawn++;
	}
	s->frame_settled = e->settled;
	s->frame_choice = e->choice;
	return e->text_len ? buf_append(&c->text, e->text, e->text_len) : 0;
}

static double ms(uint64_t ns)
{
	return round((double)ns / 1e3) / 1e3;
}

static json_t *timings(const struct generate_result *r)
{
	double decode = (double)r->timings.decode / 1e9;
	double n = (double)r->usage.completion_tokens;

	return json_pack("{s:f, s:f, s:f, s:f, s:f}", "queue_ms",
		ms(r->timings.queue), "prompt_ms", ms(r->timings.prompt),
		"decode_ms", ms(r->timings.decode), "commit_ms",
		ms(r->timings.commit), "tokens_per_second",
		decode > 0 ? round(n / decode) : 0.0);
}

json_t *sample_usage(const struct generate_result *r)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "prompt_tokens",
		(json_int_t)r->usage.prompt_tokens, "completion_tokens",
		(json_int_t)r->usage.completion_tokens, "total_tokens",
		(json_int_t)(r->usage.prompt_tokens +
			     r->usage.completion_tokens),
		"skipped_characters", (json_int_t)r->usage.skipped);
}

/* Text, finish and log-probabilities of a choice into an object. */
static void describe_choice(struct sample_choice *c, json_t *json)
{
	const char *bytes = c->text.data ? c->text.data : "";

	json_object_set_new(json, "text", reply_text(bytes, c->text.len));
	if (c->logprobs.tokens)
		json_object_set_new(
			json, "logprobs", logprobs_take(&c->logprobs));
	json_object_set_new(json, "finish_reason",
		json_string(generate_finish_name(
			c->ended ? c->finish : GENERATE_CANCELLED)));
}

static json_t *describe_choices(struct sample *s)
{
	json_t *list = json_array();

	for (int64_t i = 0; i < s->params.n; i++) {
		json_t *item = json_pack("{s:I}", "index", (json_int_t)i);

		describe_choice(&s->choices[i], item);
		json_array_append_new(list, item);
	}
	return list;
}

static json_t *answer(struct sample *s)
{
	const struct generate_result *r = generate_result(s->request);
	const struct registry_entry *model = generate_model(s->request);
	char seed[24];
	json_t *json, *rest;

	snprintf(seed, sizeof(seed), "%llu", (unsigned long long)r->seed);
	json = json_pack("{s:s, s:s, s:I, s:s, s:s?, s:I}", "id", s->id,
		"object", "sample", "created", (json_int_t)s->created, "model",
		model->name, "session", generate_session_id(s->request),
		"position", (json_int_t)r->position);
	rest = json_pack("{s:s, s:o, s:o, s:s}", "seed", seed, "usage",
		sample_usage(r), "timings", timings(r), "system_fingerprint",
		model->system_fingerprint);
	if (s->params.n > 1)
		json_object_set_new(json, "choices", describe_choices(s));
	else
		describe_choice(&s->choices[0], json);
	json_object_update(json, rest);
	json_decref(rest);
	if (s->stream_id[0])
		json_object_set_new(json, "stream", json_string(s->stream_id));
	if (r->kernels_changed)
		json_object_set_new(json, "kernels_changed", json_true());
	if (r->session_change != SESSION_SAME)
		json_object_set_new(json, "model_changed",
			json_string(r->session_change == SESSION_CARRIED
					    ? "carried"
					    : "reset"));
	return json;
}

bool sample_frame_full(const struct sample *s)
{
	return s->choices[s->frame_choice].text.len >= FRAME_BYTES ||
	       (s->params.has_logprobs && s->frame_tokens >= FRAME_LOGPROBS);
}

static int mark(struct sample *s)
{
	struct sample_mark m = { s->stream_bytes, s->frame_settled,
		s->stream_tokens };

	if (s->frame_choice)
		return 0;
	return buf_append(&s->marks, &m, sizeof(m));
}

uint64_t sample_sent(struct sample *s)
{
	struct sample_mark m;
	size_t done = 0;

	while (s->x && s->marks.len - done >= sizeof(m)) {
		memcpy(&m, s->marks.data + done, sizeof(m));
		if (m.bytes > exchange_bytes_sent(s->x))
			break;
		s->kept = m.settled;
		s->sent = m.tokens;
		done += sizeof(m);
	}
	buf_consume(&s->marks, done);
	return s->kept;
}

void sample_begin(struct sample *s)
{
	if (s->begun || !s->x)
		return;
	s->begun = true;
	if (s->stream_id[0])
		exchange_add_header(s->x, "X-Stream-Id", s->stream_id);
	if (!exchange_replied(s->x)) /* by another of its group */
		stream_begin(s->x);
}

/* To the log, and to the client. */
static int put(struct sample *s, const struct buf *frame, bool has_id)
{
	if (s->stream)
		stream_log(&s->api->streams, s->stream, frame->data, frame->len,
			has_id, s->stream_tokens, s->frame_settled);
	sample_begin(s);
	if (!s->x)
		return 0;
	if (exchange_stream_write(s->x, frame->data, frame->len) < 0)
		return -1;
	if (s->group)
		group_log(s, frame);
	s->stream_bytes += frame->len;
	s->last_write = uv_now(s->api->loop);
	return 0;
}

static json_t *frame_json(struct sample *s, struct sample_choice *c)
{
	json_t *json = json_pack("{s:i, s:I, s:o}", "index",
		(int)s->frame_choice, "tokens", (json_int_t)s->frame_tokens,
		"text",
		reply_text(c->text.data ? c->text.data : "", c->text.len));

	if (json && c->logprobs.tokens)
		json_object_set_new(
			json, "logprobs", logprobs_take(&c->logprobs));
	if (json && s->stream_id[0] && !s->told_id)
		json_object_set_new(json, "stream", json_string(s->stream_id));
	s->told_id = true;
	return json;
}

/* Ids count tokens: a piece of the prompt has none, but for the last. */
static bool has_id(const struct sample *s)
{
	return !s->group &&
	       (s->frame_tokens || s->echo_choice == (unsigned)s->params.n);
}

int sample_flush(struct sample *s)
{
	struct sample_choice *c = &s->choices[s->frame_choice];
	bool with_id = has_id(s);
	struct buf frame;
	char id[24];
	int written;

	/* Text that was held back to the very end goes into the last frame: no
	 * id tells it apart. */
	if (!s->frame_tokens && (!c->text.len || c->ended))
		return 0;
	s->stream_tokens += s->frame_tokens;
	snprintf(id, sizeof(id), "%llu", (unsigned long long)s->stream_tokens);
	buf_init(&frame, EXCHANGE_MAX_BACKLOG);
	written = stream_format(
		&frame, with_id ? id : NULL, s->shape->frame(s, c));
	s->frame_tokens = 0;
	buf_clear(&c->text);
	if (!written)
		written = put(s, &frame, with_id);
	buf_release(&frame);
	if (written < 0)
		return -1;
	sample_sent(s);
	measures_frame(s->api, &s->frame_at);
	return s->x ? mark(s) : 0;
}

/* Is the prompt sent with its log-probabilities? */
static bool streams_scores(const struct sample *s)
{
	return s->params.stream && s->scored;
}

/* Of the prompt's rest, what makes a frame: cut between characters. */
static size_t plain_piece(const char *rest, size_t len)
{
	size_t n = FRAME_BYTES;

	if (len <= FRAME_BYTES)
		return len;
	while (n > 1 && (rest[n] & 0xC0) == 0x80)
		n--;
	return n;
}

/* The same with the log-probabilities of so many tokens: as many characters as
 * those begin; the last has what there is left. -1 when memory ran out. */
static ssize_t scored_piece(struct sample *s, const char *rest, size_t len)
{
	struct logprobs *l = &s->choices[s->echo_choice].logprobs;
	uint64_t all = generate_prompt_tokens(s->request);
	uint64_t to = s->echo_tokens + FRAME_LOGPROBS;
	uint64_t left = l->offset;
	size_t n = 0;

	to = to < all ? to : all;
	if (add_scores(s, l, s->echo_tokens, to) < 0)
		return -1;
	left = l->offset - left;
	s->echo_tokens = to < all ? to : 0;
	if (to == all)
		return (ssize_t)len;
	while (n < len && ((rest[n] & 0xC0) == 0x80 || left--))
		n++;
	return (ssize_t)n;
}

static int echo_piece(struct sample *s)
{
	const struct request_text *prompt = &s->params.prompt;
	const char *at = prompt->bytes + s->echo_offset;
	size_t rest = prompt->len - s->echo_offset;
	ssize_t n = streams_scores(s) ? scored_piece(s, at, rest)
				      : (ssize_t)plain_piece(at, rest);

	if (n < 0)
		return -1;
	s->echo_offset += (size_t)n;
	s->frame_choice = s->echo_choice;
	if (streams_scores(s) ? !s->echo_tokens
			      : s->echo_offset == prompt->len) {
		s->echo_offset = 0;
		s->echo_choice++;
	}
	if (buf_append(&s->choices[s->frame_choice].text, at, (size_t)n) < 0)
		return -1;
	return s->params.stream ? sample_flush(s) : 0;
}

bool sample_echo(struct sample *s)
{
	if (s->params.stream && scores_prompt(s) && !s->event)
		return true; /* not yet */
	while (s->params.echo && s->params.prompt.len &&
		(int64_t)s->echo_choice < s->params.n) {
		if (s->params.stream && s->x &&
			exchange_stream_room(s->x) < SAMPLE_FRAME_ROOM)
			return false;
		if (echo_piece(s) < 0)
			break;
	}
	return true;
}

/* The error beside what the answer says. */
static int last(struct sample *s, bool failed, json_t *error, struct buf *out)
{
	json_t *json = failed ? NULL : answer(s);

	if (json && error)
		json_object_update(json, error);
	else if (error)
		json = json_incref(error);
	json_decref(error);
	return stream_format(out, NULL, json);
}

const struct sample_shape sample_shape_own = {
	.prefix = "sample-",
	.stream = "strm_",
	.read = sample_read,
	.answer = answer,
	.frame = frame_json,
	.last = last,
};

/* An error goes before [DONE]: after it, clients have stopped to listen. */
void sample_send_last(struct sample *s)
{
	const struct generate_result *r = generate_result(s->request);
	bool failed = r->error.code && r->error.code != ERROR_CANCELLED;
	const char *request = s->x ? exchange_id(s->x) : s->id;
	json_t *error = NULL;
	struct error stopping;
	struct buf frame;

	error_set(&stopping, ERROR_UNAVAILABLE, SAMPLE_STOPPED);
	if (s->group)
		error = NULL; /* which tells of them once, at its end */
	else if (failed)
		error = reply_error_object(&r->error, request);
	else if (s->stopping && r->error.code)
		error = reply_error_object(&stopping, request);
	buf_init(&frame, STREAMS_FRAME);
	if (!s->shape->last(s, failed, error, &frame) &&
		(s->group || !buf_puts(&frame, STREAM_DONE)))
		put(s, &frame, false);
	buf_release(&frame);
	if (s->x && !s->group)
		exchange_stream_end(s->x);
}
