#include "text/hugging_face.h"

#include "text/vocabulary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int refuse(const char *name, const json_t *value, const char *expected,
	struct error *err)
{
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

	error_set_param(err, ERROR_UNSUPPORTED, name,
		"tokenizer.json: %s is %.80s, expected %s", name,
		text ? text : "missing", expected);
	free(text);
	return -1;
}

/* A field that may be absent, null, false or "". */
static int check_off(const json_t *object, const char *name, const char *field,
	struct error *err)
{
	const json_t *value = json_object_get(object, field);

	if (!value || json_is_null(value) || json_is_false(value) ||
		(json_is_string(value) && !json_string_length(value)))
		return 0;
	return refuse(name, value, "null", err);
}

/* Every key of an object is one of `known`, which ends with NULL. */
static int check_keys(const json_t *object, const char *name,
	const char *const *known, struct error *err)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		const char *const *k = known;

		while (*k && strcmp(*k, key) != 0)
			k++;
		if (!*k)
			return error_set_param(err, ERROR_UNSUPPORTED, name,
				"tokenizer.json: %s has \"%.40s\", which is "
				"not "
				"known here",
				name, key);
	}
	return 0;
}

static int check_type(const json_t *object, const char *name, const char *type,
	struct error *err)
{
	const json_t *value = json_object_get(object, "type");

	if (json_is_string(value) && !strcmp(json_string_value(value), type))
		return 0;
	return refuse(name, value ? value : object, type, err);
}

static int check_byte_level(const json_t *object, const char *name,
	bool optional, struct error *err)
{
	static const char *const known[] = { "type", "add_prefix_space",
		"trim_offsets", "use_regex", NULL };

	if (optional && (!object || json_is_null(object)))
		return 0;
	if (check_type(object, name, "ByteLevel", err) < 0)
		return -1;
	return check_keys(object, name, known, err);
}

static int check_model(const json_t *model, struct error *err)
{
	static const char *const known[] = { "type", "dropout", "unk_token",
		"continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
		"byte_fallback", "ignore_merges", "vocab", "merges", NULL };
	const json_t *type = json_object_get(model, "type");

	/* Old files name no type. */
	if ((type && check_type(model, "model", "BPE", err) < 0) ||
		check_keys(model, "model", known, err) < 0 ||
		check_off(model, "model.dropout", "dropout", err) < 0 ||
		check_off(model, "model.continuing_subword_prefix",
			"continuing_subword_prefix", err) < 0 ||
		check_off(model, "model.end_of_word_suffix",
			"end_of_word_suffix", err) < 0 ||
		check_off(model, "model.byte_fallback", "byte_fallback", err) <
			0 ||
		check_off(model, "model.ignore_merges", "ignore_merges", err) <
			0)
		return -1;
	/* unk_token and fuse_unk say nothing: every byte is a token. */
	if (!json_is_object(json_object_get(model, "vocab")))
		return refuse("model.vocab", json_object_get(model, "vocab"),
			"an object", err);
	if (!json_is_array(json_object_get(model, "merges")))
		return refuse("model.merges", json_object_get(model, "merges"),
			"an array", err);
	return 0;
}

static int check_file(const json_t *file, struct error *err)
{
	static const char *const known[] = { "version", "truncation", "padding",
		"added_tokens", "normalizer", "pre_tokenizer", "post_processor",
		"decoder", "model", NULL };

	if (!json_is_object(file) ||
		!json_is_object(json_object_get(file, "model")))
		return error_set_param(err, ERROR_INVALID, "model",
			"tokenizer.json: no object \"model\" in it, expected a "
			"Hugging Face tokenizer.json");
	if (check_keys(file, "the file", known, err) < 0 ||
		check_off(file, "truncation", "truncation", err) < 0 ||
		check_off(file, "padding", "padding", err) < 0 ||
		check_off(file, "normalizer", "normalizer", err) < 0 ||
		check_byte_level(json_object_get(file, "pre_tokenizer"),
			"pre_tokenizer", false, err) < 0 ||
		check_byte_level(json_object_get(file, "post_processor"),
			"post_processor", true, err) < 0 ||
		check_byte_level(json_object_get(file, "decoder"), "decoder",
			true, err) < 0)
		return -1;
	return check_model(json_object_get(file, "model"), err);
}

