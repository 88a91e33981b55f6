#include "http/guard.h"
#include "http/internal.h"
#include "http/reply.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct headers {
	unsigned hosts, lengths, encodings;
	const char *host, *length, *encoding;
	const char *fault;
};

static bool is_token(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) &&
			(!text[i] || !strchr("!#$%&'*+-.^_`|~", text[i])))
			return false;
	return len > 0;
}

static bool has_control(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if ((c < 0x20 && c != '\t') || c == 0x7F)
			return true;
	}
	return false;
}

static enum MHD_Result look(void *arg, enum MHD_ValueKind kind,
	const char *name, size_t name_len, const char *value, size_t value_len)
{
	struct headers *h = arg;

	(void)kind;
	if (!is_token(name, name_len))
		h->fault = "a header's name is not a token";
	else if (value && has_control(value, value_len))
		h->fault = "a header's value has a control character";
	if (!strcasecmp(name, "Host")) {
		h->hosts++;
		h->host = value;
	}
	if (!strcasecmp(name, "Content-Length")) {
		h->lengths++;
		h->length = value;
	}
	if (!strcasecmp(name, "Transfer-Encoding")) {
		h->encodings++;
		h->encoding = value;
	}
	return MHD_YES;
}

static bool is_decimal(const char *text)
{
	return text && *text && strspn(text, "0123456789") == strlen(text);
}

static const char *ambiguity(const struct exchange *x, const struct headers *h)
{
	if (h->fault)
		return h->fault;
	if (!h->hosts && !x->http10)
		return "the Host header is missing";
	if (h->hosts > 1)
		return "there is more than one Host header";
	if (x->authority && h->host && strcasecmp(x->authority, h->host) != 0)
		return "the request target names another host than the Host "
		       "header";
	if (h->lengths > 1)
		return "there is more than one Content-Length header";
	if (h->encodings > 1)
		return "there is more than one Transfer-Encoding header";
	if (h->lengths && h->encodings)
		return "there are both Content-Length and Transfer-Encoding";
	if (h->encodings &&
		(!h->encoding || strcasecmp(h->encoding, "chunked")))
		return "Transfer-Encoding is not chunked";
	if (h->lengths && !is_decimal(h->length))
		return "Content-Length is not a number";
	return NULL;
}

static const char *bad_target(const char *uri, const char *query)
{
	const char *const parts[] = { uri, query };

	if (uri[0] != '/' && strcmp(uri, "*") != 0)
		return "the request target does not start with '/'";
	for (size_t i = 0; i < 2; i++) {
		const char *p = parts[i];

		for (; *p; p++)
			if ((unsigned char)*p <= 0x20 ||
				(unsigned char)*p >= 0x7F)
				return "the URL has a byte that must be "
				       "percent-encoded";
		if (strstr(parts[i], "%00"))
			return "the URL has a NUL (%00)";
	}
	return NULL;
}

bool guard_check(struct exchange *x)
{
	struct headers h = { 0 };
	const char *fault;

	if (x->uri_too_long) {
		exchange_close_after(x);
		reply_refuse(x, 414, "url_too_long", "",
			"the URL is longer than %zu bytes",
			x->server->o.max_url);
		return false;
	}
	MHD_get_connection_values_n(x->connection, MHD_HEADER_KIND, look, &h);
	fault = ambiguity(x, &h);
	if (!fault)
		fault = bad_target(x->uri, x->query);
	if (!fault)
		return true;
	exchange_close_after(x);
	reply_refuse(x, 400, "bad_request", "", "%s", fault);
	return false;
}

bool guard_check_length(struct exchange *x, size_t max)
{
	const char *length = exchange_header(x, "Content-Length");

	if (!length || strtoull(length, NULL, 10) <= max)
		return true;
	exchange_close_after(x);
	reply_refuse(x, 413, "too_large", "",
		"the body is %.20s bytes long; at most %zu are taken", length,
		max);
	return false;
}

bool guard_check_body(struct exchange *x)
{
	if (x->body_too_large) {
		exchange_close_after(x);
		reply_refuse(x, 413, "too_large", "",
			"the body is longer than %zu bytes", x->max_body);
		return false;
	}
	if (x->body_overloaded) {
		reply_refuse(x, 503, "overloaded", "",
			"too many bytes of request bodies are in flight");
		return false;
	}
	return true;
}
