#include "serve/members.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool in_range(const struct member *m, double v)
{
	return isfinite(v) &&
	       ((m->min == 0 && m->max == 0) || (v >= m->min && v <= m->max));
}

static bool read_text(const struct member *m, const json_t *value, void *at)
{
	size_t len = json_string_length(value);

	if (!json_is_string(value) || len >= m->size ||
		strlen(json_string_value(value)) != len)
		return false;
	memcpy(at, json_string_value(value), len + 1);
	return true;
}

static bool read_choice(const struct member *m, const json_t *value, int *out)
{
	const char *p = m->choices, *text = json_string_value(value);

	for (int i = 0; text && *p; i++) {
		size_t n = strcspn(p, "|");

		if (strlen(text) == n && !memcmp(p, text, n)) {
			*out = i;
			return true;
		}
		p += p[n] ? n + 1 : n;
	}
	return false;
}

static bool read_integer(const struct member *m, const json_t *value, void *at)
{
	json_int_t i = json_integer_value(value);

	if (!json_is_integer(value) || !in_range(m, (double)i) ||
		(m->type == MEMBER_UINT && i < 0))
		return false;
	if (m->type == MEMBER_UINT)
		*(uint64_t *)at = (uint64_t)i;
	else
		*(int64_t *)at = i;
	return true;
}

static bool set_auto(const struct member *m, const json_t *value, void *at)
{
	if (!m->may_be_auto || !json_is_string(value) ||
		strcmp(json_string_value(value), "auto") != 0)
		return false;
	if (m->type == MEMBER_REAL)
		*(double *)at = m->automatic;
	else
		*(uint64_t *)at = (uint64_t)m->automatic;
	return true;
}

static bool read_value(const struct member *m, json_t *value, void *at)
{
	if (set_auto(m, value, at))
		return true;
	switch (m->type) {
	case MEMBER_TEXT:
		return read_text(m, value, at);
	case MEMBER_BOOL:
		*(bool *)at = json_is_true(value);
		return json_is_boolean(value);
	case MEMBER_INT:
	case MEMBER_UINT:
		return read_integer(m, value, at);
	case MEMBER_REAL:
		if (!json_is_number(value) ||
			!in_range(m, json_number_value(value)))
			return false;
		*(double *)at = json_number_value(value);
		return true;
	case MEMBER_CHOICE:
		return read_choice(m, value, at);
	case MEMBER_JSON:
		json_decref(*(json_t **)at);
		*(json_t **)at = json_incref(value);
		return true;
	}
	return false;
}

static void expectation(const struct member *m, char *out, size_t size)
{
	const char *or_auto = m->may_be_auto ? ", or \"auto\"" : "";

	switch (m->type) {
	case MEMBER_TEXT:
		snprintf(out, size, "a string of at most %zu bytes",
			m->size - 1);
		break;
	case MEMBER_BOOL:
		snprintf(out, size, "true or false");
		break;
	case MEMBER_CHOICE:
		snprintf(out, size, "one of %s", m->choices);
		break;
	default:
		snprintf(out, size, "%s from %.7g to %.7g%s",
			m->type == MEMBER_REAL ? "a number" : "an integer",
			m->min, m->max, or_auto);
	}
}

static int wrong(const struct member *m, const char *prefix,
	const json_t *value, struct error *err)
{
	char name[64], expected[160], shown[64] = "something else";
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

	if (text)
		snprintf(shown, sizeof(shown), "%.*s%s", 40, text,
			strlen(text) > 40 ? "..." : "");
	free(text);
	snprintf(name, sizeof(name), "%s%s", prefix, m->name);
	expectation(m, expected, sizeof(expected));
	return error_set_param(err, ERROR_INVALID, name,
		"%s is %s, expected %s", name, shown, expected);
}

static int unknown(const char *name, const struct member *rows, size_t n,
	const char *prefix, struct error *err)
{
	char full[64], known[320] = "";
	size_t used = 0;

	for (size_t i = 0; i < n && used < sizeof(known); i++)
		used += (size_t)snprintf(known + used, sizeof(known) - used,
			"%s%s", i ? " " : "", rows[i].name);
	snprintf(full, sizeof(full), "%s%s", prefix, name);
	return error_set_param(err, ERROR_INVALID, full,
		"unknown field '%s', expected some of: %s", full, known);
}

static const struct member *find(
	const struct member *rows, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(rows[i].name, name))
			return &rows[i];
	return NULL;
}

static int read_all(const json_t *json, const struct member *rows, size_t n,
	const char *prefix, bool strict, void *out, struct error *err)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)json, name, value)
	{
		const struct member *m = find(rows, n, name);

		if (!m && strict)
			return unknown(name, rows, n, prefix, err);
		if (!m || json_is_null(value))
			continue;
		if (!read_value(m, value, (char *)out + m->offset))
			return wrong(m, prefix, value, err);
	}
	return 0;
}

int members_read(const json_t *json, const struct member *rows, size_t n,
	const char *prefix, void *out, struct error *err)
{
	return read_all(json, rows, n, prefix, true, out, err);
}

int members_restore(const json_t *json, const struct member *rows, size_t n,
	void *out, struct error *err)
{
	return read_all(json, rows, n, "", false, out, err);
}

static json_t *choice(const struct member *m, int i)
{
	const char *p = m->choices;

	for (; i > 0; i--)
		p += strcspn(p, "|") + 1;
	return json_stringn(p, strcspn(p, "|"));
}

static json_t *value_of(const struct member *m, const void *at)
{
	switch (m->type) {
	case MEMBER_TEXT:
		return json_string(at);
	case MEMBER_BOOL:
		return json_boolean(*(const bool *)at);
	case MEMBER_INT:
		return json_integer(*(const int64_t *)at);
	case MEMBER_UINT:
		if (m->may_be_auto &&
			(double)*(const uint64_t *)at == m->automatic)
			return json_string("auto");
		return json_integer((json_int_t) * (const uint64_t *)at);
	case MEMBER_REAL:
		if (m->may_be_auto && *(const double *)at == m->automatic)
			return json_string("auto");
		return json_real(*(const double *)at);
	case MEMBER_CHOICE:
		return choice(m, *(const int *)at);
	case MEMBER_JSON:
		return json_incref(*(json_t *const *)at);
	}
	return NULL;
}

static bool is_absent(const struct member *m, const void *at)
{
	if (m->type == MEMBER_REAL)
		return isnan(*(const double *)at);
	return m->type == MEMBER_JSON && !*(json_t *const *)at;
}

int members_write(
	json_t *json, const struct member *rows, size_t n, const void *in)
{
	for (size_t i = 0; i < n; i++) {
		const void *at = (const char *)in + rows[i].offset;

		if (is_absent(&rows[i], at))
			continue;
		if (json_object_set_new(
			    json, rows[i].name, value_of(&rows[i], at)) < 0)
			return -1;
	}
	return 0;
}
