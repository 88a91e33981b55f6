/*
 * Text to token ids and back. A tokenizer is immutable and shared by reference
 * count; its rules and vocabulary travel in the checkpoint as JSON. Kinds are
 * rows of a table of ops: one file each, one line in the table.
 */
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H

#include "base/buf.h"
#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tokenizer;

/* What becomes of text that the vocabulary doesn't have. */
enum unknown_policy {
	UNKNOWN_ERROR, /* ERROR_UNPROCESSABLE naming the first one and where */
	UNKNOWN_SKIP,  /* leave it out, and count it */
	UNKNOWN_AUTO,  /* "<unk>" where the vocabulary has one, else an error */
};

/* ids grow as needed, at most max; the caller releases. */
struct token_buf {
	uint32_t *ids; /* owned */
	size_t len, cap, max;
};
void token_buf_init(struct token_buf *b, size_t max);
void token_buf_release(struct token_buf *b);
int token_buf_append(struct token_buf *b, uint32_t id);
/* Why it did not: ERROR_TOO_LARGE, or memory ran out. -1. */
int token_buf_error(const struct token_buf *b, struct error *err);

/* What a kind that learns may be told; zeros are the defaults. A kind refuses
 * what it can't follow, by the names of `unrolld train`'s options. */
struct tokenizer_options {
	uint64_t min_count; /* leave out what comes less often; 0 as 1 */
	size_t max_vocab;   /* tokens at most, "<unk>" included; 0: no limit */
	bool lower_case;    /* fold the text, which can't be got back then */
	bool jieba_no_hmm;  /* only words of the dictionary */
	const char *jieba_user_dict; /* a file of words more, or NULL */
};

/* Learn a vocabulary from a stream of UTF-8 chunks (cut anywhere), sorted so
 * that runs repeat. `options` may be NULL. finish ends the builder whether or
 * not it succeeds. */
struct tokenizer_builder;
int tokenizer_builder_open(struct tokenizer_builder **b, const char *kind,
	const struct tokenizer_options *options, struct error *err);
/* Just opened, for a text that is to extend t, of the same kind: it cuts as t
 * does, by the rules that t's checkpoint holds. */
int tokenizer_builder_follow(struct tokenizer_builder *b,
	const struct tokenizer *t, struct error *err);
int tokenizer_builder_feed(struct tokenizer_builder *b, const char *text,
	size_t len, struct error *err);
int tokenizer_builder_finish(
	struct tokenizer_builder *b, struct tokenizer **t, struct error *err);
void tokenizer_builder_abort(struct tokenizer_builder *b);

/* A tokenizer whose first ids are those of t, and after them what only `more`
 * knows, in its order; t itself when there is nothing. Of one kind. */
int tokenizer_extend(struct tokenizer **out, struct tokenizer *t,
	const struct tokenizer *more, struct error *err);

/* From and to the checkpoint's JSON; load checks everything and names what is
 * wrong. save returns a new reference, NULL when memory ran out. */
int tokenizer_load(struct tokenizer **t, const json_t *json, struct error *err);
json_t *tokenizer_save(const struct tokenizer *t);

struct tokenizer *tokenizer_ref(struct tokenizer *t);
void tokenizer_unref(struct tokenizer *t);

const char *tokenizer_kind(const struct tokenizer *t); /* "char", "word", … */
size_t tokenizer_vocab(const struct tokenizer *t);
/* The token an empty session starts from: "\n" where there is one, else 0. */
uint32_t tokenizer_start(const struct tokenizer *t);
/* The id of "<unk>", which stands for text outside the vocabulary and is never
 * to be sampled; TOKENIZER_NONE when there is none. */
#define TOKENIZER_NONE UINT32_MAX
uint32_t tokenizer_unknown(const struct tokenizer *t);

/* What a stream of parts has come to so far; starts as zeros. */
struct tokenizer_count {
	uint64_t characters; /* seen: code points, or bytes for `byte` */
	uint64_t skipped;    /* of them, unknown and left out */
	uint64_t unknown;    /* tokens that are "<unk>" */
	uint64_t unknown_characters; /* that these stand for */
};

/* Encode one part of a longer text: append its ids to out and add to *count,
 * from which errors say where they are. Parts end at tokenizer_boundary. */
int tokenizer_encode_part(const struct tokenizer *t, const char *text,
	size_t len, enum unknown_policy policy, struct tokenizer_count *count,
	struct token_buf *out, struct error *err);

/* Bytes of the longest start of text whose ids don't depend on what follows
 * it, 0..len: where a stream may be cut. */
size_t tokenizer_boundary(
	const struct tokenizer *t, const char *text, size_t len);

/* Append the ids of a whole text. *skipped (may be NULL) counts what the
 * policy left out. ERROR_TOO_LARGE when out->max is reached. For `byte` any
 * bytes are valid; `char` wants UTF-8. After an error out holds a part. */
int tokenizer_encode(const struct tokenizer *t, const char *text, size_t len,
	enum unknown_policy policy, struct token_buf *out, size_t *skipped,
	struct error *err);

/* The bytes of one token; borrowed from the tokenizer, not terminated. A
 * `byte` token may be part of a code point: see text/decoder.h. NULL with
 * *len = 0 for an id that is not below tokenizer_vocab. */
const char *tokenizer_bytes(
	const struct tokenizer *t, uint32_t id, size_t *len);

/* It writes any text as it is (`byte`, `bpe`): no text extends it. */
bool tokenizer_is_complete(const struct tokenizer *t);

/* Whether a kind's vocabulary is learnt from text: `byte` knows all of it. */
bool tokenizer_kind_learns(const char *kind);

/* Names of all kinds, NULL-terminated: for --help and conformance tests. */
const char *const *tokenizer_kinds(void);

#endif
