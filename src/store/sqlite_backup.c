/*
 * The copy is read in slices under one read transaction, which in WAL mode
 * neither waits for the writing daemon nor lets it wait: the copy is of the
 * moment when it began.
 */
#include "store/backup.h"

#include "base/file.h"
#include "store/sqlite_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLICE_PAGES 512
#define BUSY_TRIES 500 /* of 10 ms */

/* A store that this program understands, in one moment. */
static int open_source(const char *path, sqlite3 **db, struct error *err)
{
	int64_t version;

	if (access(path, F_OK) < 0)
		return error_set(err, ERROR_NOT_FOUND,
			"%s: there is no such store", path);
	if (sqlite_connect(path, db, SQLITE_OPEN_READONLY, err) < 0 ||
		sqlite_run(path, *db, "BEGIN", "read it", err) < 0 ||
		sqlite_identity(path, *db, &version, err) < 0)
		return -1;
	if (!version)
		return error_set(err, ERROR_UNSUPPORTED,
			"%s: is empty, expected a store of sessions", path);
	return 0;
}

static int copy_pages(
	const char *path, sqlite3 *from, sqlite3 *to, struct error *err)
{
	sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
	int rc = SQLITE_OK, tries = 0;

	if (!b)
		return sqlite_fail(path, to, sqlite3_errcode(to), "copy", err);
	while (rc == SQLITE_OK || (rc == SQLITE_BUSY && tries < BUSY_TRIES) ||
		(rc == SQLITE_LOCKED && tries < BUSY_TRIES)) {
		if (rc != SQLITE_OK) {
			tries++;
			sqlite3_sleep(10);
		}
		rc = sqlite3_backup_step(b, SLICE_PAGES);
	}
	if (rc == SQLITE_DONE)
		rc = sqlite3_backup_finish(b);
	else
		sqlite3_backup_finish(b);
	return rc == SQLITE_OK ? 0 : sqlite_fail(path, to, rc, "copy", err);
}

/* One file without a WAL, checked to its end. */
static int finish_copy(const char *path, sqlite3 *db, struct store_copy *copy,
	struct error *err)
{
	int64_t entries = 0;
	char mode[16];

	if (sqlite_ask(path, db, "PRAGMA journal_mode = DELETE", NULL, mode,
		    sizeof(mode), err) < 0 ||
		sqlite_check(path, db, 0, err) < 0 ||
		sqlite_ask(path, db, "SELECT count(*) FROM entries", &entries,
			NULL, 0, err) < 0)
		return -1;
	copy->entries = (uint64_t)entries;
	return 0;
}

/* From the store's file into the temporary one of w. */
static int copy_into(const char *path, struct file_writer *w,
	struct store_copy *copy, struct error *err)
{
	sqlite3 *from = NULL, *to = NULL;
	struct stat st;
	int result;

	result = open_source(path, &from, err);
	if (!result)
		result =
			sqlite_connect(w->tmp, &to, SQLITE_OPEN_READWRITE, err);
	if (!result)
		result = sqlite_run(
			w->path, to, "PRAGMA synchronous = OFF", "copy", err);
	if (!result)
		result = copy_pages(w->path, from, to, err);
	if (!result)
		result = finish_copy(path, to, copy, err);
	sqlite3_close(to);
	sqlite3_close(from);
	if (!result && fstat(w->fd, &st) == 0)
		copy->bytes = (uint64_t)st.st_size;
	return result;
}

static int refuse_itself(const char *path, const char *to, struct error *err)
{
	struct stat a, b;

	if (stat(path, &a) == 0 && stat(to, &b) == 0 && a.st_dev == b.st_dev &&
		a.st_ino == b.st_ino)
		return error_set(
			err, ERROR_INVALID, "%s and %s are one file", path, to);
	return 0;
}

int store_backup(const char *path, const char *to, struct store_copy *copy,
	struct error *err)
{
	struct file_writer w;

	*copy = (struct store_copy){ 0 };
	if (refuse_itself(path, to, err) < 0 ||
		file_writer_open(&w, to, 0600, err) < 0)
		return -1;
	if (copy_into(path, &w, copy, err) < 0) {
		file_writer_abort(&w);
		return -1;
	}
	return file_writer_commit(&w, err);
}

static int replace(const char *path, struct file_writer *w,
	struct store_copy *copy, struct error *err)
{
	if (sqlite_make_way(path, "replaced", copy->replaced,
		    sizeof(copy->replaced), err) < 0) {
		file_writer_abort(w);
		return -1;
	}
	return file_writer_commit(w, err);
}

int store_restore(const char *path, const char *from, struct store_copy *copy,
	struct error *err)
{
	struct file_writer w;
	int lock = -1, result = -1;

	*copy = (struct store_copy){ 0 };
	if (refuse_itself(path, from, err) < 0)
		return -1;
	if (sqlite_file_lock(path, &lock, err) < 0 ||
		file_writer_open(&w, path, 0600, err) < 0)
		goto out;
	if (copy_into(from, &w, copy, err) < 0)
		file_writer_abort(&w);
	else
		result = replace(path, &w, copy, err);
out:
	if (lock >= 0)
		close(lock);
	return result;
}
