/*
 * Tokens are runs of bytes that byte-pair encoding learnt: no text is unknown,
 * and any bytes come back as they were. The rules are those of Hugging Face's
 * tokenizer.json of GPT-2's kind (text/hugging_face.h reads and writes it).
 */
#include "text/bpe_json.h"
#include "text/bpe_scan.h"
#include "text/string_tokenizer.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

#define MIN_COUNT 2u /* of a pair that is worth a token */

struct bpe_tokenizer {
	struct tokenizer base;
	struct bpe bpe;
	struct bpe_rules rules;
	bool begins_added[256]; /* first bytes of added tokens */
	size_t longest_added;
};

static int cut(const struct cutter *c, const char *text, size_t len,
	piece_sink *sink, void *arg, struct error *err)
{
	bool open;
	size_t n;

	for (size_t at = 0; at < len; at += n) {
		n = bpe_next(text + at, len - at, true, &open);
		if (sink(arg, text + at, n, at) < 0)
			return -1;
	}
	return 0;
}

static size_t cutter_boundary(
	const struct cutter *c, const char *text, size_t len)
{
	return bpe_scan_boundary(text, len, true);
}

static void cutter_release(struct cutter *c)
{
}

static int builder_open(struct tokenizer_builder *b, struct error *err)
{
	static struct cutter cutter = { .cut = cut,
		.boundary = cutter_boundary,
		.release = cutter_release,
		.any_bytes = true };

	if (b->options.max_vocab && b->options.max_vocab < 256)
		return error_set_param(err, ERROR_INVALID, "max-vocab",
			"max-vocab is %zu, but the bytes alone are 256 tokens",
			b->options.max_vocab);
	((struct string_builder *)b)->cutter = &cutter;
	return 0;
}

static void release(struct tokenizer *tokenizer)
{
	struct bpe_tokenizer *t = (struct bpe_tokenizer *)tokenizer;

	bpe_release(&t->bpe);
	bpe_rules_release(&t->rules);
	free(t);
}

static struct bpe_tokenizer *create(struct error *err)
{
	struct bpe_tokenizer *t = calloc(1, sizeof(*t));

	if (!t)
		error_set_memory(err, "tokenizer", sizeof(*t));
	return t;
}

static void complete(struct bpe_tokenizer *t)
{
	t->base.vocab = t->bpe.vocab;
	for (size_t i = 0; i < t->rules.n_added; i++) {
		const struct bpe_added *a = &t->rules.added[i];

		t->begins_added[(uint8_t)a->content[0]] = true;
		if (a->len > t->longest_added)
			t->longest_added = a->len;
	}
}

static int finish(struct tokenizer_builder *builder, struct tokenizer **out,
	struct error *err)
{
	struct string_builder *b = (struct string_builder *)builder;
	const struct tokenizer_options *o = &builder->options;
	struct bpe_tokenizer *t;

	if (string_builder_flush(b, err) < 0)
		return -1;
	t = create(err);
	if (!t)
		return -1;
	t->rules.use_regex = true;
	if (bpe_train(&t->bpe, &b->counts,
		    o->max_vocab ? o->max_vocab : BPE_VOCAB_DEFAULT,
		    o->min_count > 1 ? o->min_count : MIN_COUNT, err) < 0) {
		release(&t->base);
		return -1;
	}
	complete(t);
	*out = &t->base;
	return 0;
}

static int load(struct tokenizer **out, const json_t *json, struct error *err)
{
	struct bpe_tokenizer *t = create(err);

	if (!t)
		return -1;
	if (bpe_load(&t->bpe, &t->rules, json, err) < 0) {
		free(t);
		return -1;
	}
	complete(t);
	*out = &t->base;
	return 0;
}

static int save(const struct tokenizer *tokenizer, json_t *json)
{
	const struct bpe_tokenizer *t = (const struct bpe_tokenizer *)tokenizer;

	return bpe_save(&t->bpe, &t->rules, json);
}

/* Where the next added token begins, or len; *found is the longest there. */
static size_t next_added(const struct bpe_tokenizer *t, const char *s,
	size_t len, const struct bpe_added **found)
{
	*found = NULL;
	for (size_t at = 0; t->rules.n_added && at < len; at++) {
		if (!t->begins_added[(uint8_t)s[at]])
			continue;
		for (size_t i = 0; i < t->rules.n_added; i++) {
			const struct bpe_added *a = &t->rules.added[i];

			if (a->len > len - at ||
				memcmp(a->content, s + at, a->len) != 0)
				continue;
			*found = a;
			return at;
		}
	}
	return len;
}

static int encode_plain(const struct bpe_tokenizer *t, const char *s,
	size_t len, struct token_buf *out, struct error *err)
{
	bool open;
	size_t n;

	for (size_t at = 0; at < len; at += n) {
		n = bpe_next(s + at, len - at, t->rules.use_regex, &open);
		if (bpe_encode(&t->bpe, s + at, n, out, err) < 0)
			return -1;
	}
	return 0;
}

/* With a space before it: only its first piece is another for that, but how
 * long that is isn't known before. */
