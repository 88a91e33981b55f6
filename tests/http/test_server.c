/*
 * The server as a client meets it, over real sockets: what is refused before
 * any route, what arrives whole, and what happens when either side leaves.
 * The loop runs on a thread of its own; tests are its clients.
 */
#include "http/reply.h"
#include "http/server.h"
#include "http/stream.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_BODY 100000

struct fixture {
	uv_loop_t loop;
	uv_async_t stop;
	uv_timer_t tick; /* feeds streams */
	struct server *server;
	pthread_t thread;
	struct exchange *waiting; /* /wait and /stream: never answered */
	bool streaming, flooding;
	atomic_int left, completed, ended;
};

static struct fixture f;

/* --- routes of the tests ---------------------------------------------- */

static void begin(void *ctx, struct exchange *x)
{
	(void)ctx;
	if (!strcmp(exchange_path(x), "/refuse")) {
		reply_refuse(x, 404, "not_found", "", "nothing here");
		return;
	}
	exchange_expect(x, MAX_BODY, true);
}

static void on_close(void *data, bool completed)
{
	(void)data;
	f.waiting = NULL;
	f.streaming = f.flooding = false;
	atomic_fetch_add(completed ? &f.completed : &f.left, 1);
}

static void flood(void *data)
{
	static const char line[4096] = { [0 ... 4095] = 'x' };

	(void)data;
	while (f.flooding && exchange_stream_room(f.waiting) >= sizeof(line))
		assert(!exchange_stream_write(f.waiting, line, sizeof(line)));
}

static const struct exchange_ops ops = { on_close, flood };

static void complete(void *ctx, struct exchange *x)
{
	const char *path = exchange_path(x), *body;
	size_t len;

	(void)ctx;
	body = exchange_body(x, &len);
	if (!strcmp(path, "/wait") || !strcmp(path, "/stream") ||
		!strcmp(path, "/flood")) {
		f.waiting = x;
		exchange_attach(x, &ops, NULL);
		f.streaming = !strcmp(path, "/stream");
		f.flooding = !strcmp(path, "/flood");
		if (f.streaming || f.flooding)
			stream_begin(x);
		if (f.flooding)
			flood(NULL);
		return;
	}
	reply_json(x, 200,
		json_pack("{s:s, s:s, s:I, s:s#}", "method", exchange_method(x),
			"path", path, "length", (json_int_t)len, "body", body,
			(int)(len < 64 ? len : 64)));
}

static void ended(void *ctx, const struct exchange *x, bool completed)
{
	(void)ctx;
	(void)x;
	(void)completed;
	atomic_fetch_add(&f.ended, 1);
}

static const struct server_ops server_ops = { begin, complete, ended };

static void on_tick(uv_timer_t *t)
{
	(void)t;
	if (f.streaming && exchange_stream_room(f.waiting) > 100)
		stream_event(f.waiting, "7", json_pack("{s:i}", "n", 7));
}

static void on_stop(uv_async_t *async)
{
	server_close(f.server, NULL, NULL);
	uv_close((uv_handle_t *)&f.tick, NULL);
	uv_close((uv_handle_t *)async, NULL);
}

static void *run_loop(void *arg)
{
	(void)arg;
	uv_run(&f.loop, UV_RUN_DEFAULT);
	return NULL;
}

static int set_up(void **state)
{
	const struct server_options o = {
		.address = "127.0.0.1",
		.listen_fd = -1,
		.max_connections = 64,
		.max_header = 16384,
		.max_url = 256,
		.max_body_total = 1 << 20,
		.header_timeout = 1000,
		.body_timeout = 3000,
		.idle_timeout = 1000,
		.write_timeout = 1000,
	};
	struct error err;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	memset(&f, 0, sizeof(f));
	uv_loop_init(&f.loop);
	uv_async_init(&f.loop, &f.stop, on_stop);
	uv_timer_init(&f.loop, &f.tick);
	uv_timer_start(&f.tick, on_tick, 5, 5);
	if (server_open(&f.server, &f.loop, &o, &server_ops, NULL, &err) < 0) {
		print_error("%s\n", err.message);
		return -1;
	}
	return pthread_create(&f.thread, NULL, run_loop, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	uv_async_send(&f.stop);
	pthread_join(f.thread, NULL);
	return uv_loop_close(&f.loop);
}

/* --- the client ------------------------------------------------------- */

static int connect_to(void)
{
	const struct timeval patience = { .tv_sec = 5 };
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)server_port(f.server)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

static void send_bytes(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		bytes += n;
		len -= (size_t)n;
	}
}

static void send_text(int fd, const char *text)
{
	send_bytes(fd, text, strlen(text));
}

