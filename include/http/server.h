/*
 * HTTP/1.1 inside a libuv loop: sockets, limits and time-outs. It knows nothing
 * of routes: ops say what to do with a request whose headers, and then body,
 * have arrived. Everything runs on the loop thread.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "base/error.h"
#include "http/exchange.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct server_options {
	const char *address; /* an IPv4 or IPv6 address, a name, or unix:PATH */
	unsigned port;	     /* 0 = any free one */
	int listen_fd;	     /* an inherited listening socket, or -1 */
	unsigned max_connections;
	unsigned max_connections_per_address; /* 0 = as many as there are */
	size_t max_header;		/* bytes of request line and headers */
	size_t max_url;			/* bytes of the request target */
	size_t max_body_total;		/* bytes of all bodies held at once */
	unsigned header_timeout;	/* ms to send a request's headers */
	unsigned body_timeout;		/* ms to send its body */
	unsigned idle_timeout;		/* ms between requests */
	const char *tls_cert, *tls_key; /* PEM files; both, or NULL: no TLS */
	unsigned write_timeout; /* ms without a byte taken by the client */
};

struct server_ops {
	/* Headers are in: refuse by replying, or exchange_expect a body. */
	void (*begin)(void *ctx, struct exchange *x);
	/* The body is in: reply now or later. */
	void (*complete)(void *ctx, struct exchange *x);
	/* The exchange is over: account for it. completed = fully answered. */
	void (*ended)(void *ctx, const struct exchange *x, bool completed);
};

struct server;

/* Listening when it returns 0. An address in use is ERROR_CONFLICT, with
 * address and port in the message. ops stay borrowed. */
int server_open(struct server **s, uv_loop_t *loop,
	const struct server_options *o, const struct server_ops *ops, void *ctx,
	struct error *err);

/* The bound address, and the URL that reaches it ("http://127.0.0.1:8080"). */
unsigned server_port(const struct server *s);
const char *server_url(const struct server *s);
bool server_is_loopback(const struct server *s);

unsigned server_connections(const struct server *s);
/* Exchanges whose answer is not yet delivered. */
unsigned server_exchanges(const struct server *s);

/* Read certificate and key again: for handshakes from now on. On failure those
 * that there were stay. Without TLS nothing. */
int server_reload_tls(struct server *s, struct error *err);

/* Nothing is accepted until it is resumed: clients wait in the backlog. */
void server_pause(struct server *s);
void server_resume(struct server *s);

/* Stop accepting; answers from now on close their connections. Connections
 * that wait for their next request are shut after `linger` ms. */
void server_drain(struct server *s, uint64_t linger);
/* Such connections are there yet, and their requests are to be answered. */
bool server_lingers(const struct server *s);

/* End all connections, then call done (from the loop, which must still run);
 * the server is gone then. */
void server_close(struct server *s, void (*done)(void *arg), void *arg);

#endif
