/*
 * One request and its answer: MHD's callbacks on one side, the routes' calls on
 * the other. MHD may be told to suspend only inside its own callbacks, and to
 * resume only from this, the loop thread.
 */
#include "http/internal.h"
#include "http/guard.h"
#include "http/gzip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>

#define BLOCK 4096
#define GZIP_LEAST 2048 /* bytes of an answer */
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

void exchange_add_header(
	struct exchange *x, const char *name, const char *value)
{
	struct exchange_header *h = &x->headers[x->n_headers];

	if (x->n_headers == EXCHANGE_MAX_HEADERS)
		return;
	h->name = strdup(name);
	h->value = strdup(value);
	if (h->name && h->value) {
		x->n_headers++;
		return;
	}
	free(h->name);
	free(h->value);
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

static void unwatch(struct exchange *x)
{
	if (!x->watched)
		return;
	x->watched = false;
	epoll_ctl(x->server->watch_fd, EPOLL_CTL_DEL, x->wire->fd, NULL);
}

static void suspend(struct exchange *x)
{
	x->suspended = true;
	MHD_suspend_connection(x->connection);
	watch(x);
}

static void wake(struct exchange *x)
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
	wake(x);
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
	unwatch(x);
	if (x->left)
		return;
	x->left = true;
	close_route(x, false);
	wake(x);
}

/* --- the answer ------------------------------------------------------- */

static void set_answer(struct exchange *x, unsigned status, const char *type)
{
	x->replied = true;
	x->status = status;
	x->type = type ? strdup(type) : NULL;
}

void exchange_reply(struct exchange *x, unsigned status, const char *type,
	char *body, size_t len)
{
	if (x->replied) {
		free(body);
		return;
	}
	set_answer(x, status, type);
	x->answer = body;
	x->answer_len = len;
	wake(x);
}

void exchange_stream_size(struct exchange *x, uint64_t bytes)
{
	x->stream_size = bytes;
}

void exchange_stream_begin(
	struct exchange *x, unsigned status, const char *type)
{
	if (x->replied)
		return;
	set_answer(x, status, type);
	x->streaming = true;
	buf_init(&x->backlog, EXCHANGE_MAX_BACKLOG);
	wake(x);
}

size_t exchange_stream_room(const struct exchange *x)
{
	return EXCHANGE_MAX_BACKLOG - (x->backlog.len - x->backlog_read);
}

int exchange_stream_write(struct exchange *x, const char *bytes, size_t len)
{
	if (len > exchange_stream_room(x))
		return -1;
	buf_consume(&x->backlog, x->backlog_read);
	x->backlog_read = 0;
	if (buf_append(&x->backlog, bytes, len) < 0)
		return -1;
	wake(x);
	return 0;
}

void exchange_stream_end(struct exchange *x)
{
	x->ended = true;
	wake(x);
}

static ssize_t read_backlog(void *arg, uint64_t pos, char *out, size_t max)
{
	struct exchange *x = arg;
	size_t before = x->backlog.len - x->backlog_read, n;

	(void)pos;
	if (x->left)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (!before && x->ended)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (!before) {
		suspend(x);
		return 0;
	}
	n = before < max ? before : max;
	memcpy(out, x->backlog.data + x->backlog_read, n);
	x->backlog_read += n;
	x->sent += n;
	if (before > EXCHANGE_MAX_BACKLOG / 2 &&
		before - n <= EXCHANGE_MAX_BACKLOG / 2 && !x->ended && x->ops &&
		x->ops->on_writable)
		x->ops->on_writable(x->data);
	return (ssize_t)n;
}

static struct MHD_Response *make_response(struct exchange *x)
{
	struct MHD_Response *r;

	if (x->gzip)
		return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN,
			BLOCK, gzip_read, x->gzip, gzip_close);
	if (x->streaming)
		return MHD_create_response_from_callback(
			x->stream_size, BLOCK, read_backlog, x, NULL);
	r = MHD_create_response_from_buffer(x->answer_len, x->answer,
		x->answer ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
	if (r) {
		x->sent = x->answer_len;
		x->answer = NULL;
	}
	return r;
}

/* What the route says, and how long it took to begin the answer. */
static void add_timing(const struct exchange *x, struct MHD_Response *r)
{
	char text[sizeof(x->timing) + 40];

	snprintf(text, sizeof(text), "%s%stotal;dur=%.3f", x->timing,
		x->timing[0] ? ", " : "", 1e3 * exchange_elapsed(x));
	MHD_add_response_header(r, "Server-Timing", text);
}

/* The route has done it itself. */
static bool is_encoded(const struct exchange *x)
{
	for (size_t i = 0; i < x->n_headers; i++)
		if (!strcasecmp(x->headers[i].name,
			    MHD_HTTP_HEADER_CONTENT_ENCODING))
			return true;
	return false;
}

/* What is long enough to be worth it, and of a kind that shrinks. */
static void compress(struct exchange *x)
{
	if (is_encoded(x) || x->streaming || x->answer_len < GZIP_LEAST ||
		x->http10 || !strcmp(x->method, "HEAD") || !x->type ||
		(strncmp(x->type, "application/json", 16) != 0 &&
			strncmp(x->type, "text/", 5) != 0) ||
		!gzip_accepted(exchange_header(x, "Accept-Encoding")))
		return;
	x->gzip = gzip_open(x->answer, x->answer_len, &x->sent);
	if (x->gzip)
		x->answer = NULL;
}

static enum MHD_Result queue(struct exchange *x)
{
	struct MHD_Response *r;
	enum MHD_Result queued;

	compress(x);
	r = make_response(x);
	if (!r)
		return MHD_NO;
	if (x->type)
		MHD_add_response_header(
			r, MHD_HTTP_HEADER_CONTENT_TYPE, x->type);
	for (size_t i = 0; i < x->n_headers; i++)
		MHD_add_response_header(
			r, x->headers[i].name, x->headers[i].value);
	MHD_add_response_header(r, "X-Request-Id", x->id);
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	add_timing(x, r);
	if (x->gzip)
		MHD_add_response_header(
			r, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
	if (x->answer_len >= GZIP_LEAST)
		MHD_add_response_header(
			r, MHD_HTTP_HEADER_VARY, "Accept-Encoding");
	if (x->close_after || x->server->draining)
		MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
	x->phase = EXCHANGE_QUEUED;
	if (!x->streaming)
		unwatch(x);
	if (x->wire)
		x->wire->phase = CONNECTION_ANSWERING;
	queued = MHD_queue_response(x->connection, x->status, r);
	MHD_destroy_response(r);
	return queued;
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
		x->wire->phase = CONNECTION_BODY;
		x->wire->since = uv_now(x->server->loop);
	}
	return x;
}

static enum MHD_Result settle(struct exchange *x)
{
	if (x->replied)
		return queue(x);
	suspend(x);
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
	x->http10 = !strcmp(version, MHD_HTTP_VERSION_1_0);
	take_id(x);
	snprintf(x->method, sizeof(x->method), "%s", method);
	if (guard_check(x))
		x->server->ops->begin(x->server->ctx, x);
	if (x->replied)
		return queue(x);
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
		suspend(x);
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
	unwatch(x);
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
