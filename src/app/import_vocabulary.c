/* Vocabulary files: JSON, or a token a line with a few escapes. */
#include "app/import.h"

#include "base/file.h"
#include "base/utf8.h"
#include "text/hugging_face.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VOCABULARY_MAX (64u << 20)

static int wrong_line(size_t line, const char *what, struct error *err)
{
	return error_set_param(
		err, ERROR_INVALID, "vocab", "line %zu: %s", line, what);
}

/* \uXXXX: four hexadecimal digits after at; or \u{X...}. Bytes it took, 0
 * when it is no code point. */
static size_t unescape_code(const char *at, size_t len, struct buf *token)
{
	bool braces = len && *at == '{';
	size_t n = braces, digits = 0;
	uint32_t code = 0;
	char utf8[UTF8_MAX], digit[2] = "";
	size_t size;

	for (; n < len && digits < (braces ? 6u : 4u); n++, digits++) {
		if (!strchr("0123456789abcdefABCDEF", at[n]) || !at[n])
			break;
		digit[0] = at[n];
		code = code << 4 | (uint32_t)strtoul(digit, NULL, 16);
	}
	if (!digits || (!braces && digits != 4) ||
		(braces && (n == len || at[n++] != '}')))
		return 0;
	size = utf8_encode(code, utf8);
	return size && buf_append(token, utf8, size) == 0 ? n : 0;
}

static int unescape(const char *text, size_t len, size_t line,
	struct buf *token, struct error *err)
{
	static const char names[] = "nrtb0\\", values[] = "\n\r\t\b\0\\";
	const char *found;
	size_t n;

	buf_clear(token);
	for (size_t i = 0; i < len; i++) {
		if (text[i] != '\\') {
			buf_append(token, &text[i], 1);
			continue;
		}
		if (++i == len)
			return wrong_line(line,
				"a lone \\, expected \\\\ for itself", err);
		found = memchr(names, text[i], sizeof(names) - 1);
		if (found) {
			buf_append(token, &values[found - names], 1);
			continue;
		}
		n = text[i] == 'u'
			    ? unescape_code(text + i + 1, len - i - 1, token)
			    : 0;
		if (!n)
			return wrong_line(line,
				"unknown escape, expected \\n \\r \\t \\b \\0 "
				"\\\\ \\uXXXX or \\u{X}",
				err);
		i += n;
	}
	return 0;
}

static json_t *read_lines(const char *text, size_t len, struct error *err)
{
	json_t *list = json_array(), *entry;
	const char *end;
	struct buf token;
	size_t n;

	buf_init(&token, len);
	for (size_t line = 1; len; line++) {
		end = memchr(text, '\n', len);
		n = end ? (size_t)(end - text) : len;
		/* A file from Windows: what is meant by CR is written \r. */
		if (unescape(text, n && text[n - 1] == '\r' ? n - 1 : n, line,
			    &token, err) < 0)
			goto fail;
		if (!token.len) {
			wrong_line(line,
				"empty, expected a token (\\n for a newline)",
				err);
			goto fail;
		}
		entry = json_stringn(token.data, token.len);
		if (!entry || json_array_append_new(list, entry) < 0) {
			wrong_line(line, "not UTF-8", err);
			goto fail;
		}
		len -= end ? n + 1 : n;
		text += end ? n + 1 : n;
	}
	buf_release(&token);
	return list;
fail:
	buf_release(&token);
	json_decref(list);
	return NULL;
}

/* {"a": 0, "b": 1}: the ids must be 0 to n - 1, each once. */
static json_t *invert(const json_t *object, struct error *err)
{
	size_t n = json_object_size(object);
	json_t *list = json_array(), *id;
	const char *key;

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_null());
	json_object_foreach((json_t *)object, key, id)
	{
		json_int_t at = json_integer_value(id);

		if (!json_is_integer(id) || at < 0 || (size_t)at >= n ||
			!json_is_null(json_array_get(list, (size_t)at))) {
			error_set_param(err, ERROR_INVALID, "vocab",
				"\"%.32s\": its id is not a whole number from "
				"0 to %zu that no other token has",
				key, n - 1);
			json_decref(list);
			return NULL;
		}
		json_array_set_new(list, (size_t)at, json_string(key));
	}
	return list;
}

/* Text when it can't be JSON: its first line is the token [ or {. */
static bool starts_as_lines(const char *text, size_t len)
{
	return !len || !strchr("[{", text[0]) ||
	       (len > 1 && strchr("\r\n", text[1]));
}

static json_t *parse(const char *text, size_t len, struct error *err)
{
	json_error_t fault;
	json_t *json, *list;
	bool empty;

	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
		text += 3;
		len -= 3;
	}
	json = json_loadb(
		text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &fault);
	if (json_is_array(json) && json_array_size(json))
		return json;
	if (json_object_size(json)) {
		list = invert(json, err);
		json_decref(json);
		return list;
	}
	/* Also the two tokens { and }, which are an empty object. */
	empty = json != NULL;
	json_decref(json);
	if (starts_as_lines(text, len))
		return read_lines(text, len, err);
	if (empty) {
		error_set_param(err, ERROR_INVALID, "vocab", "no tokens");
		return NULL;
	}
	error_set_param(err, ERROR_INVALID, "vocab",
		"not valid JSON: %s (line %d)", fault.text, fault.line);
	return NULL;
}

/* Of a Hugging Face tokenizer.json. */
static json_t *parse_bpe(const char *text, size_t len, struct error *err)
{
	json_error_t fault;
	json_t *file = json_loadb(text, len, JSON_REJECT_DUPLICATES, &fault);
	json_t *json;

	if (!file) {
		error_set_param(err, ERROR_INVALID, "vocab",
			"not valid JSON: %s (line %d), expected a Hugging Face "
			"tokenizer.json",
			fault.text, fault.line);
		return NULL;
	}
	json = hugging_face_read(file, err);
	json_decref(file);
	return json;
}

json_t *import_vocabulary(const char *kind, const char *path, struct error *err)
{
	json_t *list, *json;
	char *text;
	size_t len;

	if (!tokenizer_kind_learns(kind)) {
		if (path)
			error_set_param(err, ERROR_INVALID, "vocab",
				"%s: tokenizer %s takes no vocabulary file",
				path, kind);
		return path ? NULL : json_pack("{s:s}", "kind", kind);
	}
	if (!path) {
		error_set_param(err, ERROR_INVALID, "vocab",
			"--vocab FILE is missing: which token is which id?");
		return NULL;
	}
	if (file_read(path, VOCABULARY_MAX, &text, &len, err) < 0)
		return NULL;
	list = !strcmp(kind, "bpe") ? parse_bpe(text, len, err)
				    : parse(text, len, err);
	free(text);
	if (!list) {
		error_prefix(err, "%s", path);
		return NULL;
	}
	if (!strcmp(kind, "bpe"))
		return list;
	json = json_pack("{s:s, s:o}", "kind", kind, "vocabulary", list);
	if (!json)
		error_set_memory(err, "vocabulary", len);
	return json;
}
