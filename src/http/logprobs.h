/* Log-probabilities of tokens as OpenAI's completions show them: parallel
 * arrays. Any thread, one at a time. */
#ifndef HTTP_LOGPROBS_H
#define HTTP_LOGPROBS_H

#include "serve/generate.h"

#include <jansson.h>

struct logprobs { /* begins as zeros; all owned */
	json_t *tokens, *token_logprobs, *top_logprobs;
	json_t *text_offsets; /* in code points; NULL: not wanted */
	uint64_t offset;      /* of the next token */
};

/* A token's text, as JSON; what is no whole character alone is U+FFFD. */
json_t *logprobs_token(const struct tokenizer *t, uint32_t token);
/* The first row decides whether there are offsets; where there are, the token
 * is among its most probable ones, too. logprob NULL: it has no probability. -1
 * when memory ran out. */
int logprobs_add(struct logprobs *l, const struct tokenizer *t, uint32_t token,
	const float *logprob, const struct generate_top *top, unsigned n_top,
	bool offsets);
/* Only count the token: it was shown before. */
void logprobs_skip(
	struct logprobs *l, const struct tokenizer *t, uint32_t token);
/* Move `more` behind l. */
void logprobs_extend(struct logprobs *l, struct logprobs *more);
/* The object, or NULL when nothing was added; l is empty then. */
json_t *logprobs_take(struct logprobs *l);
void logprobs_release(struct logprobs *l);

#endif
