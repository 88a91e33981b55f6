/*
 * A store in one SQLite file: WAL, synchronous = FULL, two connections. The
 * first belongs to the one thread that applies and expires; the second reads,
 * under a mutex. A lock file keeps a second daemon away.
 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
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

#define ALIVE "(expires IS NULL OR expires > ?2)"

enum statement { BEGIN, COMMIT, ROLLBACK, PUT, DELETE, EXPIRE, N_WRITES };
static const char *const write_sql[N_WRITES] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[PUT] = "INSERT INTO entries (key, value, expires) VALUES (?1, ?2, ?3)"
		" ON CONFLICT (key) DO UPDATE SET value = excluded.value,"
		" expires = excluded.expires",
	[DELETE] = "DELETE FROM entries WHERE key = ?1",
	[EXPIRE] = "DELETE FROM entries WHERE rowid IN"
		   " (SELECT rowid FROM entries WHERE expires <= ?1 LIMIT ?2)",
};

enum query { GET, LIST, COUNT, N_READS };
static const char *const read_sql[N_READS] = {
	[GET] = "SELECT value FROM entries WHERE key = ?1 AND " ALIVE,
	[LIST] = "SELECT key, value, expires FROM entries WHERE key >= ?1"
		 " AND key < ?3 AND key <> ?4 AND " ALIVE
		 " ORDER BY key LIMIT ?5",
	[COUNT] = "SELECT count(*) FROM entries WHERE key >= ?1 AND key < ?3"
		  " AND " ALIVE,
};

struct sqlite {
	struct store store;
	char *path;
	int lock_fd;
	sqlite3 *writer;
	sqlite3_stmt *writes[N_WRITES];
	pthread_mutex_t read_lock;
	sqlite3 *reader;
	sqlite3_stmt *reads[N_READS];
};

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

static int fail(const struct sqlite *s, sqlite3 *db, int rc, const char *doing,
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

	return rc == SQLITE_OK ? 0 : fail(s, db, rc, doing, err);
}

/* The one integer or text that a pragma or a query answers. */
static int ask(struct sqlite *s, sqlite3 *db, const char *sql, int64_t *number,
	char *text, size_t text_size, struct error *err)
{
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
	const unsigned char *t;

	if (rc != SQLITE_OK)
		return fail(s, db, rc, "open it", err);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW && number)
		*number = sqlite3_column_int64(stmt, 0);
	if (rc == SQLITE_ROW && text) {
		t = sqlite3_column_text(stmt, 0);
		snprintf(text, text_size, "%s", t ? (const char *)t : "");
	}
	if (rc != SQLITE_ROW)
		fail(s, db, rc, "open it", err);
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
	char verdict[160];
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
		return fail(s, *db, rc, "open it", err);
	sqlite3_busy_timeout(*db, BUSY_MS);
	sqlite3_extended_result_codes(*db, 1);
	return 0;
}

static int prepare(struct sqlite *s, sqlite3 *db, const char *const *sql,
	sqlite3_stmt **stmts, size_t n, struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		int rc = sqlite3_prepare_v3(db, sql[i], -1,
			SQLITE_PREPARE_PERSISTENT, &stmts[i], NULL);

		if (rc != SQLITE_OK)
			return fail(s, db, rc, "open it", err);
	}
	return 0;
}

static int open_writer(struct sqlite *s, struct error *err)
{
	char mode[16];

	/* Identity first: journal_mode would already write to the file. */
	int64_t version;

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
		quick_check(s, err) < 0 || migrate(s, err) < 0)
		return -1;
	return prepare(s, s->writer, write_sql, s->writes, N_WRITES, err);
}

static void sqlite_close(struct store *store)
{
	struct sqlite *s = (struct sqlite *)store;

	for (size_t i = 0; i < N_READS; i++)
		sqlite3_finalize(s->reads[i]);
	for (size_t i = 0; i < N_WRITES; i++)
		sqlite3_finalize(s->writes[i]);
	sqlite3_close(s->reader);
	sqlite3_close(s->writer); /* the last one checkpoints the WAL */
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	pthread_mutex_destroy(&s->read_lock);
	free(s->path);
	free(s);
}

