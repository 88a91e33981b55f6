#include "base/metrics.h"
#include "http/api_internal.h"
#include "http/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define MAX_METRICS (4u << 20)
#define MAX_OPENAPI (4u << 20)

static void healthz(
	void *ctx, struct exchange *x, const struct route_params *params)
{
	(void)ctx;
	(void)params;
	reply_json(x, 200, json_pack("{s:s}", "status", "ok"));
}

static void readyz(
	void *ctx, struct exchange *x, const struct route_params *params)
{
	const char *reason = api_unready(ctx);

	(void)params;
	if (reason)
		reply_refuse(x, 503, "unavailable", "", "%s", reason);
	else
		reply_json(x, 200, json_pack("{s:s}", "status", "ready"));
}

static void metrics(
	void *ctx, struct exchange *x, const struct route_params *params)
{
	struct buf out;

	(void)params;
	buf_init(&out, MAX_METRICS);
	if (measures_render(ctx, &out) < 0) {
		buf_release(&out);
		exchange_reply(x, 503, NULL, NULL, 0);
		return;
	}
	exchange_reply(x, 200, METRICS_CONTENT_TYPE, out.data, out.len);
}

/* The routes stay what they are, so once is enough. */
static int write_openapi(struct api *a)
{
	json_t *json = openapi_document(&a->router, a->o.version);
	char *text = json ? json_dumps(json, REPLY_JSON) : NULL;
	int done = -1;

	json_decref(json);
	buf_init(&a->openapi, MAX_OPENAPI);
	if (text)
		done = buf_puts(&a->openapi, text);
	free(text);
	if (done < 0)
		buf_release(&a->openapi);
	else
		snprintf(a->openapi_tag, sizeof(a->openapi_tag),
			"W/\"%016llx\"",
			(unsigned long long)XXH3_64bits(
				a->openapi.data, a->openapi.len));
	return done;
}

static void openapi(
	void *ctx, struct exchange *x, const struct route_params *params)
{
	struct api *a = ctx;
	char *copy;

	(void)params;
	if (!a->openapi.len && write_openapi(a) < 0) {
		exchange_reply(x, 503, NULL, NULL, 0);
		return;
	}
	if (reply_unchanged(x, a->openapi_tag))
		return;
	copy = malloc(a->openapi.len);
	if (copy)
		memcpy(copy, a->openapi.data, a->openapi.len);
	exchange_reply(x, copy ? 200 : 503, "application/json", copy,
		copy ? a->openapi.len : 0);
}

static const struct route rows[] = {
	{ .method = "GET",
		.path = "/healthz",
		.handle = healthz,
		.summary = "The process is alive",
		.status = 200,
		.schema = "Status",
		.answer = "application/json" },
	{ .method = "GET",
		.path = "/readyz",
		.handle = readyz,
		.summary = "Requests are served, or 503 with the reason",
		.status = 200,
		.schema = "Status",
		.answer = "application/json" },
	{ .method = "GET",
		.path = "/metrics",
		.handle = metrics,
		.summary = "Prometheus metrics",
		.status = 200,
		.answer = "text/plain" },
	{ .method = "GET",
		.path = "/openapi.json",
		.handle = openapi,
		.summary = "This description",
		.status = 200,
		.answer = "application/json" },
};

const struct route_table routes_status = { rows,
	sizeof(rows) / sizeof(rows[0]) };
