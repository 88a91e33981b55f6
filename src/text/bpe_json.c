#include "text/bpe_json.h"

#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void bpe_rules_release(struct bpe_rules *r)
{
	for (size_t i = 0; i < r->n_added; i++)
		free(r->added[i].content);
	free(r->added);
	*r = (struct bpe_rules){ 0 };
}

static int wrong(
	const char *field, size_t at, const char *what, struct error *err)
{
	return error_set_param(err, ERROR_INVALID, field,
		"tokenizer: %s[%zu] is %s", field, at, what);
}

static int load_flag(const json_t *json, const char *name, bool preset,
	bool *flag, struct error *err)
{
	const json_t *value = json_object_get(json, name);

	*flag = value ? json_is_true(value) : preset;
	if (!value || json_is_boolean(value))
		return 0;
	return error_set_param(err, ERROR_INVALID, name,
		"tokenizer: %s is not true or false", name);
}

static int longest_first(const void *x, const void *y)
{
	const struct bpe_added *a = x, *b = y;

	return a->len != b->len ? (a->len > b->len ? -1 : 1)
				: memcmp(a->content, b->content, a->len);
}

static int load_added_entry(struct bpe_added *a, const json_t *entry, size_t i,
	size_t vocab, struct error *err)
{
	const json_t *id = json_object_get(entry, "id");
	const json_t *content = json_object_get(entry, "content");
	const json_t *special = json_object_get(entry, "special");
	json_int_t value = json_integer_value(id);

	if (!json_is_object(entry) || !json_is_integer(id) || value < 0 ||
		(uint64_t)value >= vocab)
		return wrong("added_tokens", i,
			"without an id in the vocabulary", err);
	a->len = json_string_length(content);
	if (!json_is_string(content) || !a->len ||
		a->len > VOCABULARY_MAX_STRING ||
		memchr(json_string_value(content), 0, a->len))
		return wrong("added_tokens", i,
			"without content that is text, not empty, without a "
			"NUL",
			err);
	a->id = (uint32_t)value;
	a->special = json_is_true(special);
	a->content = strndup(json_string_value(content), a->len);
	return a->content ? 0 : error_set_memory(err, "added_tokens", a->len);
}

static int load_added(struct bpe_rules *r, const json_t *list, size_t vocab,
	struct error *err)
{
	size_t n = json_array_size(list);

	if (!list)
		return 0;
	if (!json_is_array(list) || n > vocab)
		return error_set_param(err, ERROR_INVALID, "added_tokens",
			"tokenizer: added_tokens is not an array of at most "
			"the vocabulary");
	r->added = calloc(n + 1, sizeof(*r->added));
	if (!r->added)
		return error_set_memory(
			err, "added_tokens", n * sizeof(*r->added));
	for (size_t i = 0; i < n; i++) {
		r->n_added++;
		if (load_added_entry(&r->added[i], json_array_get(list, i), i,
			    vocab, err) < 0)
			return -1;
	}
	qsort(r->added, n, sizeof(*r->added), longest_first);
	for (size_t i = 1; i < n; i++)
		if (!longest_first(&r->added[i - 1], &r->added[i]))
			return error_set_param(err, ERROR_INVALID,
				"added_tokens",
				"tokenizer: added_tokens has \"%.40s\" twice",
				r->added[i].content);
	return 0;
}

static const struct bpe_added *added_by_id(
	const struct bpe_rules *r, uint32_t id)
{
	for (size_t i = 0; i < r->n_added; i++)
		if (r->added[i].id == id)
			return &r->added[i];
	return NULL;
}

/* Letters to bytes; the length, or 0 when one is no letter. */
static size_t letters_to_bytes(const char *s, size_t len, char *out)
{
	uint32_t letter;
	size_t n = 0;
	int next, byte;

	for (size_t i = 0; i < len; i += (size_t)next) {
		next = utf8_next(s + i, len - i, &letter);
		byte = bpe_byte(letter);
		if (next <= 0 || byte < 0)
			return 0;
		out[n++] = (char)byte;
	}
	return n;
}

