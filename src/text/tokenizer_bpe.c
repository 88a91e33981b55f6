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

/* With added tokens: a part may end within plain text, before what could yet
 * become one of them, but not right after one, since a prefix space would then
 * be missed. */
static size_t added_boundary(
	const struct bpe_tokenizer *t, const char *s, size_t len)
{
	const struct bpe_added *added;
	size_t at = 0, n, plain;

	if (len < t->longest_added)
		return 0;
	for (;;) {
		n = next_added(t, s + at, len - at, &added);
		if (!added)
			break;
		if (at + n + added->len > len - (t->longest_added - 1))
			return at +
			       bpe_scan_boundary(s + at, n, t->rules.use_regex);
		at += n + added->len;
	}
	n = len - at;
	n = n < t->longest_added ? 0 : n - (t->longest_added - 1);
	plain = bpe_scan_boundary(s + at, n, t->rules.use_regex);
	return at + plain;
}

static size_t boundary(
	const struct tokenizer *tokenizer, const char *s, size_t len)
{
	const struct bpe_tokenizer *t = (const struct bpe_tokenizer *)tokenizer;

	return t->rules.n_added ? added_boundary(t, s, len)
				: bpe_scan_boundary(s, len, t->rules.use_regex);
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