/* Reads until the text has come, or the connection has ended; true if come. */
static bool read_until(int fd, const char *text, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	while (used + 1 < size) {
		ssize_t n = recv(fd, out + used, size - 1 - used, 0);

		if (n <= 0)
			return false;
		used += (size_t)n;
		out[used] = '\0';
		if (text && strstr(out, text))
			return true;
	}
	return false;
}

/* The connection is closed by the server within the client's patience. */
static void assert_closed(int fd)
{
	char byte[4096];
	ssize_t n;

	while ((n = recv(fd, byte, sizeof(byte), 0)) > 0)
		;
	/* A reset is an end, too; a time-out is none. */
	assert_true(n == 0 || errno == ECONNRESET);
	close(fd);
}

static void assert_answer(
	const char *request, const char *status, const char *text)
{
	char answer[8192];
	int fd = connect_to();

	send_text(fd, request);
	if (!read_until(fd, text, answer, sizeof(answer)) ||
		strncmp(answer + 9, status, 3) != 0)
		fail_msg("expected %s '%s' for\n%s\ngot\n%s", status, text,
			request, answer);
	close(fd);
}

static void wait_for(atomic_int *counter, int value)
{
	for (int i = 0; i < 500 && atomic_load(counter) < value; i++)
		usleep(10000);
	assert_int_equal(atomic_load(counter), value);
}

/* --- tests ------------------------------------------------------------ */

static void answers_requests(void **state)
{
	(void)state;
	assert_answer("GET /a%20b?q HTTP/1.1\r\nHost: x\r\n\r\n", "200",
		"{\"method\":\"GET\",\"path\":\"/a%20b\",\"length\":0");
	assert_answer("POST /p HTTP/1.1\r\nHost: x\r\n"
		      "Content-Length: 5\r\n\r\nhello",
		"200", "\"length\":5,\"body\":\"hello\"");
	assert_answer("POST /p HTTP/1.1\r\nHost: x\r\n"
		      "Transfer-Encoding: chunked\r\n\r\n"
		      "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
		"200", "\"length\":11,\"body\":\"hello world\"");
	assert_answer("GET / HTTP/1.0\r\n\r\n", "200", "\"path\":\"/\"");
	assert_answer("GET http://x/a?q HTTP/1.1\r\nHost: x\r\n\r\n", "200",
		"\"path\":\"/a\"");
	assert_answer("GET HTTP://x:80 HTTP/1.1\r\nHost: X:80\r\n\r\n", "200",
		"\"path\":\"/\"");
	assert_answer("GET http://x?q HTTP/1.1\r\nHost: x\r\n\r\n", "200",
		"\"path\":\"/\"");
}

static void keeps_connections(void **state)
{
	char answer[8192];
	int fd = connect_to();

	(void)state;
	for (int i = 0; i < 3; i++) {
		send_text(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
		assert_true(read_until(fd, "}", answer, sizeof(answer)));
	}
	/* Two at once: each gets its answer, in order. */
	send_text(fd, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"
		      "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(read_until(fd, "\"/2\"", answer, sizeof(answer)));
	/* A body that nobody wanted is not the next request. */
	send_text(fd, "GET /3 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
		      "GET /GET /4 HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(read_until(fd, "\"/4\"", answer, sizeof(answer)));
	/* Nor one in chunks, with an extension and a trailer. */
	send_text(fd, "POST /5 HTTP/1.1\r\nHost: x\r\n"
		      "Transfer-Encoding: chunked\r\n\r\n"
		      "3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n"
		      "GET /6 HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(read_until(fd, "\"/6\"", answer, sizeof(answer)));
	close(fd);
}

