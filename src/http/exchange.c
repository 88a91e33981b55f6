/*
 * One request: MHD's callbacks on one side, the routes' calls on the other;
 * what is answered is exchange_answer.c. MHD may be told to suspend only inside
 * its own callbacks, and to resume only from this, the loop thread.
 */
#include "http/internal.h"
#include "http/guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>

/* A body over its limit is read on up to here, so that the client gets to
 * read the refusal instead of a reset. */
#define MAX_DISCARD (1u << 20)

/* --- for routes ------------------------------------------------------- */

const char *exchange_method(const struct exchange *x)
{
	return x->method;
}

const char *exchange_path(const struct exchange *x)
{
	return x->uri;
}

const char *exchange_query(const struct exchange *x)
{
	return x->query;
}

const char *exchange_header(const struct exchange *x, const char *name)
{
	return MHD_lookup_connection_value(
		x->connection, MHD_HEADER_KIND, name);
}

const char *exchange_id(const struct exchange *x)
{
	return x->id;
}

const char *exchange_serial(const struct exchange *x)
{
	return x->serial;
}

void exchange_set_timing(struct exchange *x, const char *timing)
{
	snprintf(x->timing, sizeof(x->timing), "%s", timing);
}

void exchange_count_tokens(
	struct exchange *x, uint64_t prompt, uint64_t completion)
{
	x->prompt_tokens += prompt;
	x->completion_tokens += completion;
}

uint64_t exchange_prompt_tokens(const struct exchange *x)
{
	return x->prompt_tokens;
}

uint64_t exchange_completion_tokens(const struct exchange *x)
{
	return x->completion_tokens;
}

const char *exchange_peer(const struct exchange *x)
{
	return x->wire ? x->wire->peer : "-";
}

const char *exchange_body(const struct exchange *x, size_t *len)
{
	*len = x->body.len;
	return x->body.data ? x->body.data : "";
}

void exchange_take_body(struct exchange *x, struct buf *body)
{
	*body = x->body;
	buf_init(&x->body, 0);
}

void exchange_expect(struct exchange *x, size_t max_body, bool keep)
{
	x->max_body = max_body;
	x->keep_body = keep;
}

void exchange_expect_stream(struct exchange *x, size_t max_body,
	const struct exchange_sink *sink, void *data)
{
	exchange_expect(x, max_body, false);
	x->sink = sink;
	x->sink_data = data;
}

void *exchange_sink_data(const struct exchange *x)
{
	return x->sink ? x->sink_data : NULL;
}

void exchange_close_after(struct exchange *x)
{
	x->close_after = true;
}

bool exchange_replied(const struct exchange *x)
{
	return x->replied;
}

void exchange_attach(
	struct exchange *x, const struct exchange_ops *ops, void *data)
{
	x->ops = ops;
	x->data = data;
}

void exchange_set_route(struct exchange *x, const char *route)
{
	x->route = route;
}

void exchange_set_owner(struct exchange *x, const char *name)
{
	snprintf(x->owner, sizeof(x->owner), "%s", name);
}

const char *exchange_owner(const struct exchange *x)
{
	return x->owner;
}

const char *exchange_route(const struct exchange *x)
{
	return x->route;
}

unsigned exchange_status(const struct exchange *x)
{
	return x->status;
}

double exchange_elapsed(const struct exchange *x)
{
	return (double)(uv_hrtime() - x->started) / 1e9;
}

uint64_t exchange_bytes_sent(const struct exchange *x)
{
	return x->sent;
}

/* --- waiting ---------------------------------------------------------- */

static void watch(struct exchange *x)
{
	struct epoll_event ev = { .events = EPOLLRDHUP, .data.ptr = x };

	if (x->watched || !x->wire)
		return;
	x->watched = !epoll_ctl(
		x->server->watch_fd, EPOLL_CTL_ADD, x->wire->fd, &ev);
}

void exchange_unwatch(struct exchange *x)
{
	if (!x->watched)
		return;
	x->watched = false;
	epoll_ctl(x->server->watch_fd, EPOLL_CTL_DEL, x->wire->fd, NULL);
}

