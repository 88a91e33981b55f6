/* Private to base/options: values as text, by type. */
#ifndef BASE_OPTIONS_PRIVATE_H
#define BASE_OPTIONS_PRIVATE_H

#include "base/options.h"

struct origin {
	char *source;	/* owned; NULL: the default */
	unsigned layer; /* of the call that set it */
};

/* A type is a row of a table: what its text looks like, and both ways. */
struct option_kind {
	const char *argument; /* in help */
	const char *expected; /* in errors */
	size_t size;
	/* 0, or -1 when the text isn't one. */
	int (*parse)(const struct option *row, const char *text, void *field);
	int (*print)(
		const struct option *row, const void *field, struct buf *out);
	/* <0, 0, >0; NULL where there are no ranges. */
	int (*compare)(const void *a, const void *b);
	void (*release)(void *field); /* NULL: nothing owned */
};

/* NULL for OPTION_HEADING. */
const struct option_kind *option_kind(enum option_type type);

/* What the row accepts: "an integer from 1 to 65535". Never fails; cut when
 * the text is longer than size. */
void option_expected(const struct option *row, char *text, size_t size);

/* As options_set with the row known; new_layer is the caller's `layer`. */
int option_assign(struct options *o, size_t row, const char *value,
	const char *source, struct error *err);

/* Row index, or n_rows when there is none. */
size_t option_find(const struct options *o, const char *name);

/* ERROR_INVALID for a name that isn't in the table: "SOURCE: unknown option
 * 'x', did you mean 'y'?". `dashes` goes before both names. */
int option_unknown(const struct options *o, const char *name,
	const char *dashes, const char *source, struct error *err);

static inline void *option_field(const struct options *o, size_t row)
{
	return (char *)o->values + o->rows[row].offset;
}

#endif
