#include "base/options_private.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct unit {
	const char *suffix;
	uint64_t factor;
};

static const struct unit sizes[] = {
	{ "T", 1ull << 40 },
	{ "G", 1ull << 30 },
	{ "M", 1ull << 20 },
	{ "K", 1ull << 10 },
	{ "", 1 },
	{ 0 },
};

static const struct unit durations[] = {
	{ "d", 86400000 },
	{ "h", 3600000 },
	{ "m", 60000 },
	{ "s", 1000 },
	{ "ms", 1 },
	{ 0 },
};

static int parse_string(const struct option *row, const char *text, void *field)
{
	char *copy = strdup(text);

	if (!copy)
		return -1;
	free(*(char **)field);
	*(char **)field = copy;
	return 0;
}

static int print_string(
	const struct option *row, const void *field, struct buf *out)
{
	const char *text = *(char *const *)field;

	return buf_puts(out, text ? text : "");
}

static void release_string(void *field)
{
	free(*(char **)field);
	*(char **)field = NULL;
}

static int parse_bool(const struct option *row, const char *text, void *field)
{
	static const char *const words[] = { "false", "true", "no", "yes",
		"off", "on", "0", "1" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(text, words[i]) == 0) {
			*(bool *)field = i % 2;
			return 0;
		}
	}
	return -1;
}

static int print_bool(
	const struct option *row, const void *field, struct buf *out)
{
	return buf_puts(out, *(const bool *)field ? "true" : "false");
}

static int parse_int(const struct option *row, const char *text, void *field)
{
	char *end;
	long long v;

	if (!isdigit((unsigned char)*text) && *text != '-' && *text != '+')
		return -1;
	errno = 0;
	v = strtoll(text, &end, 10);
	if (errno || end == text || *end)
		return -1;
	*(int64_t *)field = v;
	return 0;
}

static int print_int(
	const struct option *row, const void *field, struct buf *out)
{
	return buf_printf(out, "%" PRId64, *(const int64_t *)field);
}

static int compare_int(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Digits, then nothing or what *rest is to hold. */
static int parse_digits(const char *text, uint64_t *value, const char **rest)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return -1;
	errno = 0;
	*value = strtoull(text, &end, 10);
	*rest = end;
	return errno ? -1 : 0;
}

static int parse_uint(const struct option *row, const char *text, void *field)
{
	const char *rest;
	uint64_t v;

	if (parse_digits(text, &v, &rest) < 0 || *rest)
		return -1;
	*(uint64_t *)field = v;
	return 0;
}

static int print_uint(
	const struct option *row, const void *field, struct buf *out)
{
	return buf_printf(out, "%" PRIu64, *(const uint64_t *)field);
}