static int check_added(const json_t *entry, size_t i, struct error *err)
{
	static const char *const flags[] = { "single_word", "lstrip",
		"rstrip" };
	char name[64];

	for (size_t k = 0; k < sizeof(flags) / sizeof(*flags); k++) {
		snprintf(name, sizeof(name), "added_tokens[%zu].%s", i,
			flags[k]);
		if (check_off(entry, name, flags[k], err) < 0)
			return -1;
	}
	if (json_is_object(entry) &&
		json_is_integer(json_object_get(entry, "id")) &&
		json_is_string(json_object_get(entry, "content")))
		return 0;
	snprintf(name, sizeof(name), "added_tokens[%zu]", i);
	return refuse(name, entry, "an object with id and content", err);
}

/* Put a token in its place. */
static int place(json_t *list, const char *token, size_t len, const json_t *id,
	size_t max, struct error *err)
{
	json_int_t at = json_integer_value(id);
	const json_t *there;

	if (!json_is_integer(id) || at < 0 || (size_t)at >= max)
		return error_set_param(err, ERROR_INVALID, "model.vocab",
			"tokenizer.json: the id of \"%.40s\" is no number from "
			"0 to %zu",
			token, max - 1);
	while (json_array_size(list) <= (size_t)at)
		if (json_array_append_new(list, json_null()) < 0)
			return error_set_memory(err, "vocabulary", (size_t)at);
	there = json_array_get(list, (size_t)at);
	if (json_is_string(there) &&
		(json_string_length(there) != len ||
			memcmp(json_string_value(there), token, len) != 0))
		return error_set_param(err, ERROR_INVALID, "model.vocab",
			"tokenizer.json: \"%.40s\" and \"%.40s\" have the same "
			"id %lld",
			json_string_value(there), token, (long long)at);
	return json_array_set_new(list, (size_t)at, json_stringn(token, len));
}

static json_t *read_vocabulary(
	const json_t *vocab, const json_t *added, struct error *err)
{
	const size_t max = json_object_size(vocab) + json_array_size(added);
	json_t *list = json_array(), *id;
	const char *token;

	json_object_foreach((json_t *)vocab, token, id)
	{
		if (place(list, token, strlen(token), id, max, err) < 0)
			goto fail;
	}
	for (size_t i = 0; i < json_array_size(added); i++) {
		const json_t *entry = json_array_get(added, i);
		const json_t *content = json_object_get(entry, "content");

		if (check_added(entry, i, err) < 0 ||
			place(list, json_string_value(content),
				json_string_length(content),
				json_object_get(entry, "id"), max, err) < 0)
			goto fail;
	}
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (json_is_string(json_array_get(list, i)))
			continue;
		error_set_param(err, ERROR_INVALID, "model.vocab",
			"tokenizer.json: no token has the id %zu", i);
		goto fail;
	}
	return list;
fail:
	json_decref(list);
	return NULL;
}

/* "a b", or ["a", "b"] as newer files have it. */
static json_t *read_merges(const json_t *merges, struct error *err)
{
	json_t *list = json_array(), *merge;

	for (size_t i = 0; i < json_array_size(merges); i++) {
		const json_t *entry = json_array_get(merges, i);
		const char *left = json_string_value(json_array_get(entry, 0));
		const char *right = json_string_value(json_array_get(entry, 1));

		merge = json_is_string(entry) ? json_incref((json_t *)entry)
			: left && right && json_array_size(entry) == 2
				? json_sprintf("%s %s", left, right)
				: NULL;
		if (merge && json_array_append_new(list, merge) == 0)
			continue;
		error_set_param(err, ERROR_INVALID, "model.merges",
			"tokenizer.json: merges[%zu] is neither \"LEFT RIGHT\" "
			"nor [\"LEFT\", \"RIGHT\"]",
			i);
		json_decref(list);
		return NULL;
	}
	return list;
}

