/*
 * A store in one SQLite file: WAL, synchronous = FULL, two connections. The
 * writer belongs to the one thread that applies, expires and tends; the reader
 * is shared under a mutex.
 *
 *   CLOSED -> OPEN [open_now, at sqlite_open or, if patient, at any later call]
 */
#include "store/sqlite_private.h"

#include "base/log.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RETRY_MS 500

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
	[ADD] = "INSERT INTO counts (kind, n) VALUES (?1, ?2)"
		" ON CONFLICT (kind) DO UPDATE SET n = n + excluded.n",
};

static const char *const read_sql[N_READS] = {
	[GET] = "SELECT value FROM entries WHERE key = ?1 AND " ALIVE,
	[LIST] = "SELECT key, value, expires FROM entries WHERE key >= ?1"
		 " AND key < ?3 AND key <> ?4 AND " ALIVE
		 " ORDER BY key LIMIT ?5",
	/* Both are answered by an index alone. */
	[COUNT] = "SELECT count(*) FROM entries WHERE key >= ?1 AND key < ?2",
	[COUNT_EXPIRED] = "SELECT count(*) FROM entries"
			  " INDEXED BY entries_expires WHERE expires <= ?3"
			  " AND key >= ?1 AND key < ?2",
	[COUNT_KIND] = "SELECT n FROM counts WHERE kind = ?1",
	[BYTES] = "SELECT (page_count - freelist_count) * page_size FROM"
		  " pragma_page_count, pragma_freelist_count, pragma_page_size",
};

static int fail(struct sqlite *s, sqlite3 *db, int rc, const char *doing,
	struct error *err)
{
	return sqlite_fail(s->options.path, db, rc, doing, err);
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

static int on_commit(void *arg, sqlite3 *db, const char *name, int pages)
{
	((struct sqlite *)arg)->wal_pages = pages;
	return SQLITE_OK;
}

/* The last connection to go moves the WAL. */
static void disconnect(struct sqlite *s)
{
	for (size_t i = 0; i < N_READS; i++) {
		sqlite3_finalize(s->reads[i]);
		s->reads[i] = NULL;
	}
	for (size_t i = 0; i < N_WRITES; i++) {
		sqlite3_finalize(s->writes[i]);
		s->writes[i] = NULL;
	}
	sqlite3_close(s->reader);
	sqlite3_close(s->writer);
	s->reader = s->writer = NULL;
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	s->lock_fd = -1;
}

/* With open_lock held. */
static int open_now(struct sqlite *s, struct error *err)
{
	if (sqlite_file_open(s, err) < 0 ||
		prepare(s, s->writer, write_sql, s->writes, N_WRITES, err) <
			0 ||
		prepare(s, s->reader, read_sql, s->reads, N_READS, err) < 0) {
		disconnect(s);
		return -1;
	}
	sqlite3_wal_hook(s->writer, on_commit, s);
	atomic_store(&s->open, true);
	return 0;
}

/* Before anything that needs the connections. Any thread. */
static int be_open(struct sqlite *s, struct error *err)
{
	int64_t now = store_now();
	int result = 0;

	if (atomic_load(&s->open))
		return 0;
	pthread_mutex_lock(&s->open_lock);
	if (!atomic_load(&s->open) &&
		(now < s->tried || now >= s->tried + RETRY_MS)) {
		s->tried = now;
		if (open_now(s, &s->closed) == 0)
			log_info("the store can be written now",
				log_text("path", s->options.path));
	}
	if (!atomic_load(&s->open)) {
		result = -1;
		if (err)
			*err = s->closed;
	}
	pthread_mutex_unlock(&s->open_lock);
	return result;
}

static void sqlite_close(struct store *store)
{
	struct sqlite *s = (struct sqlite *)store;

	disconnect(s);
	pthread_mutex_destroy(&s->read_lock);
	pthread_mutex_destroy(&s->open_lock);
	free((void *)s->options.path);
	free(s);
}

static bool will_pass(const struct error *err)
{
	return err->code == ERROR_NO_SPACE || err->code == ERROR_UNAVAILABLE;
}

static int sqlite_open(
	struct store **store, const struct store_options *o, struct error *err)
{
	struct error why = { 0 };
	struct sqlite *s;

