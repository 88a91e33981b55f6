/*
 * How probable a model finds a text: a request that draws nothing. It goes
 * through an engine as any other, so that texts are scored side by side, and
 * those who stream keep their pace.
 */
#ifndef SERVE_SCORE_H
#define SERVE_SCORE_H

#include "serve/generate.h"

struct score_options {
	struct registry_entry *model; /* a reference is taken */
	const char *text;	      /* UTF-8 */
	size_t len;
	const char *prefix; /* read first and not scored; or NULL */
	size_t prefix_len;
	size_t max_prompt; /* tokens of both; 0 = GENERATE_MAX_PROMPT */
	enum unknown_policy unknown;
	const struct session_state *start; /* to go on from, or NULL */
	bool has_top;
	unsigned top; /* most probable tokens in each place, 0..20 */
	int64_t queue_ms, run_ms;
	uint64_t client;
	enum scheduler_priority priority;
	void *user;
};

/* Checks and tokenises: text and prefix each by itself. Errors as of
 * generate_open, with `text` or `prefix` as param. Any thread. */
int score_open(struct generate_request **r, const struct score_options *o,
	struct error *err);

struct score {
	uint64_t tokens, characters; /* scored: code points that they begin */
	double logprob;		     /* nats, <= 0 */
	double perplexity;	     /* per token; 0 without tokens */
	double bits_per_character;   /* 0 without characters */
};

/* Of a request that ended without an error; `from` is its first token that is
 * scored. */
void score_sum(const struct generate_request *r, struct score *s);
uint64_t score_from(const struct generate_request *r);

#endif
