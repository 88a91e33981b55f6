/*
 * A struct to JSON and back, by a table of its members: what is stored of a job
 * and what a client may say of one are rows. Private to the serve layer.
 */
#ifndef SERVE_MEMBERS_H
#define SERVE_MEMBERS_H

#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum member_type {
	MEMBER_TEXT,   /* char [size] */
	MEMBER_BOOL,   /* bool */
	MEMBER_INT,    /* int64_t */
	MEMBER_UINT,   /* uint64_t, up to 2^63 - 1 */
	MEMBER_REAL,   /* double; NAN is not written, and stays where absent */
	MEMBER_CHOICE, /* int: index into choices */
	MEMBER_JSON,   /* json_t *, owned; NULL is not written */
};

struct member {
	const char *name;
	enum member_type type;
	size_t offset, size;
	double min, max;     /* of numbers, both 0: any */
	const char *choices; /* "error|skip" */
	/* The text "auto" stands for the value `automatic`. */
	bool may_be_auto;
	double automatic;
};

#define MEMBER_AT(type, field) \
	.offset = offsetof(type, field), .size = sizeof(((type *)0)->field)

/* Members that `json` has are set, others stay. Unknown names and wrong values
 * are ERROR_INVALID; errors name PREFIX and the member ("" for no prefix). */
int members_read(const json_t *json, const struct member *rows, size_t n,
	const char *prefix, void *out, struct error *err);
/* As members_read of one's own writing, where newer names are no error. */
int members_restore(const json_t *json, const struct member *rows, size_t n,
	void *out, struct error *err);
/* Adds all to the object: 0, or -1 when memory ran out. */
int members_write(
	json_t *json, const struct member *rows, size_t n, const void *in);

#endif