	if (!o->path || !*o->path)
		return error_set_param(err, ERROR_INVALID, "sessions.path",
			"store sqlite needs a path");
	s = calloc(1, sizeof(*s));
	if (!s)
		return error_set_memory(err, "sqlite store", sizeof(*s));
	s->store.ops = &store_sqlite;
	s->options = *o;
	s->options.path = strdup(o->path);
	s->lock_fd = -1;
	pthread_mutex_init(&s->read_lock, NULL);
	pthread_mutex_init(&s->open_lock, NULL);
	if (!s->options.path) {
		error_set_memory(&why, "sqlite store", strlen(o->path));
	} else if (open_now(s, &why) == 0) {
		*store = &s->store;
		return 0;
	} else if (o->patient && will_pass(&why)) {
		log_error("the store can't be opened; it is tried again when "
			  "it is needed",
			log_fault(&why));
		s->closed = why;
		s->tried = store_now();
		*store = &s->store;
		return 0;
	}
	if (err)
		*err = why;
	sqlite_close(&s->store);
	return -1;
}

static int sqlite_get(struct store *store, const char *key, int64_t now,
	struct buf *value, struct error *err)
{
	struct sqlite *s = (struct sqlite *)store;
	sqlite3_stmt *q;
	int rc, result = 0;

	if (be_open(s, err) < 0)
		return -1;
	q = s->reads[GET];
	pthread_mutex_lock(&s->read_lock);
	sqlite3_bind_text(q, 1, key, -1, SQLITE_STATIC);
	sqlite3_bind_int64(q, 2, now);
	rc = sqlite3_step(q);
	if (rc == SQLITE_DONE)
		result = error_set(err, ERROR_NOT_FOUND,
			"store %s: no entry '%s'", s->options.path, key);
	else if (rc != SQLITE_ROW)
		result = fail(s, s->reader, rc, "read", err);
	else if (buf_append(value, sqlite3_column_blob(q, 0),
			 (size_t)sqlite3_column_bytes(q, 0)) < 0)
		result = error_set(err, ERROR_TOO_LARGE,
			"store %s: entry '%s' has %d bytes, more than %zu",
			s->options.path, key, sqlite3_column_bytes(q, 0),
			value->max);
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
	sqlite3_stmt *q;
	char end[STORE_KEY_MAX + 2];
	int rc, result = 0;

	if (be_open(s, err) < 0)
		return -1;
	q = s->reads[LIST];
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

/* Up to its first slash, that included; "" without one. */
static size_t kind_length(const char *key)
{
	const char *slash = strchr(key, '/');

	return slash ? (size_t)(slash - key) + 1 : 0;
}

/* With read_lock held. *n stays where there is no row. */
static int ask_count(struct sqlite *s, enum sqlite_read which,
	const char *prefix, int64_t now, int64_t *n, struct error *err)
{
	sqlite3_stmt *q = s->reads[which];
	char end[STORE_KEY_MAX + 2];
	int rc, result = 0;

	range_end(prefix, end);
	sqlite3_bind_text(q, 1, prefix, -1, SQLITE_STATIC);
	if (which != COUNT_KIND)
		sqlite3_bind_text(q, 2, end, -1, SQLITE_STATIC);
	if (which == COUNT_EXPIRED)
		sqlite3_bind_int64(q, 3, now);
	rc = sqlite3_step(q);
	if (rc == SQLITE_ROW)
		*n = sqlite3_column_int64(q, 0);
	else if (rc != SQLITE_DONE)
		result = fail(s, s->reader, rc, "count", err);
	sqlite3_reset(q);
	sqlite3_clear_bindings(q);
	return result;
}

/* All of a kind are counted as they come and go, what was not swept yet is
 * found by its index: neither takes longer with more entries. */
static int sqlite_count(struct store *store, const char *prefix, int64_t now,
	uint64_t *n, struct error *err)
{
	struct sqlite *s = (struct sqlite *)store;
	bool kind = *prefix && kind_length(prefix) == strlen(prefix);
	int64_t all = 0, expired = 0;
	int result;

	if (be_open(s, err) < 0)
		return -1;
	pthread_mutex_lock(&s->read_lock);
	sqlite3_exec(s->reader, "BEGIN", NULL, NULL, NULL); /* one snapshot */
	result =
		ask_count(s, kind ? COUNT_KIND : COUNT, prefix, now, &all, err);
	if (!result)
		result =
			ask_count(s, COUNT_EXPIRED, prefix, now, &expired, err);
	sqlite3_exec(s->reader, "COMMIT", NULL, NULL, NULL);
	pthread_mutex_unlock(&s->read_lock);
	*n = all > expired ? (uint64_t)(all - expired) : 0;
	return result;
}

static int step(struct sqlite *s, enum sqlite_write which, struct error *err)
{
	sqlite3_stmt *q = s->writes[which];
	int rc = sqlite3_step(q);
	int result = 0;

	if (rc != SQLITE_DONE && rc != SQLITE_ROW)
		result = fail(s, s->writer, rc, "write", err);
	sqlite3_reset(q);
	return result;
}

/* Bring the counts up to what was changed in this transaction. */
static int settle(struct sqlite *s, struct error *err)
{
	sqlite3_stmt *q = s->writes[ADD];
	int result = 0;

	if (!s->added)
		return 0;
	sqlite3_bind_text(q, 1, s->kind, -1, SQLITE_STATIC);
	sqlite3_bind_int64(q, 2, s->added);
	result = step(s, ADD, err);
	sqlite3_clear_bindings(q);
	s->added = 0;
	return result;
}

static int count_row(
	struct sqlite *s, const char *key, int64_t by, struct error *err)
{
	size_t len = kind_length(key);