void exchange_suspend(struct exchange *x)
{
	x->suspended = true;
	MHD_suspend_connection(x->connection);
	watch(x);
}

void exchange_wake(struct exchange *x)
{
	if (!x->suspended)
		return;
	x->suspended = false;
	MHD_resume_connection(x->connection);
	server_touch(x->server);
}

/* The time for the next bytes of a body begins. */
static void pace(struct exchange *x)
{
	if (!x->wire)
		return;
	x->paced = x->received;
	x->wire->phase = CONNECTION_BODY;
	x->wire->since = uv_now(x->server->loop);
}

void exchange_sink_ready(struct exchange *x)
{
	if (!x->suspended || x->phase != EXCHANGE_RECEIVING)
		return;
	pace(x);
	exchange_wake(x);
}

static void close_route(struct exchange *x, bool completed)
{
	if (x->closed)
		return;
	x->closed = true;
	if (x->ops && x->ops->on_close)
		x->ops->on_close(x->data, completed);
}

void exchange_client_left(struct exchange *x)
{
	exchange_unwatch(x);
	if (x->left)
		return;
	x->left = true;
	close_route(x, false);
	exchange_wake(x);
}

/* --- MHD's callbacks -------------------------------------------------- */

static struct connection *find_connection(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

/* `http://host/path` is what a proxy is sent, and what every server takes: its
 * path is left in uri. https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2 */
static int split_absolute(struct exchange *x)
{
	size_t scheme = !strncasecmp(x->uri, "http://", 7)    ? 7
			: !strncasecmp(x->uri, "https://", 8) ? 8
							      : 0;
	size_t n = strcspn(x->uri + scheme, "/?");
	char *rest;

	if (!scheme)
		return 0;
	x->authority = strndup(x->uri + scheme, n);
	rest = strdup(x->uri + scheme + n);
	if (!x->authority || !rest) {
		free(rest);
		return -1;
	}
	free(x->uri);
	x->uri = rest;
	if (*rest == '/')
		return 0;
	x->uri = malloc(strlen(rest) + 2);
	if (x->uri)
		sprintf(x->uri, "/%s", rest);
	free(rest);
	return x->uri ? 0 : -1;
}

void *exchange_open(
	void *server, const char *uri, struct MHD_Connection *connection)
{
	struct exchange *x = calloc(1, sizeof(*x));
	char *query;

	if (!x)
		return NULL;
	x->server = server;
	x->connection = connection;
	x->started = uv_hrtime();
	x->route = "";
	x->query = "";
	x->stream_size = MHD_SIZE_UNKNOWN;
	x->uri_too_long = strlen(uri) > x->server->o.max_url;
	x->uri = strdup(x->uri_too_long ? "" : uri);
	if (!x->uri || split_absolute(x) < 0) {
		free(x->uri);
		free(x->authority);
		free(x);
		return NULL;
	}
	query = strchr(x->uri, '?');
	if (query) {
		*query = '\0';
		x->query = query + 1;
	}
	snprintf(x->serial, sizeof(x->serial), "%08x%08x", x->server->run_id,
		(uint32_t)++x->server->next_id);
	snprintf(x->id, sizeof(x->id), "req-%s", x->serial);
	x->server->n_exchanges++;
	x->wire = find_connection(connection);
	if (x->wire) {
		x->wire->exchange = x;
		x->wire->phase = CONNECTION_HEAD;
		if (x->wire->reused)
			x->wire->since = uv_now(x->server->loop);
	}
	return x;
}

static enum MHD_Result settle(struct exchange *x)
{
	if (x->replied)
		return exchange_queue(x);
	exchange_suspend(x);
	return MHD_YES;
}

/* A client's own id goes through logs and headers, so it must be a plain one.
 */
static void take_id(struct exchange *x)
{
	const char *id = exchange_header(x, "X-Request-Id");
	size_t len = id ? strlen(id) : 0;

	if (len && len <= EXCHANGE_ID_MAX &&
		strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwx"
			   "yz0123456789._:/+=-") == len)
		memcpy(x->id, id, len + 1);
}

