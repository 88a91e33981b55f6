/*
 * What a kind of tokenizer is made of. A newcomer writes one file that defines
 * a `const struct tokenizer_ops` and adds its line to the table in tokenizer.c;
 * tests/text/test_tokenizer.c then holds it to the contract. Every pointer is
 * mandatory.
 */
#ifndef TEXT_TOKENIZER_OPS_H
#define TEXT_TOKENIZER_OPS_H

#include "text/tokenizer.h"

#include <stdatomic.h>

struct tokenizer {
	const struct tokenizer_ops *ops;
	atomic_uint references;
	size_t vocab;
	uint32_t start;
	bool has_unknown;
	uint32_t unknown; /* the id of "<unk>", if there is one */
};			  /* a kind's own struct begins with this one */

struct tokenizer_builder {
	const struct tokenizer_ops *ops;
	struct tokenizer_options options;
	uint64_t bytes; /* fed so far */
};			/* as above */

/* Of tokenizer_options, what a kind can follow. */
enum tokenizer_takes {
	TAKES_MIN_COUNT = 1,
	TAKES_MAX_VOCAB = 2,
	TAKES_LOWER_CASE = 4,
	TAKES_JIEBA = 8,
};

struct tokenizer_ops {
	const char *name;
	bool learns;
	bool complete;	/* writes any text: nothing extends it */
	unsigned takes; /* enum tokenizer_takes */

	/* A builder in `size` zeroed bytes but for ops and options, which are
	 * such as the kind takes; new and load leave ops, references and (load)
	 * start to tokenizer.c. */
	size_t builder_size;
	int (*builder_open)(struct tokenizer_builder *b, struct error *err);
	int (*feed)(struct tokenizer_builder *b, const char *text, size_t len,
		struct error *err);
	int (*finish)(struct tokenizer_builder *b, struct tokenizer **t,
		struct error *err);
	void (*builder_release)(struct tokenizer_builder *b);
	/* A builder that was just opened cuts as t does, whatever its options
	 * say: for what is to extend t. */
	int (*follow)(struct tokenizer_builder *b, const struct tokenizer *t,
		struct error *err);

	/* The JSON fields beside kind and start; load refuses others by
	 * itself through the NULL-terminated list `fields`. */
	const char *const *fields;
	int (*load)(
		struct tokenizer **t, const json_t *json, struct error *err);
	int (*save)(const struct tokenizer *t, json_t *json);
	/* t's vocabulary and then what only `more` has; `start` is t's. Called
	 * where there is something. */
	int (*extend)(struct tokenizer **out, const struct tokenizer *t,
		const struct tokenizer *more, struct error *err);
	/* Whether t has this token of another of its kind. */
	bool (*knows)(const struct tokenizer *t, const char *token, size_t len);

	int (*encode)(const struct tokenizer *t, const char *text, size_t len,
		enum unknown_policy policy, struct tokenizer_count *count,
		struct token_buf *out, struct error *err);
	size_t (*boundary)(
		const struct tokenizer *t, const char *text, size_t len);
	const char *(*bytes)(
		const struct tokenizer *t, uint32_t id, size_t *len);
	void (*release)(struct tokenizer *t);
};

extern const struct tokenizer_ops tokenizer_byte;
extern const struct tokenizer_ops tokenizer_char;
extern const struct tokenizer_ops tokenizer_word;
extern const struct tokenizer_ops tokenizer_jieba;
extern const struct tokenizer_ops tokenizer_bpe;

/* For kinds that have nothing to open, nor to follow. */
int tokenizer_builder_nothing(struct tokenizer_builder *b, struct error *err);
int tokenizer_follow_nothing(struct tokenizer_builder *b,
	const struct tokenizer *t, struct error *err);
/* Of kinds that are complete. */
bool tokenizer_knows_all(
	const struct tokenizer *t, const char *token, size_t len);
int tokenizer_extend_none(struct tokenizer **out, const struct tokenizer *t,
	const struct tokenizer *more, struct error *err);
/* ERROR_UNPROCESSABLE for the bytes at s, `offset` units from the start. */
int tokenizer_invalid_utf8(const char *s, size_t len, const char *unit,
	uint64_t offset, struct error *err);

/* Room for `extra` more ids, or as many as max allows: 0, or -1. */
int token_buf_reserve(struct token_buf *b, size_t extra);

#endif
