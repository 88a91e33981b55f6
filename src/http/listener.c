#include "http/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define UNIX_PREFIX "unix:"
#define UNIX_MODE 0660

const char *listener_unix_path(const char *address)
{
	const size_t n = strlen(UNIX_PREFIX);

	return strncmp(address, UNIX_PREFIX, n) ? NULL : address + n;
}

static int bind_to(const struct addrinfo *ai, int *saved)
{
	const int on = 1;
	int fd = socket(ai->ai_family,
		ai->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		*saved = errno;
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (ai->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (!bind(fd, ai->ai_addr, ai->ai_addrlen) && !listen(fd, SOMAXCONN))
		return fd;
	*saved = errno;
	close(fd);
	return -1;
}

/* A socket that nobody listens on was left behind by a crash. */
static bool is_stale(const struct sockaddr_un *sa)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool stale = fd >= 0 &&
		     connect(fd, (const void *)sa, sizeof(*sa)) < 0 &&
		     errno == ECONNREFUSED;

	if (fd >= 0)
		close(fd);
	return stale;
}

static int listen_unix(const char *path, struct error *err)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd;

	if (!*path || strlen(path) >= sizeof(sa.sun_path))
		return error_set_param(err, ERROR_INVALID, "http.address",
			"http.address: a socket's path has %zu bytes, "
			"expected 1 to %zu",
			strlen(path), sizeof(sa.sun_path) - 1);
	memcpy(sa.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set_errno(err, "socket");
	if (is_stale(&sa))
		unlink(path);
	if (!bind(fd, (void *)&sa, sizeof(sa)) && !chmod(path, UNIX_MODE) &&
		!listen(fd, SOMAXCONN))
		return fd;
	if (errno == EADDRINUSE)
		error_set(err, ERROR_CONFLICT,
			"cannot listen on %s: another process does", path);
	else
		error_set_errno(err, "cannot listen on %s", path);
	close(fd);
	return -1;
}

int listener_open(const char *address, unsigned port_number, struct error *err)
{
	const char *path = listener_unix_path(address);
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *found;
	char port[8];
	int fd = -1, saved = 0, failed;

	if (path)
		return listen_unix(path, err);
	snprintf(port, sizeof(port), "%u", port_number);
	failed = getaddrinfo(address, port, &hints, &found);
	if (failed)
		return error_set_param(err, ERROR_INVALID, "http.address",
			"http.address '%s': %s", address, gai_strerror(failed));
	for (const struct addrinfo *ai = found; ai && fd < 0; ai = ai->ai_next)
		fd = bind_to(ai, &saved);
	freeaddrinfo(found);
	if (fd >= 0)
		return fd;
	return error_set(err, saved == EADDRINUSE ? ERROR_CONFLICT : ERROR_IO,
		"cannot listen on %s port %u: %s", address, port_number,
		strerror(saved));
}

int listener_learn(
	int fd, bool tls, struct listener_address *a, struct error *err)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un un;
	} bound = { 0 };
	const char *scheme = tls ? "https" : "http";
	socklen_t len = sizeof(bound);
	char text[INET6_ADDRSTRLEN];
	bool any;

	if (getsockname(fd, &bound.sa, &len) < 0)
		return error_set_errno(err, "the listening socket");
	if (bound.sa.sa_family == AF_UNIX) {
		a->loopback = true; /* the file's mode says who may come */
		snprintf(a->url, sizeof(a->url), UNIX_PREFIX "%s",
			bound.un.sun_path);
		return 0;
	}
	if (bound.sa.sa_family == AF_INET6) {
		a->port = ntohs(bound.v6.sin6_port);
		a->loopback = IN6_IS_ADDR_LOOPBACK(&bound.v6.sin6_addr);
		any = IN6_IS_ADDR_UNSPECIFIED(&bound.v6.sin6_addr);
		inet_ntop(AF_INET6, &bound.v6.sin6_addr, text, sizeof(text));
		snprintf(a->url, sizeof(a->url), "%s://[%s]:%u", scheme,
			any ? "::1" : text, a->port);
		return 0;
	}
	if (bound.sa.sa_family != AF_INET)
		return error_set(err, ERROR_UNSUPPORTED,
			"the listening socket is neither IPv4, IPv6 nor Unix");
	a->port = ntohs(bound.v4.sin_port);
	a->loopback = ntohl(bound.v4.sin_addr.s_addr) >> 24 == 127;
	any = bound.v4.sin_addr.s_addr == INADDR_ANY;
	inet_ntop(AF_INET, &bound.v4.sin_addr, text, sizeof(text));
	snprintf(a->url, sizeof(a->url), "%s://%s:%u", scheme,
		any ? "127.0.0.1" : text, a->port);
	return 0;
}
