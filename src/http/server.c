/*
 * MHD in the uv loop. Its epoll descriptor is polled, its time-out is a timer,
 * and all its work is done at one place: the prepare callback, just before
 * the loop waits. Only the loop thread comes here.
 */
#include "http/internal.h"
#include "http/tls.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SWEEP_MS 200
#define MAX_RUNS 64 /* of MHD before other handles get their turn */
#define WATCH_BATCH 64

static void on_timeout(uv_timer_t *t)
{
	server_touch(t->data);
}

static void on_idle(uv_idle_t *idle)
{
	server_touch(idle->data);
}

/* MHD runs until it has nothing left to do at once, but for a bounded number
 * of times: then the idle handle keeps the loop from waiting. */
static void run_mhd(struct server *s)
{
	MHD_UNSIGNED_LONG_LONG ms = 0;
	bool timed = true;

	for (int i = 0; i < MAX_RUNS; i++) {
		s->dirty = false;
		MHD_run(s->daemon);
		timed = MHD_get_timeout(s->daemon, &ms) == MHD_YES;
		if ((!timed || ms) && !s->dirty)
			break;
	}
	if (s->dirty || (timed && !ms)) {
		uv_idle_start(&s->idle, on_idle);
		return;
	}
	uv_idle_stop(&s->idle);
	if (timed)
		uv_timer_start(&s->timeout, on_timeout, ms, 0);
	else
		uv_timer_stop(&s->timeout);
}

static void on_prepare(uv_prepare_t *prepare)
{
	struct server *s = prepare->data;

	if (s->dirty && s->daemon && !s->paused)
		run_mhd(s);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	server_touch(poll->data);
}

/* MHD does not read a suspended connection, so it can't see its end. */
static void on_watch(uv_poll_t *poll, int status, int events)
{
	struct server *s = poll->data;
	struct epoll_event ready[WATCH_BATCH];
	int n;

	(void)status;
	(void)events;
	n = epoll_wait(s->watch_fd, ready, WATCH_BATCH, 0);
	for (int i = 0; i < n; i++)
		exchange_client_left(ready[i].data.ptr);
}

static uint64_t deadline(const struct server *s, const struct connection *c)
{
	switch (c->phase) {
	case CONNECTION_WAITING:
		return c->since +
		       (c->reused ? s->o.idle_timeout : s->o.header_timeout);
	case CONNECTION_HEAD:
		return c->since + s->o.header_timeout;
	case CONNECTION_BODY:
		return c->since + s->o.body_timeout;
	case CONNECTION_ANSWERING:
		break;
	}
	return UINT64_MAX;
}

/* A client that has just sent its next request must not be cut off: until the
 * linger is over it is answered, and told that the connection ends. */
static bool may_go(const struct server *s, const struct connection *c)
{
	return s->draining && c->phase == CONNECTION_WAITING &&
	       !server_lingers(s);
}

/* MHD's own time-out counts from the last byte, so a client that sends one
 * byte now and then would stay for ever. */
static void on_sweep(uv_timer_t *t)
{
	struct server *s = t->data;
	uint64_t now = uv_now(s->loop);

	for (struct connection *c = s->connections; c; c = c->next)
		if (now >= deadline(s, c) || may_go(s, c))
			shutdown(c->fd, SHUT_RDWR);
}

static void format_peer(char *out, size_t size, const struct sockaddr *sa)
{
	const struct sockaddr_in6 *v6 = (const void *)sa;
	const struct sockaddr_in *v4 = (const void *)sa;
	char text[INET6_ADDRSTRLEN] = "?";

	snprintf(out, size, "-");
	if (!sa)
		return;
	if (sa->sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
		snprintf(out, size, "[%s]:%u", text, ntohs(v6->sin6_port));
	} else if (sa->sa_family == AF_UNIX) {
		snprintf(out, size, "unix");
	} else if (sa->sa_family == AF_INET) {
		inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
		snprintf(out, size, "%s:%u", text, ntohs(v4->sin_port));
	}
}

static void connection_open(
	struct server *s, struct MHD_Connection *mhd, void **slot)
{
	const union MHD_ConnectionInfo *info;
	struct connection *c = calloc(1, sizeof(*c));