static int sqlite_open(
	struct store **store, const struct store_options *o, struct error *err)
{
	struct sqlite *s;

	if (!o->path || !*o->path)
		return error_set_param(err, ERROR_INVALID, "sessions.path",
			"store sqlite needs a path");
	s = calloc(1, sizeof(*s));
	if (!s)
		return error_set_memory(err, "sqlite store", sizeof(*s));
	s->store.ops = &store_sqlite;
	s->lock_fd = -1;
	pthread_mutex_init(&s->read_lock, NULL);
	s->path = strdup(o->path);
	if (!s->path) {
		error_set_memory(err, "sqlite store", strlen(o->path));
		goto fail;
	}
	if (take_lock(s, err) < 0 || make_private(s, err) < 0 ||
		open_writer(s, err) < 0 ||
		connect_db(s, &s->reader, SQLITE_OPEN_READONLY, err) < 0 ||
		prepare(s, s->reader, read_sql, s->reads, N_READS, err) < 0)
		goto fail;
	*store = &s->store;
	return 0;
fail:
	sqlite_close(&s->store);
	return -1;
}

static int sqlite_get(struct store *store, const char *key, int64_t now,
	struct buf *value, struct error *err)
{
	struct sqlite *s = (struct sqlite *)store;
	sqlite3_stmt *q = s->reads[GET];
	int rc, result = 0;

	pthread_mutex_lock(&s->read_lock);
	sqlite3_bind_text(q, 1, key, -1, SQLITE_STATIC);
	sqlite3_bind_int64(q, 2, now);
	rc = sqlite3_step(q);
	if (rc == SQLITE_DONE)
		result = error_set(err, ERROR_NOT_FOUND,
			"store %s: no entry '%s'", s->path, key);
	else if (rc != SQLITE_ROW)
		result = fail(s, s->reader, rc, "read", err);
	else if (buf_append(value, sqlite3_column_blob(q, 0),
			 (size_t)sqlite3_column_bytes(q, 0)) < 0)
		result = error_set(err, ERROR_TOO_LARGE,
			"store %s: entry '%s' has %d bytes, more than %zu",
			s->path, key, sqlite3_column_bytes(q, 0), value->max);
	sqlite3_reset(q);
	sqlite3_clear_bindings(q);
	pthread_mutex_unlock(&s->read_lock);
	return result;
}

/* The first key past all that start with prefix. Keys hold no 0xff. */
static void range_end(const char *prefix, char end[STORE_KEY_MAX + 2])
{
	int len = snprintf(end, STORE_KEY_MAX + 2, "%s\xff", prefix);

	if (len > STORE_KEY_MAX + 1)
		end[0] = '\0'; /* no key is that long: an empty range */
}

static int sqlite_list(struct store *store, const char *prefix,
	const char *after, size_t limit, int64_t now, store_row_fn *fn,
	void *arg, struct error *err)
{
	struct sqlite *s = (struct sqlite *)store;
	sqlite3_stmt *q = s->reads[LIST];
	char end[STORE_KEY_MAX + 2];
	int rc, result = 0;

	range_end(prefix, end);
	pthread_mutex_lock(&s->read_lock);
	/* One lower bound, so that a deep page seeks as a first one does. */
	sqlite3_bind_text(q, 1, strcmp(after, prefix) > 0 ? after : prefix, -1,
		SQLITE_STATIC);
	sqlite3_bind_int64(q, 2, now);
	sqlite3_bind_text(q, 3, end, -1, SQLITE_STATIC);
	sqlite3_bind_text(q, 4, after, -1, SQLITE_STATIC);
	sqlite3_bind_int64(
		q, 5, limit > INT64_MAX ? INT64_MAX : (int64_t)limit);
	while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
		bool never = sqlite3_column_type(q, 2) == SQLITE_NULL;

		if (fn(arg, (const char *)sqlite3_column_text(q, 0),
			    sqlite3_column_blob(q, 1),
			    (size_t)sqlite3_column_bytes(q, 1),
			    never ? STORE_NEVER : sqlite3_column_int64(q, 2)))
			break;
	}
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		result = fail(s, s->reader, rc, "list", err);
	sqlite3_reset(q);
	sqlite3_clear_bindings(q);
	pthread_mutex_unlock(&s->read_lock);
	return result;
}

