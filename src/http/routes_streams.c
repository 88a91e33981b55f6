/* Loop thread. */
#include "http/reply.h"
#include "http/request.h"
#include "http/sample.h"

#include <string.h>

#define HEADER "Last-Event-ID"

static int read_count(const char *name, const char *text, size_t len,
	uint64_t *from, struct error *err)
{
	if (!request_seed(text, len, from))
		return 0;
	return error_set_param(err, ERROR_INVALID, name,
		"%s is '%.*s', expected the id of an event: a number of tokens",
		name, (int)(len < 40 ? len : 40), text);
}

/* The event that the client has last; a browser that connects again sends the
 * URL as it was, and what it has got since in the header. 1: none is named. */
static int read_from(
	const struct exchange *x, uint64_t *from, struct error *err)
{
	const char *header = exchange_header(x, HEADER);
	const char *p = exchange_query(x);
	size_t n;

	if (header && *header)
		return read_count(HEADER, header, strlen(header), from, err);
	for (; *p; p += p[n] ? n + 1 : n) {
		n = strcspn(p, "&");
		if (!strncmp(p, "from=", 5))
			return read_count("from", p + 5, n - 5, from, err);
	}
	return 1;
}

static void get_stream(
	void *ctx, struct exchange *x, const struct route_params *params)
{
	const char *id = params->value[0];
	const uint64_t *named;
	struct api *a = ctx;
	struct error err;
	struct sample *s;
	uint64_t from;
	int given;

	if (!api_admit(a, x))
		return;
	given = read_from(x, &from, &err);
	if (given < 0) {
		reply_error(x, &err);
		return;
	}
	if (strcmp(exchange_method(x), "GET") != 0) {
		exchange_add_header(x, "Allow", "GET, OPTIONS");
		reply_refuse(x, 405, "method_not_allowed", "",
			"a stream is moved by reading it: GET only");
		return;
	}
	named = given ? NULL : &from;
	if (strlen(id) > RECORD_ID_MAX) {
		reply_refuse(x, 404, "stream_not_found", "stream",
			"stream '%.40s' is not known", id);
		return;
	}
	if (sample_serve(a, x, id, named))
		return;
	s = sample_new(a, x,
		strncmp(id, sample_shape_completion.stream, 5)
			? &sample_shape_own
			: &sample_shape_completion);
	if (s)
		sample_resume(s, id, named);
}

static const struct route rows[] = {
	{ .method = "GET",
		.path = "/v1/streams/{id}",
		.scope = ROUTE_SAMPLE,
		.handle = get_stream,
		.summary = "Resume a stream: all of it, or ?from=N, or what "
			   "follows the Last-Event-ID",
		.status = 200,
		.answer = "text/event-stream" },
};

const struct route_table routes_streams = { rows,
	sizeof(rows) / sizeof(rows[0]) };
