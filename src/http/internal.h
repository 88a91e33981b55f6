/* What server.c and exchange.c share: the records behind their handles. */
#ifndef HTTP_INTERNAL_H
#define HTTP_INTERNAL_H

#include "http/listener.h"
#include "http/server.h"

#include <microhttpd.h>

/*
 * A connection's life, as the sweep sees it:
 * WAITING -> HEAD [request line read]; HEAD -> BODY [headers are in];
 * BODY -> ANSWERING [body is in]; ANSWERING -> WAITING [exchange over]. A
 * refusal goes straight to ANSWERING.
 */
enum connection_phase {
	CONNECTION_WAITING,
	CONNECTION_HEAD,
	CONNECTION_BODY,
	CONNECTION_ANSWERING,
};

struct connection {
	struct connection *next, *prev;
	struct server *server;
	struct exchange *exchange; /* in progress, or NULL */
	int fd;
	enum connection_phase phase;
	bool reused; /* has had an exchange before */
	/* Loop time at which the phase began, ms; of a first HEAD, at which the
	 * connection did. */
	uint64_t since;
	char peer[64];
};

#define EXCHANGE_MAX_HEADERS 16

struct exchange_header {
	char *name, *value; /* owned */
};

/*
 * RECEIVING -> HANDLED [body complete]; HANDLED -> QUEUED [answer given to
 * MHD]. `left` may be set in any of them.
 */
enum exchange_phase { EXCHANGE_RECEIVING, EXCHANGE_HANDLED, EXCHANGE_QUEUED };

struct exchange {
	struct server *server;
	struct MHD_Connection *connection;
	struct connection *wire; /* NULL only if MHD had no memory for it */
	enum exchange_phase phase;
	bool begun;
	bool suspended;
	bool watched;
	bool left;	  /* the client is gone */
	bool closed;	  /* on_close has run */
	uint64_t started; /* uv_hrtime */
	char serial[17];
	char id[EXCHANGE_ID_MAX + 1];
	char timing[160]; /* or "" */
	uint64_t prompt_tokens, completion_tokens;
	char *uri;	 /* owned; cut at '?' */
	char *authority; /* owned; of an absolute target, or NULL */
	const char *query;
	bool uri_too_long;
	char method[16];
	bool http10;
	const char *route;
	char owner[EXCHANGE_OWNER_MAX + 1];

	struct buf body;
	size_t max_body;
	size_t received;
	size_t reserved; /* bytes counted in the server's budget */
	bool keep_body;
	bool body_too_large;
	bool body_overloaded;
	const struct exchange_sink *sink; /* who takes the body, or NULL */
	void *sink_data;
	size_t paced; /* of received, when the time for more began */

	unsigned status;
	bool replied;
	bool close_after;
	char *type; /* owned */
	char *answer;
	size_t answer_len;
	struct gzip *gzip; /* the response's, instead of answer */
	struct exchange_header headers[EXCHANGE_MAX_HEADERS];
	size_t n_headers;

	bool streaming, ended;
	struct buf backlog;
	size_t backlog_read;
	uint64_t sent;
	uint64_t stream_size; /* MHD_SIZE_UNKNOWN: chunked */

	const struct exchange_ops *ops;
	void *data;
};

struct server {
	uv_loop_t *loop;
	struct server_options o;
	const struct server_ops *ops;
	void *ctx;
	struct MHD_Daemon *daemon;
	int listen_fd;
	int watch_fd; /* private epoll: clients that leave while we compute */
	struct listener_address address;
	char *unix_path;	  /* owned; to be removed at the end, or NULL */
	char *tls_cert, *tls_key; /* owned */
	uv_poll_t poll, watch;
	uv_prepare_t prepare;
	uv_idle_t idle;
	uv_timer_t timeout, sweep;
	bool dirty;
	bool paused, draining, closing;
	uint64_t linger_until; /* when draining: loop time, ms */
	unsigned n_handles;
	struct connection *connections;
	unsigned n_connections, n_exchanges;
	size_t body_total;
	uint64_t next_id;
	uint32_t run_id;
	void (*done)(void *arg);
	void *done_arg;
};

/* MHD has something to do: run it before the loop next waits. */
static inline void server_touch(struct server *s)
{
	s->dirty = true;
}

void *exchange_open(
	void *server, const char *uri, struct MHD_Connection *connection);
enum MHD_Result exchange_handle(void *server, struct MHD_Connection *connection,
	const char *url, const char *method, const char *version,
	const char *data, size_t *len, void **slot);
void exchange_over(void *server, struct MHD_Connection *connection, void **slot,
	enum MHD_RequestTerminationCode how);
/* The client is gone: tell the route, then let MHD close the connection. */
void exchange_client_left(struct exchange *x);

/* Until there is more to send or to take. Inside MHD's callbacks only. */
void exchange_suspend(struct exchange *x);
void exchange_wake(struct exchange *x);
/* Whether the client leaves does not matter any more. */
void exchange_unwatch(struct exchange *x);
/* exchange_answer.c: hand the answer to MHD. */
enum MHD_Result exchange_queue(struct exchange *x);

#endif