static int load_token(struct bpe *b, const struct bpe_rules *r,
	struct string_table *strings, const json_t *entry, size_t id,
	struct error *err)
{
	const char *s = json_string_value(entry);
	size_t len = json_string_length(entry), n;
	size_t begin = id ? b->ends[id - 1] : 0;
	const struct bpe_added *added = added_by_id(r, (uint32_t)id);

	if (!json_is_string(entry) || !len || len > VOCABULARY_MAX_STRING)
		return wrong("vocabulary", id,
			"not a string of 1 to 4096 bytes", err);
	if (string_table_find(strings, s, len) != VOCABULARY_NONE)
		return wrong("vocabulary", id, "in the vocabulary twice", err);
	if (string_table_add(strings, s, len, VOCABULARY_MAX, err) ==
		VOCABULARY_NONE)
		return -1;
	n = added ? added->len : letters_to_bytes(s, len, b->bytes + begin);
	if (added && (len != n || memcmp(s, added->content, n) != 0))
		return wrong("vocabulary", id,
			"not what added_tokens says of it", err);
	if (added)
		memcpy(b->bytes + begin, s, n);
	if (!n)
		return wrong("vocabulary", id,
			"not written in the letters of bytes", err);
	if (n == 1 && !added)
		b->byte_ids[(uint8_t)b->bytes[begin]] = (uint32_t)id;
	b->ends[id] = begin + n;
	b->vocab++;
	return 0;
}

static int load_vocabulary(struct bpe *b, const struct bpe_rules *r,
	struct string_table *strings, const json_t *list, struct error *err)
{
	size_t n = json_array_size(list), bytes = 1;

	for (size_t i = 0; i < n; i++)
		bytes += json_string_length(json_array_get(list, i));
	b->ends = calloc(n, sizeof(*b->ends));
	b->bytes = malloc(bytes);
	if (!b->ends || !b->bytes)
		return error_set_memory(err, "vocabulary", bytes);
	memset(b->byte_ids, 0xff, sizeof(b->byte_ids));
	for (size_t id = 0; id < n; id++)
		if (load_token(b, r, strings, json_array_get(list, id), id,
			    err) < 0)
			return -1;
	for (unsigned i = 0; i < 256; i++)
		if (b->byte_ids[i] == UINT32_MAX)
			return error_set_param(err, ERROR_INVALID, "vocabulary",
				"tokenizer: vocabulary has no token for the "
				"byte 0x%02x",
				i);
	return 0;
}

static int load_merge(struct bpe *b, const struct string_table *strings,
	const json_t *entry, size_t i, struct error *err)
{
	const char *s = json_string_value(entry);
	size_t len = json_string_length(entry), n;
	const char *gap = s ? memchr(s, ' ', len) : NULL;
	char both[2 * VOCABULARY_MAX_STRING];
	struct bpe_merge *m = &b->merges[i];

	if (!gap || len > sizeof(both))
		return wrong("merges", i, "not \"LEFT RIGHT\"", err);
	n = (size_t)(gap - s);
	memcpy(both, s, n);
	memcpy(both + n, gap + 1, len - n - 1);
	m->left = string_table_find(strings, s, n);
	m->right = string_table_find(strings, gap + 1, len - n - 1);
	m->to = string_table_find(strings, both, len - 1);
	if (m->left == VOCABULARY_NONE || m->right == VOCABULARY_NONE ||
		m->to == VOCABULARY_NONE)
		return wrong("merges", i,
			"of tokens that are not all in the vocabulary", err);
	b->n_merges++;
	return 0;
}

static int load_merges(struct bpe *b, const struct string_table *strings,
	const json_t *list, struct error *err)
{
	size_t n = json_array_size(list);

	if (!json_is_array(list) || n > VOCABULARY_MAX)
		return error_set_param(err, ERROR_INVALID, "merges",
			"tokenizer: merges is missing or not an array of at "
			"most %u",
			VOCABULARY_MAX);
	b->merges = calloc(n + 1, sizeof(*b->merges));
	if (!b->merges)
		return error_set_memory(err, "merges", n * sizeof(*b->merges));
	for (size_t i = 0; i < n; i++)
		if (load_merge(b, strings, json_array_get(list, i), i, err) < 0)
			return -1;
	return 0;
}

