#include "base/metrics.h"
#include "http/api_internal.h"
#include "http/reply.h"

#include <stdlib.h>
#include <string.h>

#define MAX_METRICS (4u << 20)

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

static void openapi(
	void *ctx, struct exchange *x, const struct route_params *params)
{
	struct api *a = ctx;

	(void)params;
	reply_json(x, 200, openapi_document(&a->router, a->o.version));
}

static const char page[] =
	"<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n"
	"<title>unrolld</title>\n"
	"<h1>unrolld</h1>\n"
	"<p>A server of recurrent language models. "
	"<a href=\"/openapi.json\">Its API</a>, "
	"<a href=\"/v1/models\">its models</a>, "
	"<a href=\"/metrics\">its metrics</a>.</p>\n"
	"<pre>curl -sS %s/sample -H 'Content-Type: application/json' \\\n"
	"  -d '{\"prompt\": \"ROMEO:\\n\", \"length\": 300}'</pre>\n</html>\n";

static void reply_page(struct api *a, struct exchange *x)
{
	struct buf out;

	buf_init(&out, sizeof(page) + 256);
	if (buf_printf(&out, page, server_url(a->server)) < 0)
		buf_release(&out);
	exchange_reply(x, 200, "text/html; charset=utf-8", out.data, out.len);
}

static void root(
	void *ctx, struct exchange *x, const struct route_params *params)
{
	const char *accept = exchange_header(x, "Accept");
	struct api *a = ctx;

	(void)params;
	if (accept && strstr(accept, "text/html")) {
		reply_page(a, x);
		return;
	}
	reply_json(x, 200,
		json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "name", "unrolld",
			"version", a->o.version, "api", "/openapi.json",
			"models", "/v1/models", "sample", "/sample", "metrics",
			"/metrics"));
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
	{ .method = "GET",
		.path = "/",
		.handle = root,
		.summary = "Where to find what",
		.status = 200,
		.schema = "Index",
		.answer = "application/json" },
};

const struct route_table routes_status = { rows,
	sizeof(rows) / sizeof(rows[0]) };
