/*
 * What a damaged file still holds: its rows are read one by one, in order of
 * their numbers and past those that can't be; the index of keys, which lies on
 * other pages, then says what is missing. Until the new file is whole and
 * synced, the damaged one stays where it is.
 */
#include "store/sqlite_private.h"

#include "base/file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BATCH 256 /* rows in a transaction */
#define BATCH_BYTES (8u << 20)
#define ONE_BY_ONE 256 /* rows tried after an unreadable one, then gaps */
#define LAST_ROW (INT64_MAX / 4)

struct range {
	int64_t first, last;
};

struct survey {
	const char *path;
	sqlite3 *db;
	sqlite3_stmt *row;
	struct sqlite_survey *result;
	struct store *to;
	struct range *ranges; /* [n] of rows that were read, ascending */
	size_t n, room;
	struct store_change batch[BATCH]; /* [filled], keys and values owned */
	size_t filled, bytes;
};

static int flush_batch(struct survey *v, struct error *err)
{
	int result = 0;

	if (v->to && v->filled)
		result = store_apply(v->to, v->batch, v->filled, err);
	for (size_t i = 0; i < v->filled; i++) {
		free((void *)v->batch[i].key);
		free((void *)v->batch[i].value);
	}
	v->filled = v->bytes = 0;
	return result;
}

/* Takes the row that was read. */
static int keep(struct survey *v, struct store_change c, struct error *err)
{
	char *key, *value;

	if (!v->to)
		return 0;
	key = strdup(c.key);
	value = malloc(c.len ? c.len : 1);
	if (!key || !value) {
		free(key);
		free(value);
		return error_set_memory(err, "a row", c.len);
	}
	if (c.len)
		memcpy(value, c.value, c.len);
	c.key = key;
	c.value = value;
	v->batch[v->filled++] = c;
	v->bytes += c.len;
	return v->filled == BATCH || v->bytes > BATCH_BYTES
		       ? flush_batch(v, err)
		       : 0;
}

static int note_row(struct survey *v, int64_t row, struct error *err)
{
	struct range *more;

	v->result->readable++;
	if (v->n && v->ranges[v->n - 1].last == row - 1) {
		v->ranges[v->n - 1].last = row;
		return 0;
	}
	if (v->n == v->room) {
		v->room = v->room ? 2 * v->room : 64;
		more = realloc(v->ranges, v->room * sizeof(*more));
		if (!more)
			return error_set_memory(
				err, "rows", v->room * sizeof(*more));
		v->ranges = more;
	}
	v->ranges[v->n++] = (struct range){ row, row };
	return 0;
}

/* Whether the row that stmt stands on can be read: *c is it, borrowed. */
static bool take_row(sqlite3_stmt *stmt, struct store_change *c)
{
	bool never = sqlite3_column_type(stmt, 3) == SQLITE_NULL;

	*c = (struct store_change){
		.key = (const char *)sqlite3_column_text(stmt, 1),
		.value = sqlite3_column_blob(stmt, 2),
		.len = (size_t)sqlite3_column_bytes(stmt, 2),
		.expires = never ? STORE_NEVER : sqlite3_column_int64(stmt, 3),
	};
	if (!c->key || !*c->key || strlen(c->key) > STORE_KEY_MAX ||
		strchr(c->key, 0xff) ||
		strlen(c->key) != (size_t)sqlite3_column_bytes(stmt, 1))
		return false;
	if (!c->value && c->len)
		return false;
	c->value = c->value ? c->value : "";
	return true;
}

/* The first readable row from *at on, which is then past it. 1, or 0 when there
 * is none left, or -1. */
static int next_row(struct survey *v, int64_t *at, struct error *err)
{
	int64_t gap = 1;

	for (int tries = 0; *at < LAST_ROW; tries++) {
		struct store_change c;
		int64_t row;
		int rc, failed;

		sqlite3_reset(v->row);
		sqlite3_bind_int64(v->row, 1, *at);
		rc = sqlite3_step(v->row);
		if (rc == SQLITE_DONE)
			return 0;
		row = rc == SQLITE_ROW ? sqlite3_column_int64(v->row, 0) : *at;
		if (rc == SQLITE_ROW && row >= *at && take_row(v->row, &c)) {
			*at = row + 1;
			failed = keep(v, c, err) < 0 ||
				 note_row(v, row, err) < 0;
			return failed ? -1 : 1;
		}
		if (tries > ONE_BY_ONE)
			gap *= 2;
		*at += gap;
	}
	return 0;
}

static int read_rows(struct survey *v, struct error *err)
{
	int64_t at = 1; /* rows are numbered from 1; what isn't is damage */
	int rc = sqlite3_prepare_v2(v->db,
		"SELECT rowid, key, value, expires FROM entries"
		" WHERE rowid >= ?1 ORDER BY rowid LIMIT 1",
		-1, &v->row, NULL);

	if (rc != SQLITE_OK)
		return sqlite_fail(v->path, v->db, rc, "read it", err);
	do
		rc = next_row(v, &at, err);
	while (rc > 0);
	sqlite3_finalize(v->row);
	return rc < 0 ? -1 : flush_batch(v, err);
}

static bool was_read(const struct survey *v, int64_t row)
{
	size_t low = 0, high = v->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (v->ranges[middle].last < row)
			low = middle + 1;
		else
			high = middle;
	}
	return low < v->n && v->ranges[low].first <= row;
}