	*slot = c;
	if (!c)
		return;
	c->server = s;
	c->since = uv_now(s->loop);
	info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	c->fd = info ? info->connect_fd : -1;
	info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	format_peer(c->peer, sizeof(c->peer), info ? info->client_addr : NULL);
	c->next = s->connections;
	if (c->next)
		c->next->prev = c;
	s->connections = c;
	if (!s->n_connections++)
		uv_timer_start(&s->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
}

static void connection_close(struct server *s, struct connection *c)
{
	if (!c)
		return;
	if (c->next)
		c->next->prev = c->prev;
	if (c->prev)
		c->prev->next = c->next;
	else
		s->connections = c->next;
	if (!--s->n_connections)
		uv_timer_stop(&s->sweep);
	free(c);
}

static void on_connection(void *ctx, struct MHD_Connection *mhd, void **slot,
	enum MHD_ConnectionNotificationCode what)
{
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		connection_open(ctx, mhd, slot);
	else
		connection_close(ctx, *slot);
}

static int start_mhd(struct server *s, struct error *err)
{
	const unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME |
			       (s->tls_cert ? MHD_USE_TLS : 0);
	/* MHD knows options of TLS with TLS only. */
	struct MHD_OptionItem tls[] = {
		{ MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)tls_retrieve },
		{ MHD_OPTION_END, 0, NULL },
	};

	if (s->tls_cert && tls_load(s->tls_cert, s->tls_key, err) < 0)
		return -1;
	s->daemon = MHD_start_daemon(flags, 0, NULL, NULL, exchange_handle, s,
		MHD_OPTION_LISTEN_SOCKET, s->listen_fd,
		MHD_OPTION_URI_LOG_CALLBACK, exchange_open, s,
		MHD_OPTION_NOTIFY_COMPLETED, exchange_over, s,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
		MHD_OPTION_CONNECTION_LIMIT, s->o.max_connections,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		s->o.max_connections_per_address,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, s->o.max_header,
		MHD_OPTION_CONNECTION_TIMEOUT,
		(s->o.write_timeout + 999) / 1000, MHD_OPTION_STRICT_FOR_CLIENT,
		0, MHD_OPTION_ARRAY, s->tls_cert ? tls : tls + 1,
		MHD_OPTION_END);
	if (!s->daemon)
		return error_set(
			err, ERROR_INTERNAL, "the HTTP server did not start");
	return 0;
}

static void add_handle(struct server *s, uv_handle_t *handle)
{
	handle->data = s;
	s->n_handles++;
}

static int watch_loop(struct server *s, struct error *err)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	int failed;

	failed = uv_poll_init(s->loop, &s->poll, info->epoll_fd);
	if (!failed) {
		add_handle(s, (uv_handle_t *)&s->poll);
		failed = uv_poll_init(s->loop, &s->watch, s->watch_fd);
	}
	if (failed)
		return error_set(err, ERROR_INTERNAL, "uv_poll: %s",
			uv_strerror(failed));
	add_handle(s, (uv_handle_t *)&s->watch);
	uv_prepare_init(s->loop, &s->prepare);
	add_handle(s, (uv_handle_t *)&s->prepare);
	uv_idle_init(s->loop, &s->idle);
	add_handle(s, (uv_handle_t *)&s->idle);
	uv_timer_init(s->loop, &s->timeout);
	add_handle(s, (uv_handle_t *)&s->timeout);
	uv_timer_init(s->loop, &s->sweep);
	add_handle(s, (uv_handle_t *)&s->sweep);
	uv_poll_start(&s->poll, UV_READABLE, on_poll);
	uv_poll_start(&s->watch, UV_READABLE, on_watch);
	uv_prepare_start(&s->prepare, on_prepare);
	return 0;
}

static int copy_names(struct server *s, struct error *err)
{
	const struct server_options *o = &s->o;
	const char *unix_path =
		o->listen_fd < 0 ? listener_unix_path(o->address) : NULL;

	if (!o->tls_cert != !o->tls_key)
		return error_set_param(err, ERROR_INVALID, "http.tls_cert",
			"http.tls_cert and http.tls_key belong together, but "
			"only one is given");
	if (unix_path)
		s->unix_path = strdup(unix_path);
	if (o->tls_cert) {
		s->tls_cert = strdup(o->tls_cert);
		s->tls_key = strdup(o->tls_key);
	}
	return (unix_path && !s->unix_path) ||
			       (o->tls_cert && (!s->tls_cert || !s->tls_key))
		       ? error_set_memory(err, "HTTP server", sizeof(*s))
		       : 0;
}

