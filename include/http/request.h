/*
 * A JSON body into a struct, by a table of fields. The table also describes
 * the body in /openapi.json. Errors are ERROR_INVALID with the field as param
 * and a message that gives its value and what was expected. Any thread.
 */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REQUEST_MAX_FIELDS 64
#define REQUEST_MAX_DEPTH 16 /* of arrays and objects in a body */

enum field_type {     /* and the type of the struct's member */
	FIELD_TEXT,   /* struct request_text: any UTF-8 */
	FIELD_NAME,   /* const char *: no NUL, 1..max bytes */
	FIELD_BOOL,   /* bool */
	FIELD_INT,    /* int64_t */
	FIELD_NUMBER, /* double */
	FIELD_SEED,   /* uint64_t: 0..2^63-1, or decimal text up to 2^64-1 */
	FIELD_CHOICE, /* int: index into choices */
	FIELD_JSON,   /* const json_t *: for the route to look into */
};

struct request_text {
	const char *bytes; /* borrowed from the body; terminated */
	size_t len;
};

struct field {
	const char *name;
	enum field_type type;
	size_t offset;
	double min, max;     /* of INT and NUMBER; max also of NAME, bytes */
	const char *choices; /* "error|skip", in enum order */
	const char *schema;  /* FIELD_JSON: its JSON schema, as text */
	const char *help;    /* for the documentation; one sentence */
	const char *preset;  /* the default, as JSON text, or NULL */
	bool required;	     /* for the documentation */
	bool file; /* TEXT: bytes as base64, or of a form as they are */
};

/* Is the declared content type JSON? Fills a message if not (415). */
int request_check_type(const char *content_type, struct error *err);

/* Parse a body: an object, no duplicate names, bounded depth; line and column
 * in errors. An empty body is {} when `optional`. The caller owns *json. */
int request_parse(const char *body, size_t len, bool optional, json_t **json,
	struct error *err);

/* Move fields into *out, which holds the defaults; it borrows from json. Bit i
 * of *given is set when fields[i] was given, and was not null. */
int request_read(const json_t *json, const struct field *fields, size_t n,
	void *out, uint64_t *given, struct error *err);

/* The same, passing over names that are not among the fields. */
int request_read_known(const json_t *json, const struct field *fields, size_t n,
	void *out, uint64_t *given, struct error *err);

/* Decimal, the whole text, at most 2^64-1. */
int request_seed(const char *text, size_t len, uint64_t *seed);

/* ERROR_INVALID: `name` is none of these, whose names are told. */
int request_unknown_field(const char *name, const struct field *fields,
	size_t n, struct error *err);

/* What a value looks like, for an error: `a string ("abc")`. */
void request_describe(const json_t *value, char *out, size_t size);

#endif
