/*
 * Answers in JSON. Errors have OpenAI's shape, {"error": {message, type, param,
 * code}}; one table says which status an error code gets. Loop thread.
 */
#ifndef HTTP_REPLY_H
#define HTTP_REPLY_H

#include "base/error.h"
#include "http/exchange.h"

#include <jansson.h>

/* How JSON is written: 0.1 stays 0.1. */
#define REPLY_JSON (JSON_COMPACT | JSON_REAL_PRECISION(15))

/* Takes the reference to json. */
void reply_json(struct exchange *x, unsigned status, json_t *json);
/* Gives the client the ETag (`"…"` or `W/"…"`). True: it has that already, and
 * was told so. RFC 9110, 13.1.2. */
bool reply_unchanged(struct exchange *x, const char *tag);
/* What failed inside is logged under the exchange's id, not shown. */
void reply_error(struct exchange *x, const struct error *err);
/* The same, for a client that may try again after so many seconds. */
void reply_error_later(
	struct exchange *x, const struct error *err, unsigned seconds);
/* For what has no error code of its own: 405, 415, … param may be "". */
void reply_refuse(struct exchange *x, unsigned status, const char *code,
	const char *param, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* The same object, for an error in the midst of a stream. NULL when memory
 * ran out. `id` is of the exchange. */
json_t *reply_error_object(const struct error *err, const char *id);

unsigned reply_status(const struct error *err);

/* A JSON string of bytes that should be UTF-8; where they are not, they become
 * U+FFFD. */
json_t *reply_text(const char *bytes, size_t len);

#endif
