#include "serve/score.h"

#include "serve/request.h"

#include <math.h>
#include <stdio.h>

static int encode(const struct score_options *o, const char *param,
	const char *text, size_t len, struct token_buf *ids, size_t *skipped,
	struct error *err)
{
	size_t some = 0;

	if (len && tokenizer_encode(o->model->tokenizer, text, len, o->unknown,
			   ids, &some, err) < 0) {
		if (err && !*err->param)
			snprintf(err->param, sizeof(err->param), "%s", param);
		return -1;
	}
	*skipped += some;
	return 0;
}

static int open_tokens(struct generate_request **r,
	const struct score_options *o, const struct token_buf *ids, size_t from,
	struct error *err)
{
	static const uint32_t none;
	struct generate_options g;

	generate_defaults(&g);
	g.model = o->model;
	g.tokens = ids->len ? ids->ids : &none;
	g.n_tokens = ids->len;
	g.length = 0;
	g.start = o->start;
	g.has_scores = true;
	g.score_from = from;
	g.has_logprobs = o->has_top;
	g.logprobs = o->top;
	g.queue_ms = o->queue_ms;
	g.run_ms = o->run_ms;
	g.client = o->client;
	g.priority = o->priority;
	g.user = o->user;
	return generate_open(r, &g, err);
}

int score_open(struct generate_request **r, const struct score_options *o,
	struct error *err)
{
	size_t skipped = 0, from;
	struct token_buf ids;
	int opened = -1;

	token_buf_init(
		&ids, o->max_prompt ? o->max_prompt : GENERATE_MAX_PROMPT);
	if (encode(o, "prefix", o->prefix, o->prefix_len, &ids, &skipped, err) <
		0)
		goto out;
	from = ids.len;
	if (encode(o, "text", o->text, o->len, &ids, &skipped, err) < 0)
		goto out;
	opened = open_tokens(r, o, &ids, from, err);
	if (!opened)
		(*r)->result.usage.skipped = skipped;
out:
	token_buf_release(&ids);
	return opened;
}

uint64_t score_from(const struct generate_request *r)
{
	return r->score_from;
}

static uint64_t characters(const struct generate_request *r, uint32_t token)
{
	uint64_t n = 0;
	const char *bytes;
	size_t len;

	bytes = tokenizer_bytes(r->model->tokenizer, token, &len);
	for (size_t i = 0; i < len; i++)
		n += (bytes[i] & 0xC0) != 0x80;
	return n;
}

void score_sum(const struct generate_request *r, struct score *s)
{
	*s = (struct score){ .tokens = r->prompt.len - r->score_from };
	for (size_t i = r->score_from; i < r->prompt.len; i++) {
		s->logprob += (double)r->scores[i];
		s->characters += characters(r, r->prompt.ids[i]);
	}
	if (s->tokens)
		s->perplexity = exp(-s->logprob / (double)s->tokens);
	if (s->characters)
		s->bits_per_character =
			-s->logprob / M_LN2 / (double)s->characters;
}
