/*
 * Opening a SQLite store: one daemon at a time (a lock file), nobody else's
 * eyes (mode 0600), nobody else's database, no damage, the newest schema.
 */
#include "store/sqlite_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define APPLICATION_ID 0x756e726c /* "unrl" */
#define BUSY_MS 5000
/* A whole check of the file is worth its time only while that is short. */
#define CHECK_BYTES (64 << 20)

/* migrations[v] takes a file from schema version v to v + 1. */
static const char *const migrations[] = {
	"CREATE TABLE entries (key TEXT NOT NULL UNIQUE, value BLOB NOT NULL,"
	" expires INTEGER);"
	"CREATE INDEX entries_expires ON entries (expires)"
	" WHERE expires IS NOT NULL;",
};
#define SCHEMA_VERSION (int)(sizeof(migrations) / sizeof(*migrations))

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
		return ERROR_UNAVAILABLE;
	case SQLITE_NOMEM:
		return ERROR_NO_MEMORY;
	default:
		return e == ENOSPC || e == EDQUOT ? ERROR_NO_SPACE : ERROR_IO;
	}
}

int sqlite_fail(const struct sqlite *s, sqlite3 *db, int rc, const char *doing,
	struct error *err)
{
	enum error_code code = code_of(db, rc);

	return error_set_param(err, code, "sessions.path",
		"store %s: cannot %s: %s%s", s->path, doing,
		db ? sqlite3_errmsg(db) : sqlite3_errstr(rc),
		code == ERROR_CORRUPT
			? " (the file was left as it is; move it aside to start"
			  " with an empty one)"
			: "");
}

static int run(struct sqlite *s, sqlite3 *db, const char *sql,
	const char *doing, struct error *err)
{
	int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : sqlite_fail(s, db, rc, doing, err);
}

/* The one integer or text that a pragma or a query answers. */
static int ask(struct sqlite *s, sqlite3 *db, const char *sql, int64_t *number,
	char *text, size_t text_size, struct error *err)
{
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
	const unsigned char *t;

	if (rc != SQLITE_OK)
		return sqlite_fail(s, db, rc, "open it", err);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW && number)
		*number = sqlite3_column_int64(stmt, 0);
	if (rc == SQLITE_ROW && text) {
		t = sqlite3_column_text(stmt, 0);
		snprintf(text, text_size, "%s", t ? (const char *)t : "");
	}
	if (rc != SQLITE_ROW)
		sqlite_fail(s, db, rc, "open it", err);
	sqlite3_finalize(stmt);
	return rc == SQLITE_ROW ? 0 : -1;
}

/* Another program's file, or one from the future, is not ours to touch. */
static int check_identity(struct sqlite *s, int64_t *version, struct error *err)
{
	int64_t id = 0, tables = 0;

	if (ask(s, s->writer, "PRAGMA application_id", &id, NULL, 0, err) < 0 ||
		ask(s, s->writer, "PRAGMA user_version", version, NULL, 0,
			err) < 0 ||
		ask(s, s->writer, "SELECT count(*) FROM sqlite_master", &tables,
			NULL, 0, err) < 0)
		return -1;
	if (id != APPLICATION_ID && (id || tables || *version))
		return error_set_param(err, ERROR_UNSUPPORTED, "sessions.path",
			"store %s: is another program's database (application"
			" id %lld, expected %d)",
			s->path, (long long)id, APPLICATION_ID);
	if (*version < 0 || *version > SCHEMA_VERSION)
		return error_set_param(err, ERROR_UNSUPPORTED, "sessions.path",
			"store %s: has schema version %lld, this program knows"
			" up to %d",
			s->path, (long long)*version, SCHEMA_VERSION);
	return 0;
}

static int migrate(struct sqlite *s, struct error *err)
{
	char sql[96];
	int64_t version = 0;

	if (check_identity(s, &version, err) < 0)
		return -1;
	for (; version < SCHEMA_VERSION; version++) {
		snprintf(sql, sizeof(sql),
			"PRAGMA application_id = %d; PRAGMA user_version = %d",
			APPLICATION_ID, (int)version + 1);
		if (run(s, s->writer, "BEGIN IMMEDIATE", "migrate", err) < 0)
			return -1;
		if (run(s, s->writer, migrations[version], "migrate", err) <
				0 ||
			run(s, s->writer, sql, "migrate", err) < 0 ||
			run(s, s->writer, "COMMIT", "migrate", err) < 0) {
			sqlite3_exec(s->writer, "ROLLBACK", NULL, NULL, NULL);
			return -1;
		}
	}
	return 0;
}

