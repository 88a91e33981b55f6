#include "http/request.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SHOWN 40 /* bytes of a value that an error quotes */

int request_check_type(const char *type, struct error *err)
{
	static const char json[] = "application/json";
	size_t n = sizeof(json) - 1;

	if (type && !strncasecmp(type, json, n) &&
		(!type[n] || strchr("; \t", type[n])))
		return 0;
	return error_set(err, ERROR_INVALID,
		"Content-Type is %.80s, expected application/json",
		type ? type : "missing");
}

/* Depth before anything is parsed: jansson would recurse up to 2048 deep. */
static bool too_deep(const char *body, size_t len)
{
	bool in_string = false;
	int depth = 0;

	for (size_t i = 0; i < len; i++) {
		char c = body[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '[' || c == '{') {
			if (++depth > REQUEST_MAX_DEPTH)
				return true;
		} else if (c == ']' || c == '}') {
			depth--;
		}
	}
	return false;
}

static int malformed(const json_error_t *e, struct error *err)
{
	switch (json_error_code(e)) {
	case json_error_out_of_memory:
		return error_set(
			err, ERROR_NO_MEMORY, "no memory to parse the body");
	case json_error_numeric_overflow:
		return error_set(err, ERROR_INVALID,
			"line %d column %d: the number is too large; write a "
			"seed above 9223372036854775807 as a string",
			e->line, e->column);
	case json_error_duplicate_key:
		return error_set(err, ERROR_INVALID, "line %d column %d: %s",
			e->line, e->column, e->text);
	default:
		return error_set(err, ERROR_INVALID,
			"the body is not valid JSON: line %d column %d: %s",
			e->line, e->column, e->text);
	}
}

int request_parse(const char *body, size_t len, bool optional, json_t **json,
	struct error *err)
{
	json_error_t e;
	const char *nul;
	char what[96];

	if (!len && optional) {
		*json = json_object();
		return *json ? 0 : error_set_memory(err, "body", 0);
	}
	if (!len)
		return error_set(err, ERROR_INVALID,
			"the body is empty, expected a JSON object");
	/* Never in JSON, and passed over by the parser after a number. */
	nul = memchr(body, 0, len);
	if (nul)
		return error_set(err, ERROR_INVALID,
			"the body is not valid JSON: there is a NUL byte at "
			"%zu",
			(size_t)(nul - body));
	if (too_deep(body, len))
		return error_set(err, ERROR_INVALID,
			"the body nests deeper than %d levels",
			REQUEST_MAX_DEPTH);
	*json = json_loadb(body, len,
		JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &e);
	if (!*json)
		return malformed(&e, err);
	if (json_is_object(*json))
		return 0;
	request_describe(*json, what, sizeof(what));
	json_decref(*json);
	*json = NULL;
	return error_set(err, ERROR_INVALID,
		"the body is %s, expected a JSON object", what);
}

void request_describe(const json_t *value, char *out, size_t size)
{
	static const char *const kinds[] = {
		[JSON_OBJECT] = "an object",
		[JSON_ARRAY] = "an array",
		[JSON_STRING] = "a string",
		[JSON_INTEGER] = "the integer",
		[JSON_REAL] = "the number",
		[JSON_TRUE] = "true",
		[JSON_FALSE] = "false",
		[JSON_NULL] = "null",
	};
	const char *kind = kinds[json_typeof(value)];

	switch (json_typeof(value)) {
	case JSON_STRING:
		snprintf(out, size, "%s (\"%.*s%s\")", kind, SHOWN,
			json_string_value(value),
			json_string_length(value) > SHOWN ? "..." : "");
		break;
	case JSON_INTEGER:
		snprintf(out, size, "%s %lld", kind,
			(long long)json_integer_value(value));
		break;
	case JSON_REAL:
		snprintf(out, size, "%s %.17g", kind, json_real_value(value));
		break;
	default:
		snprintf(out, size, "%s", kind);
	}
}

static void expectation(const struct field *f, char *out, size_t size)
{
	switch (f->type) {
	case FIELD_TEXT:
		snprintf(out, size, "a string");
		break;
	case FIELD_NAME:
		snprintf(out, size, "a string of 1 to %.0f bytes", f->max);
		break;
	case FIELD_BOOL:
		snprintf(out, size, "true or false");
		break;
	case FIELD_INT:
		snprintf(out, size, "an integer from %.0f to %.0f", f->min,
			f->max);
		break;
	case FIELD_NUMBER:
		snprintf(out, size, "a number from %.7g to %.7g", f->min,
			f->max);
		break;
	case FIELD_SEED:
		snprintf(out, size,
			"an integer from 0 to 9223372036854775807, or a "
			"decimal string up to 18446744073709551615");
		break;
	case FIELD_CHOICE:
		snprintf(out, size, "one of %s", f->choices);
		break;
	case FIELD_JSON:
		snprintf(out, size, "another type");
		break;
	}
}

