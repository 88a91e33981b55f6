#include "base/queue.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

struct queue {
	pthread_mutex_t lock;
	void (*wake)(void *arg);
	void *arg;
	size_t capacity;
	size_t head; /* next to pop */
	size_t length;
	bool shut;
	void *items[]; /* [capacity] */
};

int queue_open(struct queue **out, size_t capacity, void (*wake)(void *arg),
	void *arg, struct error *err)
{
	struct queue *q;

	*out = NULL;
	if (capacity < 1 || capacity > (SIZE_MAX - sizeof(*q)) / sizeof(void *))
		return error_set(err, ERROR_INVALID,
			"queue capacity is %zu, expected at least 1", capacity);
	q = calloc(1, sizeof(*q) + capacity * sizeof(void *));
	if (!q)
		return error_set_memory(
			err, "queue", sizeof(*q) + capacity * sizeof(void *));
	pthread_mutex_init(&q->lock, NULL);
	q->wake = wake;
	q->arg = arg;
	q->capacity = capacity;
	*out = q;
	return 0;
}

void queue_close(struct queue *q)
{
	if (!q)
		return;
	pthread_mutex_destroy(&q->lock);
	free(q);
}

int queue_push(struct queue *q, void *item)
{
	bool wake = false;
	int rc = -1;

	pthread_mutex_lock(&q->lock);
	if (!q->shut && q->length < q->capacity) {
		size_t at = q->head + q->length;

		q->items[at < q->capacity ? at : at - q->capacity] = item;
		wake = q->length++ == 0;
		rc = 0;
	}
	pthread_mutex_unlock(&q->lock);
	if (wake && q->wake)
		q->wake(q->arg);
	return rc;
}

size_t queue_pop_many(struct queue *q, void **items, size_t max)
{
	size_t n = 0;

	pthread_mutex_lock(&q->lock);
	for (; n < max && q->length; n++) {
		items[n] = q->items[q->head];
		q->head = q->head + 1 < q->capacity ? q->head + 1 : 0;
		q->length--;
	}
	pthread_mutex_unlock(&q->lock);
	return n;
}

void *queue_pop(struct queue *q)
{
	void *item = NULL;

	queue_pop_many(q, &item, 1);
	return item;
}

size_t queue_length(struct queue *q)
{
	size_t n;

	pthread_mutex_lock(&q->lock);
	n = q->length;
	pthread_mutex_unlock(&q->lock);
	return n;
}

void queue_shut(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->shut = true;
	pthread_mutex_unlock(&q->lock);
}
