#include "store/store.h"

#include <string.h>
#include <time.h>

const struct store_ops *const store_kinds[] = {
	&store_memory,
	&store_sqlite,
	NULL,
};

int store_open(struct store **s, const char *kind,
	const struct store_options *o, struct error *err)
{
	for (size_t i = 0; store_kinds[i]; i++)
		if (!strcmp(store_kinds[i]->name, kind))
			return store_kinds[i]->open(s, o, err);
	return error_set_param(err, ERROR_INVALID, "sessions.store",
		"store '%s' is unknown, expected memory or sqlite", kind);
}

void store_close(struct store *s)
{
	if (s)
		s->ops->close(s);
}

int store_get(struct store *s, const char *key, int64_t now, struct buf *value,
	struct error *err)
{
	return s->ops->get(s, key, now, value, err);
}

int store_list(struct store *s, const char *prefix, const char *after,
	size_t limit, int64_t now, store_row_fn *fn, void *arg,
	struct error *err)
{
	return s->ops->list(s, prefix, after, limit, now, fn, arg, err);
}

int store_count(struct store *s, const char *prefix, int64_t now, uint64_t *n,
	struct error *err)
{
	return s->ops->count(s, prefix, now, n, err);
}

static int check_key(const char *key, struct error *err)
{
	size_t len = strnlen(key, STORE_KEY_MAX + 1);

	if (!len || len > STORE_KEY_MAX)
		return error_set(err, ERROR_INVALID,
			"store key of %zu bytes or more, expected 1 to %d", len,
			STORE_KEY_MAX);
	/* Listings use it as the end of a range; no UTF-8 holds it. */
	if (strchr(key, 0xff))
		return error_set(err, ERROR_INVALID,
			"store key with a byte 0xff, expected UTF-8");
	return 0;
}

int store_apply(struct store *s, const struct store_change *changes, size_t n,
	struct error *err)
{
	for (size_t i = 0; i < n; i++)
		if (check_key(changes[i].key, err) < 0)
			return -1;
	return n ? s->ops->apply(s, changes, n, err) : 0;
}

int store_put(struct store *s, const char *key, const void *value, size_t len,
	int64_t expires, struct error *err)
{
	/* NULL would mean a delete: an empty value is still a value. */
	const struct store_change c = { key, value ? value : "", len, expires };

	return store_apply(s, &c, 1, err);
}

int store_delete(struct store *s, const char *key, struct error *err)
{
	const struct store_change c = { key, NULL, 0, STORE_NEVER };

	return store_apply(s, &c, 1, err);
}

int store_expire(struct store *s, int64_t now, size_t limit, struct buf *keys,
	size_t *removed, struct error *err)
{
	return s->ops->expire(s, now, limit, keys, removed, err);
}

int store_bytes(struct store *s, uint64_t *n, struct error *err)
{
	return s->ops->bytes(s, n, err);
}

int store_tend(struct store *s, bool idle, struct error *err)
{
	return s->ops->tend(s, idle, err);
}

int64_t store_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
