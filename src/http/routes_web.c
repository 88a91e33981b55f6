/*
 * The page. Its files carry no secret: a browser that is to ask for a key has
 * to have them first. What they may do is in the policy below: run scripts of
 * their own, talk to this daemon, and nothing else.
 */
#include "http/api_internal.h"
#include "http/gzip.h"
#include "http/reply.h"
#include "http/web.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLICY                                                      \
	"default-src 'none'; script-src 'self'; style-src 'self'; " \
	"img-src 'self' data: blob:; connect-src 'self'; base-uri " \
	"'none'; form-action 'none'; frame-ancestors 'none'"

static void reply_bytes(
	struct exchange *x, const char *type, const struct web_bytes *b)
{
	char *copy = malloc(b->len);

	if (!copy) {
		exchange_reply(x, 503, NULL, NULL, 0);
		return;
	}
	memcpy(copy, b->bytes, b->len);
	exchange_reply(x, 200, type, copy, b->len);
}

/* Names stay the same from version to version, so each use asks whether there
 * is a newer one; mostly the answer is 304. */
static void reply_file(struct exchange *x, const struct web_file *f)
{
	bool gzip = gzip_accepted(exchange_header(x, "Accept-Encoding"));
	char tag[40];

	snprintf(tag, sizeof(tag), "\"%s%s\"", f->tag, gzip ? "-gzip" : "");
	exchange_add_header(x, "Vary", "Accept, Accept-Encoding");
	exchange_add_header(x, "Content-Security-Policy", POLICY);
	exchange_add_header(x, "Referrer-Policy", "no-referrer");
	if (reply_unchanged(x, tag))
		return;
	if (gzip)
		exchange_add_header(x, "Content-Encoding", "gzip");
	reply_bytes(x, f->type, gzip ? &f->gzip : &f->plain);
}

static const struct web_file *find(const char *name)
{
	for (size_t i = 0; i < web_n_files; i++)
		if (!strcmp(web_files[i].name, name))
			return &web_files[i];
	return NULL;
}

static void root(
	void *ctx, struct exchange *x, const struct route_params *params)
{
	const char *accept = exchange_header(x, "Accept");
	struct api *a = ctx;

	(void)params;
	if (accept && strstr(accept, "text/html")) {
		reply_file(x, find("index.html"));
		return;
	}
	exchange_add_header(x, "Vary", "Accept");
	reply_json(x, 200,
		json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "name", "unrolld",
			"version", a->o.version, "api", "/openapi.json",
			"models", "/v1/models", "sample", "/sample", "metrics",
			"/metrics"));
}

static void file(
	void *ctx, struct exchange *x, const struct route_params *params)
{
	const struct web_file *f = find(params->value[0]);

	(void)ctx;
	if (f)
		reply_file(x, f);
	else
		reply_refuse(x, 404, "not_found", "",
			"the page has no file '%s'", params->value[0]);
}

static const struct route rows[] = {
	{ .method = "GET",
		.path = "/",
		.handle = root,
		.summary = "The web page, or where to find what",
		.status = 200,
		.schema = "Index",
		.answer = "application/json" },
	{ .method = "GET",
		.path = "/web/{file}",
		.handle = file,
		.summary = "A file of the web page",
		.status = 200,
		.answer = "text/javascript" },
};

const struct route_table routes_web = { rows, sizeof(rows) / sizeof(rows[0]) };