static json_t *read_added(const json_t *added)
{
	json_t *list = json_array();

	for (size_t i = 0; i < json_array_size(added); i++) {
		const json_t *entry = json_array_get(added, i);

		json_array_append_new(list,
			json_pack("{s:O, s:O, s:b}", "id",
				json_object_get(entry, "id"), "content",
				json_object_get(entry, "content"), "special",
				json_is_true(
					json_object_get(entry, "special"))));
	}
	return list;
}

json_t *hugging_face_read(const json_t *file, struct error *err)
{
	const json_t *model = json_object_get(file, "model");
	const json_t *rules = json_object_get(file, "pre_tokenizer");
	const json_t *added = json_object_get(file, "added_tokens");
	const json_t *regex = json_object_get(rules, "use_regex");
	json_t *vocabulary, *merges, *json;

	if (check_file(file, err) < 0)
		return NULL;
	vocabulary =
		read_vocabulary(json_object_get(model, "vocab"), added, err);
	merges = vocabulary ? read_merges(json_object_get(model, "merges"), err)
			    : NULL;
	if (!merges) {
		json_decref(vocabulary);
		return NULL;
	}
	/* add_prefix_space is true where it isn't said. */
	json = json_pack("{s:s, s:o, s:o, s:b, s:b}", "kind", "bpe",
		"vocabulary", vocabulary, "merges", merges, "add_prefix_space",
		!json_is_false(json_object_get(rules, "add_prefix_space")),
		"use_regex", !json_is_false(regex));
	if (json && json_array_size(added))
		json_object_set_new(json, "added_tokens", read_added(added));
	if (!json)
		error_set_memory(err, "tokenizer", 0);
	return json;
}

static json_t *write_added(const json_t *added)
{
	json_t *list = json_array();

	for (size_t i = 0; i < json_array_size(added); i++) {
		const json_t *entry = json_array_get(added, i);

		json_array_append_new(list,
			json_pack("{s:O, s:O, s:b, s:b, s:b, s:b, s:O}", "id",
				json_object_get(entry, "id"), "content",
				json_object_get(entry, "content"),
				"single_word", 0, "lstrip", 0, "rstrip", 0,
				"normalized", 0, "special",
				json_object_get(entry, "special")));
	}
	return list;
}

static bool is_added(const json_t *added, size_t id)
{
	for (size_t i = 0; i < json_array_size(added); i++)
		if (json_integer_value(json_object_get(
			    json_array_get(added, i), "id")) == (json_int_t)id)
			return true;
	return false;
}

json_t *hugging_face_write(const json_t *tokenizer)
{
	const json_t *list = json_object_get(tokenizer, "vocabulary");
	const json_t *added = json_object_get(tokenizer, "added_tokens");
	json_t *vocab = json_object(), *byte_level;

	for (size_t id = 0; id < json_array_size(list); id++)
		if (!is_added(added, id))
			json_object_set_new(vocab,
				json_string_value(json_array_get(list, id)),
				json_integer((json_int_t)id));
	byte_level = json_pack("{s:s, s:O, s:b, s:O}", "type", "ByteLevel",
		"add_prefix_space",
		json_object_get(tokenizer, "add_prefix_space"), "trim_offsets",
		0, "use_regex", json_object_get(tokenizer, "use_regex"));
	return json_pack(
		"{s:s, s:n, s:n, s:o, s:n, s:o, s:O, s:O, s:{s:s, s:n, "
		"s:n, s:n, s:n, s:b, s:b, s:b, s:o, s:O}}",
		"version", "1.0", "truncation", "padding", "added_tokens",
		write_added(added), "normalizer", "pre_tokenizer", byte_level,
		"post_processor", byte_level, "decoder", byte_level, "model",
		"type", "BPE", "dropout", "unk_token",
		"continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
		0, "byte_fallback", 0, "ignore_merges", 0, "vocab", vocab,
		"merges", json_object_get(tokenizer, "merges"));
}
