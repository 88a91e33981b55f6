/*
 * One HTTP request and its answer, as a route sees it. Headers and body are
 * read-only; the answer is given once, whole or as a stream, at any later time
 * on the loop thread. After on_close ran the exchange must not be touched.
 * Everything here belongs to the loop thread.
 */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exchange;

const char *exchange_method(const struct exchange *x);
/* As it was sent: still percent-encoded, without the query. */
const char *exchange_path(const struct exchange *x);
/* Without its '?'; "" when there is none. */
const char *exchange_query(const struct exchange *x);
/* NULL when absent. Names are compared without case. */
const char *exchange_header(const struct exchange *x, const char *name);
const char *exchange_id(const struct exchange *x);   /* for X-Request-Id */
const char *exchange_peer(const struct exchange *x); /* address:port */
/* The name of the key that asks, at most EXCHANGE_OWNER_MAX bytes; "" while
 * nobody is asked for one. */
#define EXCHANGE_OWNER_MAX 64
void exchange_set_owner(struct exchange *x, const char *name);
const char *exchange_owner(const struct exchange *x);

/* The body, complete once the server calls ops->complete. `take` hands it to
 * the caller, who frees it; it stays within the server's memory budget until
 * the exchange ends. */
const char *exchange_body(const struct exchange *x, size_t *len);
void exchange_take_body(struct exchange *x, struct buf *body);

/* From ops->begin: how many bytes of body this request may have, and whether
 * they are kept or only counted. */
void exchange_expect(struct exchange *x, size_t max_body, bool keep);

/* A header of the answer; both texts are copied. Before the answer. */
void exchange_add_header(
	struct exchange *x, const char *name, const char *value);
/* The connection ends with this answer. */
void exchange_close_after(struct exchange *x);

/* Answer whole. `body` is malloc'ed and becomes the exchange's; NULL with len
 * 0 is an empty body. */
void exchange_reply(struct exchange *x, unsigned status, const char *type,
	char *body, size_t len);
bool exchange_replied(const struct exchange *x);

/* What a route keeps with its exchange. on_close runs exactly once, when the
 * answer was delivered (completed) or the client left (not completed). */
struct exchange_ops {
	void (*on_close)(void *data, bool completed);
	/* A stream's backlog fell below half of its limit. */
	void (*on_writable)(void *data);
};
void exchange_attach(
	struct exchange *x, const struct exchange_ops *ops, void *data);

/* A label of what is answered, for the access log and metrics: static text. */
void exchange_set_route(struct exchange *x, const char *route);
const char *exchange_route(const struct exchange *x);
unsigned exchange_status(const struct exchange *x);
/* Seconds since the request line was read. */
double exchange_elapsed(const struct exchange *x);
/* Bytes of body that were handed to the socket. */
uint64_t exchange_bytes_sent(const struct exchange *x);

/* Answer as a stream: begin, any number of writes, end. write returns -1
 * when more than EXCHANGE_MAX_BACKLOG bytes wait for the client; room says
 * how many may be written now. */
#define EXCHANGE_MAX_BACKLOG (256u << 10)
void exchange_stream_begin(
	struct exchange *x, unsigned status, const char *type);
int exchange_stream_write(struct exchange *x, const char *bytes, size_t len);
size_t exchange_stream_room(const struct exchange *x);
void exchange_stream_end(struct exchange *x);

#endif
