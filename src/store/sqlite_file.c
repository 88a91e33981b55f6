/*
 * Opening a SQLite store: one daemon at a time (a lock file), nobody else's
 * eyes (mode 0600), nobody else's database, no damage, the newest schema.
 */
#include "store/sqlite_private.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* A whole check of the file is worth its time only while that is short; of a
 * larger one some rows are read. */
#define CHECK_BYTES (64 << 20)
#define SAMPLE_MS 100
#define WRITER_CACHE_KIB 32768
#define READER_CACHE_KIB 8192

static enum error_code code_of(sqlite3 *db, int rc)
{
	int e = db ? sqlite3_system_errno(db) : 0;

	switch (rc & 0xff) {
	case SQLITE_FULL:
		return ERROR_NO_SPACE;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return ERROR_CORRUPT;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_READONLY:
		return ERROR_UNAVAILABLE;
	case SQLITE_NOMEM:
		return ERROR_NO_MEMORY;
	case SQLITE_IOERR:
		/* Of a COMMIT it does not keep errno: the disk may have become
		 * read-only, or worse. */
		return e == ENOSPC || e == EDQUOT || rc == SQLITE_IOERR_SHMSIZE
			       ? ERROR_NO_SPACE
			       : ERROR_UNAVAILABLE;
	case SQLITE_CANTOPEN:
		return e == ENOSPC || e == EDQUOT  ? ERROR_NO_SPACE
		       : e == EROFS || e == EACCES ? ERROR_UNAVAILABLE
						   : ERROR_IO;
	default:
		return ERROR_IO;
	}
}

int sqlite_fail(const char *path, sqlite3 *db, int rc, const char *doing,
	struct error *err)
{
	enum error_code code = code_of(db, rc);

	return error_set_param(err, code, "sessions.path",
		"store %s: cannot %s: %s", path, doing,
		db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
}

int sqlite_run(const char *path, sqlite3 *db, const char *sql,
	const char *doing, struct error *err)
{
	int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : sqlite_fail(path, db, rc, doing, err);
}

int sqlite_ask(const char *path, sqlite3 *db, const char *sql, int64_t *number,
	char *text, size_t text_size, struct error *err)
{
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
	const unsigned char *t;

	if (rc != SQLITE_OK)
		return sqlite_fail(path, db, rc, "read it", err);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW && number)
		*number = sqlite3_column_int64(stmt, 0);
	if (rc == SQLITE_ROW && text) {
		t = sqlite3_column_text(stmt, 0);
		snprintf(text, text_size, "%s", t ? (const char *)t : "");
	}
	if (rc != SQLITE_ROW)
		sqlite_fail(path, db, rc, "read it", err);
	sqlite3_finalize(stmt);
	return rc == SQLITE_ROW ? 0 : -1;
}

int sqlite_connect(const char *path, sqlite3 **db, int flags, struct error *err)
{
	int rc = sqlite3_open_v2(path, db, flags | SQLITE_OPEN_NOMUTEX, NULL);

	if (rc != SQLITE_OK)
		return sqlite_fail(path, *db, rc, "open it", err);
	sqlite3_busy_timeout(*db, SQLITE_BUSY_MS);
	sqlite3_extended_result_codes(*db, 1);
	return 0;
}

/* Another program's file, or one from the future, is not ours to touch. */
int sqlite_identity(
	const char *path, sqlite3 *db, int64_t *version, struct error *err)
{
	int64_t id = 0, tables = 0;

	*version = 0;
	if (sqlite_ask(path, db, "PRAGMA application_id", &id, NULL, 0, err) <
			0 ||
		sqlite_ask(path, db, "PRAGMA user_version", version, NULL, 0,
			err) < 0 ||
		sqlite_ask(path, db, "SELECT count(*) FROM sqlite_master",
			&tables, NULL, 0, err) < 0)
		return -1;
	if (id != SQLITE_ID && (id || tables || *version))
		return error_set_param(err, ERROR_UNSUPPORTED, "sessions.path",
			"store %s: is another program's database (application"
			" id %lld, expected %d)",
			path, (long long)id, SQLITE_ID);
	if (*version < 0 || *version > sqlite_version)
		return error_set_param(err, ERROR_UNSUPPORTED, "sessions.path",
			"store %s: has schema version %lld, this program knows"
			" up to %d",
			path, (long long)*version, sqlite_version);
	return 0;
}

