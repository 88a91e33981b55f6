/*
 * An HTTP/1.1 client for one thread: connections under one epoll, each with at
 * most one request under way. It checks what it is answered and ends the
 * program, saying why, over anything it does not expect: a benchmark of errors
 * is worth nothing.
 */
#ifndef BENCH_HTTP_LOAD_H
#define BENCH_HTTP_LOAD_H

#include "base/buf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024
#define READ_BYTES (64u << 10)
#define EVENTS_AT_ONCE 256

/*
 * IDLE -> STATUS [wire_send]; STATUS -> HEADER -> LENGTH or SIZE [blank line];
 * SIZE -> CHUNK -> CHUNK_END -> SIZE; SIZE 0 -> TRAILER -> IDLE;
 * LENGTH -> IDLE. IDLE: on_end was called.
 */
enum wire_state {
	WIRE_IDLE,
	WIRE_STATUS,
	WIRE_HEADER,
	WIRE_LENGTH,
	WIRE_SIZE,
	WIRE_CHUNK,
	WIRE_CHUNK_END,
	WIRE_TRAILER,
};

struct load {
	int epoll;
	struct sockaddr_in to;
	bool stop; /* load_run returns */
};

struct wire {
	struct load *load;
	int fd;
	enum wire_state state;
	int status;
	bool chunked, has_length;
	uint64_t left; /* of the body, or of its chunk */
	char line[LINE_MAX_BYTES];
	size_t line_len;
	struct buf out; /* what is to be sent */
	size_t sent;
	bool waits_to_write;
	/* A piece of the body; its end. */
	void (*on_body)(struct wire *w, const char *bytes, size_t len);
	void (*on_end)(struct wire *w);
	void *user;
};

