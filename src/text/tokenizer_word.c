/*
 * A token is a word, a number, a mark or white space, as word_rules.c cuts
 * them, with the space before it: " the", ",", "\n". In JSON "rules" names the
 * cut, so that a later one can't be mistaken for it.
 */
#include "text/string_tokenizer.h"
#include "text/unicode.h"
#include "text/word_rules.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

#define RULES "unicode-14.0"

struct word_cutter {
	struct cutter base;
	bool lower_case;
};

static int cut(const struct cutter *c, const char *text, size_t len,
	piece_sink *sink, void *arg, struct error *err)
{
	bool open;
	size_t n;

	for (size_t at = 0; at < len; at += n) {
		n = word_next(text + at, len - at, &open);
		if (sink(arg, text + at, n, at) < 0)
			return -1;
	}
	return 0;
}

/* Lower case may take more bytes than what it comes from: Ⱥ, ⱥ. */
static size_t to_lower(const char *s, size_t len, char *out)
{
	size_t n = 0;
	uint32_t code;

	for (size_t i = 0; i < len;) {
		if ((uint8_t)s[i] < 0x80) {
			out[n++] = (char)unicode_to_lower((uint8_t)s[i++]);
			continue;
		}
		i += (size_t)utf8_next(s + i, len - i, &code);
		n += utf8_encode(unicode_to_lower(code), out + n);
	}
	return n;
}

static int cut_lower(const struct cutter *c, const char *text, size_t len,
	piece_sink *sink, void *arg, struct error *err)
{
	char lower[2 * (WORD_MAX + 1)];
	bool open;
	size_t n;

	for (size_t at = 0; at < len; at += n) {
		n = word_next(text + at, len - at, &open);
		if (sink(arg, lower, to_lower(text + at, n, lower), at) < 0)
			return -1;
	}
	return 0;
}

static size_t boundary(const struct cutter *c, const char *text, size_t len)
{
	return word_boundary(text, len);
}

static void cutter_free(struct cutter *c)
{
	free(c);
}

static struct cutter *cutter_new(bool lower_case, struct error *err)
{
	struct word_cutter *c = calloc(1, sizeof(*c));

	if (!c) {
		error_set_memory(err, "tokenizer", sizeof(*c));
		return NULL;
	}
	c->lower_case = lower_case;
	c->base = (struct cutter){ .cut = lower_case ? cut_lower : cut,
		.boundary = boundary,
		.release = cutter_free };
	return &c->base;
}

static int builder_open(struct tokenizer_builder *b, struct error *err)
{
	struct string_builder *s = (struct string_builder *)b;

	s->cutter = cutter_new(b->options.lower_case, err);
	return s->cutter ? 0 : -1;
}

static int load(struct tokenizer **t, const json_t *json, struct error *err)
{
	const json_t *rules = json_object_get(json, "rules");
	const json_t *lower = json_object_get(json, "lower_case");
	const char *name = json_string_value(rules);
	struct cutter *c;

	if (rules && (!name || strcmp(name, RULES) != 0))
		return error_set_param(err, ERROR_INVALID, "rules",
			"tokenizer: rules are \"%.32s\", expected \"" RULES
			"\"",
			name ? name : "not a string");
	if (lower && !json_is_boolean(lower))
		return error_set_param(err, ERROR_INVALID, "lower_case",
			"tokenizer: lower_case is not true or false");
	c = cutter_new(json_is_true(lower), err);
	return c ? string_tokenizer_load(t, c, json, err) : -1;
}

static int save(const struct tokenizer *t, json_t *json)
{
	const struct word_cutter *c =
		(const struct word_cutter *)((const struct string_tokenizer *)t)
			->cutter;

	if (json_object_set_new(json, "rules", json_string(RULES)) < 0 ||
		json_object_set_new(
			json, "lower_case", json_boolean(c->lower_case)) < 0)
		return -1;
	return string_tokenizer_save(t, json);
}

static const char *const fields[] = { "vocabulary", "rules", "lower_case",
	NULL };

const struct tokenizer_ops tokenizer_word = {
	.name = "word",
	.learns = true,
	.takes = TAKES_MIN_COUNT | TAKES_MAX_VOCAB | TAKES_LOWER_CASE,
	.builder_size = sizeof(struct string_builder),
	.builder_open = builder_open,
	.feed = string_builder_feed,
	.finish = string_builder_finish,
	.builder_release = string_builder_release,
	.fields = fields,
	.load = load,
	.save = save,
	.encode = string_tokenizer_encode,
	.boundary = string_tokenizer_boundary,
	.bytes = string_tokenizer_bytes,
	.release = string_tokenizer_release,
};