static int sqlite_count(struct store *store, const char *prefix, int64_t now,
	uint64_t *n, struct error *err)
{
	struct sqlite *s = (struct sqlite *)store;
	sqlite3_stmt *q = s->reads[COUNT];
	char end[STORE_KEY_MAX + 2];
	int rc;

	range_end(prefix, end);
	pthread_mutex_lock(&s->read_lock);
	sqlite3_bind_text(q, 1, prefix, -1, SQLITE_STATIC);
	sqlite3_bind_int64(q, 2, now);
	sqlite3_bind_text(q, 3, end, -1, SQLITE_STATIC);
	rc = sqlite3_step(q);
	if (rc == SQLITE_ROW)
		*n = (uint64_t)sqlite3_column_int64(q, 0);
	else
		fail(s, s->reader, rc, "count", err);
	sqlite3_reset(q);
	sqlite3_clear_bindings(q);
	pthread_mutex_unlock(&s->read_lock);
	return rc == SQLITE_ROW ? 0 : -1;
}

static int step(struct sqlite *s, enum statement which, struct error *err)
{
	sqlite3_stmt *q = s->writes[which];
	int rc = sqlite3_step(q);
	int result = 0;

	if (rc != SQLITE_DONE && rc != SQLITE_ROW)
		result = fail(s, s->writer, rc, "write", err);
	sqlite3_reset(q);
	return result;
}

static int change(
	struct sqlite *s, const struct store_change *c, struct error *err)
{
	enum statement which = c->value ? PUT : DELETE;
	sqlite3_stmt *q = s->writes[which];
	int result;

	sqlite3_bind_text(q, 1, c->key, -1, SQLITE_STATIC);
	if (c->value) {
		sqlite3_bind_blob64(q, 2, c->value, c->len, SQLITE_STATIC);
		if (c->expires == STORE_NEVER)
			sqlite3_bind_null(q, 3);
		else
			sqlite3_bind_int64(q, 3, c->expires);
	}
	result = step(s, which, err);
	sqlite3_clear_bindings(q);
	return result;
}

/* A full disk may have rolled back already: only an open one is ended. */
static int roll_back(struct sqlite *s)
{
	if (!sqlite3_get_autocommit(s->writer))
		step(s, ROLLBACK, NULL);
	return -1;
}

static int sqlite_apply(struct store *store, const struct store_change *changes,
	size_t n, struct error *err)
{
	struct sqlite *s = (struct sqlite *)store;

	if (step(s, BEGIN, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (change(s, &changes[i], err) < 0)
			return roll_back(s);
	if (step(s, COMMIT, err) < 0)
		return roll_back(s);
	return 0;
}

static int sqlite_expire(struct store *store, int64_t now, size_t limit,
	size_t *removed, struct error *err)
{
	struct sqlite *s = (struct sqlite *)store;
	sqlite3_stmt *q = s->writes[EXPIRE];

	*removed = 0;
	sqlite3_bind_int64(q, 1, now);
	sqlite3_bind_int64(
		q, 2, limit > INT64_MAX ? INT64_MAX : (int64_t)limit);
	if (step(s, EXPIRE, err) < 0)
		return -1;
	*removed = (size_t)sqlite3_changes(s->writer);
	return 0;
}

const struct store_ops store_sqlite = {
	.name = "sqlite",
	.open = sqlite_open,
	.close = sqlite_close,
	.get = sqlite_get,
	.list = sqlite_list,
	.count = sqlite_count,
	.apply = sqlite_apply,
	.expire = sqlite_expire,
};
