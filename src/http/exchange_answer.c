/* An answer on its way from a route to MHD: whole, compressed, or a stream with
 * its backlog. Loop thread. */
#include "http/internal.h"
#include "http/gzip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BLOCK 4096
#define GZIP_LEAST 2048 /* bytes of an answer */

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
	exchange_wake(x);
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
	exchange_wake(x);
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
	exchange_wake(x);
	return 0;
}

void exchange_stream_end(struct exchange *x)
{
	x->ended = true;
	exchange_wake(x);
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
		exchange_suspend(x);
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

enum MHD_Result exchange_queue(struct exchange *x)
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
		exchange_unwatch(x);
	if (x->wire)
		x->wire->phase = CONNECTION_ANSWERING;
	queued = MHD_queue_response(x->connection, x->status, r);
	MHD_destroy_response(r);
	return queued;
}