static enum MHD_Result begin(
	struct exchange *x, const char *method, const char *version)
{
	x->begun = true;
	pace(x);
	x->http10 = !strcmp(version, MHD_HTTP_VERSION_1_0);
	take_id(x);
	snprintf(x->method, sizeof(x->method), "%s", method);
	if (guard_check(x))
		x->server->ops->begin(x->server->ctx, x);
	if (x->replied)
		return exchange_queue(x);
	buf_init(&x->body, x->max_body);
	return MHD_YES;
}

static bool reserve(struct exchange *x, size_t len)
{
	if (len > x->server->o.max_body_total - x->server->body_total)
		return false;
	x->server->body_total += len;
	x->reserved += len;
	return true;
}

static void keep(struct exchange *x, const char *data, size_t len)
{
	if (!reserve(x, len) || buf_append(&x->body, data, len) < 0) {
		x->body_overloaded = true;
		buf_release(&x->body);
	}
}

/* While the sink has no room, it is not the client who is late. */
static size_t pour(struct exchange *x, const char *data, size_t len)
{
	size_t taken = x->sink->take(x->sink_data, data, len);

	if (x->received + taken - x->paced >= EXCHANGE_SINK_PACE)
		pace(x);
	if (taken < len) {
		if (x->wire)
			x->wire->phase = CONNECTION_ANSWERING;
		exchange_suspend(x);
	}
	return taken;
}

/* MHD takes no answer in the middle of a body, so one that is refused is read
 * to its end, within bounds. *len becomes what is left for later. */
static enum MHD_Result receive(
	struct exchange *x, const char *data, size_t *len)
{
	size_t taken = *len;

	if (x->received + taken > x->max_body) {
		x->body_too_large = true;
		buf_release(&x->body);
	} else if (x->sink) {
		taken = pour(x, data, taken);
	} else if (x->keep_body && !x->body_overloaded) {
		keep(x, data, taken);
	}
	x->received += taken;
	*len -= taken;
	return x->received > x->max_body + MAX_DISCARD ? MHD_NO : MHD_YES;
}

static enum MHD_Result complete(struct exchange *x)
{
	x->phase = EXCHANGE_HANDLED;
	if (x->wire)
		x->wire->phase = CONNECTION_ANSWERING;
	if (guard_check_body(x))
		x->server->ops->complete(x->server->ctx, x);
	return settle(x);
}

enum MHD_Result exchange_handle(void *server, struct MHD_Connection *connection,
	const char *url, const char *method, const char *version,
	const char *data, size_t *len, void **slot)
{
	struct exchange *x = *slot;

	(void)server;
	(void)connection;
	(void)url;
	if (!x || x->left)
		return MHD_NO;
	if (!x->begun)
		return begin(x, method, version);
	if (*len)
		return receive(x, data, len);
	if (x->phase == EXCHANGE_RECEIVING)
		return complete(x);
	return settle(x);
}

static void exchange_free(struct exchange *x)
{
	for (size_t i = 0; i < x->n_headers; i++) {
		free(x->headers[i].name);
		free(x->headers[i].value);
	}
	buf_release(&x->body);
	buf_release(&x->backlog);
	free(x->answer);
	free(x->type);
	free(x->uri);
	free(x->authority);
	free(x);
}

void exchange_over(void *server, struct MHD_Connection *connection, void **slot,
	enum MHD_RequestTerminationCode how)
{
	struct exchange *x = *slot;
	bool completed = how == MHD_REQUEST_TERMINATED_COMPLETED_OK;
	struct server *s = server;

	(void)connection;
	*slot = NULL;
	if (!x)
		return;
	exchange_unwatch(x);
	close_route(x, completed && !x->left);
	s->ops->ended(s->ctx, x, completed && !x->left);
	s->body_total -= x->reserved;
	s->n_exchanges--;
	if (x->wire) {
		x->wire->exchange = NULL;
		x->wire->phase = CONNECTION_WAITING;
		x->wire->reused = true;
		x->wire->since = uv_now(s->loop);
	}
	exchange_free(x);
}
