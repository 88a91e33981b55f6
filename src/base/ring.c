/* The two positions only grow; each is written by one side. They lie on lines
 * of their own, so that the sides don't fight for one. */
#include "base/queue.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LINE 64

struct ring {
	_Alignas(LINE) _Atomic size_t pushed; /* by the producer */
	_Alignas(LINE) _Atomic size_t popped; /* by the consumer */
	_Alignas(LINE) size_t capacity;
	size_t mask; /* of slots, a power of two >= capacity */
	size_t record_size;
	unsigned char *records;
};

int ring_open(struct ring **out, size_t capacity, size_t record_size,
	struct error *err)
{
	struct ring *r;
	size_t slots = 1;

	*out = NULL;
	if (capacity < 1 || capacity > SIZE_MAX / 4 || record_size < 1)
		return error_set(err, ERROR_INVALID,
			"ring of %zu records of %zu bytes, expected at least 1 "
			"of each",
			capacity, record_size);
	while (slots < capacity)
		slots *= 2;
	r = aligned_alloc(LINE, sizeof(*r));
	if (!r)
		return error_set_memory(err, "ring", sizeof(*r));
	memset(r, 0, sizeof(*r));
	r->capacity = capacity;
	r->mask = slots - 1;
	r->record_size = record_size;
	r->records = calloc(slots, record_size);
	if (!r->records) {
		free(r);
		return error_set_memory(err, "ring", capacity * record_size);
	}
	*out = r;
	return 0;
}

void ring_close(struct ring *r)
{
	if (!r)
		return;
	free(r->records);
	free(r);
}

bool ring_push(struct ring *r, const void *record, bool *was_empty)
{
	size_t at = atomic_load_explicit(&r->pushed, memory_order_relaxed);

	if (at - atomic_load_explicit(&r->popped, memory_order_acquire) >=
		r->capacity)
		return false;
	memcpy(r->records + (at & r->mask) * r->record_size, record,
		r->record_size);
	/* Sequentially consistent with the consumer's last look: either it
	 * sees this record, or we see that it had emptied the ring. */
	atomic_store(&r->pushed, at + 1);
	if (was_empty)
		*was_empty = atomic_load(&r->popped) == at;
	return true;
}

bool ring_pop(struct ring *r, void *record)
{
	size_t at = atomic_load_explicit(&r->popped, memory_order_relaxed);

	if (atomic_load(&r->pushed) == at)
		return false;
	memcpy(record, r->records + (at & r->mask) * r->record_size,
		r->record_size);
	atomic_store(&r->popped, at + 1);
	return true;
}

size_t ring_length(const struct ring *r)
{
	size_t popped = atomic_load(&r->popped);

	return atomic_load(&r->pushed) - popped;
}

size_t ring_capacity(const struct ring *r)
{
	return r->capacity;
}
