/*
 * What kinds of tokenizers share whose tokens are strings: a cutter divides
 * any text into pieces without loss, and the frequent pieces are the
 * vocabulary. A kind brings its cutter and what its rules say in JSON. Private
 * to the kinds of tokenizers.
 */
#ifndef TEXT_STRING_TOKENIZER_H
#define TEXT_STRING_TOKENIZER_H

#include "text/tokenizer_ops.h"
#include "text/vocabulary.h"

/* Takes one piece, `at` bytes from the start of the text; may be a changed
 * copy (lower case) that lives until it returns. 0, or -1 to stop. */
typedef int piece_sink(void *arg, const char *piece, size_t len, size_t at);

/* A kind's own struct begins with this one. Immutable, any thread. */
struct cutter {
	/* Every piece of the text, in order; no piece is empty, and the same
	 * text cut anywhere that boundary allows has the same pieces. text is
	 * valid UTF-8. -1 when sink stopped, or memory ran out (*err). */
	int (*cut)(const struct cutter *c, const char *text, size_t len,
		piece_sink *sink, void *arg, struct error *err);
	/* As tokenizer_boundary; text is valid UTF-8. No piece is so long that
	 * this stays 0 past 64 KiB. */
	size_t (*boundary)(
		const struct cutter *c, const char *text, size_t len);
	void (*release)(struct cutter *c);
	bool any_bytes; /* text need not be UTF-8, for a builder */
};

struct string_tokenizer {
	struct tokenizer base;
	struct vocabulary vocabulary;
	struct cutter *cutter; /* owned */
	uint32_t space;	       /* id of " ", or VOCABULARY_NONE */
};

struct string_builder {
	struct tokenizer_builder base;
	struct cutter *cutter; /* owned; the kind's open sets it */
	struct vocabulary_counts counts;
	struct buf carry;   /* what the last part cut */
	uint64_t n_carried; /* bytes of the text before carry */
	struct error *err;  /* of the call that runs */
};

/* tokenizer_ops that a kind uses as they are. */
int string_builder_feed(struct tokenizer_builder *b, const char *text,
	size_t len, struct error *err);
int string_builder_finish(
	struct tokenizer_builder *b, struct tokenizer **t, struct error *err);
void string_builder_release(struct tokenizer_builder *b);
/* For a finish of the kind's own: counts what is left of the text.
 * ERROR_INVALID when there was none. */
int string_builder_flush(struct string_builder *b, struct error *err);
int string_tokenizer_encode(const struct tokenizer *t, const char *text,
	size_t len, enum unknown_policy policy, struct tokenizer_count *count,
	struct token_buf *out, struct error *err);
size_t string_tokenizer_boundary(
	const struct tokenizer *t, const char *text, size_t len);
const char *string_tokenizer_bytes(
	const struct tokenizer *t, uint32_t id, size_t *len);
void string_tokenizer_release(struct tokenizer *t);

/* For a kind's load: json's "vocabulary" and its cutter, which is taken also
 * when this fails. */
int string_tokenizer_load(struct tokenizer **t, struct cutter *cutter,
	const json_t *json, struct error *err);
/* For a kind's save: sets json's "vocabulary". */
int string_tokenizer_save(const struct tokenizer *t, json_t *json);

#endif
