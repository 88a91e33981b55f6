/*
 * Every number is a double held as bits in an atomic word, added to by
 * compare-and-swap: exact up to 2^53. A histogram's series is its buckets (the
 * last for what is over all bounds), then its sum.
 */
#include "base/metrics.h"

#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SERIES 4096

struct metrics {
	const struct metric *rows;
	size_t n_rows;
	size_t *first;	/* [n_rows] index of the row's first cell */
	size_t *second; /* [n_rows] values of the second label, at least 1 */
	size_t *series; /* [n_rows] */
	_Atomic uint64_t *cells;
};

static double load(_Atomic uint64_t *cell)
{
	uint64_t bits = atomic_load_explicit(cell, memory_order_relaxed);
	double v;

	memcpy(&v, &bits, sizeof(v));
	return v;
}

static void store(_Atomic uint64_t *cell, double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	atomic_store_explicit(cell, bits, memory_order_relaxed);
}

static void add(_Atomic uint64_t *cell, double n)
{
	uint64_t old = atomic_load_explicit(cell, memory_order_relaxed);
	uint64_t new;
	double v;

	do {
		memcpy(&v, &old, sizeof(v));
		v += n;
		memcpy(&new, &v, sizeof(new));
	} while (!atomic_compare_exchange_weak_explicit(
		cell, &old, new, memory_order_relaxed, memory_order_relaxed));
}

static size_t count_values(const struct metric_label *l)
{
	size_t n = 1;

	if (!l->name)
		return 1;
	for (const char *p = l->values; *p; p++)
		n += *p == '|';
	return n;
}

static size_t cells_per_series(const struct metric *row)
{
	return row->type == METRIC_HISTOGRAM ? row->n_bounds + 2 : 1;
}

static bool valid_name(const char *name)
{
	return *name &&
	       name[strspn(name, "abcdefghijklmnopqrstuvwxyz_"
				 "0123456789")] == '\0' &&
	       !(*name >= '0' && *name <= '9');
}

static bool ends_in(const char *name, const char *end)
{
	size_t n = strlen(name), k = strlen(end);

	return n > k && strcmp(name + n - k, end) == 0;
}

static const char *fault(const struct metric *row)
{
	if (!valid_name(row->name) || strncmp(row->name, "unrolld_", 8) != 0)
		return "its name is not unrolld_[a-z0-9_]*";
	if (ends_in(row->name, "_total") != (row->type == METRIC_COUNTER))
		return "counters, and only they, end in _total";
	for (int i = 0; i < 2; i++)
		if (row->labels[i].name && (!valid_name(row->labels[i].name) ||
						   !row->labels[i].values))
			return "a label's name or values are wrong";
	if (!row->labels[0].name && row->labels[1].name)
		return "the second label has no first";
	if ((row->type == METRIC_HISTOGRAM) != (row->n_bounds > 0))
		return "histograms, and only they, have bounds";
	for (size_t i = 0; i < row->n_bounds; i++)
		if (!isfinite(row->bounds[i]) ||
			(i && row->bounds[i] <= row->bounds[i - 1]))
			return "its bounds do not ascend";
	if (count_values(&row->labels[0]) * count_values(&row->labels[1]) >
		MAX_SERIES)
		return "it has too many series";
	return NULL;
}

static int check(const struct metric *rows, size_t n, struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		const char *why = fault(&rows[i]);

		for (size_t k = 0; k < i && !why; k++)
			if (strcmp(rows[k].name, rows[i].name) == 0)
				why = "it is there twice";
		if (why)
			return error_set(err, ERROR_INTERNAL, "metric %s: %s",
				rows[i].name, why);
	}
	return 0;
}

int metrics_open(struct metrics **out, const struct metric *rows, size_t n_rows,
	struct error *err)
{
	struct metrics *m;
	size_t cells = 0;

	*out = NULL;
	if (check(rows, n_rows, err) < 0)
		return -1;
	m = calloc(1, sizeof(*m));
	if (!m)
		return error_set_memory(err, "metrics", sizeof(*m));
	m->rows = rows;
	m->n_rows = n_rows;
	m->first = calloc(3 * n_rows + 1, sizeof(*m->first));
	if (!m->first)
		goto fail;
	m->second = m->first + n_rows;
	m->series = m->second + n_rows;
	for (size_t i = 0; i < n_rows; i++) {
		m->first[i] = cells;
		m->second[i] = count_values(&rows[i].labels[1]);
		m->series[i] = count_values(&rows[i].labels[0]) * m->second[i];
		cells += m->series[i] * cells_per_series(&rows[i]);
	}
	m->cells = calloc(cells + 1, sizeof(*m->cells));
	if (!m->cells)
		goto fail;
	*out = m;
	return 0;
fail:
	metrics_close(m);
	return error_set_memory(err, "metrics", n_rows * sizeof(uint64_t));
}

void metrics_close(struct metrics *m)
{
	if (!m)
		return;
	free(m->first);
	free(m->cells);
	free(m);
}

size_t metrics_series(const struct metrics *m, size_t id, size_t i, size_t j)
{
	return i * m->second[id] + j;
}

