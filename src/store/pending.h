/*
 * Changes posted and not yet committed: a table from key to the latest change
 * of it. Owns copies of keys and values. Its user locks.
 */
#ifndef STORE_PENDING_H
#define STORE_PENDING_H

#include "store/store.h"

struct pending_entry {
	struct pending_entry *bucket_next;
	struct pending_entry *next; /* in order of arrival */
	uint64_t hash;
	char *key;
	void *value; /* NULL is a delete */
	size_t len;
	int64_t expires;
};

struct pending {
	struct pending_entry **buckets; /* [n_buckets], a power of two, or 0 */
	size_t n_buckets;
	size_t count;
	size_t bytes; /* of keys and values */
	struct pending_entry *first, *last;
};

void pending_release(struct pending *p);

/* All n changes, or none (ERROR_NO_MEMORY). */
int pending_add(struct pending *p, const struct store_change *changes, size_t n,
	struct error *err);
/* NULL when the key has no change waiting. */
const struct pending_entry *pending_find(
	const struct pending *p, const char *key);

#endif
