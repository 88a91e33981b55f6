#include "text/string_tokenizer.h"

#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CARRY_MAX (32u << 20) /* more than a part of text and what it joins */

static void cutter_release(struct cutter *c)
{
	if (c)
		c->release(c);
}

static int count_piece(void *arg, const char *piece, size_t len, size_t at)
{
	struct string_builder *b = arg;

	return vocabulary_count(&b->counts, piece, len, 1, b->err);
}

static int count_pieces(struct string_builder *b, const char *text, size_t len,
	struct error *err)
{
	b->err = err;
	return b->cutter->cut(b->cutter, text, len, count_piece, b, err);
}

/* Bytes of text that are whole and final; the rest is kept. */
static int feed_part(struct string_builder *b, const char *text, size_t len,
	size_t *used, struct error *err)
{
	size_t valid =
		b->cutter->any_bytes ? len : utf8_valid_prefix(text, len, NULL);
	uint32_t code;

	if (utf8_next(text + valid, len - valid, &code) == UTF8_INVALID)
		return tokenizer_invalid_utf8(text + valid, len - valid, "byte",
			b->n_carried + valid, err);
	*used = b->cutter->boundary(b->cutter, text, valid);
	if (count_pieces(b, text, *used, err) < 0)
		return -1;
	b->n_carried += *used;
	return 0;
}

int string_builder_feed(struct tokenizer_builder *builder, const char *text,
	size_t len, struct error *err)
{
	struct string_builder *b = (struct string_builder *)builder;
	size_t used = 0;

	if (!b->carry.max)
		buf_init(&b->carry, CARRY_MAX);
	if (!b->carry.len) {
		if (feed_part(b, text, len, &used, err) < 0)
			return -1;
		if (buf_append(&b->carry, text + used, len - used) < 0)
			return error_set_memory(err, "text", len - used);
		return 0;
	}
	if (buf_append(&b->carry, text, len) < 0)
		return error_set_memory(err, "text", b->carry.len + len);
	if (feed_part(b, b->carry.data, b->carry.len, &used, err) < 0)
		return -1;
	buf_consume(&b->carry, used);
	return 0;
}

/* " x" that is too rare is encoded as " " and "x" where they are known: count
 * it for them. */
static int share_rare(struct string_builder *b, struct error *err)
{
	const size_t n = b->counts.strings.n;

	for (uint32_t id = 0; id < n; id++) {
		uint64_t count = b->counts.counts[id];
		char copy[VOCABULARY_MAX_STRING];
		const char *s;
		size_t len;

		s = string_table_get(&b->counts.strings, id, &len);
		if (len < 2 || *s != ' ' || len > sizeof(copy) ||
			count >= b->base.options.min_count)
			continue;
		/* The table may move while it grows. */
		memcpy(copy, s, len);
		if (vocabulary_count(&b->counts, " ", 1, count, err) < 0 ||
			vocabulary_count(
				&b->counts, copy + 1, len - 1, count, err) < 0)
			return -1;
	}
	return 0;
}

static struct string_tokenizer *create(struct cutter *cutter, struct error *err)
{
	struct string_tokenizer *t = calloc(1, sizeof(*t));

	if (!t) {
		cutter_release(cutter);
		error_set_memory(err, "tokenizer", sizeof(*t));
		return NULL;
	}
	t->cutter = cutter;
	return t;
}

/* Once the vocabulary is there. */
static void complete(struct string_tokenizer *t)
{
	t->base.vocab = t->vocabulary.strings.n;
	t->base.has_unknown = t->vocabulary.has_unknown;
	t->base.unknown = t->vocabulary.unknown;
	t->space = string_table_find(&t->vocabulary.strings, " ", 1);
}

int string_builder_flush(struct string_builder *b, struct error *err)
{
	if (b->carry.len && !b->cutter->any_bytes &&
		utf8_valid_prefix(b->carry.data, b->carry.len, NULL) <
			b->carry.len)
		return tokenizer_invalid_utf8(
			b->carry.data, b->carry.len, "byte", b->n_carried, err);
	if (b->carry.len &&
		count_pieces(b, b->carry.data, b->carry.len, err) < 0)
		return -1;
	if (!b->counts.strings.n)
		return error_set(err, ERROR_INVALID,
			"the text is empty: there is no token to learn");
	return 0;
}

int string_builder_finish(struct tokenizer_builder *builder,
	struct tokenizer **out, struct error *err)
{
	struct string_builder *b = (struct string_builder *)builder;
	const struct tokenizer_options *o = &builder->options;
	struct string_tokenizer *t;

