#include "store/pending.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define MIN_BUCKETS 64

static void entry_free(struct pending_entry *e)
{
	if (!e)
		return;
	free(e->key);
	free(e->value);
	free(e);
}

static void free_list(struct pending_entry *e)
{
	struct pending_entry *next;

	for (; e; e = next) {
		next = e->next;
		entry_free(e);
	}
}

void pending_release(struct pending *p)
{
	free_list(p->first);
	free(p->buckets);
	*p = (struct pending){ 0 };
}

static struct pending_entry *entry_new(const struct store_change *c)
{
	struct pending_entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->key = strdup(c->key);
	if (c->value)
		e->value = malloc(c->len ? c->len : 1);
	if (!e->key || (c->value && !e->value)) {
		entry_free(e);
		return NULL;
	}
	if (c->value && c->len)
		memcpy(e->value, c->value, c->len);
	e->len = c->value ? c->len : 0;
	e->expires = c->expires;
	e->hash = XXH3_64bits(c->key, strlen(c->key));
	return e;
}

static size_t entry_bytes(const struct pending_entry *e)
{
	return sizeof(*e) + strlen(e->key) + e->len;
}

static struct pending_entry *find(
	const struct pending *p, const char *key, uint64_t hash)
{
	struct pending_entry *e;

	if (!p->n_buckets)
		return NULL;
	e = p->buckets[hash & (p->n_buckets - 1)];
	while (e && (e->hash != hash || strcmp(e->key, key) != 0))
		e = e->bucket_next;
	return e;
}

const struct pending_entry *pending_find(
	const struct pending *p, const char *key)
{
	return find(p, key, XXH3_64bits(key, strlen(key)));
}

/* Without memory for more buckets the chains grow longer: still right. */
static int grow(struct pending *p)
{
	size_t n = p->n_buckets ? p->n_buckets * 2 : MIN_BUCKETS;
	struct pending_entry **buckets;

	if (p->count < p->n_buckets)
		return 0;
	buckets = calloc(n, sizeof(struct pending_entry *));
	if (!buckets)
		return p->n_buckets ? 0 : -1;
	for (struct pending_entry *e = p->first; e; e = e->next) {
		e->bucket_next = buckets[e->hash & (n - 1)];
		buckets[e->hash & (n - 1)] = e;
	}
	free(p->buckets);
	p->buckets = buckets;
	p->n_buckets = n;
	return 0;
}

/* The entry's value takes the place of an older one of its key. */
static void merge(struct pending *p, struct pending_entry *e)
{
	struct pending_entry *old = find(p, e->key, e->hash);

	e->next = NULL;
	if (old) {
		p->bytes -= entry_bytes(old);
		free(old->value);
		old->value = e->value;
		old->len = e->len;
		old->expires = e->expires;
		p->bytes += entry_bytes(old);
		e->value = NULL;
		entry_free(e);
		return;
	}
	e->bucket_next = p->buckets[e->hash & (p->n_buckets - 1)];
	p->buckets[e->hash & (p->n_buckets - 1)] = e;
	if (p->last)
		p->last->next = e;
	else
		p->first = e;
	p->last = e;
	p->count++;
	p->bytes += entry_bytes(e);
}

int pending_add(struct pending *p, const struct store_change *changes, size_t n,
	struct error *err)
{
	struct pending_entry *list = NULL, **end = &list, *next;

	if (grow(p) < 0)
		return error_set_memory(err, "store writer", MIN_BUCKETS * 8);
	for (size_t i = 0; i < n; i++) {
		*end = entry_new(&changes[i]);
		if (!*end) {
			free_list(list);
			return error_set_memory(
				err, "store writer", changes[i].len);
		}
		end = &(*end)->next;
	}
	for (; list; list = next) {
		next = list->next;
		merge(p, list);
		grow(p);
	}
	return 0;
}
