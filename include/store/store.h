/*
 * Keys to bytes, with an optional time of expiry. A store knows nothing of
 * what it holds. Kinds are rows of a table of ops: one file each, one line in
 * the table. Times are Unix milliseconds; an entry whose time has come is
 * absent to every call, whether or not it was swept yet.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_KEY_MAX 256     /* bytes of a key, its NUL not counted */
#define STORE_NEVER INT64_MAX /* the time of what does not expire */

struct store;

/* When a commit is safe from a loss of power. */
enum store_sync {
	STORE_SYNC_FULL,   /* on return */
	STORE_SYNC_NORMAL, /* at the next checkpoint: only to show that tests
			    * can tell the two apart */
};

enum store_on_corruption {
	STORE_REFUSE,	 /* do not open; the file stays as it is */
	STORE_SET_ASIDE, /* rename it, and go on with what can be read of it */
};

struct store_options {
	const char *path; /* a file; all of these are unused by `memory` */
	enum store_sync sync;
	enum store_on_corruption on_corruption;
	/* Open even while the disk is full or read-only: calls then fail with
	 * ERROR_NO_SPACE or ERROR_UNAVAILABLE until it no longer is. */
	bool patient;
};

/* One change of a transaction: a put, or with value NULL a delete. */
struct store_change {
	const char *key;
	const void *value;
	size_t len;
	int64_t expires; /* or STORE_NEVER */
};

/* One row of a listing; everything is borrowed for the call. Return nonzero to
 * end the listing. */
typedef int store_row_fn(void *arg, const char *key, const void *value,
	size_t len, int64_t expires);

struct store_ops {
	const char *name;
	int (*open)(struct store **s, const struct store_options *o,
		struct error *err);
	void (*close)(struct store *s);
	/* Append the value. ERROR_NOT_FOUND when there is none. */
	int (*get)(struct store *s, const char *key, int64_t now,
		struct buf *value, struct error *err);
	/* Rows whose key starts with prefix and is greater than `after` ("" =
	 * from the first), at most limit of them, in order of their bytes. */
	int (*list)(struct store *s, const char *prefix, const char *after,
		size_t limit, int64_t now, store_row_fn *fn, void *arg,
		struct error *err);
	int (*count)(struct store *s, const char *prefix, int64_t now,
		uint64_t *n, struct error *err);
	/* A transaction: all n changes in order, or none; durable on return. A
	 * delete of what is absent is fine. */
	int (*apply)(struct store *s, const struct store_change *changes,
		size_t n, struct error *err);
	/* Remove at most limit expired rows; `keys` (or NULL) gets theirs, each
	 * with its NUL. */
	int (*expire)(struct store *s, int64_t now, size_t limit,
		struct buf *keys, size_t *removed, struct error *err);
	/* Bytes in use: of the file, free pages not counted, or of memory. */
	int (*bytes)(struct store *s, uint64_t *n, struct error *err);
	/* A slice of upkeep, of some milliseconds. 1: more is to be done while
	 * idle. */
	int (*tend)(struct store *s, bool idle, struct error *err);
};

/* What every kind begins with. */
struct store {
	const struct store_ops *ops;
};

extern const struct store_ops store_memory;
extern const struct store_ops store_sqlite;

/* All kinds, NULL-terminated. */
extern const struct store_ops *const store_kinds[];

/*
 * Threads: get, list, count and bytes from any; apply, expire and tend from
 * one at a
 * time (store/writer.h is that one). Errors name the path.
 *
 * `sqlite` holds an exclusive lock on PATH.lock while open: ERROR_CONFLICT
 * when another process has it. A file that is another program's, or was written
 * by a newer version, is refused (ERROR_UNSUPPORTED) and left as it is; so is
 * one that is damaged (ERROR_CORRUPT, with what can't be read), unless
 * on_corruption says otherwise. Files of older versions are migrated.
 */
int store_open(struct store **s, const char *kind,
	const struct store_options *o, struct error *err);
void store_close(struct store *s);

int store_get(struct store *s, const char *key, int64_t now, struct buf *value,
	struct error *err);
int store_list(struct store *s, const char *prefix, const char *after,
	size_t limit, int64_t now, store_row_fn *fn, void *arg,
	struct error *err);
int store_count(struct store *s, const char *prefix, int64_t now, uint64_t *n,
	struct error *err);
/* Keys are checked here (1..STORE_KEY_MAX bytes): ERROR_INVALID. */
int store_apply(struct store *s, const struct store_change *changes, size_t n,
	struct error *err);
int store_put(struct store *s, const char *key, const void *value, size_t len,
	int64_t expires, struct error *err);
int store_delete(struct store *s, const char *key, struct error *err);
int store_expire(struct store *s, int64_t now, size_t limit, struct buf *keys,
	size_t *removed, struct error *err);
int store_bytes(struct store *s, uint64_t *n, struct error *err);
/* After writing, and with `idle` set when nothing waits to be written: moves
 * what was committed to its place, gives free space back. */
int store_tend(struct store *s, bool idle, struct error *err);

/* The clock that expiry goes by. */
int64_t store_now(void);

#endif
