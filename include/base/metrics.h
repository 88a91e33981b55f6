/*
 * Counters, gauges and histograms, declared in one table of the caller's and
 * rendered as Prometheus text. A metric is named by its row's index (an enum
 * beside the table), one of its series by an index that its labels give.
 * Updates are atomic, from any thread, and never wait.
 */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum metric_type {
	METRIC_COUNTER,	  /* only grows; its name ends in _total */
	METRIC_GAUGE,	  /* goes up and down */
	METRIC_HISTOGRAM, /* counts observations by upper bound */
};

struct metric_label {
	const char *name;   /* NULL: no label */
	const char *values; /* "ok|error"; any text without | */
};

struct metric {
	const char
		*name; /* unrolld_…, [a-z0-9_]; units last: _seconds _bytes */
	enum metric_type type;
	const char *help;
	struct metric_label labels[2]; /* every pair of values is a series */
	const double *bounds; /* histograms: [n_bounds] ascending, borrowed */
	size_t n_bounds;
	bool sparse; /* series that are 0 are left out: of many few are not */
};

struct metrics;

/* rows [n_rows] are borrowed. A fault in the table is ERROR_INTERNAL. */
int metrics_open(struct metrics **m, const struct metric *rows, size_t n_rows,
	struct error *err);
void metrics_close(struct metrics *m);

/* The series of the i-th value of the first label and the j-th of the second.
 * Without labels it is 0, with one label it is i. */
size_t metrics_series(const struct metrics *m, size_t id, size_t i, size_t j);

/* A counter (n >= 0) or a gauge. */
void metrics_add(struct metrics *m, size_t id, size_t series, double n);
/* A gauge. */
void metrics_set(struct metrics *m, size_t id, size_t series, double v);
/* A histogram. */
void metrics_observe(struct metrics *m, size_t id, size_t series, double v);
/* A counter's or gauge's value now, a histogram's count. */
double metrics_value(const struct metrics *m, size_t id, size_t series);

/* Append all of it in text format 0.0.4; 0, or -1 when out is full. */
int metrics_render(const struct metrics *m, struct buf *out);
#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

#endif
