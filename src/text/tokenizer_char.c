/*
 * A token is a Unicode code point. A learnt vocabulary is sorted; a loaded one
 * keeps the order of its file. Looked up through pages of 256 code points, so
 * that a text in any script touches few cache lines.
 */
#include "text/tokenizer_ops.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CODE_POINTS 0x110000u
#define PAGE 256u
#define NONE UINT32_MAX

struct char_tokenizer {
	struct tokenizer base;
	uint32_t ascii[128];		     /* id, or NONE */
	uint32_t *pages[CODE_POINTS / PAGE]; /* owned [PAGE] ids, or NULL */
	char (*bytes)[4];		     /* [vocab] owned */
};

struct char_builder {
	struct tokenizer_builder base;
	char held[UTF8_MAX];
	size_t n_held;
	bool ascii[128];
	uint64_t seen[CODE_POINTS / 64]; /* a bit per code point past ASCII */
};

static void release(struct tokenizer *t)
{
	struct char_tokenizer *c = (struct char_tokenizer *)t;

	for (size_t i = 0; i < CODE_POINTS / PAGE; i++)
		free(c->pages[i]);
	free(c->bytes);
	free(c);
}

static struct char_tokenizer *create(size_t vocab, struct error *err)
{
	struct char_tokenizer *c = calloc(1, sizeof(*c));

	if (c)
		c->bytes = calloc(vocab, sizeof(*c->bytes));
	if (!c || !c->bytes) {
		free(c);
		error_set_memory(err, "tokenizer",
			sizeof(*c) + vocab * sizeof(*c->bytes));
		return NULL;
	}
	memset(c->ascii, 0xff, sizeof(c->ascii));
	return c;
}

static uint32_t lookup(const struct char_tokenizer *c, uint32_t cp)
{
	const uint32_t *page = c->pages[cp / PAGE];

	return page ? page[cp % PAGE] : NONE;
}

/* The next id is cp's. */
static int add(struct char_tokenizer *c, uint32_t cp, struct error *err)
{
	uint32_t **page = &c->pages[cp / PAGE];
	uint32_t id = (uint32_t)c->base.vocab;

	if (!*page) {
		*page = malloc(PAGE * sizeof(**page));
		if (!*page)
			return error_set_memory(
				err, "tokenizer", PAGE * sizeof(**page));
		memset(*page, 0xff, PAGE * sizeof(**page));
	}
	(*page)[cp % PAGE] = id;
	if (cp < 128)
		c->ascii[cp] = id;
	utf8_encode(cp, c->bytes[id]);
	c->base.vocab++;
	return 0;
}

static void see(struct char_builder *b, uint32_t cp)
{
	b->seen[cp / 64] |= 1ull << cp % 64;
}

/* Complete a code point that the last part cut; *taken of s are its own. */
static int feed_held(struct char_builder *b, const char *s, size_t len,
	size_t *taken, struct error *err)
{
	uint32_t cp;
	int next = UTF8_CUT;

	for (*taken = 0; *taken < len && next == UTF8_CUT;) {
		b->held[b->n_held++] = s[(*taken)++];
		next = utf8_next(b->held, b->n_held, &cp);
	}
	if (next == UTF8_INVALID)
		return tokenizer_invalid_utf8(b->held, b->n_held, "byte",
			b->base.bytes + *taken - b->n_held, err);
	if (next > 0) {
		see(b, cp);
		b->n_held = 0;
	}
	return 0;
}

static int feed(struct tokenizer_builder *builder, const char *s, size_t len,
	struct error *err)
{
	struct char_builder *b = (struct char_builder *)builder;
	size_t i = 0;
	uint32_t cp;
	int next;

	if (b->n_held && feed_held(b, s, len, &i, err) < 0)
		return -1;
	for (;;) {
		for (; i < len && (uint8_t)s[i] < 0x80; i++)
			b->ascii[(uint8_t)s[i]] = true;
		next = utf8_next(s + i, len - i, &cp);
		if (next <= 0)
			break;
		see(b, cp);
		i += (size_t)next;
	}
	if (next == UTF8_INVALID)
		return tokenizer_invalid_utf8(
			s + i, len - i, "byte", builder->bytes + i, err);
	if (i < len) {
		memcpy(b->held, s + i, len - i);
		b->n_held = len - i;
	}
	return 0;
}

static int finish(struct tokenizer_builder *builder, struct tokenizer **t,
	struct error *err)
{
	struct char_builder *b = (struct char_builder *)builder;
	struct char_tokenizer *c;
	size_t vocab = 0;

	if (b->n_held)
		return tokenizer_invalid_utf8(b->held, b->n_held, "byte",
			builder->bytes - b->n_held, err);
	for (uint32_t cp = 0; cp < 128; cp++)
		if (b->ascii[cp])
			see(b, cp);
	for (size_t i = 0; i < CODE_POINTS / 64; i++)
		vocab += (size_t)__builtin_popcountll(b->seen[i]);
	if (!vocab)
		return error_set(err, ERROR_INVALID,
			"the text is empty: there is no character to learn");
	c = create(vocab, err);
	if (!c)
		return -1;
	for (uint32_t cp = 0; cp < CODE_POINTS; cp++) {
		if (!(b->seen[cp / 64] >> cp % 64 & 1) || !add(c, cp, err))
			continue;
		release(&c->base);
		return -1;
	}
	*t = &c->base;
	return 0;
}

static void builder_release(struct tokenizer_builder *b)
{
}

static int wrong_entry(size_t id, const char *what, struct error *err)
{
	return error_set_param(err, ERROR_INVALID, "vocabulary",
		"tokenizer: vocabulary[%zu] is %s", id, what);
}

