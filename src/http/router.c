#include "http/router.h"
#include "http/form.h"
#include "http/guard.h"
#include "http/origin.h"
#include "http/reply.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* What a request may carry where no body is wanted: counted, not kept. */
#define IDLE_BODY (64u << 10)

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int router_decode(const char *from, size_t len, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int c = (unsigned char)from[i];

		if (c == '%') {
			if (i + 2 >= len || hex(from[i + 1]) < 0 ||
				hex(from[i + 2]) < 0)
				return -1;
			c = hex(from[i + 1]) * 16 + hex(from[i + 2]);
			i += 2;
		}
		if (!c || n + 1 >= size)
			return -1;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return 0;
}

static bool match_segment(const char *pattern, size_t pattern_len,
	const char *text, size_t len, struct route_params *params,
	size_t *n_params)
{
	char decoded[ROUTE_PARAM_MAX + 1];

	if (router_decode(text, len, decoded, sizeof(decoded)) < 0)
		return false;
	if (pattern[0] != '{')
		return strlen(decoded) == pattern_len &&
		       !memcmp(pattern, decoded, pattern_len);
	if (!decoded[0])
		return false;
	memcpy(params->value[(*n_params)++], decoded, sizeof(decoded));
	return true;
}

static bool match(
	const char *pattern, const char *path, struct route_params *params)
{
	size_t n_params = 0;

	while (*pattern && *path) {
		size_t a, b;

		if (*pattern++ != '/' || *path++ != '/')
			return false;
		a = strcspn(pattern, "/");
		b = strcspn(path, "/");
		if (!match_segment(pattern, a, path, b, params, &n_params))
			return false;
		pattern += a;
		path += b;
	}
	return !*pattern && !*path;
}

/* HEAD is answered as GET is; MHD leaves the body out. */
static bool method_matches(const struct route *route, const char *method)
{
	return !strcmp(route->method, method) ||
	       (!strcmp(method, "HEAD") && !strcmp(route->method, "GET"));
}

static void add_method(char *allow, size_t size, const char *method)
{
	size_t used = strlen(allow);

	snprintf(allow + used, size - used, "%s%s", used ? ", " : "", method);
}

/* The row for a request. `allow` lists the methods of its path: empty means
 * that there is no such path. */
static const struct route *find(const struct router *r, const char *method,
	const char *path, struct route_params *params, char *allow, size_t size)
{
	const struct route *found = NULL;

	allow[0] = '\0';
	for (size_t t = 0; t < r->n_tables; t++)
		for (size_t i = 0; i < r->tables[t].n; i++) {
			const struct route *row = &r->tables[t].rows[i];
			struct route_params p = { 0 };

			if (!match(row->path, path, &p))
				continue;
			add_method(allow, size, row->method);
			if (!strcmp(row->method, "GET"))
				add_method(allow, size, "HEAD");
			if (!found && method_matches(row, method)) {
				found = row;
				*params = p;
			}
		}
	if (allow[0])
		add_method(allow, size, "OPTIONS");
	return found;
}

static bool host_allowed(const struct router *r, const char *host)
{
	if (!r->o.check_host || !host || origin_host_is_loopback(host))
		return true;
	for (size_t i = 0; i < r->o.n_hosts; i++)
		if (!strcmp(r->o.hosts[i], "*") ||
			origin_host_is(host, r->o.hosts[i]))
			return true;
	return false;
}

/* Against DNS rebinding and foreign pages: a browser always says who asks. */
static bool admit(const struct router *r, struct exchange *x)
{
	const char *host = exchange_header(x, "Host");
	const char *origin = exchange_header(x, "Origin");

	if (!host_allowed(r, host)) {
		reply_refuse(x, 403, "host_not_allowed", "",
			"Host '%.80s' is not one of this daemon's names; add "
			"it to http.hosts",
			host);
		return false;
	}
	exchange_add_header(x, "Vary", "Origin");
	if (!origin || origin_is_same(origin, host))
		return true;
	if (!origin_allowed(r->o.origins, r->o.n_origins, origin)) {
		reply_refuse(x, 403, "origin_not_allowed", "",
			"Origin '%.80s' is not allowed; add it to "
			"http.cors_origins",
			origin);
		return false;
	}
	exchange_add_header(x, "Access-Control-Allow-Origin", origin);
	exchange_add_header(x, "Access-Control-Expose-Headers",
		"X-Request-Id, X-Stream-Id, Idempotent-Replayed, Retry-After, "
		"Server-Timing");
	return true;
}

