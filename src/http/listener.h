/* The socket that a server listens on: IPv4, IPv6 or a Unix socket. */
#ifndef HTTP_LISTENER_H
#define HTTP_LISTENER_H

#include "base/error.h"

#include <stdbool.h>

struct listener_address {
	unsigned port; /* 0 of a Unix socket */
	bool loopback; /* only this machine reaches it */
	char url[160]; /* "http://127.0.0.1:8080", or "unix:PATH" */
};

/* The path in "unix:PATH", else NULL. */
const char *listener_unix_path(const char *address);
/* A socket that listens, or -1: ERROR_INVALID names http.address, one that is
 * in use is ERROR_CONFLICT. A Unix socket that a crash left is replaced. */
int listener_open(const char *address, unsigned port, struct error *err);
/* Where a socket listens, whoever opened it. */
int listener_learn(
	int fd, bool tls, struct listener_address *a, struct error *err);

#endif