static int64_t monotonic_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The last row, then others in a scattered order, until the time is over. */
static int sample_rows(
	const char *path, sqlite3 *db, int64_t milliseconds, struct error *err)
{
	int64_t end = monotonic_ms() + milliseconds, last = 0;
	uint64_t at = UINT64_MAX;
	char sql[192];

	if (sqlite_ask(path, db, "SELECT ifnull(max(rowid), 0) FROM entries",
		    &last, NULL, 0, err) < 0)
		return -1;
	while (last > 0 && monotonic_ms() < end) {
		/* The fraction of the golden ratio spreads them evenly. */
		snprintf(sql, sizeof(sql),
			"SELECT ifnull(max(length(value || '')), 0) FROM"
			" (SELECT value FROM entries WHERE rowid >= %lld"
			" LIMIT 1)",
			(long long)((unsigned __int128)at * (uint64_t)last >>
				    64) +
				1);
		at += 0x9e3779b97f4a7c15u;
		if (sqlite_ask(path, db, sql, NULL, NULL, 0, err) < 0)
			return -1;
	}
	return 0;
}

int sqlite_check(
	const char *path, sqlite3 *db, int64_t milliseconds, struct error *err)
{
	char verdict[160] = "";
	struct stat st;

	if (milliseconds && !stat(path, &st) && st.st_size > CHECK_BYTES)
		return sample_rows(path, db, milliseconds, err);
	if (sqlite_ask(path, db, "PRAGMA quick_check(1)", NULL, verdict,
		    sizeof(verdict), err) < 0)
		return -1;
	if (strcmp(verdict, "ok") != 0)
		return error_set_param(err, ERROR_CORRUPT, "sessions.path",
			"store %s: is damaged: %s", path, verdict);
	return 0;
}

static int file_error(const char *path, const char *what, struct error *err)
{
	const char *why = strerror(errno);
	enum error_code code =
		errno == ENOSPC || errno == EDQUOT  ? ERROR_NO_SPACE
		: errno == EROFS || errno == EACCES ? ERROR_UNAVAILABLE
						    : ERROR_IO;

	return error_set_param(err, code, "sessions.path",
		"store %s: cannot open %s: %s", path, what, why);
}

static int write_owner(const char *path, int fd, struct error *err)
{
	char pid[24];
	int n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());

	/* A full disk has no room for it: the lock holds without. */
	if ((ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)n, 0) != n) &&
		errno != ENOSPC && errno != EDQUOT)
		return error_set_errno(
			err, "store %s: cannot write %s.lock", path, path);
	return 0;
}

int sqlite_file_lock(const char *path, int *fd, struct error *err)
{
	char name[4096], pid[24] = "";
	ssize_t n;

	if (snprintf(name, sizeof(name), "%s.lock", path) >= (int)sizeof(name))
		return error_set_param(err, ERROR_INVALID, "sessions.path",
			"store path of %zu bytes is too long", strlen(path));
	*fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (*fd < 0)
		return file_error(path, name, err);
	if (flock(*fd, LOCK_EX | LOCK_NB) == 0)
		return write_owner(path, *fd, err);
	if (errno != EWOULDBLOCK)
		return error_set_errno(
			err, "store %s: cannot lock %s", path, name);
	n = pread(*fd, pid, sizeof(pid) - 1, 0);
	pid[n > 0 ? n : 0] = '\0';
	pid[strcspn(pid, "\n")] = '\0';
	return error_set_param(err, ERROR_CONFLICT, "sessions.path",
		"store %s: another unrolld has it open (process %s)", path,
		*pid ? pid : "unknown");
}

/* SQLite gives the -wal and -shm files the mode of the main one. */
static int make_private(const char *path, struct error *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return file_error(path, path, err);
	if (fchmod(fd, 0600) < 0) {
		error_set_errno(err, "store %s: cannot set mode 0600", path);
		close(fd);
		return -1;
	}
	close(fd);
	return 0;
}

