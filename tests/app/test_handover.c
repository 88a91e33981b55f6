/*
 * One daemon after another on the same listening socket, under load, as an
 * upgrade behind a socket unit goes: no request is lost and every session goes
 * on at its position. Clients keep their connections, and open a new one when
 * they are told that theirs ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "service.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#define CLIENTS 8
#define TOKENS 10
#define RESTARTS 2
/* A client that slept longer between two requests than this, because the
 * machine is busy, may find its connection shut. */
#define PROMPT_MS 300
#define WAIT_SECONDS 30

struct client {
	pthread_t thread;
	const struct service *service;
	unsigned number;
	int fd;
	bool fresh;	     /* the connection has had no request */
	unsigned position;   /* of its session */
	int64_t answered_ms; /* when the last answer was in */
	int64_t stall_ms;    /* longest wait for an answer */
	_Atomic unsigned done;
	unsigned failed, excused;
	char fault[600]; /* the first */
};

static atomic_bool stop;

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void note(struct client *c, const char *what, const char *detail)
{
	if (!c->failed++)
		snprintf(
			c->fault, sizeof(c->fault), "%s: %.500s", what, detail);
}

static void hang_up(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static bool dial(struct client *c)
{
	const struct timeval patience = { .tv_sec = WAIT_SECONDS };
	struct sockaddr_in a = service_address(c->service);

	if (c->fd >= 0)
		return true;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	c->fresh = true;
	if (!connect(c->fd, (struct sockaddr *)&a, sizeof(a)))
		return true;
	note(c, "connect", "refused");
	hang_up(c);
	return false;
}

static void send_request(struct client *c)
{
	char body[128], request[400];
	int len;

	snprintf(body, sizeof(body),
		"{\"session\":\"s%u\",\"length\":%d,\"expected_position\":%u}",
		c->number, TOKENS, c->position);
	len = snprintf(request, sizeof(request),
		"POST /sample HTTP/1.1\r\nHost: 127.0.0.1\r\n"
		"Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n"
		"%s",
		strlen(body), body);
	/* What fails here, fails to be answered. */
	(void)!send(c->fd, request, (size_t)len, MSG_NOSIGNAL);
}

/* Head and body; false when the connection ended before. */
static bool read_answer(struct client *c, char *out, size_t size)
{
	size_t len = 0;

	for (;;) {
		const char *body, *length;
		ssize_t n = recv(c->fd, out + len, size - 1 - len, 0);

		if (!n)
			errno = 0;
		if (n <= 0)
			return false;
		out[len += (size_t)n] = '\0';
		body = strstr(out, "\r\n\r\n");
		length = strstr(out, "Content-Length: ");
		if (body && length &&
			strlen(body + 4) >= strtoul(length + 16, NULL, 10))
			return true;
	}
}

static void judge(struct client *c, const char *answer)
{
	const char *position = strstr(answer, "\"position\":");
	unsigned at = position ? (unsigned)strtoul(position + 11, NULL, 10) : 0;

	if (strncmp(answer, "HTTP/1.1 200 ", 13) != 0)
		note(c, "refused", answer);
	else if (at != c->position + TOKENS)
		note(c, "the session is elsewhere", position);
	else
		c->position = at;
	if (strstr(answer, "Connection: close"))
		hang_up(c);
}

static void ask(struct client *c)
{
	char answer[8192];
	int64_t sent;

	if (!dial(c))
		return;
	send_request(c);
	sent = now_ms();
	if (read_answer(c, answer, sizeof(answer))) {
		c->fresh = false;
		c->answered_ms = now_ms();
		if (c->answered_ms - sent > c->stall_ms)
			c->stall_ms = c->answered_ms - sent;
		judge(c, answer);
		c->done++;
		return;
	}
	snprintf(answer, sizeof(answer), "%s connection, after %lld ms: %s",
		c->fresh ? "a new" : "a used", (long long)(now_ms() - sent),
		strerror(errno));
	if (!c->fresh && sent - c->answered_ms > PROMPT_MS)
		c->excused++;
	else
		note(c, "cut off", answer);
	hang_up(c);
}

static void *run_client(void *arg)
{
	struct client *c = arg;

	while (!stop)
		ask(c);
	hang_up(c);
	return NULL;
}

static void open_session(struct client *c)
{
	char request[256], answer[4096], body[64];

	snprintf(body, sizeof(body), "{\"id\":\"s%u\"}", c->number);
	snprintf(request, sizeof(request),
		"POST /v1/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
		"Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n"
		"%s",
		strlen(body), body);
	assert_true(dial(c));
	assert_true(send(c->fd, request, strlen(request), 0) > 0);
	assert_true(read_answer(c, answer, sizeof(answer)));
	assert_non_null(strstr(answer, "\"position\":0"));
	c->answered_ms = now_ms();
	c->fresh = false;
}

/* Until each client has been answered `n` times more. */
static void wait_for(struct client *clients, unsigned n)
{
	unsigned from[CLIENTS];
	int64_t end = now_ms() + WAIT_SECONDS * 1000;

	for (size_t i = 0; i < CLIENTS; i++)
		from[i] = clients[i].done;
	for (size_t i = 0; i < CLIENTS; i++)
		while (clients[i].done < from[i] + n && now_ms() < end &&
			!clients[i].failed)
			usleep(2000);
}

static void restart(struct service *s)
{
	kill(s->pid, SIGTERM);
	assert_int_equal(service_wait(s), 0);
	service_start(s);
}

static void no_request_is_lost(void **state)
{
	struct service *s = *state;
	struct client clients[CLIENTS];
	int64_t stall = 0;
	unsigned done = 0;

	memset(clients, 0, sizeof(clients));
	service_expect(s, "READY=1");
	for (unsigned i = 0; i < CLIENTS; i++) {
		clients[i].service = s;
		clients[i].number = i;
		clients[i].fd = -1;
		open_session(&clients[i]);
	}
	for (size_t i = 0; i < CLIENTS; i++)
		pthread_create(
			&clients[i].thread, NULL, run_client, &clients[i]);
	wait_for(clients, 20);
	for (int i = 0; i < RESTARTS; i++) {
		restart(s);
		wait_for(clients, 20);
	}
	stop = true;
	for (size_t i = 0; i < CLIENTS; i++) {
		pthread_join(clients[i].thread, NULL);
		done += clients[i].done;
		if (clients[i].stall_ms > stall)
			stall = clients[i].stall_ms;
	}
	print_message("# %u requests, %d restarts, longest wait %lld ms\n",
		done, RESTARTS, (long long)stall);
	for (size_t i = 0; i < CLIENTS; i++) {
		if (clients[i].failed)
			fail_msg("client %zu failed %u times: %s", i,
				clients[i].failed, clients[i].fault);
		assert_true(clients[i].done >= 20 * (RESTARTS + 1));
	}
}

static int set_up(void **state)
{
	*state = service_new("conf/models", "sqlite", false);
	return 0;
}

static int tear_down(void **state)
{
	service_free(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			no_request_is_lost, set_up, tear_down),
	};

	if (access(service_executable(), X_OK) < 0) {
		printf("1..1\nok 1 # SKIP %s is not built\n",
			service_executable());
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
