/*
 * Kills the process it is loaded into (LD_PRELOAD) at a chosen call, so that a
 * test can be at every moment of what is written to a disk:
 *   CRASH_FILE   from the first file that is created under a path with this in
 *                it: on every change of the file system counts,
 *   CRASH_CALLS  and at this one, the first being 1, the process is killed
 * before the call is made.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_bool armed;
static atomic_long calls;

static void count(const char *created)
{
	const char *file = getenv("CRASH_FILE"), *at = getenv("CRASH_CALLS");

	if (!file || !at)
		return;
	if (created && strstr(created, file))
		atomic_store(&armed, true);
	if (atomic_load(&armed) && atomic_fetch_add(&calls, 1) + 1 == atol(at))
		kill(getpid(), SIGKILL);
}

#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

/* A mode's type is promoted: it comes as an int. */
#define OPEN(name)                                    \
	int name(const char *path, int flags, ...)    \
	{                                             \
		mode_t mode = 0;                      \
		va_list args;                         \
                                                      \
		va_start(args, flags);                \
		if (flags & (O_CREAT | O_TMPFILE))    \
			mode = va_arg(args, mode_t);  \
		va_end(args);                         \
		if (flags & O_CREAT)                  \
			count(path);                  \
		return REAL(name)(path, flags, mode); \
	}
OPEN(open)
OPEN(open64)

ssize_t write(int fd, const void *bytes, size_t len)
{
	/* Not the log, nor what is said on a pipe or socket. */
	if (fd > STDERR_FILENO && lseek(fd, 0, SEEK_CUR) >= 0)
		count(NULL);
	return REAL(write)(fd, bytes, len);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at)
{
	count(NULL);
	return REAL(pwrite64)(fd, bytes, len, at);
}

#define CHANGES(name, parameters, arguments) \
	int name parameters                  \
	{                                    \
		count(NULL);                 \
		return REAL(name) arguments; \
	}
CHANGES(fsync, (int fd), (fd))
CHANGES(fdatasync, (int fd), (fd))
CHANGES(rename, (const char *from, const char *to), (from, to))
CHANGES(unlink, (const char *path), (path))
CHANGES(rmdir, (const char *path), (path))
CHANGES(remove, (const char *path), (path))
