/* A hash table, chained through a list that is indexed. */
#include "serve/clients.h"

#include <stdlib.h>

#define FIRST_ROOM 16
#define MAX_CLIENTS (UINT32_MAX >> 1)

void clients_release(struct clients *c)
{
	free(c->list);
	free(c->buckets);
}

/* Identities may be small numbers, or chosen by someone: mix them. */
static size_t bucket_of(const struct clients *c, uint64_t id)
{
	id ^= id >> 33;
	id *= 0xff51afd7ed558ccdu;
	id ^= id >> 33;
	return (size_t)id & (c->n_buckets - 1);
}

static void link_client(struct clients *c, uint32_t index)
{
	struct client *k = &c->list[index];
	uint32_t *bucket = &c->buckets[bucket_of(c, k->id)];

	k->next = *bucket;
	*bucket = index + 1;
}

/* Twice the room, as many buckets; free ones are in no bucket. */
static int grow(struct clients *c, struct error *err)
{
	size_t room = c->room ? 2 * c->room : FIRST_ROOM;
	uint32_t *buckets = NULL;
	struct client *list = NULL;

	if (room <= MAX_CLIENTS) {
		buckets = calloc(room, sizeof(*buckets));
		list = realloc(c->list, room * sizeof(*list));
	}
	if (list) {
		c->list = list;
		c->room = room;
	}
	if (!list || !buckets) {
		free(buckets);
		return error_set_memory(err, "clients", room * sizeof(*list));
	}
	free(c->buckets);
	c->buckets = buckets;
	c->n_buckets = room;
	for (uint32_t i = 0; i < c->n; i++)
		link_client(c, i);
	return 0;
}

int clients_find(
	struct clients *c, uint64_t id, uint32_t *index, struct error *err)
{
	uint32_t at = c->n_buckets ? c->buckets[bucket_of(c, id)] : 0;

	for (; at; at = c->list[at - 1].next)
		if (c->list[at - 1].id == id) {
			*index = at - 1;
			return 0;
		}
	if (c->free) {
		at = c->free - 1;
		c->free = c->list[at].next;
	} else {
		if (c->n == c->n_buckets && grow(c, err) < 0)
			return -1;
		at = (uint32_t)c->n++;
	}
	c->list[at] = (struct client){ .id = id, .known = true };
	link_client(c, at);
	*index = at;
	return 0;
}

void clients_settle(struct clients *c, uint32_t index)
{
	struct client *k = &c->list[index];
	uint32_t *at;

	if (k->waiting || k->held)
		return;
	at = &c->buckets[bucket_of(c, k->id)];
	while (*at != index + 1)
		at = &c->list[*at - 1].next;
	*at = k->next;
	*k = (struct client){ .next = c->free };
	c->free = index + 1;
}