static void preflight(struct exchange *x, const char *allow)
{
	const char *headers =
		exchange_header(x, "Access-Control-Request-Headers");

	exchange_add_header(x, "Allow", allow);
	if (exchange_header(x, "Access-Control-Request-Method")) {
		exchange_add_header(x, "Access-Control-Allow-Methods", allow);
		exchange_add_header(x, "Access-Control-Allow-Headers",
			headers ? headers
				: "Content-Type, Authorization, X-Api-Key, "
				  "Last-Event-ID, Idempotency-Key");
		exchange_add_header(x, "Access-Control-Max-Age", "600");
	}
	if (exchange_header(x, "Access-Control-Request-Private-Network"))
		exchange_add_header(
			x, "Access-Control-Allow-Private-Network", "true");
	exchange_reply(x, 204, NULL, NULL, 0);
}

static void refuse_method(struct exchange *x, const char *allow)
{
	if (!allow[0]) {
		reply_refuse(x, 404, "not_found", "",
			"there is nothing at '%.200s'; /openapi.json lists "
			"what there is",
			exchange_path(x));
		return;
	}
	exchange_add_header(x, "Allow", allow);
	reply_refuse(x, 405, "method_not_allowed", "",
		"%s does not apply to '%.200s', which takes %s",
		exchange_method(x), exchange_path(x), allow);
}

static bool has_type(const struct exchange *x, const char *wanted)
{
	const char *type = exchange_header(x, "Content-Type");
	size_t n = strlen(wanted);

	return type && !strncasecmp(type, wanted, n) &&
	       (!type[n] || type[n] == ';' || type[n] == ' ');
}

static bool is_raw(const struct route *route, const struct exchange *x)
{
	return (route->form && has_type(x, FORM_TYPE)) ||
	       (route->binary && has_type(x, ROUTE_BINARY)) ||
	       (route->text && has_type(x, ROUTE_TEXT));
}

/* From `Authorization: Bearer KEY`, or `X-Api-Key: KEY`. */
static const char *presented_key(const struct exchange *x)
{
	static const char scheme[] = "Bearer";
	const char *value = exchange_header(x, "Authorization");
	size_t n = sizeof(scheme) - 1;

	if (!value)
		return exchange_header(x, "X-Api-Key");
	if (strncasecmp(value, scheme, n) != 0 || value[n] != ' ')
		return NULL;
	return value + n + strspn(value + n, " ");
}

/* Who asks is known from here on, or refused. */
static bool authorise(
	const struct router *r, struct exchange *x, enum route_scope scope)
{
	const char *key = presented_key(x);
	struct auth_identity who;

	if (!r->auth || scope == ROUTE_PUBLIC)
		return true;
	if (!key || !auth_find(r->auth, key, &who)) {
		exchange_add_header(x, "WWW-Authenticate",
			key ? "Bearer error=\"invalid_token\"" : "Bearer");
		reply_refuse(x, 401, "invalid_api_key", "",
			key ? "the API key is not one of this daemon's"
			    : "an API key is needed: Authorization: Bearer "
			      "KEY");
		return false;
	}
	exchange_set_owner(x, who.name);
	if (who.scopes & ((unsigned)scope | AUTH_ADMIN))
		return true;
	reply_refuse(x, 403, "insufficient_scope", "",
		"the key of %s may not do this: it needs the scope %s",
		who.name, auth_scope_name(scope));
	return false;
}

void router_begin(struct router *r, struct exchange *x)
{
	struct route_params params;
	const struct route *route;
	struct error err;
	char allow[128];

	if (!admit(r, x))
		return;
	route = find(r, exchange_method(x), exchange_path(x), &params, allow,
		sizeof(allow));
	if (route)
		exchange_set_route(x, route->path);
	if (!route && !strcmp(exchange_method(x), "OPTIONS") &&
		(allow[0] || !strcmp(exchange_path(x), "*"))) {
		preflight(x, allow[0] ? allow : "GET, HEAD, POST, OPTIONS");
		return;
	}
	if (!route) {
		refuse_method(x, allow);
		return;
	}
	if (!authorise(r, x, route->scope) ||
		(route->scope != ROUTE_PUBLIC && r->admit &&
			!r->admit(r->ctx, x)))
		return;
	if (route->open) {
		route->open(r->ctx, x, &params);
		return;
	}
	if (!guard_check_length(x, route->fields ? r->o.max_body : IDLE_BODY))
		return;
	if (route->fields && !is_raw(route, x) &&
		!(route->body_optional &&
			!exchange_header(x, "Content-Type")) &&
		request_check_type(exchange_header(x, "Content-Type"), &err) <
			0) {
		reply_refuse(x, 415, "unsupported_media_type", "", "%s",
			err.message);
		return;
	}
	exchange_expect(x, route->fields ? r->o.max_body : IDLE_BODY,
		route->fields != NULL);
}

void router_complete(struct router *r, struct exchange *x)
{
	struct route_params params;
	const struct route *route;
	char allow[128];

	route = find(r, exchange_method(x), exchange_path(x), &params, allow,
		sizeof(allow));
	route->handle(r->ctx, x, &params);
}
