/*
 * A store that several threads write directly, each waiting for its own COMMIT:
 * for what changes seldom. Where changes come by the thousand, see writer.h.
 */
#ifndef STORE_SHARED_H
#define STORE_SHARED_H

#include "store/store.h"

struct store_shared;

/* As store_open. */
int store_shared_open(struct store_shared **s, const char *kind,
	const struct store_options *o, struct error *err);
void store_shared_close(struct store_shared *s); /* NULL is fine */

/* As those of the same name in store.h, from any thread; they wait for the
 * disk. */
int store_shared_get(struct store_shared *s, const char *key, struct buf *value,
	struct error *err);
int store_shared_list(struct store_shared *s, const char *prefix,
	const char *after, size_t limit, store_row_fn *fn, void *arg,
	struct error *err);
int store_shared_apply(struct store_shared *s,
	const struct store_change *changes, size_t n, struct error *err);
int store_shared_put(struct store_shared *s, const char *key, const void *value,
	size_t len, struct error *err);
int store_shared_delete(
	struct store_shared *s, const char *key, struct error *err);

#endif
