/* Text to a model's token ids and back, whole, as /v1/tokenize answers and
 * `unrolld tokenize` prints. Any thread; takes as long as the text is. */
#ifndef SERVE_TOKENIZE_H
#define SERVE_TOKENIZE_H

#include "base/error.h"
#include "text/encoding.h"
#include "text/tokenizer.h"

#include <jansson.h>

struct tokenize_options {
	const char *text; /* [len] borrowed */
	size_t len;
	const char *charset; /* of text, or "auto"; NULL: utf-8 */
	enum encoding_faults faults;
	enum unknown_policy unknown;
};

struct tokenize_result {
	struct token_buf tokens; /* owned */
	struct tokenizer_count count;
	const char *charset; /* borrowed from the options, or static */
	uint64_t faults;     /* replaced or skipped */
};

/* Errors name the field: encoding, or text. On failure nothing is owned. */
int tokenize_text(struct tokenize_result *r, const struct tokenizer *t,
	const struct tokenize_options *o, struct error *err);
void tokenize_release(struct tokenize_result *r);

/* Append the text of ids [n]; what is no whole code point is U+FFFD. An id
 * outside the vocabulary is ERROR_INVALID with its place; `tokens` is the
 * param. */
int tokenize_decode(const struct tokenizer *t, const uint32_t *ids, size_t n,
	struct buf *out, struct error *err);

/* A token's text as a JSON string, what is no whole code point as U+FFFD: a
 * new reference, NULL when memory ran out. */
json_t *tokenize_token(const struct tokenizer *t, uint32_t id);

#endif
