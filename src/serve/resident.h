/*
 * Session rows kept in memory before the store, the least recently used ones
 * leaving first: a hot session costs no read of the disk. What is here equals
 * the store's row or a posted change of it; only who holds a session puts it.
 * Any thread.
 */
#ifndef SERVE_RESIDENT_H
#define SERVE_RESIDENT_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct resident;

struct resident_limits {
	size_t sessions; /* at most; >= 1 */
	size_t bytes;	 /* of rows and their bookkeeping; 0 = no limit */
};

int resident_open(struct resident **r, const struct resident_limits *l,
	struct error *err);
void resident_close(struct resident *r);

/* Appends the row: false when it isn't here or has expired by `now`. */
bool resident_get(
	struct resident *r, const char *id, int64_t now, struct buf *blob);
/* Copied; without memory for it the row is just not here. */
void resident_put(struct resident *r, const char *id, const void *blob,
	size_t len, int64_t expires);
void resident_drop(struct resident *r, const char *id);

struct resident_stats {
	uint64_t sessions, bytes;	/* now */
	uint64_t hits, misses, spilled; /* so far */
};
void resident_stats(struct resident *r, struct resident_stats *s);

#endif
