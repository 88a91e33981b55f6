#include "base/options_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NAME 64

size_t option_find(const struct options *o, const char *name)
{
	size_t i;

	for (i = 0; i < o->n_rows; i++)
		if (o->rows[i].type != OPTION_HEADING &&
			strcmp(o->rows[i].name, name) == 0)
			break;
	return i;
}

static size_t min3(size_t a, size_t b, size_t c)
{
	a = b < a ? b : a;
	return c < a ? c : a;
}

/* Edits (insert, delete, replace, swap neighbours) from a to b. */
static size_t distance(const char *a, const char *b)
{
	size_t d[MAX_NAME + 1][MAX_NAME + 1];
	size_t n = strlen(a), m = strlen(b);

	if (n > MAX_NAME || m > MAX_NAME)
		return SIZE_MAX;
	for (size_t i = 0; i <= n; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= m; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= n; i++) {
		for (size_t j = 1; j <= m; j++) {
			d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1,
				d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
				a[i - 2] == b[j - 1] &&
				d[i - 2][j - 2] + 1 < d[i][j])
				d[i][j] = d[i - 2][j - 2] + 1;
		}
	}
	return d[n][m];
}

/* `port` for `http.port` is near too: the last part counts alone. */
static const char *nearest(const struct options *o, const char *name)
{
	size_t best = strlen(name) / 3 + 1;
	const char *found = NULL;

	for (size_t i = 0; i < o->n_rows; i++) {
		const char *candidate = o->rows[i].name, *dot;
		size_t d;

		if (o->rows[i].type == OPTION_HEADING)
			continue;
		d = distance(name, candidate);
		dot = strrchr(candidate, '.');
		if (dot && strcmp(dot + 1, name) == 0)
			d = 1;
		if (d < best || (d == best && !found)) {
			best = d;
			found = candidate;
		}
	}
	return found;
}

int option_unknown(const struct options *o, const char *name,
	const char *dashes, const char *source, struct error *err)
{
	const char *near = nearest(o, name);
	const char *colon = *source ? ": " : "";

	if (near)
		return error_set_param(err, ERROR_INVALID, name,
			"%s%sunknown option '%s%s', did you mean '%s%s'?",
			source, colon, dashes, name, dashes, near);
	return error_set_param(err, ERROR_INVALID, name,
		"%s%sunknown option '%s%s'", source, colon, dashes, name);
}

static bool out_of_range(const struct option *row,
	const struct option_kind *kind, const void *field)
{
	uint64_t bound[2] = { 0 }; /* as large as any ranged type */

	if (!kind->compare)
		return false;
	if (row->min && kind->parse(row, row->min, bound) == 0 &&
		kind->compare(field, bound) < 0)
		return true;
	return row->max && kind->parse(row, row->max, bound) == 0 &&
	       kind->compare(field, bound) > 0;
}

static int complain(const struct option *row, const char *value,
	const char *source, struct error *err)
{
	const char *shown = row->flags & OPTION_SECRET ? "(hidden)" : value;
	char expected[256];

	option_expected(row, expected, sizeof(expected));
	if (source[0] == '-')
		return error_set_param(err, ERROR_INVALID, row->name,
			"%s is '%s', expected %s", source, shown, expected);
	return error_set_param(err, ERROR_INVALID, row->name,
		"%s: %s is '%s', expected %s", source, row->name, shown,
		expected);
}

/* Into a copy first: what fails changes nothing. */
static int parse_row(struct options *o, size_t i, const char *value,
	const char *source, struct error *err)
{
	const struct option *row = &o->rows[i];
	const struct option_kind *kind = option_kind(row->type);
	void *field = option_field(o, i);
	uint64_t copy[2];

	if (kind->release) {
		if (kind->parse(row, value, field) < 0)
			return error_set_memory(err, row->name, strlen(value));
		return 0;
	}
	if (kind->parse(row, value, copy) < 0 || out_of_range(row, kind, copy))
		return complain(row, value, source, err);
	memcpy(field, copy, kind->size);
	return 0;
}

int option_assign(struct options *o, size_t i, const char *value,
	const char *source, struct error *err)
{
	struct origin *origin = &o->origins[i];
	char *copy = strdup(source);

	if (!copy)
		return error_set_memory(err, o->rows[i].name, strlen(source));
	if (o->rows[i].type == OPTION_LIST && origin->layer != o->layer)
		option_list_release(option_field(o, i));
	if (parse_row(o, i, value, source, err) < 0) {
		free(copy);
		return -1;
	}
	free(origin->source);
	origin->source = copy;
	origin->layer = o->layer;
	return 0;
}

int options_set(struct options *o, const char *name, const char *value,
	const char *source, struct error *err)
{
	size_t i = option_find(o, name);

	if (i == o->n_rows)
		return option_unknown(o, name, "", source, err);
	o->layer++;
	return option_assign(o, i, value, source, err);
}

static int set_default(struct options *o, size_t i, struct error *err)
{
	const struct option *row = &o->rows[i];
	const struct option_kind *kind = option_kind(row->type);

	if (!kind)
		return 0;
	memset(option_field(o, i), 0, kind->size);
	if (!row->value)
		return 0;
	if (parse_row(o, i, row->value, "default", err) == 0)
		return 0;
	if (err)
		err->code = ERROR_INTERNAL;
	return -1;
}

int options_init(struct options *o, const struct option *rows, size_t n_rows,
	void *values, struct error *err)
{
	*o = (struct options){ .rows = rows, .values = values, .layer = 1 };
	o->origins = calloc(n_rows + 1, sizeof(*o->origins));
	if (!o->origins)
		return error_set_memory(
			err, "options", n_rows * sizeof(*o->origins));
	/* n_rows counts what release may free, so it grows row by row. */
	for (size_t i = 0; i < n_rows; i++) {
		if (set_default(o, i, err) < 0) {
			options_release(o);
			return -1;
		}
		o->n_rows = i + 1;
	}
	return 0;
}

void options_release(struct options *o)
{
	for (size_t i = 0; i < o->n_rows; i++) {
		const struct option_kind *kind = option_kind(o->rows[i].type);

		free(o->origins[i].source);
		if (kind && kind->release)
			kind->release(option_field(o, i));
	}
	free(o->origins);
	*o = (struct options){ 0 };
}

void option_list_release(struct option_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->items[i]);
	free(l->items);
	*l = (struct option_list){ 0 };
}

const char *options_source(const struct options *o, const char *name)
{
	size_t i = option_find(o, name);

	return i < o->n_rows ? o->origins[i].source : NULL;
}