static int wrong(const struct field *f, const json_t *value, struct error *err)
{
	char expected[160], what[96];

	expectation(f, expected, sizeof(expected));
	request_describe(value, what, sizeof(what));
	return error_set_param(err, ERROR_INVALID, f->name,
		"%s is %s, expected %s", f->name, what, expected);
}

int request_seed(const char *text, size_t len, uint64_t *seed)
{
	char *end;

	if (!len || len > 20 || strspn(text, "0123456789") != len)
		return -1;
	errno = 0;
	*seed = strtoull(text, &end, 10);
	return errno ? -1 : 0;
}

static int read_seed(const json_t *value, uint64_t *seed)
{
	if (json_is_string(value))
		return request_seed(json_string_value(value),
			json_string_length(value), seed);
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return -1;
	*seed = (uint64_t)json_integer_value(value);
	return 0;
}

static int read_choice(const struct field *f, const json_t *value, int *out)
{
	const char *p = f->choices, *text = json_string_value(value);
	size_t len = json_string_length(value);

	for (int i = 0; text && p; i++) {
		size_t n = strcspn(p, "|");

		if (n == len && !memcmp(p, text, n)) {
			*out = i;
			return 0;
		}
		p = p[n] ? p + n + 1 : NULL;
	}
	return -1;
}

static int read_name(
	const struct field *f, const json_t *value, const char **out)
{
	size_t len = json_string_length(value);
	const char *text = json_string_value(value);

	if (!text || !len || (double)len > f->max || strlen(text) != len)
		return -1;
	*out = text;
	return 0;
}

static int read_number(const struct field *f, const json_t *value, double *out)
{
	double number = json_number_value(value);

	if (!json_is_number(value) || !isfinite(number) || number < f->min ||
		number > f->max)
		return -1;
	*out = number;
	return 0;
}

static int read_int(const struct field *f, const json_t *value, int64_t *out)
{
	json_int_t n = json_integer_value(value);

	if (!json_is_integer(value) || (double)n < f->min || (double)n > f->max)
		return -1;
	*out = n;
	return 0;
}

static int read_field(const struct field *f, json_t *value, void *out)
{
	struct request_text *text = out;

	switch (f->type) {
	case FIELD_TEXT:
		if (!json_is_string(value))
			return -1;
		text->bytes = json_string_value(value);
		text->len = json_string_length(value);
		return 0;
	case FIELD_NAME:
		return read_name(f, value, out);
	case FIELD_BOOL:
		if (!json_is_boolean(value))
			return -1;
		*(bool *)out = json_is_true(value);
		return 0;
	case FIELD_INT:
		return read_int(f, value, out);
	case FIELD_NUMBER:
		return read_number(f, value, out);
	case FIELD_SEED:
		return read_seed(value, out);
	case FIELD_CHOICE:
		return read_choice(f, value, out);
	case FIELD_JSON:
		*(const json_t **)out = value;
		return 0;
	}
	return -1;
}

static const struct field *find(
	const struct field *fields, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(fields[i].name, name))
			return &fields[i];
	return NULL;
}

int request_unknown_field(const char *name, const struct field *fields,
	size_t n, struct error *err)
{
	char known[256];
	size_t used = 0;

	known[0] = '\0';
	for (size_t i = 0; i < n && used < sizeof(known); i++)
		used += (size_t)snprintf(known + used, sizeof(known) - used,
			"%s%s", i ? " " : "", fields[i].name);
	return error_set_param(err, ERROR_INVALID, name,
		"unknown field '%.60s', expected some of: %s", name, known);
}

static int read_all(const json_t *json, const struct field *fields, size_t n,
	bool known_only, void *out, uint64_t *given, struct error *err)
{
	const char *name;
	json_t *value;

	*given = 0;
	json_object_foreach((json_t *)json, name, value)
	{
		const struct field *f = find(fields, n, name);

		if (!f && known_only)
			continue;
		if (!f)
			return request_unknown_field(name, fields, n, err);
		if (json_is_null(value))
			continue;
		if (read_field(f, value, (char *)out + f->offset) < 0)
			return wrong(f, value, err);
		*given |= (uint64_t)1 << (f - fields);
	}
	return 0;
}

int request_read(const json_t *json, const struct field *fields, size_t n,
	void *out, uint64_t *given, struct error *err)
{
	return read_all(json, fields, n, false, out, given, err);
}

int request_read_known(const json_t *json, const struct field *fields, size_t n,
	void *out, uint64_t *given, struct error *err)
{
	return read_all(json, fields, n, true, out, given, err);
}