static int compare_uint(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int parse_unit(const struct unit *units, const char *text, void *field)
{
	const char *rest;
	uint64_t v;

	if (parse_digits(text, &v, &rest) < 0)
		return -1;
	for (; units->suffix; units++) {
		if (strcmp(rest, units->suffix) != 0)
			continue;
		if (v > UINT64_MAX / units->factor)
			return -1;
		*(uint64_t *)field = v * units->factor;
		return 0;
	}
	return -1;
}

/* With the largest unit that divides it. */
static int print_unit(const struct unit *units, uint64_t v, struct buf *out)
{
	while (v % units->factor)
		units++;
	return buf_printf(
		out, "%" PRIu64 "%s", v / units->factor, units->suffix);
}

static int parse_size(const struct option *row, const char *text, void *field)
{
	return parse_unit(sizes, text, field);
}

static int print_size(
	const struct option *row, const void *field, struct buf *out)
{
	uint64_t v = *(const uint64_t *)field;

	return v ? print_unit(sizes, v, out) : buf_puts(out, "0");
}

/* Zero needs no unit. */
static int parse_duration(
	const struct option *row, const char *text, void *field)
{
	if (strcmp(text, "0") == 0) {
		*(uint64_t *)field = 0;
		return 0;
	}
	return parse_unit(durations, text, field);
}

static int print_duration(
	const struct option *row, const void *field, struct buf *out)
{
	uint64_t v = *(const uint64_t *)field;

	return v ? print_unit(durations, v, out) : buf_puts(out, "0");
}

static int parse_double(const struct option *row, const char *text, void *field)
{
	char *end;
	double v;

	if (!isdigit((unsigned char)*text) && !strchr("+-.", *text))
		return -1;
	v = strtod(text, &end);
	if (end == text || *end || !isfinite(v))
		return -1;
	*(double *)field = v;
	return 0;
}

/* The shortest text that reads back as the same number. */
static int print_double(
	const struct option *row, const void *field, struct buf *out)
{
	double v = *(const double *)field;
	char text[32];

	for (int digits = 6; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	return buf_puts(out, text);
}

static int compare_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int parse_enum(const struct option *row, const char *text, void *field)
{
	const char *at = row->choices;
	size_t len;

	for (int i = 0; *at; i++) {
		len = strcspn(at, "|");
		if (strlen(text) == len && memcmp(text, at, len) == 0) {
			*(int *)field = i;
			return 0;
		}
		at += len + (at[len] == '|');
	}
	return -1;
}

static int print_enum(
	const struct option *row, const void *field, struct buf *out)
{
	const char *at = row->choices;

	for (int i = *(const int *)field; i > 0 && *at; i--) {
		at += strcspn(at, "|");
		at += *at == '|';
	}
	return buf_append(out, at, strcspn(at, "|"));
}

/* One more item. */
static int parse_list(const struct option *row, const char *text, void *field)
{
	struct option_list *l = field;
	char **items = realloc(l->items, (l->n + 1) * sizeof(*items));

	if (!items)
		return -1;
	l->items = items;
	items[l->n] = strdup(text);
	if (!items[l->n])
		return -1;
	l->n++;
	return 0;
}

static int print_list(
	const struct option *row, const void *field, struct buf *out)
{
	const struct option_list *l = field;

	for (size_t i = 0; i < l->n; i++)
		if (buf_printf(out, "%s%s", i ? "," : "", l->items[i]) < 0)
			return -1;
	return 0;
}

static void release_list(void *field)
{
	option_list_release(field);
}

/* clang-format off */
static const struct option_kind kinds[] = {
	[OPTION_STRING] = { "TEXT", "a text", sizeof(char *),
		parse_string, print_string, NULL, release_string },
	[OPTION_BOOL] = { NULL, "true or false", sizeof(bool),
		parse_bool, print_bool, NULL, NULL },
	[OPTION_INT] = { "N", "an integer", sizeof(int64_t),
		parse_int, print_int, compare_int, NULL },
	[OPTION_UINT] = { "N", "an unsigned integer", sizeof(uint64_t),
		parse_uint, print_uint, compare_uint, NULL },
	[OPTION_SIZE] = { "SIZE", "a size such as 4096, 64K, 8M or 2G",
		sizeof(uint64_t),
		parse_size, print_size, compare_uint, NULL },
	[OPTION_DOUBLE] = { "X", "a number", sizeof(double),
		parse_double, print_double, compare_double, NULL },
	[OPTION_DURATION] = { "TIME",
		"a duration such as 500ms, 30s, 5m, 2h or 7d",
		sizeof(uint64_t),
		parse_duration, print_duration, compare_uint, NULL },
	[OPTION_ENUM] = { "WORD", "one of", sizeof(int),
		parse_enum, print_enum, NULL, NULL },
	[OPTION_LIST] = { "TEXT", "a text", sizeof(struct option_list),
		parse_list, print_list, NULL, release_list },
};
/* clang-format on */

const struct option_kind *option_kind(enum option_type type)
{
	return type == OPTION_HEADING ? NULL : &kinds[type];
}

void option_expected(const struct option *row, char *text, size_t size)
{
	const char *expected = kinds[row->type].expected;

	if (row->type == OPTION_ENUM) {
		snprintf(text, size, "%s %s", expected, row->choices);
		for (; *text; text++)
			if (*text == '|')
				*text = ' ';
	} else if (row->min && row->max) {
		snprintf(text, size, "%s from %s to %s", expected, row->min,
			row->max);
	} else if (row->min || row->max) {
		snprintf(text, size, "%s of at %s %s", expected,
			row->min ? "least" : "most",
			row->min ? row->min : row->max);
	} else {
		snprintf(text, size, "%s", expected);
	}
}
