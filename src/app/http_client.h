/* Requests to a daemon's API, one after another. One thread. */
#ifndef APP_HTTP_CLIENT_H
#define APP_HTTP_CLIENT_H

#include "base/buf.h"
#include "base/error.h"

#include <jansson.h>
#include <stdint.h>

struct http_client;

/* `url` is the daemon's, "http://127.0.0.1:8080", or "unix:" and the path of
 * its socket. */
int http_client_open(
	struct http_client **c, const char *url, struct error *err);
void http_client_close(struct http_client *c);
/* Each request from now on fails when it takes longer. */
void http_client_limit(struct http_client *c, uint64_t ms);

struct http_request {
	const char *method, *path; /* with its query */
	const char *type;	   /* of the body, or NULL: there is none */
	const void *body;
	size_t len;
};

/* The answer's body replaces what *answer holds. What the daemon refuses is an
 * error with its message; ERROR_UNAVAILABLE: it can't be reached. */
int http_client_ask(struct http_client *c, const struct http_request *r,
	struct buf *answer, struct error *err);
/* A body of JSON, or none (NULL; stolen), and an answer in JSON, the caller's
 * to release. */
int http_client_json(struct http_client *c, const char *method,
	const char *path, json_t *body, json_t **answer, struct error *err);

/* PREFIX with the text percent-encoded behind it, then SUFFIX, malloc'ed; NULL
 * when memory ran out. */
char *http_client_path(struct http_client *c, const char *prefix,
	const char *text, const char *suffix);

#endif
