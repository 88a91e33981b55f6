/*
 * Two buffers of text: loggers append to one under the lock while the writer
 * thread, which owns the other, writes it out.
 */
#include "base/log_private.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIN_BUFFER (64u << 10)
#define MAX_BUFFER (64u << 20)
#define PATIENCE 2 /* seconds that close and flush wait for the fd */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more; /* for the writer: lines wait, or stop */
	pthread_cond_t idle; /* for flush: all is written */
	pthread_t thread;
	char *waiting, *writing; /* [size] */
	size_t size, n_waiting;
	uint64_t unreported; /* dropped and not yet told of */
	int fd;
	bool open, stop, busy;
} shared = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.more = PTHREAD_COND_INITIALIZER,
	.idle = PTHREAD_COND_INITIALIZER,
};

/* -1: closed, no level is enabled. */
static _Atomic int threshold = -1;
static _Atomic enum log_format line_format;
static _Atomic uint64_t dropped;

void log_defaults(struct log_options *o)
{
	*o = (struct log_options){
		.fd = STDERR_FILENO,
		.level = LOG_LEVEL_INFO,
		.format = LOG_FORMAT_AUTO,
		.buffer = 256u << 10,
	};
}

/* systemd names its stream by device and inode: stderr may have been
 * redirected since. */
static bool is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
	       fstat(fd, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

static void write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		/* A log that can't be written has nobody to tell. */
		if (n <= 0)
			return;
		text += n;
		len -= (size_t)n;
	}
}

static size_t report_line(char *line, uint64_t count)
{
	const struct log_field f = log_uint("lines", count);
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return log_line(line, line_format, now, LOG_LEVEL_WARN,
		"log lines dropped", &f, 1);
}

/* Called and returns with the lock held. */
static void write_waiting(void)
{
	char line[LOG_LINE_MAX];
	uint64_t lost = shared.unreported;
	size_t len = shared.n_waiting;
	char *text = shared.waiting;

	shared.waiting = shared.writing;
	shared.writing = text;
	shared.n_waiting = 0;
	shared.unreported = 0;
	shared.busy = true;
	pthread_mutex_unlock(&shared.lock);
	write_all(shared.fd, text, len);
	if (lost)
		write_all(shared.fd, line, report_line(line, lost));
	pthread_mutex_lock(&shared.lock);
	shared.busy = false;
}

static void *writer_main(void *arg)
{
	pthread_mutex_lock(&shared.lock);
	for (;;) {
		while (!shared.n_waiting && !shared.unreported && !shared.stop)
			pthread_cond_wait(&shared.more, &shared.lock);
		if (!shared.n_waiting && !shared.unreported)
			break;
		write_waiting();
		if (!shared.n_waiting)
			pthread_cond_broadcast(&shared.idle);
	}
	pthread_mutex_unlock(&shared.lock);
	return NULL;
}

static int start_writer(struct error *err)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&shared.thread, NULL, writer_main, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0)
		return error_set(err, ERROR_UNAVAILABLE,
			"cannot start the log thread: %s", strerror(rc));
	pthread_setname_np(shared.thread, "unrolld-log");
	return 0;
}

static void free_buffers(void)
{
	free(shared.waiting);
	free(shared.writing);
	shared.waiting = shared.writing = NULL;
	shared.n_waiting = shared.size = 0;
	shared.unreported = 0;
}

/* With the lock held: threads that log already may be running. */
static int open_locked(const struct log_options *o, struct error *err)
{
	if (shared.open)
		return error_set(err, ERROR_CONFLICT, "the log is open");
	shared.waiting = malloc(o->buffer);
	shared.writing = malloc(o->buffer);
	if (!shared.waiting || !shared.writing) {
		free_buffers();
		return error_set_memory(err, "log", 2 * o->buffer);
	}
	shared.size = o->buffer;
	shared.fd = o->fd;
	shared.stop = shared.busy = false;
	if (start_writer(err) < 0) {
		free_buffers();
		return -1;
	}
	shared.open = true;
	return 0;
}