static int load_entry(struct char_tokenizer *c, const json_t *entry, size_t id,
	struct error *err)
{
	size_t len = json_string_length(entry);
	char what[96];
	uint32_t cp = 0;

	/* jansson's strings are valid UTF-8 without surrogates. */
	if (!json_is_string(entry))
		return wrong_entry(id, "not a string", err);
	if (!len)
		return wrong_entry(id, "empty, expected one character", err);
	if (utf8_next(json_string_value(entry), len, &cp) != (int)len) {
		snprintf(what, sizeof(what),
			"\"%.40s\", expected one character",
			json_string_value(entry));
		return wrong_entry(id, what, err);
	}
	if (lookup(c, cp) != NONE) {
		snprintf(what, sizeof(what), "U+%04X, as is vocabulary[%u]", cp,
			lookup(c, cp));
		return wrong_entry(id, what, err);
	}
	return add(c, cp, err);
}

static int load(struct tokenizer **t, const json_t *json, struct error *err)
{
	const json_t *list = json_object_get(json, "vocabulary");
	size_t vocab = json_array_size(list);
	struct char_tokenizer *c;

	if (!json_is_array(list))
		return error_set_param(err, ERROR_INVALID, "vocabulary",
			"tokenizer: vocabulary is missing or not an array");
	if (!vocab || vocab > CODE_POINTS)
		return error_set_param(err, ERROR_INVALID, "vocabulary",
			"tokenizer: vocabulary of %zu characters, expected 1 "
			"to %u",
			vocab, CODE_POINTS);
	c = create(vocab, err);
	if (!c)
		return -1;
	for (size_t id = 0; id < vocab; id++) {
		if (load_entry(c, json_array_get(list, id), id, err) < 0) {
			release(&c->base);
			return -1;
		}
	}
	*t = &c->base;
	return 0;
}

static size_t token_length(const char *bytes)
{
	uint8_t lead = (uint8_t)bytes[0];

	return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

static int save(const struct tokenizer *t, json_t *json)
{
	const struct char_tokenizer *c = (const struct char_tokenizer *)t;
	json_t *list = json_array();

	for (size_t id = 0; id < t->vocab; id++) {
		const char *bytes = c->bytes[id];
		json_t *entry = json_stringn(bytes, token_length(bytes));

		if (json_array_append_new(list, entry) < 0) {
			json_decref(list);
			return -1;
		}
	}
	return json_object_set_new(json, "vocabulary", list);
}

static int unknown(uint32_t cp, uint64_t offset, struct error *err)
{
	bool visible = cp > ' ' && (cp < 0x7f || cp >= 0xa0);
	char utf8[UTF8_MAX + 1] = "";

	if (visible)
		utf8_encode(cp, utf8);
	return error_set(err, ERROR_UNPROCESSABLE,
		"character %s%s%s(U+%04X) at character offset %llu is not in "
		"the vocabulary",
		visible ? "'" : "", utf8, visible ? "' " : "", cp,
		(unsigned long long)offset);
}

/* ASCII that is known, while there is room: the bulk of most texts. */
static size_t encode_ascii(const struct char_tokenizer *c, const char *text,
	size_t len, struct token_buf *out)
{
	const uint8_t *s = (const uint8_t *)text;
	size_t room = out->max - out->len, i;
	uint32_t *ids;

	if (len > room)
		len = room;
	if (!len)
		return 0;
	ids = out->ids + out->len;
	for (i = 0; i < len && s[i] < 0x80; i++) {
		uint32_t id = c->ascii[s[i]];

		if (id == NONE)
			break;
		ids[i] = id;
	}
	out->len += i;
	return i;
}

static int encode(const struct tokenizer *t, const char *s, size_t len,
	enum unknown_policy policy, struct tokenizer_count *count,
	struct token_buf *out, struct error *err)
{
	const struct char_tokenizer *c = (const struct char_tokenizer *)t;
	uint32_t cp, id;
	size_t n;
	int next;

	if (token_buf_reserve(out, len) < 0)
		return token_buf_error(out, err);
	for (size_t i = 0;; i += (size_t)next, count->characters++) {
		n = encode_ascii(c, s + i, len - i, out);
		i += n;
		count->characters += n;
		if (i == len)
			return 0;
		next = utf8_next(s + i, len - i, &cp);
		if (next <= 0)
			return tokenizer_invalid_utf8(s + i, len - i,
				"character offset", count->characters, err);
		id = lookup(c, cp);
		if (id == NONE && policy != UNKNOWN_SKIP)
			return unknown(cp, count->characters, err);
		if (id == NONE)
			count->skipped++;
		else if (token_buf_append(out, id) < 0)
			return token_buf_error(out, err);
	}
}

static size_t boundary(const struct tokenizer *t, const char *s, size_t len)
{
	uint32_t cp;

	for (size_t back = 1; back < UTF8_MAX && back <= len; back++)
		if ((uint8_t)s[len - back] >= 0xc0)
			return utf8_next(s + len - back, back, &cp) == UTF8_CUT
				       ? len - back
				       : len;
	return len;
}

static const char *bytes(const struct tokenizer *t, uint32_t id, size_t *len)
{
	const char *token = ((const struct char_tokenizer *)t)->bytes[id];

	*len = token_length(token);
	return token;
}

static const char *const fields[] = { "vocabulary", NULL };

const struct tokenizer_ops tokenizer_char = {
	.name = "char",
	.learns = true,
	.builder_size = sizeof(struct char_builder),
	.builder_open = tokenizer_builder_nothing,
	.feed = feed,
	.finish = finish,
	.builder_release = builder_release,
	.fields = fields,
	.load = load,
	.save = save,
	.encode = encode,
	.boundary = boundary,
	.bytes = bytes,
	.release = release,
};
