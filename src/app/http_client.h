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

/* The daemon speaks TLS, and this file holds its certificate and its chain: any
 * that one of these vouches for will do, whatever name it is for. It gets no
 * key. Without, certificates are checked against the machine's authorities, or
 * those that $CURL_CA_BUNDLE or $SSL_CERT_FILE names. */
void http_client_trust(struct http_client *c, const char *certificate);

struct http_request {
	const char *method, *path; /* with its query */
	const char *type;	   /* of the body, or NULL: there is none */
	const void *body;
	size_t len;
};

/* The answer's body replaces what *answer holds. What the daemon refuses is an
 * error with its message; ERROR_UNAVAILABLE: it can't be reached, or is not
 * ready (503). */
int http_client_ask(struct http_client *c, const struct http_request *r,
	struct buf *answer, struct error *err);
/* A body of JSON, or none (NULL; stolen), and an answer in JSON, the caller's
 * to release. */
int http_client_json(struct http_client *c, const char *method,
	const char *path, json_t *body, json_t **answer, struct error *err);

/* A file sent as multipart/form-data, read as it is sent: any length. */
struct http_upload {
	const char *path; /* of the request */
	const char *file; /* on disk, or "-": standard input */
	const char *name; /* that it gets; NULL: its own */
	const struct http_field {
		const char *name, *value; /* value NULL: left out */
	} * fields;			  /* [n_fields] */
	size_t n_fields;
};
int http_client_upload(struct http_client *c, const struct http_upload *u,
	json_t **answer, struct error *err);

/* Server-sent events until their stream ends. */
struct http_events {
	const char *path;
	const char *after; /* the id of the last that is known, or "" */
	/* Nonzero: no more of them. */
	int (*event)(void *arg, const char *id, const char *data);
	/* About once a second, also while nothing comes. */
	void (*tick)(void *arg);
	void *arg;
};
/* 0 when the stream ended, or event said so. ERROR_UNAVAILABLE: the daemon
 * can't be reached, or went away. */
int http_client_follow(
	struct http_client *c, const struct http_events *e, struct error *err);

/* PREFIX with the text percent-encoded behind it, then SUFFIX, malloc'ed; NULL
 * when memory ran out. */
char *http_client_path(struct http_client *c, const char *prefix,
	const char *text, const char *suffix);

#endif
