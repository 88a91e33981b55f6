/*
 * One SQLite file, worked on by several sources: sqlite.c reads and writes it,
 * sqlite_file.c opens it, sqlite_schema.c makes and migrates its tables,
 * sqlite_salvage.c saves what a damaged one still holds.
 *
 *   entries (key, value, expires): values lie in order of arrival, so that
 *     random keys cost a page of the index and not one of the values
 *   counts (kind, n): rows by their key up to its first slash
 */
#ifndef STORE_SQLITE_PRIVATE_H
#define STORE_SQLITE_PRIVATE_H

#include "store/store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

enum sqlite_write {
	BEGIN,
	COMMIT,
	ROLLBACK,
	PUT,
	DELETE,
	EXPIRE,
	ADD,
	N_WRITES
};
enum sqlite_read {
	GET,
	LIST,
	COUNT,
	COUNT_KIND,
	COUNT_EXPIRED,
	BYTES,
	N_READS
};

struct sqlite {
	struct store store;
	struct store_options options; /* path is owned */
	int lock_fd;

	pthread_mutex_t open_lock; /* guards these three */
	int64_t tried;		   /* to open: Unix milliseconds */
	struct error closed;	   /* why it is not open */
	atomic_bool open;	   /* read without the lock */

	/* The writing thread's, once open. */
	sqlite3 *writer;
	sqlite3_stmt *writes[N_WRITES];
	int wal_pages; /* in the WAL */
	int wal_wait;  /* from so many on readers are waited for */
	char kind[STORE_KEY_MAX + 1]; /* that `added` is about */
	int64_t added;		      /* rows, not in counts yet */

	pthread_mutex_t read_lock; /* guards these */
	sqlite3 *reader;
	sqlite3_stmt *reads[N_READS];
};

/* A new key dirties a page of its index: small ones, then. */
#define SQLITE_PAGE 4096
#define SQLITE_ID 0x756e726c /* application_id: "unrl" */
#define SQLITE_BUSY_MS 5000

/* Fills err from what SQLite says; `doing` is a verb. Returns -1. */
int sqlite_fail(const char *path, sqlite3 *db, int rc, const char *doing,
	struct error *err);
int sqlite_run(const char *path, sqlite3 *db, const char *sql,
	const char *doing, struct error *err);
/* The one integer or text (either may be NULL) that a pragma or query answers.
 */
int sqlite_ask(const char *path, sqlite3 *db, const char *sql, int64_t *number,
	char *text, size_t text_size, struct error *err);
int sqlite_connect(
	const char *path, sqlite3 **db, int flags, struct error *err);

/* Lock, open, check and migrate: lock_fd, writer and reader are set, as far as
 * it got. */
int sqlite_file_open(struct sqlite *s, struct error *err);
/* Hold PATH.lock: *fd, for close. ERROR_CONFLICT when another process does. */
int sqlite_file_lock(const char *path, int *fd, struct error *err);
/* Whether it is ours to touch: *version gets its schema's. */
int sqlite_identity(
	const char *path, sqlite3 *db, int64_t *version, struct error *err);
/* SQLite's check of pages and order. For `milliseconds` at most, 0 = to the
 * end. ERROR_CORRUPT with what it found first. */
int sqlite_check(
	const char *path, sqlite3 *db, int64_t milliseconds, struct error *err);

int sqlite_tend(struct store *store, bool idle, struct error *err);

extern const int sqlite_version; /* of the schema that this program writes */
int sqlite_migrate(const char *path, sqlite3 *db, struct error *err);

/* What a damaged file still holds. */
struct sqlite_survey {
	uint64_t readable, lost; /* rows; lost as far as is known */
	char names[256];	 /* of lost keys, the first few */
};
/* Reads all rows that can be read, and puts each into `to` unless that is NULL.
 * ERROR_CORRUPT when the file has nothing to read rows from. */
int sqlite_survey(const char *path, struct sqlite_survey *v, struct store *to,
	struct error *err);
/* Rename a damaged file and its WAL to `aside`; what could be read of them is
 * then at path. The lock is held by the caller. */
int sqlite_salvage(const char *path, struct sqlite_survey *v, char *aside,
	size_t size, struct error *err);
/* Give the file and its WAL a second name, PATH.WHY-TIME: whatever is then
 * renamed to path replaces them in one step, and a crash before leaves the old
 * file in both places. `aside` gets the name, "" where there is no file. */
int sqlite_make_way(const char *path, const char *why, char *aside, size_t size,
	struct error *err);

#endif