static _Atomic uint64_t *cell_at(
	const struct metrics *m, size_t id, size_t series)
{
	return &m->cells[m->first[id] +
			 series * cells_per_series(&m->rows[id])];
}

void metrics_add(struct metrics *m, size_t id, size_t series, double n)
{
	add(cell_at(m, id, series), n);
}

void metrics_set(struct metrics *m, size_t id, size_t series, double v)
{
	store(cell_at(m, id, series), v);
}

void metrics_observe(struct metrics *m, size_t id, size_t series, double v)
{
	_Atomic uint64_t *cells = cell_at(m, id, series);
	const struct metric *row = &m->rows[id];
	size_t i = 0;

	while (i < row->n_bounds && v > row->bounds[i])
		i++;
	add(&cells[i], 1);
	add(&cells[row->n_bounds + 1], v);
}

double metrics_value(const struct metrics *m, size_t id, size_t series)
{
	_Atomic uint64_t *cells = cell_at(m, id, series);
	double sum = 0;

	if (m->rows[id].type != METRIC_HISTOGRAM)
		return load(cells);
	for (size_t i = 0; i <= m->rows[id].n_bounds; i++)
		sum += load(&cells[i]);
	return sum;
}

/* As the format wants it: shortest that reads back, +Inf, NaN. */
static int put_number(struct buf *out, double v)
{
	char text[32];

	if (isnan(v))
		return buf_puts(out, "NaN");
	if (isinf(v))
		return buf_puts(out, v > 0 ? "+Inf" : "-Inf");
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	return buf_puts(out, text);
}

static int put_escaped(
	struct buf *out, const char *text, size_t len, bool quotes)
{
	int rc = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n')
			rc |= buf_puts(out, "\\n");
		else if (text[i] == '\\' || (quotes && text[i] == '"'))
			rc |= buf_printf(out, "\\%c", text[i]);
		else
			rc |= buf_append(out, &text[i], 1);
	}
	return rc;
}

static int put_label(struct buf *out, const struct metric_label *l, size_t i,
	const char *sep)
{
	const char *at = l->values;
	int rc;

	for (; i > 0; i--)
		at += strcspn(at, "|") + 1;
	rc = buf_printf(out, "%s%s=\"", sep, l->name);
	rc |= put_escaped(out, at, strcspn(at, "|"), true);
	return rc | buf_puts(out, "\"");
}

/* One line; *bound is the `le` of a bucket, NULL: none. */
static int put_sample(const struct metrics *m, size_t id, size_t series,
	const char *suffix, const double *bound, double v, struct buf *out)
{
	const struct metric *row = &m->rows[id];
	bool labels = row->labels[0].name || bound;
	int rc =
		buf_printf(out, "%s%s%s", row->name, suffix, labels ? "{" : "");

	if (row->labels[0].name)
		rc |= put_label(
			out, &row->labels[0], series / m->second[id], "");
	if (row->labels[1].name)
		rc |= put_label(
			out, &row->labels[1], series % m->second[id], ",");
	if (bound) {
		rc |= buf_puts(out, row->labels[0].name ? ",le=\"" : "le=\"");
		rc |= put_number(out, *bound);
		rc |= buf_puts(out, "\"");
	}
	rc |= buf_puts(out, labels ? "} " : " ");
	rc |= put_number(out, v);
	return rc | buf_puts(out, "\n");
}

/* The count is the last bucket's, so that the two always agree. */
static int put_histogram(
	const struct metrics *m, size_t id, size_t series, struct buf *out)
{
	_Atomic uint64_t *cells = cell_at(m, id, series);
	const struct metric *row = &m->rows[id];
	double count = 0;
	int rc = 0;

	for (size_t i = 0; i <= row->n_bounds; i++) {
		double bound = i < row->n_bounds ? row->bounds[i] : INFINITY;

		count += load(&cells[i]);
		rc |= put_sample(m, id, series, "_bucket", &bound, count, out);
	}
	rc |= put_sample(m, id, series, "_sum", NULL,
		load(&cells[row->n_bounds + 1]), out);
	return rc | put_sample(m, id, series, "_count", NULL, count, out);
}

int metrics_render(const struct metrics *m, struct buf *out)
{
	static const char *const types[] = { "counter", "gauge", "histogram" };
	int rc = 0;

	for (size_t i = 0; i < m->n_rows && rc == 0; i++) {
		const struct metric *row = &m->rows[i];

		rc |= buf_printf(out, "# HELP %s ", row->name);
		rc |= put_escaped(out, row->help, strlen(row->help), false);
		rc |= buf_printf(
			out, "\n# TYPE %s %s\n", row->name, types[row->type]);
		for (size_t s = 0; s < m->series[i]; s++) {
			if (row->type == METRIC_HISTOGRAM)
				rc |= put_histogram(m, i, s, out);
			else if (!row->sparse || load(cell_at(m, i, s)) != 0)
				rc |= put_sample(m, i, s, "", NULL,
					load(cell_at(m, i, s)), out);
		}
	}
	return rc ? -1 : 0;
}
