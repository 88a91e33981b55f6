/*
 * Which web pages may talk to us. A pattern is "*", "null", "localhost" (any
 * port of this machine's loopback names), or scheme://host with an optional
 * port, where the host may start with "*." and the port may be "*". Any
 * thread.
 */
#ifndef HTTP_ORIGIN_H
#define HTTP_ORIGIN_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

bool origin_matches(const char *pattern, const char *origin);
bool origin_allowed(const char *const *patterns, size_t n, const char *origin);
/* ERROR_INVALID for what is no pattern. */
int origin_check_pattern(const char *pattern, struct error *err);

/* A page of ours: its origin is http(s)://HOST. */
bool origin_is_same(const char *origin, const char *host);

/* The host part of a Host header names this machine's loopback. */
bool origin_host_is_loopback(const char *host);
/* The host part equals `name`, without case; the port does not matter. */
bool origin_host_is(const char *host, const char *name);

#endif