static int encode_prefixed(const struct bpe_tokenizer *t, const char *s,
	size_t len, struct token_buf *out, struct error *err)
{
	size_t head = len < 2 * BPE_PIECE_MAX ? len : 2 * BPE_PIECE_MAX, n;
	char *copy;
	bool open;
	int failed;

	if (!len || *s == ' ')
		return encode_plain(t, s, len, out, err);
	copy = malloc(head + 1);
	if (!copy)
		return error_set_memory(err, "text", head + 1);
	copy[0] = ' ';
	memcpy(copy + 1, s, head);
	n = bpe_next(copy, head + 1, t->rules.use_regex, &open);
	failed = bpe_encode(&t->bpe, copy, n, out, err);
	free(copy);
	return failed ? -1
		      : encode_plain(t, s + n - 1, len - (n - 1), out, err);
}

static int encode(const struct tokenizer *tokenizer, const char *s, size_t len,
	enum unknown_policy policy, struct tokenizer_count *count,
	struct token_buf *out, struct error *err)
{
	const struct bpe_tokenizer *t = (const struct bpe_tokenizer *)tokenizer;
	bool prefix = t->rules.add_prefix_space && !count->characters;
	const struct bpe_added *added;
	size_t n;
	int failed;

	count->characters += utf8_count(s, len);
	while (len) {
		n = next_added(t, s, len, &added);
		failed = prefix ? encode_prefixed(t, s, n, out, err)
				: encode_plain(t, s, n, out, err);
		if (failed)
			return -1;
		if (added && token_buf_append(out, added->id) < 0)
			return token_buf_error(out, err);
		n += added ? added->len : 0;
		s += n;
		len -= n;
		prefix = t->rules.add_prefix_space;
	}
	return 0;
}

/* The end of the first piece at s when a space is put before it. */
static size_t prefixed_end(
	const struct bpe_tokenizer *t, const char *s, size_t len, bool *open)
{
	char copy[BPE_PIECE_MAX + 1 + UTF8_MAX];
	size_t head = len < sizeof(copy) - 1 ? len : sizeof(copy) - 1;

	copy[0] = ' ';
	memcpy(copy + 1, s, head);
	return bpe_next(copy, head + 1, t->rules.use_regex, open) - 1;
}

/* Where pieces end whether or not a space was put before s, since a part does
 * not know: 0 when that is past the end. */
static size_t certain_place(
	const struct bpe_tokenizer *t, const char *s, size_t len)
{
	bool open = false, open_prefixed = false;
	size_t a, b;

	if (!len || *s == ' ')
		return 0;
	a = prefixed_end(t, s, len, &open_prefixed);
	b = bpe_next(s, len, t->rules.use_regex, &open);
	while (a != b && !open && !open_prefixed) {
		size_t *behind = a < b ? &a : &b;

		if (*behind >= len)
			return 0;
		*behind += bpe_next(s + *behind, len - *behind,
			t->rules.use_regex, a < b ? &open_prefixed : &open);
	}
	return open || open_prefixed ? 0 : a;
}

/* In a stretch without added tokens. */
static size_t plain_boundary(
	const struct bpe_tokenizer *t, const char *s, size_t len)
{
	size_t at = 0;

	if (t->rules.add_prefix_space) {
		at = certain_place(t, s, len);
		if (!at && (!len || *s != ' '))
			return 0;
	}
	return at + bpe_scan_boundary(s + at, len - at, t->rules.use_regex);
}

/* With added tokens: a part may end within plain text, before what could yet
 * become one of them, or right before one, but not right after: a prefix space
 * would then be missed. */
static size_t added_boundary(
	const struct bpe_tokenizer *t, const char *s, size_t len)
{
	const size_t kept = t->longest_added - 1;
	const struct bpe_added *added;
	size_t at = 0, last = 0, n;

	for (;;) {
		n = next_added(t, s + at, len - at, &added);
		if (!added || at + n + kept >= len)
			break;
		last = at + n;
		at = last + added->len;
	}
	if (at + n + kept > len)
		n = len - at > kept ? len - at - kept : 0;
	n = plain_boundary(t, s + at, n);
	return n ? at + n : last;
}

static size_t boundary(
	const struct tokenizer *tokenizer, const char *s, size_t len)
{
	const struct bpe_tokenizer *t = (const struct bpe_tokenizer *)tokenizer;

	return t->rules.n_added ? added_boundary(t, s, len)
				: plain_boundary(t, s, len);
}

static const char *bytes(const struct tokenizer *t, uint32_t id, size_t *len)
{
	return bpe_bytes(&((const struct bpe_tokenizer *)t)->bpe, id, len);
}

static const char *const fields[] = { "vocabulary", "merges",
	"add_prefix_space", "use_regex", "added_tokens", NULL };

const struct tokenizer_ops tokenizer_bpe = {
	.name = "bpe",
	.learns = true,
	.takes = TAKES_MIN_COUNT | TAKES_MAX_VOCAB,
	.builder_size = sizeof(struct string_builder),
	.builder_open = builder_open,
	.feed = string_builder_feed,
	.finish = finish,
	.builder_release = string_builder_release,
	.fields = fields,
	.load = load,
	.save = save,
	.encode = encode,
	.boundary = boundary,
	.bytes = bytes,
	.release = release,
};
