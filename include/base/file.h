/*
 * Files that must survive are written whole: a temporary file beside the
 * target, fsync, rename over it, fsync of the directory. Until
 * file_writer_commit returns 0 the old file is intact.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct file_writer {
	int fd;
	char *path; /* owned */
	char *tmp;  /* owned */
};

/* Opens the temporary file with `mode` (0644, or 0600 for secrets). */
int file_writer_open(struct file_writer *w, const char *path, mode_t mode,
	struct error *err);
int file_writer_write(struct file_writer *w, const void *bytes, size_t len,
	struct error *err);
/* Either of these ends the writer; abort unlinks the temporary file. commit
 * aborts by itself when it fails. */
int file_writer_commit(struct file_writer *w, struct error *err);
void file_writer_abort(struct file_writer *w);

/* Makes a new name of path, or the end of one, last. */
int file_sync_directory(const char *path, struct error *err);

/* The whole file, NUL-terminated, at most `max` bytes (ERROR_TOO_LARGE). The
 * caller frees *data. */
int file_read(const char *path, size_t max, char **data, size_t *len,
	struct error *err);

/* A read-only private mapping. An empty file maps to data = NULL, len = 0. */
struct file_map {
	const uint8_t *data;
	size_t len;
};
int file_map_open(struct file_map *m, const char *path, struct error *err);
void file_map_close(struct file_map *m);

/* mkdir -p; existing directories are fine. */
int file_make_directories(const char *path, mode_t mode, struct error *err);

#endif
