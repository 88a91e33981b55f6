#include "http/origin.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct parts {
	const char *scheme, *host, *port;
	size_t scheme_len, host_len, port_len;
};

/* host[:port], where host may be a bracketed IPv6 address. */
static bool split_host(const char *text, struct parts *p)
{
	const char *end = text[0] == '[' ? strchr(text, ']') : NULL;

	if (text[0] == '[' && !end)
		return false;
	end = end ? end + 1 : text + strcspn(text, ":");
	p->host = text;
	p->host_len = (size_t)(end - text);
	p->port = *end == ':' ? end + 1 : "";
	p->port_len = strlen(p->port);
	return p->host_len > 0 && (!*end || *end == ':');
}

static bool split(const char *text, struct parts *p)
{
	const char *sep = strstr(text, "://");

	if (!sep || sep == text || strpbrk(sep + 3, "/?# "))
		return false;
	p->scheme = text;
	p->scheme_len = (size_t)(sep - text);
	return split_host(sep + 3, p);
}

static bool equal(const char *a, size_t a_len, const char *b, size_t b_len)
{
	return a_len == b_len && !strncasecmp(a, b, a_len);
}

static bool host_matches(const struct parts *pattern, const struct parts *o)
{
	size_t tail;

	if (pattern->host[0] != '*')
		return equal(
			pattern->host, pattern->host_len, o->host, o->host_len);
	tail = pattern->host_len - 1;
	return o->host_len > tail &&
	       equal(pattern->host + 1, tail, o->host + o->host_len - tail,
		       tail);
}

static bool is_loopback(const char *origin)
{
	const char *sep = strstr(origin, "://");

	return sep && !strncasecmp(origin, "http", 4) &&
	       origin_host_is_loopback(sep + 3);
}

bool origin_matches(const char *pattern, const char *origin)
{
	struct parts p, o;

	if (!strcmp(pattern, "*"))
		return true;
	if (!strcmp(pattern, "null") || !strcmp(origin, "null"))
		return !strcmp(pattern, origin);
	if (!strcmp(pattern, "localhost"))
		return is_loopback(origin);
	if (!split(pattern, &p) || !split(origin, &o))
		return false;
	if (!equal(p.scheme, p.scheme_len, o.scheme, o.scheme_len) ||
		!host_matches(&p, &o))
		return false;
	return (p.port_len == 1 && p.port[0] == '*') ||
	       equal(p.port, p.port_len, o.port, o.port_len);
}

bool origin_allowed(const char *const *patterns, size_t n, const char *origin)
{
	for (size_t i = 0; i < n; i++)
		if (origin_matches(patterns[i], origin))
			return true;
	return false;
}

int origin_check_pattern(const char *pattern, struct error *err)
{
	struct parts p;

	if (!strcmp(pattern, "*") || !strcmp(pattern, "null") ||
		!strcmp(pattern, "localhost"))
		return 0;
	if (split(pattern, &p) &&
		(p.host[0] != '*' || (p.host_len > 2 && p.host[1] == '.')) &&
		(!strcmp(p.port, "*") ||
			strspn(p.port, "0123456789") == p.port_len))
		return 0;
	return error_set_param(err, ERROR_INVALID, "http.cors_origins",
		"http.cors_origins '%s': expected scheme://host[:port], with "
		"'*.' before a host or '*' as port; or 'localhost', 'null' or "
		"'*'",
		pattern);
}

bool origin_is_same(const char *origin, const char *host)
{
	const char *sep = strstr(origin, "://");

	return sep && host && !strcasecmp(sep + 3, host);
}

bool origin_host_is(const char *host, const char *name)
{
	struct parts p;

	return split_host(host, &p) &&
	       equal(p.host, p.host_len, name, strlen(name));
}

bool origin_host_is_loopback(const char *host)
{
	static const char dot_localhost[] = ".localhost";
	size_t tail = sizeof(dot_localhost) - 1;
	struct in_addr v4;
	struct parts p;
	char text[64];

	if (!split_host(host, &p) || p.host_len >= sizeof(text))
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)p.host_len, p.host);
	if (!strcasecmp(text, "localhost") || !strcmp(text, "[::1]"))
		return true;
	if (p.host_len > tail &&
		!strcasecmp(text + p.host_len - tail, dot_localhost))
		return true;
	return inet_pton(AF_INET, text, &v4) == 1 &&
	       ntohl(v4.s_addr) >> 24 == 127;
}
