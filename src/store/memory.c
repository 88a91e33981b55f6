/*
 * A store in memory: a skip list (Pugh 1990), since listings go by key order.
 * A lock for readers and one writer guards all of it; nothing waits under it.
 */
#include "store/store.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define LEVELS 20 /* a million keys at a chance of 1/2 per level */

struct node {
	char *key;
	void *value;
	size_t len;
	int64_t expires;
	unsigned levels;
	struct node *next[];
};

struct memory {
	struct store store;
	pthread_rwlock_t lock;
	uint64_t random;   /* state of the level draws */
	int64_t earliest;  /* no entry expires before this */
	uint64_t bytes;	   /* of keys, values and nodes */
	struct node *head; /* of LEVELS levels, without a key */
};

static void node_free(struct node *n)
{
	if (!n)
		return;
	free(n->key);
	free(n->value);
	free(n);
}

static struct node *node_new(const struct store_change *c, unsigned levels)
{
	struct node *n = calloc(1, sizeof(*n) + levels * sizeof(struct node *));

	if (!n)
		return NULL;
	n->levels = levels;
	n->key = strdup(c->key);
	n->value = malloc(c->len ? c->len : 1);
	if (!n->key || !n->value) {
		node_free(n);
		return NULL;
	}
	if (c->len)
		memcpy(n->value, c->value, c->len);
	n->len = c->len;
	n->expires = c->expires;
	return n;
}

static unsigned draw_levels(struct memory *m)
{
	m->random = m->random * 6364136223846793005u + 1442695040888963407u;
	return 1 + (unsigned)__builtin_ctzll(
			   (m->random >> 32) | 1ull << (LEVELS - 1));
}

static bool is_below(const char *key, const char *bound, bool or_equal)
{
	int order = strcmp(key, bound);

	return order < 0 || (or_equal && order == 0);
}

/* The first node whose key is >= key, or > key when `after`. before[] gets the
 * last node below it on each level, for linking. */
static struct node *seek(const struct memory *m, const char *key, bool after,
	struct node *before[LEVELS])
{
	struct node *n = m->head;

	for (int l = LEVELS - 1; l >= 0; l--) {
		while (n->next[l] && is_below(n->next[l]->key, key, after))
			n = n->next[l];
		if (before)
			before[l] = n;
	}
	return n->next[0];
}

static size_t node_bytes(const struct node *n)
{
	return sizeof(*n) + n->levels * sizeof(struct node *) + strlen(n->key) +
	       1 + n->len;
}

static void link_node(
	struct memory *m, struct node *n, struct node *const before[LEVELS])
{
	for (unsigned l = 0; l < n->levels; l++) {
		n->next[l] = before[l]->next[l];
		before[l]->next[l] = n;
	}
	if (n->expires < m->earliest)
		m->earliest = n->expires;
	m->bytes += node_bytes(n);
}

static void remove_key(struct memory *m, const char *key)
{
	struct node *before[LEVELS];
	struct node *n = seek(m, key, false, before);

	if (!n || strcmp(n->key, key) != 0)
		return;
	for (unsigned l = 0; l < n->levels; l++)
		before[l]->next[l] = n->next[l];
	m->bytes -= node_bytes(n);
	node_free(n);
}

static void memory_close(struct store *s)
{
	struct memory *m = (struct memory *)s;
	struct node *n, *next;

	for (n = m->head; n; n = next) {
		next = n->next[0];
		node_free(n);
	}
	pthread_rwlock_destroy(&m->lock);
	free(m);
}

static int memory_open(
	struct store **s, const struct store_options *o, struct error *err)
{
	struct memory *m = calloc(1, sizeof(*m));
	size_t head = sizeof(*m->head) + LEVELS * sizeof(struct node *);

	if (!m)
		return error_set_memory(err, "memory store", sizeof(*m));
	m->store.ops = &store_memory;
	m->earliest = STORE_NEVER;
	m->head = calloc(1, head);
	if (!m->head) {
		free(m);
		return error_set_memory(err, "memory store", head);
	}
	pthread_rwlock_init(&m->lock, NULL);
	*s = &m->store;
	return 0;
}

static int memory_get(struct store *s, const char *key, int64_t now,
	struct buf *value, struct error *err)
{
	struct memory *m = (struct memory *)s;
	struct node *n;
	int result = 0;

