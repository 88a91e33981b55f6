/*
 * Clients that have something waiting or running, found by identity or by an
 * index that is theirs as long as they are known. Whoever owns the table keeps
 * other threads away. Its size is bounded by the requests there are.
 */
#ifndef SERVE_CLIENTS_H
#define SERVE_CLIENTS_H

#include "base/error.h"
#include "serve/scheduler.h"

struct generate_request;

/* Requests of a client and priority, first come first. */
struct client_line {
	struct generate_request *first, *last;
};

struct client {
	uint64_t id;
	uint32_t next;	 /* in its bucket, or among the free ones; + 1 */
	bool known;	 /* else it is free */
	size_t waiting;	 /* requests */
	size_t held;	 /* slots */
	uint64_t served; /* tokens; see scheduler_arrive */
	struct client_line lines[SCHEDULER_PRIORITIES];
};

struct clients {
	struct client *list; /* [n], some of them free */
	size_t n, room;
	uint32_t free;	   /* the first free one + 1, or 0 */
	uint32_t *buckets; /* [n_buckets] + 1; a power of two, or 0 */
	size_t n_buckets;
};

void clients_release(struct clients *c);

/* Its index; a client is made known when it isn't. Pointers into the list hold
 * until the next call. */
int clients_find(
	struct clients *c, uint64_t id, uint32_t *index, struct error *err);

/* Forget the client if it has nothing waiting and holds nothing. */
void clients_settle(struct clients *c, uint32_t index);

#endif