static int quick_check(struct sqlite *s, struct error *err)
{
	char verdict[160] = "";
	struct stat st;

	if (stat(s->path, &st) < 0 || st.st_size > CHECK_BYTES)
		return 0;
	if (ask(s, s->writer, "PRAGMA quick_check(1)", NULL, verdict,
		    sizeof(verdict), err) < 0)
		return -1;
	if (strcmp(verdict, "ok") != 0)
		return error_set_param(err, ERROR_CORRUPT, "sessions.path",
			"store %s: is damaged: %s (the file was left as it is;"
			" move it aside to start with an empty one)",
			s->path, verdict);
	return 0;
}

static int take_lock(struct sqlite *s, struct error *err)
{
	char path[4096], pid[24] = "";
	ssize_t n;

	if (snprintf(path, sizeof(path), "%s.lock", s->path) >=
		(int)sizeof(path))
		return error_set_param(err, ERROR_INVALID, "sessions.path",
			"store path of %zu bytes is too long", strlen(s->path));
	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock_fd < 0)
		return error_set_errno(
			err, "store %s: cannot open %s", s->path, path);
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0) {
		n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
		if (ftruncate(s->lock_fd, 0) < 0 ||
			pwrite(s->lock_fd, pid, (size_t)n, 0) != n)
			return error_set_errno(err, "store %s: cannot write %s",
				s->path, path);
		return 0;
	}
	if (errno != EWOULDBLOCK)
		return error_set_errno(
			err, "store %s: cannot lock %s", s->path, path);
	n = pread(s->lock_fd, pid, sizeof(pid) - 1, 0);
	pid[n > 0 ? n : 0] = '\0';
	pid[strcspn(pid, "\n")] = '\0';
	return error_set_param(err, ERROR_CONFLICT, "sessions.path",
		"store %s: another unrolld has it open (process %s)", s->path,
		*pid ? pid : "unknown");
}

/* SQLite gives the -wal and -shm files the mode of the main one. */
static int make_private(struct sqlite *s, struct error *err)
{
	int fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return error_set_errno(err, "store %s: cannot open", s->path);
	if (fchmod(fd, 0600) < 0) {
		error_set_errno(err, "store %s: cannot set mode 0600", s->path);
		close(fd);
		return -1;
	}
	close(fd);
	return 0;
}

static int connect_db(
	struct sqlite *s, sqlite3 **db, int mode, struct error *err)
{
	int rc = sqlite3_open_v2(s->path, db, mode | SQLITE_OPEN_NOMUTEX, NULL);

	if (rc != SQLITE_OK)
		return sqlite_fail(s, *db, rc, "open it", err);
	sqlite3_busy_timeout(*db, BUSY_MS);
	sqlite3_extended_result_codes(*db, 1);
	return 0;
}

static int open_writer(struct sqlite *s, struct error *err)
{
	char mode[16] = "";

	/* Identity first: journal_mode would already write to the file. */
	int64_t version = 0;

	if (connect_db(s, &s->writer, SQLITE_OPEN_READWRITE, err) < 0 ||
		check_identity(s, &version, err) < 0 ||
		ask(s, s->writer, "PRAGMA journal_mode = WAL", NULL, mode,
			sizeof(mode), err) < 0)
		return -1;
	if (strcmp(mode, "wal") != 0)
		return error_set_param(err, ERROR_UNSUPPORTED, "sessions.path",
			"store %s: journal mode is '%s', expected wal (a"
			" network file system?)",
			s->path, mode);
	if (run(s, s->writer, "PRAGMA synchronous = FULL", "open it", err) <
			0 ||
		quick_check(s, err) < 0)
		return -1;
	return migrate(s, err);
}

int sqlite_file_open(struct sqlite *s, struct error *err)
{
	if (take_lock(s, err) < 0 || make_private(s, err) < 0 ||
		open_writer(s, err) < 0)
		return -1;
	return connect_db(s, &s->reader, SQLITE_OPEN_READONLY, err);
}
