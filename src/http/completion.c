/* Completions in the shape of OpenAI's /v1/completions, whole and as chunks.
 * https://platform.openai.com/docs/api-reference/completions */
#include "http/reply.h"
#include "http/sample.h"
#include "http/stream.h"

#include <stdlib.h>

/* Theirs are "stop" and "length" only. */
static json_t *finish_reason(const struct sample_choice *c)
{
	if (!c->ended)
		return json_null();
	return json_string(c->finish == GENERATE_STOP ? "stop" : "length");
}

static json_t *or_null(json_t *json)
{
	return json ? json : json_null();
}

static json_t *describe_choice(
	struct sample_choice *c, int64_t index, json_t *finish)
{
	const char *bytes = c->text.data ? c->text.data : "";

	return json_pack("{s:o, s:I, s:o, s:o}", "text",
		reply_text(bytes, c->text.len), "index", (json_int_t)index,
		"logprobs", or_null(logprobs_take(&c->logprobs)),
		"finish_reason", finish);
}

/* What an answer and each chunk begin with. */
static json_t *envelope(const struct sample *s, json_t *choices)
{
	const struct registry_entry *model = generate_model(s->request);

	return json_pack("{s:s, s:s, s:I, s:s, s:s, s:o}", "id", s->id,
		"object", "text_completion", "created", (json_int_t)s->created,
		"model", model->name, "system_fingerprint",
		model->system_fingerprint, "choices", choices);
}

static void add_session(const struct sample *s, json_t *json)
{
	const struct generate_result *r = generate_result(s->request);
	const char *session = generate_session_id(s->request);

	if (!session)
		return;
	json_object_set_new(json, "session", json_string(session));
	json_object_set_new(
		json, "position", json_integer((json_int_t)r->position));
}

static int64_t first_index(const struct sample *s)
{
	return (int64_t)s->member * s->params.shown;
}

static double per_token(const struct sample_choice *c)
{
	return c->drawn ? c->nats / (double)c->drawn : 0;
}

/* The best that was not taken yet; the earlier one of two equals. */
static int64_t best(const struct sample *s, const bool *taken)
{
	int64_t found = -1;

	for (int64_t i = 0; i < s->params.n; i++)
		if (!taken[i] &&
			(found < 0 || per_token(&s->choices[i]) >
					      per_token(&s->choices[found])))
			found = i;
	return found;
}

json_t *completion_choices(struct sample *s)
{
	bool taken[GENERATE_MAX_CHOICES] = { false };
	json_t *list = json_array();

	for (int64_t i = 0; i < s->params.shown; i++) {
		int64_t at = s->params.n > s->params.shown ? best(s, taken) : i;
		struct sample_choice *c = &s->choices[at];

		taken[at] = true;
		if (s->scored)
			sample_echo_logprobs(s, c);
		else if (!s->params.has_logprobs)
			json_decref(logprobs_take(&c->logprobs));
		json_array_append_new(
			list, describe_choice(
				      c, first_index(s) + i, finish_reason(c)));
	}
	return list;
}

json_t *completion_whole(struct sample *s, json_t *choices, json_t *usage)
{
	json_t *json = envelope(s, choices);

	json_object_set_new(json, "usage", usage);
	add_session(s, json);
	return json;
}

static json_t *answer(struct sample *s)
{
	return completion_whole(s, completion_choices(s),
		sample_usage(generate_result(s->request)));
}

static json_t *chunk(struct sample *s, json_t *choice)
{
	json_t *json = envelope(s, json_pack("[o]", choice));

	if (s->params.include_usage)
		json_object_set_new(json, "usage", json_null());
	return json;
}

static json_t *frame(struct sample *s, struct sample_choice *c)
{
	return chunk(s, describe_choice(c, first_index(s) + (c - s->choices),
				json_null()));
}

json_t *completion_usage_frame(struct sample *s, json_t *usage)
{
	json_t *json = envelope(s, json_array());

	json_object_set_new(json, "usage", usage);
	return json;
}

static int last(struct sample *s, bool failed, json_t *error, struct buf *out)
{
	int written = 0;

	for (int64_t i = 0; i < s->params.n && !failed && !written; i++) {
		struct sample_choice *c = &s->choices[i];
		json_t *json = chunk(s, describe_choice(c, first_index(s) + i,
						finish_reason(c)));

		add_session(s, json);
		written = stream_format(out, NULL, json);
	}
	if (!written && error)
		return stream_format(out, NULL, error);
	json_decref(error);
	if (!written && !failed && s->params.include_usage && !s->group)
		written = stream_format(out, NULL,
			completion_usage_frame(
				s, sample_usage(generate_result(s->request))));
	return written;
}

const struct sample_shape sample_shape_completion = {
	.prefix = "cmpl-",
	.stream = "cmpl_",
	.text_offsets = true,
	.read = completion_read,
	.answer = answer,
	.frame = frame,
	.last = last,
};