static void refuses_ambiguous_requests(void **state)
{
	static const struct {
		const char *request, *message;
	} cases[] = {
		{ "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
		  "Content-Length: 4\r\n\r\nabcd",
			"more than one Content-Length" },
		{ "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
		  "Content-Length: 3\r\n\r\nabc",
			"more than one Content-Length" },
		{ "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
		  "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			"both Content-Length and Transfer-Encoding" },
		{ "POST / HTTP/1.1\r\nHost: x\r\n"
		  "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
			"Transfer-Encoding is not chunked" },
		{ "POST / HTTP/1.1\r\nHost: x\r\n"
		  "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
			"Transfer-Encoding is not chunked" },
		{ "POST / HTTP/1.1\r\nHost: x\r\n"
		  "Transfer-Encoding: chunked\r\n"
		  "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
			"more than one Transfer-Encoding" },
		{ "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
			"more than one Host" },
		{ "GET / HTTP/1.1\r\nAccept: x\r\n\r\n",
			"Host header is missing" },
		{ "GET / HTTP/1.1\r\nHost: x\r\nBad Name: 1\r\n\r\n",
			"name is not a token" },
		{ "GET / HTTP/1.1\r\nHost: x\r\nContent-Length : 1\r\n\r\n",
			"name is not a token" },
		{ "GET / HTTP/1.1\r\nHost: x\r\nA: b\001c\r\n\r\n",
			"control character" },
		{ "GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n", "%00" },
		{ "GET /a\001b HTTP/1.1\r\nHost: x\r\n\r\n",
			"percent-encoded" },
		{ "GET http://x/ HTTP/1.1\r\nHost: y\r\n\r\n",
			"another host than the Host header" },
		{ "GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
			"does not start with '/'" },
		{ "GET x HTTP/1.1\r\nHost: x\r\n\r\n",
			"does not start with '/'" },
		{ "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
			"Content-Length" },
		{ "GET /\303\251 HTTP/1.1\r\nHost: x\r\n\r\n",
			"percent-encoded" },
		{ "POST / HTTP/1.1\r\nHost: x\r\n"
		  "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
			"Transfer-Encoding is not chunked" },
		{ "POST / HTTP/1.1\r\nHost: x\r\n"
		  "Transfer-Encoding:\r\n\r\n0\r\n\r\n",
			"Transfer-Encoding is not chunked" },
		{ "GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
			"control character" },
		{ "GET /a\tb HTTP/1.1\r\nHost: x\r\n\r\n", "percent-encoded" },
		{ "GET / HTTP/1.1\r\n A: b\r\nHost: x\r\n\r\n",
			"name is not a token" },
		{ "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
			"does not start with '/'" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_answer(cases[i].request, "400", cases[i].message);
	for (size_t i = 0; i < 5; i++) {
		int fd = connect_to();

		/* What follows is not taken for another request. */
		send_text(fd, cases[i].request);
		send_text(fd, "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
		assert_closed(fd);
	}
	wait_for(&f.ended, 29);
}

/* What is no request at all: refused or hung up on, and never answered as if it
 * were one, nor what follows it. */
static void takes_nothing_malformed(void **state)
{
	static const char *const cases[] = {
		"\r\n\r\n\r\n",
		"GET\r\n\r\n",
		"GET /\r\n\r\n",
		"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
		"GET / HTTQ/1.1\r\nHost: x\r\n\r\n",
		"GET  HTTP/1.1\r\nHost: x\r\n\r\n",
		" GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.1\r\n: x\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: "
		"99999999999999999999999\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
		"\r\nxyz\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
		"\r\n-5\r\nhello\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
		"\r\nFFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
		"\r\n5\r\nhelloXX0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\vchunked\r\n"
		"\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
		"\r\n0x5\r\nhello\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
		"\r\n5 \r\nhello\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
		"\r\n10000000000000005\r\nhello\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
		"\r\n7FFFFFFFFFFFFFFF\r\nhello",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3 3\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: "
		"18446744073709551619\r\n\r\nabc",
		"GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
		"GET / HTTP/1.10\r\nHost: x\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
	};
	char answer[8192];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int fd = connect_to();

		send_text(fd, cases[i]);
		shutdown(fd, SHUT_WR);
		read_until(fd, NULL, answer, sizeof(answer));
		close(fd);
		if (*answer && (strncmp(answer, "HTTP/1.", 7) != 0 ||
				       !strchr("45", answer[9])))
			fail_msg("expected a refusal of\n%s\ngot\n%s", cases[i],
				answer);
	}
	assert_answer("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "200", "}");
}

static void bounds_sizes(void **state)
{
	static char big[2 * MAX_BODY];
	char request[1024], answer[8192];
	int fd;

	(void)state;
	memset(big, 'a', 300);
	snprintf(request, sizeof(request),
		"GET /%.300s HTTP/1.1\r\nHost: x\r\n\r\n", big);
	assert_answer(request, "414", "longer than 256 bytes");
	snprintf(request, sizeof(request),
		"POST / HTTP/1.1\r\nHost: x\r\n"
		"Transfer-Encoding: chunked\r\n\r\n%zx\r\n",
		sizeof(big));
	/* Chunked: nobody says beforehand how long it will be. */
	memset(big, 'a', sizeof(big));
	fd = connect_to();
	send_text(fd, request);
	send_bytes(fd, big, sizeof(big));
	send_text(fd, "\r\n0\r\n\r\n");
	assert_true(
		read_until(fd, "longer than 100000", answer, sizeof(answer)));
	assert_memory_equal(answer + 9, "413", 3);
	close(fd);
}

static void notices_a_client_that_leaves(void **state)
{
	int fd = connect_to();

	(void)state;
	send_text(fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
	usleep(100000);
	assert_int_equal(atomic_load(&f.left), 0);
	close(fd);
	wait_for(&f.left, 1);
	wait_for(&f.ended, 1);
}

static void streams_until_the_client_leaves(void **state)
{
	char answer[8192];
	int fd = connect_to();

	(void)state;
	send_text(fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(read_until(
		fd, "id: 7\ndata: {\"n\":7}\n\n", answer, sizeof(answer)));
	assert_non_null(strstr(answer, "text/event-stream"));
	assert_non_null(strstr(answer, "X-Accel-Buffering: no"));
	close(fd);
	wait_for(&f.left, 1);
}

static void drops_a_reader_that_stalls(void **state)
{
	const int small = 4096;
	int fd = connect_to();

	(void)state;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	send_text(fd, "GET /flood HTTP/1.1\r\nHost: x\r\n\r\n");
	/* It does not read, and does not leave either. */
	wait_for(&f.left, 1);
	close(fd);
}

static void serves_a_reader_that_keeps_up(void **state)
{
	static char buffer[65536];
	size_t total = 0;
	int fd = connect_to();

	(void)state;
	send_text(fd, "GET /flood HTTP/1.1\r\nHost: x\r\n\r\n");
	while (total < (8u << 20)) {
		ssize_t n = recv(fd, buffer, sizeof(buffer), 0);

		assert_true(n > 0);
		total += (size_t)n;
	}
	assert_int_equal(atomic_load(&f.left), 0);
	close(fd);
	wait_for(&f.left, 1);
}

/* One byte now and then keeps MHD's own time-out from striking. */
static void ends_slow_headers(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: xxxxxxxxxxxxxxx";
	int fd = connect_to();

	(void)state;
	for (size_t i = 0; i < 25; i++) {
		send(fd, &text[i], 1, MSG_NOSIGNAL);
		usleep(100000);
	}
	assert_closed(fd);
	assert_int_equal(atomic_load(&f.ended), 0);
}

/* The head has one deadline, and the body's is another. */
static void ends_slow_headers_after_the_request_line(void **state)
{
	for (int reused = 0; reused < 2; reused++) {
		char answer[1024];
		int fd = connect_to(), n = 0;

		(void)state;
		if (reused) {
			send_text(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
			assert_true(
				read_until(fd, "}", answer, sizeof(answer)));
		}
		send_text(fd, "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ");
		while (n < 28 && send(fd, "a", 1, MSG_NOSIGNAL) == 1) {
			usleep(100000);
			n++;
		}
		assert_true(n >= 8 && n < 28);
		close(fd);
	}
}

static void ends_slow_bodies(void **state)
{
	int fd = connect_to();

	(void)state;
	send_text(fd, "POST / HTTP/1.1\r\nHost: x\r\n"
		      "Content-Length: 1000\r\n\r\n");
	for (size_t i = 0; i < 40; i++) {
		send(fd, "a", 1, MSG_NOSIGNAL);
		usleep(100000);
	}
	assert_closed(fd);
	wait_for(&f.ended, 1);
}

static void survives_many_connections(void **state)
{
	char answer[8192];
	int fds[48];

	(void)state;
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 48; i++)
			fds[i] = connect_to();
		for (int i = 0; i < 48; i++)
			send_text(fds[i], "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
		for (int i = 0; i < 48; i++) {
			assert_true(read_until(
				fds[i], "}", answer, sizeof(answer)));
			close(fds[i]);
		}
	}
}

/* tear_down closes with the exchange waiting: MHD would abort. */
static void closes_with_an_exchange_waiting(void **state)
{
	int fd = connect_to();

	(void)state;
	send_text(fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
	usleep(50000);
	uv_async_send(&f.stop);
	assert_closed(fd);
	assert_int_equal(atomic_load(&f.left), 1);
	pthread_join(f.thread, NULL);
	assert_int_equal(uv_loop_close(&f.loop), 0);
}

static void tells_of_a_port_in_use(void **state)
{
	struct server_options o = {
		.address = "127.0.0.1",
		.port = server_port(f.server),
		.listen_fd = -1,
	};
	struct server *second;
	struct error err;
	char expected[96];

	(void)state;
	assert_int_equal(
		server_open(&second, &f.loop, &o, &server_ops, NULL, &err), -1);
	snprintf(expected, sizeof(expected),
		"cannot listen on 127.0.0.1 port %u: Address already in use",
		o.port);
	assert_string_equal(err.message, expected);
	assert_int_equal(err.code, ERROR_CONFLICT);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answers_requests),
		TEST(keeps_connections),
		TEST(refuses_ambiguous_requests),
		TEST(takes_nothing_malformed),
		TEST(bounds_sizes),
		TEST(notices_a_client_that_leaves),
		TEST(streams_until_the_client_leaves),
		TEST(drops_a_reader_that_stalls),
		TEST(serves_a_reader_that_keeps_up),
		TEST(ends_slow_headers),
		TEST(ends_slow_headers_after_the_request_line),
		TEST(ends_slow_bodies),
		TEST(survives_many_connections),
		TEST(tells_of_a_port_in_use),
		cmocka_unit_test_setup(closes_with_an_exchange_waiting, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
