/* A daemon as systemd starts it: a notify socket to tell of its states, and a
 * listening socket that is passed in and outlives it. Include the headers that
 * cmocka wants first. */
#ifndef TESTS_APP_SERVICE_H
#define TESTS_APP_SERVICE_H

#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SERVICE_LISTEN_FD 3

struct service {
	char dir[64];
	const char *models; /* a directory; NULL: dir, which holds none */
	const char *store;  /* "memory", or "sqlite" in dir */
	bool watchdog;	    /* the test must read what it says, or it waits */
	int notify;
	int listener;
	uint16_t port;
	pid_t pid;
};

static inline const char *service_executable(void)
{
	const char *exe = getenv("UNROLLD_EXE");

	return exe ? exe : "build/release/unrolld";
}

static inline void service_bind_notify(struct service *s)
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

static inline struct sockaddr_in service_address(const struct service *s)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons(s->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static inline void service_bind_listener(struct service *s)
{
	struct sockaddr_in a = service_address(s);
	socklen_t len = sizeof(a);

	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(s->listener, 16), 0);
	getsockname(s->listener, (struct sockaddr *)&a, &len);
	s->port = ntohs(a.sin_port);
}

static inline void service_exec(const struct service *s)
{
	char pid[16], path[96], log[96];

	dup2(s->listener, SERVICE_LISTEN_FD);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	snprintf(path, sizeof(path), "%s/sessions.db", s->dir);
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "1", 1);
	if (s->watchdog) {
		setenv("WATCHDOG_USEC", "400000", 1);
		setenv("WATCHDOG_PID", pid, 1);
	}
	snprintf(log, sizeof(log), "%s/log", s->dir);
	if (!freopen("/dev/null", "w", stdout) || !freopen(log, "a", stderr))
		_exit(99);
	execl(service_executable(), "unrolld", "serve", "--models.dir",
		s->models ? s->models : s->dir, "--sessions.store", s->store,
		"--sessions.path", path, (char *)NULL);
	_exit(98);
}

static inline void service_start(struct service *s)
{
	s->pid = fork();
	if (!s->pid)
		service_exec(s);
}

/* The exit code, or -1. */
static inline int service_wait(struct service *s)
{
	int status;

	if (waitpid(s->pid, &status, 0) != s->pid)
		return -1;
	s->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline struct service *service_new(
	const char *models, const char *store, bool watchdog)
{
	struct service *s = calloc(1, sizeof(*s));

	strcpy(s->dir, "/tmp/unrolld-service-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	s->models = models;
	s->store = store;
	s->watchdog = watchdog;
	service_bind_notify(s);
	service_bind_listener(s);
	service_start(s);
	return s;
}

static inline void service_free(struct service *s)
{
	static const char *const files[] = { "notify", "log", "sessions.db",
		"sessions.db-wal", "sessions.db-shm", "sessions.db.lock" };
	char path[128];

	if (s->pid > 0) {
		kill(s->pid, SIGKILL);
		waitpid(s->pid, NULL, 0);
	}
	close(s->notify);
	close(s->listener);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", s->dir, files[i]);
		unlink(path);
	}
	rmdir(s->dir);
	free(s);
}

/* Reads what the daemon says until it says `text`. */
static inline void service_expect(const struct service *s, const char *text)
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

#endif
