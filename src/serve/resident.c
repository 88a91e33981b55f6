/* A hash table of rows that are also links of one list, newest first, under one
 * lock: nothing waits under it. */
#include "serve/resident.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define MIN_BUCKETS 256

struct row {
	struct row *bucket_next;
	struct row *newer, *older;
	uint64_t hash;
	int64_t expires;
	uint32_t len;
	uint32_t id_len;
	char bytes[]; /* id, NUL, blob [len] */
};

struct resident {
	pthread_mutex_t lock;
	struct resident_limits limits;
	struct row **buckets; /* [n_buckets], a power of two */
	size_t n_buckets;
	struct row *newest, *oldest;
	struct resident_stats stats;
};

static size_t row_bytes(const struct row *e)
{
	return sizeof(*e) + e->id_len + 1 + e->len;
}

int resident_open(struct resident **out, const struct resident_limits *l,
	struct error *err)
{
	struct resident *r = calloc(1, sizeof(*r));

	if (!r)
		return error_set_memory(err, "resident sessions", sizeof(*r));
	r->limits = *l;
	r->n_buckets = MIN_BUCKETS;
	r->buckets = calloc(r->n_buckets, sizeof(struct row *));
	if (!r->buckets) {
		free(r);
		return error_set_memory(
			err, "resident sessions", MIN_BUCKETS * 8);
	}
	pthread_mutex_init(&r->lock, NULL);
	*out = r;
	return 0;
}

void resident_close(struct resident *r)
{
	struct row *e, *older;

	if (!r)
		return;
	for (e = r->newest; e; e = older) {
		older = e->older;
		free(e);
	}
	pthread_mutex_destroy(&r->lock);
	free(r->buckets);
	free(r);
}

static struct row **find(struct resident *r, const char *id, uint64_t hash)
{
	struct row **at = &r->buckets[hash & (r->n_buckets - 1)];

	while (*at && ((*at)->hash != hash || strcmp((*at)->bytes, id) != 0))
		at = &(*at)->bucket_next;
	return at;
}

static void unlink_row(struct resident *r, struct row *e)
{
	*(e->newer ? &e->newer->older : &r->newest) = e->older;
	*(e->older ? &e->older->newer : &r->oldest) = e->newer;
}

static void link_newest(struct resident *r, struct row *e)
{
	e->newer = NULL;
	e->older = r->newest;
	*(e->older ? &e->older->newer : &r->oldest) = e;
	r->newest = e;
}

/* `at` is where find looked for it. */
static void remove_row(struct resident *r, struct row **at)
{
	struct row *e = *at;

	if (!e)
		return;
	*at = e->bucket_next;
	unlink_row(r, e);
	r->stats.sessions--;
	r->stats.bytes -= row_bytes(e);
	free(e);
}

/* Without memory the chains grow longer: still right. */
static void grow(struct resident *r)
{
	size_t n = r->n_buckets * 2;
	struct row **buckets;

	if (r->stats.sessions < r->n_buckets)
		return;
	buckets = calloc(n, sizeof(struct row *));
	if (!buckets)
		return;
	for (struct row *e = r->newest; e; e = e->older) {
		e->bucket_next = buckets[e->hash & (n - 1)];
		buckets[e->hash & (n - 1)] = e;
	}
	free(r->buckets);
	r->buckets = buckets;
	r->n_buckets = n;
}

bool resident_get(
	struct resident *r, const char *id, int64_t now, struct buf *blob)
{
	uint64_t hash = XXH3_64bits(id, strlen(id));
	struct row *e;
	bool found;

	pthread_mutex_lock(&r->lock);
	e = *find(r, id, hash);
	found = e && e->expires > now &&
		buf_append(blob, e->bytes + e->id_len + 1, e->len) == 0;
	if (found) {
		unlink_row(r, e);
		link_newest(r, e);
	}
	*(found ? &r->stats.hits : &r->stats.misses) += 1;
	pthread_mutex_unlock(&r->lock);
	return found;
}

static void shrink(struct resident *r)
{
	while (r->oldest &&
		(r->stats.sessions > r->limits.sessions ||
			(r->limits.bytes &&
				r->stats.bytes > r->limits.bytes))) {
		r->stats.spilled++;
		remove_row(r, find(r, r->oldest->bytes, r->oldest->hash));
	}
}

static struct row *row_new(
	const char *id, const void *blob, size_t len, int64_t expires)
{
	size_t id_len = strlen(id);
	struct row *e = malloc(sizeof(*e) + id_len + 1 + len);

	if (!e)
		return NULL;
	*e = (struct row){ .hash = XXH3_64bits(id, id_len),
		.expires = expires,
		.len = (uint32_t)len,
		.id_len = (uint32_t)id_len };
	memcpy(e->bytes, id, id_len + 1);
	memcpy(e->bytes + id_len + 1, blob, len);
	return e;
}

void resident_put(struct resident *r, const char *id, const void *blob,
	size_t len, int64_t expires)
{
	struct row *e = row_new(id, blob, len, expires);
	struct row **at;

	/* Nobody has to leave for what has no room at all. */
	if (!e || (r->limits.bytes && row_bytes(e) > r->limits.bytes)) {
		free(e);
		resident_drop(r, id);
		return;
	}
	pthread_mutex_lock(&r->lock);
	at = find(r, id, e->hash);
	remove_row(r, at);
	grow(r);
	at = find(r, id, e->hash);
	e->bucket_next = *at;
	*at = e;
	link_newest(r, e);
	r->stats.sessions++;
	r->stats.bytes += row_bytes(e);
	shrink(r);
	pthread_mutex_unlock(&r->lock);
}

void resident_drop(struct resident *r, const char *id)
{
	struct row **at;

	pthread_mutex_lock(&r->lock);
	at = find(r, id, XXH3_64bits(id, strlen(id)));
	remove_row(r, at);
	pthread_mutex_unlock(&r->lock);
}

void resident_stats(struct resident *r, struct resident_stats *s)
{
	pthread_mutex_lock(&r->lock);
	*s = r->stats;
	pthread_mutex_unlock(&r->lock);
}