	if (string_builder_flush(b, err) < 0)
		return -1;
	if (share_rare(b, err) < 0)
		return -1;
	t = create(b->cutter, err);
	b->cutter = NULL;
	if (!t)
		return -1;
	if (vocabulary_learn(&t->vocabulary, &b->counts, o->min_count,
		    o->max_vocab, err) < 0) {
		string_tokenizer_release(&t->base);
		return -1;
	}
	complete(t);
	*out = &t->base;
	return 0;
}

void string_builder_release(struct tokenizer_builder *builder)
{
	struct string_builder *b = (struct string_builder *)builder;

	cutter_release(b->cutter);
	vocabulary_counts_release(&b->counts);
	buf_release(&b->carry);
}

int string_tokenizer_load(struct tokenizer **out, struct cutter *cutter,
	const json_t *json, struct error *err)
{
	struct string_tokenizer *t = create(cutter, err);

	if (!t)
		return -1;
	if (vocabulary_load(&t->vocabulary, json_object_get(json, "vocabulary"),
		    err) < 0) {
		string_tokenizer_release(&t->base);
		return -1;
	}
	complete(t);
	*out = &t->base;
	return 0;
}

int string_tokenizer_save(const struct tokenizer *t, json_t *json)
{
	return json_object_set_new(json, "vocabulary",
		vocabulary_save(
			&((const struct string_tokenizer *)t)->vocabulary));
}

/* One call of encode. */
struct encoding_run {
	const struct string_tokenizer *t;
	const char *text;
	enum unknown_policy policy;
	struct tokenizer_count *count;
	struct token_buf *out;
	struct error *err;
};

static int append(struct encoding_run *r, uint32_t id)
{
	return token_buf_append(r->out, id) < 0
		       ? token_buf_error(r->out, r->err)
		       : 0;
}

static int unknown_piece(
	struct encoding_run *r, const char *s, size_t len, size_t at)
{
	const struct tokenizer *t = &r->t->base;

	if (r->policy == UNKNOWN_SKIP) {
		r->count->skipped += utf8_count(s, len);
		return 0;
	}
	if (r->policy == UNKNOWN_AUTO && t->has_unknown) {
		r->count->unknown++;
		r->count->unknown_characters += utf8_count(s, len);
		return append(r, t->unknown);
	}
	return error_set(r->err, ERROR_UNPROCESSABLE,
		"\"%.*s\" at character offset %llu is not in the vocabulary",
		(int)(len < 64 ? len : utf8_valid_prefix(s, 64, NULL)), s,
		(unsigned long long)(r->count->characters +
				     utf8_count(r->text, at)));
}

static int encode_piece(void *arg, const char *s, size_t len, size_t at)
{
	struct encoding_run *r = arg;
	const struct string_table *known = &r->t->vocabulary.strings;
	uint32_t id = string_table_find(known, s, len), rest;

	while (id == VOCABULARY_NONE && len > 1 && *s == ' ' &&
		r->t->space != VOCABULARY_NONE) {
		rest = string_table_find(known, s + 1, len - 1);
		if (rest == VOCABULARY_NONE && s[1] != ' ')
			break;
		if (append(r, r->t->space) < 0)
			return -1;
		id = rest;
		s++;
		len--;
	}
	return id == VOCABULARY_NONE ? unknown_piece(r, s, len, at)
				     : append(r, id);
}

int string_tokenizer_encode(const struct tokenizer *t, const char *text,
	size_t len, enum unknown_policy policy, struct tokenizer_count *count,
	struct token_buf *out, struct error *err)
{
	struct encoding_run r = { (const struct string_tokenizer *)t, text,
		policy, count, out, err };
	size_t codes, valid = utf8_valid_prefix(text, len, &codes);

	if (r.t->cutter->cut(r.t->cutter, text, valid, encode_piece, &r, err) <
		0)
		return -1;
	count->characters += codes;
	if (valid < len)
		return tokenizer_invalid_utf8(text + valid, len - valid,
			"character offset", count->characters, err);
	return 0;
}

size_t string_tokenizer_boundary(
	const struct tokenizer *t, const char *text, size_t len)
{
	const struct cutter *c = ((const struct string_tokenizer *)t)->cutter;
	size_t valid = utf8_valid_prefix(text, len, NULL);
	uint32_t code;

	/* What is no UTF-8 will be refused, wherever it is cut. */
	if (utf8_next(text + valid, len - valid, &code) == UTF8_INVALID)
		return len;
	return c->boundary(c, text, valid);
}

const char *string_tokenizer_bytes(
	const struct tokenizer *t, uint32_t id, size_t *len)
{
	return string_table_get(
		&((const struct string_tokenizer *)t)->vocabulary.strings, id,
		len);
}

void string_tokenizer_release(struct tokenizer *tokenizer)
{
	struct string_tokenizer *t = (struct string_tokenizer *)tokenizer;

	vocabulary_release(&t->vocabulary);
	cutter_release(t->cutter);
	free(t);
}