int log_open(const struct log_options *o, struct error *err)
{
	int rc;

	if (o->buffer < MIN_BUFFER || o->buffer > MAX_BUFFER)
		return error_set_param(err, ERROR_INVALID, "buffer",
			"buffer is %zu, expected %u to %u", o->buffer,
			MIN_BUFFER, MAX_BUFFER);
	pthread_mutex_lock(&shared.lock);
	rc = open_locked(o, err);
	pthread_mutex_unlock(&shared.lock);
	if (rc < 0)
		return -1;
	line_format = o->format;
	if (o->format == LOG_FORMAT_AUTO)
		line_format = is_journal(o->fd) ? LOG_FORMAT_JOURNALD
						: LOG_FORMAT_TEXT;
	threshold = (int)o->level;
	return 0;
}

static struct timespec deadline(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += PATIENCE;
	return t;
}

void log_close(void)
{
	struct timespec end = deadline();

	if (!shared.open)
		return;
	threshold = -1;
	pthread_mutex_lock(&shared.lock);
	shared.stop = true;
	pthread_cond_signal(&shared.more);
	pthread_mutex_unlock(&shared.lock);
	/* Stuck in write(2), where it holds no lock and can be cancelled. */
	if (pthread_timedjoin_np(shared.thread, NULL, &end) != 0) {
		pthread_cancel(shared.thread);
		pthread_join(shared.thread, NULL);
	}
	pthread_mutex_lock(&shared.lock);
	free_buffers();
	shared.open = false;
	pthread_mutex_unlock(&shared.lock);
}

void log_flush(void)
{
	struct timespec end = deadline();
	int rc = 0;

	pthread_mutex_lock(&shared.lock);
	while (shared.open && rc == 0 &&
		(shared.n_waiting || shared.unreported || shared.busy))
		rc = pthread_cond_timedwait(&shared.idle, &shared.lock, &end);
	pthread_mutex_unlock(&shared.lock);
}

void log_set_level(enum log_level level)
{
	int old = threshold;

	/* A log that closes meanwhile stays closed. */
	while (old >= 0 &&
		!atomic_compare_exchange_weak(&threshold, &old, (int)level))
		;
}

bool log_enabled(enum log_level level)
{
	return (int)level <=
	       atomic_load_explicit(&threshold, memory_order_relaxed);
}

uint64_t log_dropped(void)
{
	return dropped;
}

void log_write(enum log_level level, const char *message,
	const struct log_field *fields, size_t n)
{
	char line[LOG_LINE_MAX];
	struct timespec now;
	size_t len;

	if (!log_enabled(level))
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	len = log_line(line, line_format, now, level, message, fields, n);
	pthread_mutex_lock(&shared.lock);
	if (!shared.waiting || len > shared.size - shared.n_waiting) {
		atomic_fetch_add(&dropped, 1);
		shared.unreported += shared.waiting != NULL;
	} else {
		memcpy(shared.waiting + shared.n_waiting, line, len);
		shared.n_waiting += len;
	}
	if (shared.waiting)
		pthread_cond_signal(&shared.more);
	pthread_mutex_unlock(&shared.lock);
}

struct log_field log_bytes(const char *key, const char *text, size_t len)
{
	return (struct log_field){
		.key = key, .type = LOG_TEXT, .len = len, .text = text
	};
}

struct log_field log_text(const char *key, const char *text)
{
	return log_bytes(key, text ? text : "", text ? strlen(text) : 0);
}

struct log_field log_int(const char *key, int64_t v)
{
	return (struct log_field){ .key = key, .type = LOG_INT, .i = v };
}

struct log_field log_uint(const char *key, uint64_t v)
{
	return (struct log_field){ .key = key, .type = LOG_UINT, .u = v };
}

struct log_field log_real(const char *key, double v)
{
	return (struct log_field){ .key = key, .type = LOG_REAL, .real = v };
}

struct log_field log_bool(const char *key, bool v)
{
	return (struct log_field){ .key = key, .type = LOG_BOOL, .b = v };
}

struct log_field log_fault(const struct error *err)
{
	return log_text("error", err->message);
}