static void name_lost(struct sqlite_survey *v, const char *key)
{
	size_t len = strlen(v->names);
	size_t room = sizeof(v->names) - len;

	v->lost++;
	if (room > strlen(key) + 8)
		snprintf(v->names + len, room, "%s%s", len ? ", " : "", key);
	else if (!strstr(v->names, "…"))
		strcpy(v->names + len, ", …");
}

/* Of a damaged index all that can be said is how many there were. */
static void find_lost(struct survey *v)
{
	int64_t total = 0;
	sqlite3_stmt *q;
	int rc = sqlite3_prepare_v2(v->db,
		"SELECT rowid, key FROM entries ORDER BY key", -1, &q, NULL);

	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		const unsigned char *key;

		rc = sqlite3_step(q);
		if (rc != SQLITE_ROW)
			break;
		key = sqlite3_column_text(q, 1);
		if (key && !was_read(v, sqlite3_column_int64(q, 0)))
			name_lost(v->result, (const char *)key);
	}
	sqlite3_finalize(q);
	if (!sqlite_ask(v->path, v->db, "SELECT sum(n) FROM counts", &total,
		    NULL, 0, NULL) &&
		total > 0 &&
		(uint64_t)total > v->result->readable + v->result->lost)
		v->result->lost = (uint64_t)total - v->result->readable;
}

int sqlite_survey(const char *path, struct sqlite_survey *result,
	struct store *to, struct error *err)
{
	struct survey v = { .path = path, .result = result, .to = to };
	int rc;

	*result = (struct sqlite_survey){ 0 };
	rc = sqlite_connect(path, &v.db, SQLITE_OPEN_READONLY, err);
	if (!rc)
		rc = read_rows(&v, err);
	if (!rc)
		find_lost(&v);
	v.to = NULL;
	flush_batch(&v, NULL); /* what a failure left */
	sqlite3_close(v.db);
	free(v.ranges);
	return rc;
}

static int move(const char *from, const char *to, struct error *err)
{
	if (rename(from, to) == 0 || errno == ENOENT)
		return 0;
	return error_set_errno(err, "cannot rename %s to %s", from, to);
}

static int name_aside(const char *path, const char *why, char *aside,
	size_t size, struct error *err)
{
	time_t now = time(NULL);
	char stamp[24];
	struct tm t;

	gmtime_r(&now, &t);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &t);
	for (int i = 0; i < 100; i++) {
		/* No two of one second. */
		int n = snprintf(aside, size, i ? "%s.%s-%s-%d" : "%s.%s-%s",
			path, why, stamp, i);

		if (n < 0 || (size_t)n >= size)
			return error_set_param(err, ERROR_INVALID,
				"sessions.path",
				"store path of %zu bytes is too long",
				strlen(path));
		if (access(aside, F_OK) < 0)
			return 0;
	}
	return error_set(err, ERROR_CONFLICT, "%s: exists already", aside);
}

int sqlite_make_way(const char *path, const char *why, char *aside, size_t size,
	struct error *err)
{
	char from[4200], to[4200];

	if (access(path, F_OK) < 0) {
		*aside = '\0';
		return 0;
	}
	if (name_aside(path, why, aside, size, err) < 0)
		return -1;
	if (link(path, aside) < 0 && move(path, aside, err) < 0)
		return -1;
	snprintf(from, sizeof(from), "%s-wal", path);
	snprintf(to, sizeof(to), "%s-wal", aside);
	if (move(from, to, err) < 0)
		return -1;
	snprintf(from, sizeof(from), "%s-shm", path);
	unlink(from);
	return 0;
}

/* Its log has to be empty before it takes another's place. */
static int flush_log(const char *path, struct error *err)
{
	sqlite3 *db;
	int result = sqlite_connect(path, &db, SQLITE_OPEN_READWRITE, err);

	if (!result)
		result = sqlite_run(path, db, "PRAGMA wal_checkpoint(TRUNCATE)",
			"write it", err);
	sqlite3_close(db);
	return result;
}

/* What stands beside a file while it is open. */
static void unlink_beside(const char *path)
{
	static const char *const ends[] = { "-wal", "-shm", ".lock" };
	char name[4200];

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(name, sizeof(name), "%s%s", path, ends[i]);
		unlink(name);
	}
}

static int copy_readable(const char *path, const char *fresh,
	struct sqlite_survey *v, struct error *err)
{
	const struct store_options o = { .path = fresh };
	struct store *to;
	int result;

	/* Of a try that did not end. */
	unlink(fresh);
	unlink_beside(fresh);
	if (store_open(&to, "sqlite", &o, err) < 0)
		return -1;
	result = sqlite_survey(path, v, to, err);
	/* A file that has no table to read from is replaced by an empty one. */
	if (result < 0 && err->code == ERROR_CORRUPT) {
		*err = (struct error){ 0 };
		result = 0;
	}
	store_close(to);
	return result < 0 ? -1 : flush_log(fresh, err);
}

int sqlite_salvage(const char *path, struct sqlite_survey *v, char *aside,
	size_t size, struct error *err)
{
	char fresh[4096];
	int result;

	snprintf(fresh, sizeof(fresh), "%s.salvage", path);
	result = copy_readable(path, fresh, v, err);
	if (!result)
		result = sqlite_make_way(path, "damaged", aside, size, err);
	if (!result)
		result = move(fresh, path, err);
	if (!result)
		result = file_sync_directory(path, err);
	if (result < 0)
		unlink(fresh);
	unlink_beside(fresh);
	return result;
}