/* How the writer works from now on. Upkeep moves the WAL, not a COMMIT. */
static int set_up(struct sqlite *s, struct error *err)
{
	const char *path = s->options.path;
	char sql[192], mode[16] = "";

	if (sqlite_ask(path, s->writer, "PRAGMA journal_mode = WAL", NULL, mode,
		    sizeof(mode), err) < 0)
		return -1;
	if (strcmp(mode, "wal") != 0)
		return error_set_param(err, ERROR_UNSUPPORTED, "sessions.path",
			"store %s: journal mode is '%s', expected wal (a"
			" network file system?)",
			path, mode);
	snprintf(sql, sizeof(sql),
		"PRAGMA synchronous = %s; PRAGMA cache_size = -%d;"
		"PRAGMA wal_autocheckpoint = 0",
		s->options.sync == STORE_SYNC_NORMAL ? "NORMAL" : "FULL",
		WRITER_CACHE_KIB);
	return sqlite_run(path, s->writer, sql, "set it up", err);
}

static int open_writer(struct sqlite *s, struct error *err)
{
	const char *path = s->options.path;
	int64_t version;

	/* Identity first: all else would already write to the file. */
	if (make_private(path, err) < 0 ||
		sqlite_connect(path, &s->writer, SQLITE_OPEN_READWRITE, err) <
			0 ||
		sqlite_identity(path, s->writer, &version, err) < 0 ||
		(version && sqlite_check(path, s->writer, SAMPLE_MS, err) < 0))
		return -1;
	return sqlite_migrate(path, s->writer, err) < 0 ? -1 : set_up(s, err);
}

/* What there is to lose, for whoever has to decide. */
static int refuse(struct sqlite *s, struct error *err)
{
	struct sqlite_survey v;
	char what[sizeof(err->message)];

	snprintf(what, sizeof(what), "%s", err->message);
	if (sqlite_survey(s->options.path, &v, NULL, NULL) < 0)
		return error_set_param(err, ERROR_CORRUPT, "sessions.path",
			"%s; nothing of it can be read; the file was left as it"
			" is (sessions.on_corruption=set_aside renames it and"
			" starts with an empty one)",
			what);
	return error_set_param(err, ERROR_CORRUPT, "sessions.path",
		"%s; %llu entries can be read, %llu can't%s%s; the file was"
		" left as it is (sessions.on_corruption=set_aside renames it"
		" and goes on with what can be read)",
		what, (unsigned long long)v.readable,
		(unsigned long long)v.lost, *v.names ? ": " : "", v.names);
}

static int start_anew(struct sqlite *s, struct error *err)
{
	struct error damage = *err;
	struct sqlite_survey v;
	char aside[4096];

	sqlite3_close(s->writer);
	s->writer = NULL;
	if (sqlite_salvage(s->options.path, &v, aside, sizeof(aside), err) < 0)
		return error_prefix(err, "%s", damage.message);
	log_error("the store was damaged: it was set aside, and what could be "
		  "read was kept",
		log_fault(&damage), log_text("aside", aside),
		log_uint("kept", v.readable), log_uint("lost", v.lost),
		log_text("lost_keys", v.names));
	return open_writer(s, err);
}

int sqlite_file_open(struct sqlite *s, struct error *err)
{
	const char *path = s->options.path;
	char sql[64];

	if (sqlite_file_lock(path, &s->lock_fd, err) < 0)
		return -1;
	if (open_writer(s, err) < 0) {
		if (err->code != ERROR_CORRUPT)
			return -1;
		if (s->options.on_corruption == STORE_REFUSE)
			return refuse(s, err);
		if (start_anew(s, err) < 0)
			return -1;
	}
	snprintf(sql, sizeof(sql), "PRAGMA cache_size = -%d", READER_CACHE_KIB);
	if (sqlite_connect(path, &s->reader, SQLITE_OPEN_READONLY, err) < 0)
		return -1;
	return sqlite_run(path, s->reader, sql, "set it up", err);
}