	if (strncmp(s->kind, key, len) != 0 || s->kind[len]) {
		if (settle(s, err) < 0)
			return -1;
		memcpy(s->kind, key, len);
		s->kind[len] = '\0';
	}
	s->added += by;
	return 0;
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
		/* An update leaves it at 0. */
		sqlite3_set_last_insert_rowid(s->writer, 0);
	}
	result = step(s, which, err);
	sqlite3_clear_bindings(q);
	if (result < 0)
		return -1;
	if (c->value && sqlite3_last_insert_rowid(s->writer))
		return count_row(s, c->key, 1, err);
	if (!c->value && sqlite3_changes(s->writer))
		return count_row(s, c->key, -1, err);
	return 0;
}

/* A full disk may have rolled back already: only an open one is ended. */
static int roll_back(struct sqlite *s)
{
	s->added = 0;
	if (!sqlite3_get_autocommit(s->writer))
		step(s, ROLLBACK, NULL);
	return -1;
}

static int begin(struct sqlite *s, struct error *err)
{
	return be_open(s, err) < 0 ? -1 : step(s, BEGIN, err);
}

static int commit(struct sqlite *s, struct error *err)
{
	if (settle(s, err) < 0 || step(s, COMMIT, err) < 0)
		return roll_back(s);
	return 0;
}

static int sqlite_apply(struct store *store, const struct store_change *changes,
	size_t n, struct error *err)
{
	struct sqlite *s = (struct sqlite *)store;

	if (begin(s, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (change(s, &changes[i], err) < 0)
			return roll_back(s);
	return commit(s, err);
}

static int sqlite_expire(struct store *store, int64_t now, size_t limit,
	struct buf *keys, size_t *removed, struct error *err)
{
	struct sqlite *s = (struct sqlite *)store;
	sqlite3_stmt *q;
	size_t kept = keys ? keys->len : 0;
	int rc, result = 0;

	*removed = 0;
	if (begin(s, err) < 0)
		return -1;
	q = s->writes[EXPIRE];
	sqlite3_bind_int64(q, 1, now);
	sqlite3_bind_int64(
		q, 2, limit > INT64_MAX ? INT64_MAX : (int64_t)limit);
	while (!result && (rc = sqlite3_step(q)) == SQLITE_ROW) {
		const char *key = (const char *)sqlite3_column_text(q, 0);

		result = count_row(s, key, -1, err);
		if (keys)
			buf_append(keys, key, strlen(key) + 1);
		++*removed;
	}
	if (!result && rc != SQLITE_DONE)
		result = fail(s, s->writer, rc, "expire", err);
	sqlite3_reset(q);
	if (result < 0 || commit(s, err) < 0) {
		*removed = 0;
		if (keys)
			keys->len = kept;
		return roll_back(s);
	}
	return 0;
}

static int sqlite_bytes(struct store *store, uint64_t *n, struct error *err)
{
	struct sqlite *s = (struct sqlite *)store;
	sqlite3_stmt *q;
	int rc;

	if (be_open(s, err) < 0)
		return -1;
	q = s->reads[BYTES];
	pthread_mutex_lock(&s->read_lock);
	rc = sqlite3_step(q);
	if (rc == SQLITE_ROW)
		*n = (uint64_t)sqlite3_column_int64(q, 0);
	else
		fail(s, s->reader, rc, "read", err);
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
	.tend = sqlite_tend,
};
