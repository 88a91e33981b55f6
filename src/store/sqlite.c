/*
 * A store in one SQLite file: WAL, synchronous = FULL, two connections. The
 * writer belongs to the one thread that applies and expires; the reader is
 * shared under a mutex.
 */
#include "store/sqlite_private.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ALIVE "(expires IS NULL OR expires > ?2)"

static const char *const write_sql[N_WRITES] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[PUT] = "INSERT INTO entries (key, value, expires) VALUES (?1, ?2, ?3)"
		" ON CONFLICT (key) DO UPDATE SET value = excluded.value,"
		" expires = excluded.expires",
	[DELETE] = "DELETE FROM entries WHERE key = ?1",
	[EXPIRE] = "DELETE FROM entries WHERE rowid IN"
		   " (SELECT rowid FROM entries WHERE expires <= ?1 LIMIT ?2)"
		   " RETURNING key",
};

static const char *const read_sql[N_READS] = {
	[GET] = "SELECT value FROM entries WHERE key = ?1 AND " ALIVE,
	[LIST] = "SELECT key, value, expires FROM entries WHERE key >= ?1"
		 " AND key < ?3 AND key <> ?4 AND " ALIVE
		 " ORDER BY key LIMIT ?5",
	[COUNT] = "SELECT count(*) FROM entries WHERE key >= ?1 AND key < ?3"
		  " AND " ALIVE,
	[BYTES] = "SELECT (page_count - freelist_count) * page_size FROM"
		  " pragma_page_count, pragma_freelist_count, pragma_page_size",
};

static int prepare(struct sqlite *s, sqlite3 *db, const char *const *sql,
	sqlite3_stmt **stmts, size_t n, struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		int rc = sqlite3_prepare_v3(db, sql[i], -1,
			SQLITE_PREPARE_PERSISTENT, &stmts[i], NULL);

		if (rc != SQLITE_OK)
			return sqlite_fail(s, db, rc, "open it", err);
	}
	return 0;
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
	if (sqlite_file_open(s, err) < 0 ||
		prepare(s, s->writer, write_sql, s->writes, N_WRITES, err) <
			0 ||
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
		result = sqlite_fail(s, s->reader, rc, "read", err);
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
		result = sqlite_fail(s, s->reader, rc, "list", err);
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
		sqlite_fail(s, s->reader, rc, "count", err);
	sqlite3_reset(q);
	sqlite3_clear_bindings(q);
	pthread_mutex_unlock(&s->read_lock);
	return rc == SQLITE_ROW ? 0 : -1;
}

static int step(struct sqlite *s, enum sqlite_write which, struct error *err)
{
	sqlite3_stmt *q = s->writes[which];
	int rc = sqlite3_step(q);
	int result = 0;

	if (rc != SQLITE_DONE && rc != SQLITE_ROW)
		result = sqlite_fail(s, s->writer, rc, "write", err);
	sqlite3_reset(q);
	return result;
}

static int change(
	struct sqlite *s, const struct store_change *c, struct error *err)
{
	enum sqlite_write which = c->value ? PUT : DELETE;
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
	struct buf *keys, size_t *removed, struct error *err)
{
	struct sqlite *s = (struct sqlite *)store;
	sqlite3_stmt *q = s->writes[EXPIRE];
	int rc;

	*removed = 0;
	sqlite3_bind_int64(q, 1, now);
	sqlite3_bind_int64(
		q, 2, limit > INT64_MAX ? INT64_MAX : (int64_t)limit);
	while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
		++*removed;
		if (keys)
			buf_append(keys, sqlite3_column_text(q, 0),
				(size_t)sqlite3_column_bytes(q, 0) + 1);
	}
	if (rc != SQLITE_DONE)
		sqlite_fail(s, s->writer, rc, "write", err);
	sqlite3_reset(q);
	return rc == SQLITE_DONE ? 0 : -1;
}

static int sqlite_bytes(struct store *store, uint64_t *n, struct error *err)
{
	struct sqlite *s = (struct sqlite *)store;
	sqlite3_stmt *q = s->reads[BYTES];
	int rc;

	pthread_mutex_lock(&s->read_lock);
	rc = sqlite3_step(q);
	if (rc == SQLITE_ROW)
		*n = (uint64_t)sqlite3_column_int64(q, 0);
	else
		sqlite_fail(s, s->reader, rc, "read", err);
	sqlite3_reset(q);
	pthread_mutex_unlock(&s->read_lock);
	return rc == SQLITE_ROW ? 0 : -1;
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
	.bytes = sqlite_bytes,
};