__attribute__((noreturn, format(printf, 1, 2))) static void die(
	const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fputs("bench_http: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void load_open(struct load *l, unsigned port)
{
	*l = (struct load){ .epoll = epoll_create1(EPOLL_CLOEXEC) };
	if (l->epoll < 0)
		die("epoll_create1: %s", strerror(errno));
	l->to.sin_family = AF_INET;
	l->to.sin_port = htons((uint16_t)port);
	l->to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

static void wire_watch(struct wire *w, int how, bool write)
{
	struct epoll_event ev = { .events = EPOLLIN | (write ? EPOLLOUT : 0),
		.data.ptr = w };

	if (epoll_ctl(w->load->epoll, how, w->fd, &ev) < 0)
		die("epoll_ctl: %s", strerror(errno));
	w->waits_to_write = write;
}

/* Callbacks and user are the caller's to set, before or after. */
static void wire_connect(struct wire *w, struct load *l)
{
	const int on = 1;

	w->load = l;
	w->state = WIRE_IDLE;
	w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (w->fd < 0 ||
		connect(w->fd, (struct sockaddr *)&l->to, sizeof(l->to)) < 0)
		die("cannot connect to port %u: %s", ntohs(l->to.sin_port),
			strerror(errno));
	setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	buf_init(&w->out, 16u << 20);
	wire_watch(w, EPOLL_CTL_ADD, false);
}

static void wire_close(struct wire *w)
{
	close(w->fd);
	w->fd = -1;
	buf_release(&w->out);
}

static void wire_flush(struct wire *w)
{
	while (w->sent < w->out.len) {
		ssize_t n = send(w->fd, w->out.data + w->sent,
			w->out.len - w->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			die("send: %s", strerror(errno));
		if (n < 0)
			break;
		w->sent += (size_t)n;
	}
	if ((w->sent < w->out.len) != w->waits_to_write)
		wire_watch(w, EPOLL_CTL_MOD, w->sent < w->out.len);
}

/* Bytes of a whole request. */
static void wire_send(struct wire *w, const char *bytes, size_t len)
{
	if (w->state != WIRE_IDLE)
		die("a request while another is under way");
	buf_clear(&w->out);
	w->sent = 0;
	if (buf_append(&w->out, bytes, len) < 0)
		die("out of memory");
	w->state = WIRE_STATUS;
	w->chunked = w->has_length = false;
	w->left = 0;
	w->line_len = 0;
	wire_flush(w);
}

static void wire_get(struct wire *w, const char *path)
{
	char head[512];
	int n = snprintf(head, sizeof(head),
		"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", path);

	wire_send(w, head, (size_t)n);
}

static void wire_post(struct wire *w, const char *path, const char *json)
{
	struct buf b;

	buf_init(&b, 16u << 20);
	if (buf_printf(&b,
		    "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
		    "Content-Type: application/json\r\n"
		    "Content-Length: %zu\r\n\r\n",
		    path, strlen(json)) < 0 ||
		buf_puts(&b, json) < 0)
		die("out of memory");
	wire_send(w, b.data, b.len);
	buf_release(&b);
}

/* Take bytes into the line up to its end: true when it is whole, without its
 * CR and LF, terminated. */
static bool wire_line(struct wire *w, const char **at, size_t *len)
{
	const char *end = memchr(*at, '\n', *len);
	size_t n = end ? (size_t)(end - *at) + 1 : *len;

	if (w->line_len + n >= sizeof(w->line))
		die("a line of more than %zu bytes", sizeof(w->line));
	memcpy(w->line + w->line_len, *at, n);
	w->line_len += n;
	*at += n;
	*len -= n;
	if (!end)
		return false;
	if (w->line_len < 2 || w->line[w->line_len - 2] != '\r')
		die("a line without CR");
	w->line[w->line_len - 2] = '\0';
	w->line_len = 0;
	return true;
}

static uint64_t wire_number(const char *text, int base)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(text, &end, base);
	if (end == text || (*end && *end != ';') || errno)
		die("'%s' is not a length", text);
	return n;
}

static void wire_header(struct wire *w)
{
	const char *value = strchr(w->line, ':');

	if (!value)
		die("a header without ':': '%s'", w->line);
	for (value++; *value == ' ';)
		value++;
	if (!strncasecmp(w->line, "Content-Length:", 15)) {
		w->left = wire_number(value, 10);
		w->has_length = true;
	} else if (!strncasecmp(w->line, "Transfer-Encoding:", 18)) {
		if (strcasecmp(value, "chunked"))
			die("Transfer-Encoding '%s'", value);
		w->chunked = true;
	}
}

static void wire_end(struct wire *w)
{
	w->state = WIRE_IDLE;
	w->on_end(w);
}

/* The line that has come. */
static void wire_take_line(struct wire *w)
{
	switch (w->state) {
	case WIRE_STATUS:
		if (sscanf(w->line, "HTTP/1.1 %3d", &w->status) != 1)
			die("status line '%s'", w->line);
		w->state = WIRE_HEADER;
		break;
	case WIRE_HEADER:
		if (*w->line) {
			wire_header(w);
			break;
		}
		if (w->chunked == w->has_length)
			die("an answer that says not, or twice, how long it "
			    "is");
		w->state = w->chunked ? WIRE_SIZE : WIRE_LENGTH;
		if (!w->chunked && !w->left)
			wire_end(w);
		break;
	case WIRE_SIZE:
		w->left = wire_number(w->line, 16);
		w->state = w->left ? WIRE_CHUNK : WIRE_TRAILER;
		break;
	case WIRE_CHUNK_END:
		if (*w->line)
			die("'%s' after a chunk", w->line);
		w->state = WIRE_SIZE;
		break;
	case WIRE_TRAILER:
		if (!*w->line)
			wire_end(w);
		break;
	default:
		die("a line in state %d", (int)w->state);
	}
}

static void wire_feed(struct wire *w, const char *at, size_t len)
{
	while (len) {
		if (w->state == WIRE_IDLE)
			die("%zu bytes that nobody asked for", len);
		if (w->state == WIRE_LENGTH || w->state == WIRE_CHUNK) {
			size_t n = len < w->left ? len : (size_t)w->left;

			w->on_body(w, at, n);
			w->left -= n;
			at += n;
			len -= n;
			if (w->left)
				continue;
			if (w->state == WIRE_CHUNK)
				w->state = WIRE_CHUNK_END;
			else
				wire_end(w);
		} else if (wire_line(w, &at, &len)) {
			wire_take_line(w);
		}
	}
}

static void wire_read(struct wire *w)
{
	static char bytes[READ_BYTES];
	ssize_t n = recv(w->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n > 0)
		wire_feed(w, bytes, (size_t)n);
	else if (n == 0)
		die("the server closed a connection");
	else if (errno != EAGAIN && errno != EINTR)
		die("recv: %s", strerror(errno));
}

/* Until load->stop; returns whether that came before `until` (now's clock). */
static bool load_run(struct load *l, double until)
{
	struct epoll_event ready[EVENTS_AT_ONCE];

	for (l->stop = false; !l->stop;) {
		double left = until - now();
		int n;

		if (left <= 0)
			return false;
		n = epoll_wait(l->epoll, ready, EVENTS_AT_ONCE,
			(int)(left * 1000) + 1);
		if (n < 0 && errno != EINTR)
			die("epoll_wait: %s", strerror(errno));
		for (int i = 0; i < n; i++) {
			struct wire *w = ready[i].data.ptr;

			if (ready[i].events & EPOLLOUT)
				wire_flush(w);
			if (ready[i].events & ~(uint32_t)EPOLLOUT)
				wire_read(w);
		}
	}
	return true;
}

#endif