static void server_free(struct server *s)
{
	if (s->unix_path)
		unlink(s->unix_path);
	if (s->tls_cert)
		tls_release();
	free(s->unix_path);
	free(s->tls_cert);
	free(s->tls_key);
	free(s);
}

int server_open(struct server **out, uv_loop_t *loop,
	const struct server_options *o, const struct server_ops *ops, void *ctx,
	struct error *err)
{
	struct server *s = calloc(1, sizeof(*s));

	if (!s)
		return error_set_memory(err, "HTTP server", sizeof(*s));
	s->loop = loop;
	s->o = *o;
	s->ops = ops;
	s->ctx = ctx;
	s->run_id = (uint32_t)(uv_hrtime() ^ (uint64_t)getpid() << 20);
	s->watch_fd = epoll_create1(EPOLL_CLOEXEC);
	s->listen_fd = o->listen_fd >= 0
			       ? o->listen_fd
			       : listener_open(o->address, o->port, err);
	if (s->listen_fd < 0 || copy_names(s, err) < 0)
		goto fail;
	if (s->watch_fd < 0) {
		error_set_errno(err, "epoll_create1");
		goto fail;
	}
	if (listener_learn(
		    s->listen_fd, s->tls_cert != NULL, &s->address, err) < 0 ||
		start_mhd(s, err) < 0)
		goto fail;
	if (watch_loop(s, err) < 0) {
		server_close(s, NULL, NULL);
		return -1;
	}
	*out = s;
	return 0;
fail:
	if (s->listen_fd >= 0)
		close(s->listen_fd);
	if (s->watch_fd >= 0)
		close(s->watch_fd);
	server_free(s);
	return -1;
}

int server_reload_tls(struct server *s, struct error *err)
{
	return s->tls_cert ? tls_load(s->tls_cert, s->tls_key, err) : 0;
}

unsigned server_port(const struct server *s)
{
	return s->address.port;
}

const char *server_url(const struct server *s)
{
	return s->address.url;
}

bool server_is_loopback(const struct server *s)
{
	return s->address.loopback;
}

unsigned server_connections(const struct server *s)
{
	return s->n_connections;
}

unsigned server_exchanges(const struct server *s)
{
	return s->n_exchanges;
}

void server_pause(struct server *s)
{
	s->paused = true;
	uv_poll_stop(&s->poll);
}

void server_resume(struct server *s)
{
	if (!s->paused)
		return;
	s->paused = false;
	uv_poll_start(&s->poll, UV_READABLE, on_poll);
	server_touch(s);
}

bool server_lingers(const struct server *s)
{
	return s->n_connections && uv_now(s->loop) < s->linger_until;
}

void server_drain(struct server *s, uint64_t linger)
{
	if (s->draining)
		return;
	s->draining = true;
	s->linger_until = uv_now(s->loop) + linger;
	if (MHD_quiesce_daemon(s->daemon) != MHD_INVALID_SOCKET)
		close(s->listen_fd);
	s->listen_fd = -1;
	on_sweep(&s->sweep);
	server_touch(s);
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct server *s = handle->data;

	if (--s->n_handles)
		return;
	close(s->watch_fd);
	if (s->done)
		s->done(s->done_arg);
	server_free(s);
}

/* The order of watch_loop: only the first n were opened. */
static void close_handles(struct server *s)
{
	uv_handle_t *const handles[] = {
		(uv_handle_t *)&s->poll,
		(uv_handle_t *)&s->watch,
		(uv_handle_t *)&s->prepare,
		(uv_handle_t *)&s->idle,
		(uv_handle_t *)&s->timeout,
		(uv_handle_t *)&s->sweep,
	};
	unsigned n = s->n_handles;

	if (!n) {
		close(s->watch_fd);
		server_free(s);
	}
	for (unsigned i = 0; i < n; i++)
		uv_close(handles[i], on_handle_closed);
}

void server_close(struct server *s, void (*done)(void *arg), void *arg)
{
	s->done = done;
	s->done_arg = arg;
	s->closing = true;
	if (s->n_handles)
		server_drain(s, 0);
	/* MHD aborts the process when it is stopped with a connection
	 * suspended: wake each and let MHD see it. */
	for (struct connection *c = s->connections; c; c = c->next)
		if (c->exchange)
			exchange_client_left(c->exchange);
	for (int i = 0; i < MAX_RUNS && s->n_exchanges; i++)
		MHD_run(s->daemon);
	MHD_stop_daemon(s->daemon);
	s->daemon = NULL;
	close_handles(s);
}
