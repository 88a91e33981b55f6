/*
 * Bounded queues between threads. A queue of pointers takes from any number
 * of producers; a ring holds records of one size between exactly one producer
 * and one consumer. Neither blocks: full is an answer, and waking the consumer
 * is a callback (uv_async_send, an eventfd, a condition variable, …).
 */
#ifndef BASE_QUEUE_H
#define BASE_QUEUE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Many producers, one consumer; first in, first out. An item belongs to the
 * producer until push returns 0, then to the queue, and to the consumer once
 * it is popped. Whoever closes the queue pops what is left before.
 */
struct queue;

/* `wake(arg)` is called by push, on the producer's thread and outside the
 * queue's lock, when the queue was empty before: a consumer that is woken pops
 * until it is empty, or comes back by itself. NULL: none. */
int queue_open(struct queue **q, size_t capacity, void (*wake)(void *arg),
	void *arg, struct error *err);
void queue_close(struct queue *q);

/* Any thread. 0, or -1 when it is full or shut: the item is still the
 * caller's. */
int queue_push(struct queue *q, void *item);
/* The consumer. NULL when it is empty. */
void *queue_pop(struct queue *q);
/* The consumer: up to max items in order; returns how many. */
size_t queue_pop_many(struct queue *q, void **items, size_t max);
/* Any thread: how many wait now. */
size_t queue_length(struct queue *q);
/* Any thread: from now on push fails. What is in it can still be popped. */
void queue_shut(struct queue *q);

/*
 * One producer, one consumer, without locks: push and pop may run at the same
 * time, each on its own thread. Records are copied in and out.
 */
struct ring;

int ring_open(struct ring **r, size_t capacity, size_t record_size,
	struct error *err);
void ring_close(struct ring *r);

/* The producer. false when it is full. *was_empty (may be NULL): the consumer
 * may be asleep and needs a wake-up. */
bool ring_push(struct ring *r, const void *record, bool *was_empty);
/* The consumer. false when it is empty. */
bool ring_pop(struct ring *r, void *record);
/* Either side; exact for the side whose moves are known to it. */
size_t ring_length(const struct ring *r);
size_t ring_capacity(const struct ring *r);

#endif
