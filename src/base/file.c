#include "base/file.h"

#include "base/rng.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_TRIES 100
#define NAME_KEPT 200 /* bytes of the name that the temporary one repeats */
#define WRITE_CHUNK (64u << 20)

/* A link is followed, so that the file it names is replaced and not the link.
 * A device or pipe must never be renamed over. */
static char *resolve_target(const char *path, struct error *err)
{
	struct stat st;
	char *real;

	if (!*path) {
		error_set(err, ERROR_INVALID, "the file name is empty");
		return NULL;
	}
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		error_set(err, ERROR_INVALID,
			"%s: is %s, expected a regular file", path,
			S_ISDIR(st.st_mode) ? "a directory"
					    : "a device or pipe");
		return NULL;
	}
	real = realpath(path, NULL);
	if (!real && errno == ENOENT)
		real = strdup(path);
	if (!real)
		error_set_errno(err, "%s: cannot resolve", path);
	return real;
}

static int open_tmp(struct file_writer *w, mode_t mode, struct error *err)
{
	const char *slash = strrchr(w->path, '/');
	int dir_len = slash ? (int)(slash - w->path) + 1 : 0;

	for (int i = 0; i < NAME_TRIES; i++) {
		if (asprintf(&w->tmp, "%.*s.%.*s.%08x.tmp", dir_len, w->path,
			    NAME_KEPT, w->path + dir_len,
			    (unsigned)rng_entropy()) < 0) {
			w->tmp = NULL;
			return error_set_memory(
				err, "file name", strlen(w->path));
		}
		w->fd = open(
			w->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
		if (w->fd >= 0)
			return 0;
		free(w->tmp);
		w->tmp = NULL;
		if (errno != EEXIST)
			break;
	}
	return error_set_errno(
		err, "%s: cannot create a file beside it", w->path);
}

int file_writer_open(
	struct file_writer *w, const char *path, mode_t mode, struct error *err)
{
	*w = (struct file_writer){ .fd = -1 };
	w->path = resolve_target(path, err);
	if (!w->path)
		return -1;
	if (open_tmp(w, mode, err) == 0)
		return 0;
	free(w->path);
	w->path = NULL;
	return -1;
}

int file_writer_write(
	struct file_writer *w, const void *bytes, size_t len, struct error *err)
{
	const char *at = bytes;

	while (len > 0) {
		ssize_t n =
			write(w->fd, at, len < WRITE_CHUNK ? len : WRITE_CHUNK);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set_errno(
				err, "%s: cannot write", w->path);
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int file_sync_directory(const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	char *dir;
	int fd, rc;

	dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	if (!dir)
		return error_set_memory(err, "file name", strlen(path));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(dir);
	/* A directory that may be written but not read can't be synced. */
	if (fd < 0)
		return errno == EACCES
			       ? 0
			       : error_set_errno(err,
					 "%s: cannot open its directory", path);
	rc = fsync(fd);
	/* EINVAL: a file system that has no such thing. */
	if (rc < 0 && errno != EINVAL)
		error_set_errno(err, "%s: cannot sync its directory", path);
	else
		rc = 0;
	close(fd);
	return rc;
}

static void writer_free(struct file_writer *w)
{
	free(w->path);
	free(w->tmp);
	*w = (struct file_writer){ .fd = -1 };
}

int file_writer_commit(struct file_writer *w, struct error *err)
{
	int fd = w->fd, rc;

	if (fsync(fd) < 0) {
		error_set_errno(err, "%s: cannot sync", w->path);
		goto fail;
	}
	w->fd = -1;
	if (close(fd) < 0) {
		error_set_errno(err, "%s: cannot close", w->path);
		goto fail;
	}
	if (rename(w->tmp, w->path) < 0) {
		error_set_errno(
			err, "%s: cannot rename %s over it", w->path, w->tmp);
		goto fail;
	}
	rc = file_sync_directory(w->path, err);
	writer_free(w);
	return rc;
fail:
	file_writer_abort(w);
	return -1;
}

void file_writer_abort(struct file_writer *w)
{
	if (w->fd >= 0)
		close(w->fd);
	if (w->tmp)
		unlink(w->tmp);
	writer_free(w);
}

/* Reads to the end, whatever fstat said: it may be a pipe or /proc. */
static int read_all(int fd, const char *path, size_t max, char **data,
	size_t *len, struct error *err)
{
	size_t cap = 4096, used = 0;
	char *bytes = NULL, *more;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
		(uint64_t)st.st_size <= max)
		cap = (size_t)st.st_size + 2;
	for (;;) {
		if (!bytes || used + 1 >= cap) {
			if (bytes)
				cap *= 2;
			more = realloc(bytes, cap);
			if (!more) {
				error_set_memory(err, path, cap);
				break;
			}
			bytes = more;
		}
		n = read(fd, bytes + used, cap - used - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			error_set_errno(err, "%s: cannot read", path);
			break;
		}
		used += (size_t)n;
		if (used > max) {
			error_set(err, ERROR_TOO_LARGE,
				"%s: over the limit of %zu bytes", path, max);
			break;
		}
		if (n == 0) {
			bytes[used] = '\0';
			*data = bytes;
			*len = used;
			return 0;
		}
	}
	free(bytes);
	return -1;
}

static int open_error(struct error *err, const char *path)
{
	if (errno == ENOENT)
		return error_set(
			err, ERROR_NOT_FOUND, "%s: no such file", path);
	return error_set_errno(err, "%s: cannot open", path);
}

int file_read(const char *path, size_t max, char **data, size_t *len,
	struct error *err)
{
	int fd, rc;

	*data = NULL;
	*len = 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return open_error(err, path);
	rc = read_all(fd, path, max, data, len, err);
	close(fd);
	return rc;
}

int file_map_open(struct file_map *m, const char *path, struct error *err)
{
	struct stat st;
	void *data;
	int fd;

	*m = (struct file_map){ 0 };
	/* O_NONBLOCK: a pipe is to be refused, not waited for. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return open_error(err, path);
	if (fstat(fd, &st) < 0) {
		error_set_errno(err, "%s: cannot stat", path);
		goto fail;
	}
	if (!S_ISREG(st.st_mode)) {
		error_set(err, ERROR_INVALID, "%s: not a regular file", path);
		goto fail;
	}
	if (st.st_size > 0) {
		data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE,
			fd, 0);
		if (data == MAP_FAILED) {
			error_set_errno(err, "%s: cannot map", path);
			goto fail;
		}
		m->data = data;
		m->len = (size_t)st.st_size;
	}
	close(fd);
	return 0;
fail:
	close(fd);
	return -1;
}

void file_map_close(struct file_map *m)
{
	if (m->data)
		munmap((void *)m->data, m->len);
	*m = (struct file_map){ 0 };
}

static int make_directory(const char *path, mode_t mode, struct error *err)
{
	struct stat st;
	int failure;

	if (mkdir(path, mode) == 0)
		return 0;
	failure = errno;
	if (stat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return 0;
		return error_set(err, ERROR_IO,
			"%s: exists and is not a directory", path);
	}
	errno = failure;
	return error_set_errno(err, "%s: cannot make the directory", path);
}

int file_make_directories(const char *path, mode_t mode, struct error *err)
{
	char *copy = strdup(path);
	int rc = 0;

	if (!copy)
		return error_set_memory(err, "file name", strlen(path));
	for (char *p = copy + 1; *copy && *p && rc == 0; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		rc = make_directory(copy, mode, err);
		*p = '/';
	}
	if (rc == 0)
		rc = make_directory(copy, mode, err);
	free(copy);
	return rc;
}
