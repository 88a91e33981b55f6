/* Any thread: one lock stands for the one writer that a store can have. */
#include "store/shared.h"

#include <pthread.h>
#include <stdlib.h>

struct store_shared {
	struct store *store;
	pthread_mutex_t writing;
};

int store_shared_open(struct store_shared **out, const char *kind,
	const struct store_options *o, struct error *err)
{
	struct store_shared *s = calloc(1, sizeof(*s));

	*out = NULL;
	if (!s)
		return error_set_memory(err, "store", sizeof(*s));
	if (store_open(&s->store, kind, o, err) < 0) {
		free(s);
		return -1;
	}
	pthread_mutex_init(&s->writing, NULL);
	*out = s;
	return 0;
}

void store_shared_close(struct store_shared *s)
{
	if (!s)
		return;
	store_close(s->store);
	pthread_mutex_destroy(&s->writing);
	free(s);
}

int store_shared_get(struct store_shared *s, const char *key, struct buf *value,
	struct error *err)
{
	return store_get(s->store, key, store_now(), value, err);
}

int store_shared_list(struct store_shared *s, const char *prefix,
	const char *after, size_t limit, store_row_fn *fn, void *arg,
	struct error *err)
{
	return store_list(
		s->store, prefix, after, limit, store_now(), fn, arg, err);
}

int store_shared_apply(struct store_shared *s,
	const struct store_change *changes, size_t n, struct error *err)
{
	int applied;

	pthread_mutex_lock(&s->writing);
	applied = store_apply(s->store, changes, n, err);
	if (!applied)
		store_tend(s->store, false, NULL);
	pthread_mutex_unlock(&s->writing);
	return applied;
}

int store_shared_put(struct store_shared *s, const char *key, const void *value,
	size_t len, struct error *err)
{
	return store_shared_apply(s,
		&(struct store_change){ key, value, len, STORE_NEVER }, 1, err);
}

int store_shared_delete(
	struct store_shared *s, const char *key, struct error *err)
{
	return store_shared_apply(
		s, &(struct store_change){ key, NULL, 0, STORE_NEVER }, 1, err);
}
