/*
 * The daemon as systemd sees it: readiness, reload, watchdog and stop over the
 * notify socket, and a listening socket that is passed in.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define LISTEN_FD 3

struct service {
	char dir[64];
	int notify;
	int listener;
	uint16_t port;
	pid_t pid;
};

static const char *executable(void)
{
	const char *exe = getenv("UNROLLD_EXE");

	return exe ? exe : "build/release/unrolld";
}

static void bind_notify(struct service *s)
{
	const struct timeval patience = { .tv_sec = 20 };
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/notify", s->dir);
	s->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->notify, (struct sockaddr *)&a, sizeof(a)), 0);
	setsockopt(s->notify, SOL_SOCKET, SO_RCVTIMEO, &patience,
		sizeof(patience));
	setenv("NOTIFY_SOCKET", a.sun_path, 1);
}

static void bind_listener(struct service *s)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(s->listener, 16), 0);
	getsockname(s->listener, (struct sockaddr *)&a, &len);
	s->port = ntohs(a.sin_port);
}

static void run_daemon(const struct service *s)
{
	char pid[16];

	dup2(s->listener, LISTEN_FD);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "1", 1);
	setenv("WATCHDOG_USEC", "400000", 1);
	setenv("WATCHDOG_PID", pid, 1);
	if (!freopen("/dev/null", "w", stdout) ||
		!freopen("/dev/null", "w", stderr))
		_exit(99);
	execl(executable(), "unrolld", "serve", "--models.dir", s->dir,
		"--sessions.store", "memory", (char *)NULL);
	_exit(98);
}

static int set_up(void **state)
{
	struct service *s = calloc(1, sizeof(*s));

	strcpy(s->dir, "/tmp/unrolld-service-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	bind_notify(s);
	bind_listener(s);
	s->pid = fork();
	if (!s->pid)
		run_daemon(s);
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	struct service *s = *state;
	char path[96];

	if (s->pid > 0) {
		kill(s->pid, SIGKILL);
		waitpid(s->pid, NULL, 0);
	}
	close(s->notify);
	close(s->listener);
	snprintf(path, sizeof(path), "%s/notify", s->dir);
	unlink(path);
	rmdir(s->dir);
	free(s);
	return 0;
}

/* Reads what the daemon says until it says `text`. */
static void expect(const struct service *s, const char *text)
{
	char said[1024];

	for (int i = 0; i < 200; i++) {
		ssize_t n = recv(s->notify, said, sizeof(said) - 1, 0);

		if (n <= 0)
			break;
		said[n] = '\0';
		if (strstr(said, text))
			return;
	}
	fail_msg("the daemon never said %s", text);
}

static void answers_on_the_socket_it_was_passed(void **state)
{
	static const char request[] = "GET /healthz HTTP/1.0\r\n\r\n";
	struct service *s = *state;
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons(s->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char answer[256] = "";

	expect(s, "READY=1");
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(
		send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
	assert_true(recv(fd, answer, sizeof(answer) - 1, 0) > 0);
	assert_non_null(strstr(answer, " 200 OK"));
	close(fd);
}

static void tells_of_its_states(void **state)
{
	struct service *s = *state;
	int status;

	expect(s, "READY=1");
	expect(s, "WATCHDOG=1");
	kill(s->pid, SIGHUP);
	expect(s, "RELOADING=1");
	expect(s, "READY=1");
	kill(s->pid, SIGTERM);
	expect(s, "STOPPING=1");
	assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
	s->pid = 0;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			answers_on_the_socket_it_was_passed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			tells_of_its_states, set_up, tear_down),
	};

	if (access(executable(), X_OK) < 0) {
		printf("1..1\nok 1 # SKIP %s is not built\n", executable());
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