int bpe_load(struct bpe *b, struct bpe_rules *r, const json_t *json,
	struct error *err)
{
	const json_t *list = json_object_get(json, "vocabulary");
	struct string_table strings = { 0 };
	size_t n = json_array_size(list);
	int failed = -1;

	*b = (struct bpe){ 0 };
	*r = (struct bpe_rules){ 0 };
	if (!json_is_array(list) || n < 256 || n > VOCABULARY_MAX)
		error_set_param(err, ERROR_INVALID, "vocabulary",
			"tokenizer: vocabulary of %zu tokens, expected an "
			"array of 256 to %u",
			n, VOCABULARY_MAX);
	else if (load_flag(json, "add_prefix_space", false,
			 &r->add_prefix_space, err) == 0 &&
		 load_flag(json, "use_regex", true, &r->use_regex, err) == 0 &&
		 load_added(r, json_object_get(json, "added_tokens"), n, err) ==
			 0 &&
		 load_vocabulary(b, r, &strings, list, err) == 0 &&
		 load_merges(b, &strings, json_object_get(json, "merges"),
			 err) == 0)
		failed = bpe_open(b, err);
	string_table_release(&strings);
	if (failed) {
		bpe_release(b);
		bpe_rules_release(r);
	}
	return failed;
}

/* Append a token as it is written: in letters, or an added one as it is. */
static int write_token(const struct bpe *b, const struct bpe_rules *r,
	uint32_t id, struct buf *out)
{
	char letter[UTF8_MAX];
	const char *bytes;
	size_t len;

	bytes = bpe_bytes(b, id, &len);
	if (added_by_id(r, id))
		return buf_append(out, bytes, len);
	for (size_t i = 0; i < len; i++)
		if (buf_append(out, letter,
			    utf8_encode(
				    bpe_letter((uint8_t)bytes[i]), letter)) < 0)
			return -1;
	return 0;
}

static json_t *save_vocabulary(const struct bpe *b, const struct bpe_rules *r)
{
	json_t *list = json_array();
	struct buf text;
	int failed = 0;

	buf_init(&text, 4 * VOCABULARY_MAX_STRING);
	for (uint32_t id = 0; id < b->vocab && !failed; id++) {
		buf_clear(&text);
		failed = write_token(b, r, id, &text) < 0 ||
			 json_array_append_new(
				 list, json_stringn(text.data, text.len)) < 0;
	}
	buf_release(&text);
	if (!failed)
		return list;
	json_decref(list);
	return NULL;
}

static json_t *save_merges(const struct bpe *b, const struct bpe_rules *r)
{
	json_t *list = json_array();
	struct buf text;
	int failed = 0;

	buf_init(&text, 8 * VOCABULARY_MAX_STRING);
	for (size_t i = 0; i < b->n_merges && !failed; i++) {
		buf_clear(&text);
		failed = write_token(b, r, b->merges[i].left, &text) < 0 ||
			 buf_append(&text, " ", 1) < 0 ||
			 write_token(b, r, b->merges[i].right, &text) < 0 ||
			 json_array_append_new(
				 list, json_stringn(text.data, text.len)) < 0;
	}
	buf_release(&text);
	if (!failed)
		return list;
	json_decref(list);
	return NULL;
}

static json_t *save_added(const struct bpe_rules *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->n_added; i++)
		json_array_append_new(list,
			json_pack("{s:i, s:s, s:b}", "id", (int)r->added[i].id,
				"content", r->added[i].content, "special",
				r->added[i].special));
	return list;
}

int bpe_save(const struct bpe *b, const struct bpe_rules *r, json_t *json)
{
	if (json_object_set_new(json, "vocabulary", save_vocabulary(b, r)) <
			0 ||
		json_object_set_new(json, "merges", save_merges(b, r)) < 0 ||
		json_object_set_new(json, "add_prefix_space",
			json_boolean(r->add_prefix_space)) < 0 ||
		json_object_set_new(
			json, "use_regex", json_boolean(r->use_regex)) < 0)
		return -1;
	return r->n_added ? json_object_set_new(
				    json, "added_tokens", save_added(r))
			  : 0;
}