	pthread_rwlock_rdlock(&m->lock);
	n = seek(m, key, false, NULL);
	if (!n || strcmp(n->key, key) != 0 || n->expires <= now)
		result = error_set(
			err, ERROR_NOT_FOUND, "store: no entry '%s'", key);
	else if (buf_append(value, n->value, n->len) < 0)
		result = error_set(err, ERROR_TOO_LARGE,
			"store: entry '%s' has %zu bytes, more than %zu", key,
			n->len, value->max);
	pthread_rwlock_unlock(&m->lock);
	return result;
}

static bool has_prefix(const char *key, const char *prefix)
{
	return !strncmp(key, prefix, strlen(prefix));
}

static int memory_list(struct store *s, const char *prefix, const char *after,
	size_t limit, int64_t now, store_row_fn *fn, void *arg,
	struct error *err)
{
	struct memory *m = (struct memory *)s;
	bool skip = *after && strcmp(after, prefix) >= 0;
	struct node *n;

	pthread_rwlock_rdlock(&m->lock);
	n = seek(m, skip ? after : prefix, skip, NULL);
	for (; n && limit && has_prefix(n->key, prefix); n = n->next[0]) {
		if (n->expires <= now)
			continue;
		limit--;
		if (fn(arg, n->key, n->value, n->len, n->expires))
			break;
	}
	pthread_rwlock_unlock(&m->lock);
	return 0;
}

static int memory_count(struct store *s, const char *prefix, int64_t now,
	uint64_t *count, struct error *err)
{
	struct memory *m = (struct memory *)s;
	struct node *n;

	*count = 0;
	pthread_rwlock_rdlock(&m->lock);
	n = seek(m, prefix, false, NULL);
	for (; n && has_prefix(n->key, prefix); n = n->next[0])
		*count += n->expires > now;
	pthread_rwlock_unlock(&m->lock);
	return 0;
}

/* All memory is taken before anything is linked: then nothing can fail. */
static int memory_apply(struct store *s, const struct store_change *changes,
	size_t n, struct error *err)
{
	struct memory *m = (struct memory *)s;
	struct node *before[LEVELS];
	struct node **nodes = calloc(n, sizeof(struct node *));
	size_t i;

	if (!nodes)
		return error_set_memory(
			err, "store transaction", n * sizeof(struct node *));
	for (i = 0; i < n; i++) {
		if (!changes[i].value)
			continue;
		nodes[i] = node_new(&changes[i], draw_levels(m));
		if (nodes[i])
			continue;
		error_set_memory(err, "store entry", changes[i].len);
		while (i--)
			node_free(nodes[i]);
		free(nodes);
		return -1;
	}
	pthread_rwlock_wrlock(&m->lock);
	for (i = 0; i < n; i++) {
		remove_key(m, changes[i].key);
		if (!nodes[i])
			continue;
		seek(m, nodes[i]->key, false, before);
		link_node(m, nodes[i], before);
	}
	pthread_rwlock_unlock(&m->lock);
	free(nodes);
	return 0;
}

static int memory_expire(struct store *s, int64_t now, size_t limit,
	struct buf *keys, size_t *removed, struct error *err)
{
	struct memory *m = (struct memory *)s;
	int64_t earliest = STORE_NEVER;
	struct node *n, *next;

	*removed = 0;
	pthread_rwlock_wrlock(&m->lock);
	if (now < m->earliest)
		goto out;
	for (n = m->head->next[0]; n && *removed < limit; n = next) {
		next = n->next[0];
		if (n->expires > now) {
			if (n->expires < earliest)
				earliest = n->expires;
			continue;
		}
		if (keys)
			buf_append(keys, n->key, strlen(n->key) + 1);
		remove_key(m, n->key);
		++*removed;
	}
	if (!n) /* all were seen */
		m->earliest = earliest;
out:
	pthread_rwlock_unlock(&m->lock);
	return 0;
}

static int memory_bytes(struct store *s, uint64_t *n, struct error *err)
{
	struct memory *m = (struct memory *)s;

	pthread_rwlock_rdlock(&m->lock);
	*n = m->bytes;
	pthread_rwlock_unlock(&m->lock);
	return 0;
}

static int memory_tend(struct store *s, bool idle, struct error *err)
{
	return 0; /* free gave all of it back */
}

const struct store_ops store_memory = {
	.name = "memory",
	.open = memory_open,
	.close = memory_close,
	.get = memory_get,
	.list = memory_list,
	.count = memory_count,
	.apply = memory_apply,
	.expire = memory_expire,
	.bytes = memory_bytes,
	.tend = memory_tend,
};
