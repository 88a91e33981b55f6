/*
 * The bounds of an engine's queue: how many requests wait, of all and of each
 * client, and how fast they leave. Any thread.
 */
#ifndef SERVE_ADMISSION_H
#define SERVE_ADMISSION_H

#include "serve/clients.h"

#include <pthread.h>
#include <stdatomic.h>

#define ADMISSION_LEFT 64 /* departures that the rate is taken from */

struct admission {
	pthread_mutex_t lock;
	struct clients clients; /* their `waiting` */
	size_t queued;
	/* Since the queue was last empty: */
	int64_t began;		      /* monotonic ns */
	int64_t left[ADMISSION_LEFT]; /* the same, of departures: a ring */
	uint64_t n_left;
	/* Written under the lock, read by whoever wants to know. */
	atomic_size_t waiting[SCHEDULER_PRIORITIES];
	atomic_ullong rejected;
};

void admission_init(struct admission *a);
void admission_release(struct admission *a);

/* One more waits, and `client` (an index) is whose; `room` as in
 * scheduler_accepts. ERROR_OVERLOADED. */
int admission_enter(struct admission *a, const struct scheduler_limits *l,
	uint64_t id, enum scheduler_priority priority, bool room,
	uint32_t *client, struct error *err);
/* One waits no more. */
void admission_leave(
	struct admission *a, uint32_t client, enum scheduler_priority priority);

size_t admission_queued(const struct admission *a);
unsigned admission_retry_after(struct admission *a);

#endif
