#include "http/logprobs.h"

#include "http/reply.h"

json_t *logprobs_token(const struct tokenizer *t, uint32_t token)
{
	const char *bytes;
	size_t len;

	bytes = tokenizer_bytes(t, token, &len);
	return reply_text(bytes, len);
}

static void set(
	json_t *json, const struct tokenizer *t, uint32_t token, float logprob)
{
	json_t *text = logprobs_token(t, token);

	json_object_set_new(
		json, json_string_value(text), json_real((double)logprob));
	json_decref(text);
}

/* Code points that the token begins. */
static uint64_t code_points(const struct tokenizer *t, uint32_t token)
{
	const char *bytes;
	uint64_t n = 0;
	size_t len;

	bytes = tokenizer_bytes(t, token, &len);
	for (size_t i = 0; i < len; i++)
		n += (bytes[i] & 0xC0) != 0x80;
	return n;
}

static int begin(struct logprobs *l, bool offsets)
{
	l->tokens = json_array();
	l->token_logprobs = json_array();
	l->top_logprobs = json_array();
	l->text_offsets = offsets ? json_array() : NULL;
	return l->tokens && l->token_logprobs && l->top_logprobs &&
			       (l->text_offsets || !offsets)
		       ? 0
		       : -1;
}

void logprobs_skip(
	struct logprobs *l, const struct tokenizer *t, uint32_t token)
{
	l->offset += code_points(t, token);
}

int logprobs_add(struct logprobs *l, const struct tokenizer *t, uint32_t token,
	const float *logprob, const struct generate_top *top, unsigned n_top,
	bool offsets)
{
	json_t *number, *tops;

	if (!l->tokens && begin(l, offsets) < 0)
		return -1;
	number = logprob ? json_real((double)*logprob) : json_null();
	tops = logprob ? json_object() : json_null();
	for (unsigned i = 0; logprob && i < n_top; i++)
		set(tops, t, top[i].token, top[i].logprob);
	/* As OpenAI's, which has up to n + 1 of them. */
	if (logprob && l->text_offsets)
		set(tops, t, token, *logprob);
	if (json_array_append_new(l->tokens, logprobs_token(t, token)) < 0 ||
		json_array_append_new(l->token_logprobs, number) < 0 ||
		json_array_append_new(l->top_logprobs, tops) < 0)
		return -1;
	if (l->text_offsets && json_array_append_new(l->text_offsets,
				       json_integer((json_int_t)l->offset)) < 0)
		return -1;
	logprobs_skip(l, t, token);
	return 0;
}

void logprobs_extend(struct logprobs *l, struct logprobs *more)
{
	size_t n = json_array_size(more->text_offsets);

	if (!l->tokens) {
		logprobs_release(l);
		*l = *more;
		*more = (struct logprobs){ 0 };
		return;
	}
	json_array_extend(l->tokens, more->tokens);
	json_array_extend(l->token_logprobs, more->token_logprobs);
	json_array_extend(l->top_logprobs, more->top_logprobs);
	for (size_t i = 0; i < n; i++) {
		json_t *at = json_array_get(more->text_offsets, i);

		json_integer_set(
			at, json_integer_value(at) + (json_int_t)l->offset);
	}
	json_array_extend(l->text_offsets, more->text_offsets);
	l->offset += more->offset;
	logprobs_release(more);
}

json_t *logprobs_take(struct logprobs *l)
{
	json_t *json;

	if (!l->tokens)
		return NULL;
	json = json_pack("{s:o, s:o, s:o}", "tokens", l->tokens,
		"token_logprobs", l->token_logprobs, "top_logprobs",
		l->top_logprobs);
	if (l->text_offsets)
		json_object_set_new(json, "text_offset", l->text_offsets);
	/* What follows goes on counting. */
	*l = (struct logprobs){ .offset = l->offset };
	return json;
}

void logprobs_release(struct logprobs *l)
{
	json_decref(l->tokens);
	json_decref(l->token_logprobs);
	json_decref(l->top_logprobs);
	json_decref(l->text_offsets);
	*l = (struct logprobs){ 0 };
}
