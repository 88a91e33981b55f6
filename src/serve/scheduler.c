#include "serve/scheduler.h"

size_t scheduler_join(const struct scheduler_limits *l,
	const struct scheduler_waiting *waiting, size_t n, size_t free_slots)
{
	size_t joined = 0;

	while (joined < n && waiting[joined].slots <= free_slots) {
		free_slots -= waiting[joined].slots;
		joined++;
	}
	return joined;
}

bool scheduler_accepts(const struct scheduler_limits *l, size_t queued)
{
	return queued < l->queue;
}

bool scheduler_expired(const struct scheduler_waiting *w, int64_t now)
{
	return now >= w->deadline;
}

size_t scheduler_place(const size_t *loads, size_t n)
{
	size_t best = 0;

	for (size_t i = 1; i < n; i++)
		if (loads[i] < loads[best])
			best = i;
	return best;
}

/* While anyone generates or waits, a prompt is worth one token a step: a long
 * one then delays nobody by more than its row in the batch. */
static size_t chunk_of(const struct scheduler_limits *l,
	const struct scheduler_slot *slots, size_t n, bool others_wait)
{
	if (others_wait)
		return 1;
	for (size_t i = 0; i < n; i++)
		if (slots[i].runnable && !slots[i].prompt)
			return 1;
	return l->chunk ? l->chunk : 1;
}

static size_t tokens_of(const struct scheduler_slot *s, size_t chunk)
{
	if (!s->prompt)
		return 1;
	return s->prompt < chunk ? (size_t)s->prompt : chunk;
}

size_t scheduler_plan(const struct scheduler_limits *l,
	const struct scheduler_slot *slots, size_t n, size_t model,
	bool others_wait, size_t *cursor, struct scheduler_turn *turns)
{
	size_t chunk = chunk_of(l, slots, n, others_wait);
	size_t start = n ? *cursor % n : 0;
	size_t planned = 0, i;

	for (i = 0; i < n && planned < l->batch; i++) {
		size_t s = (start + i) % n;

		if (!slots[s].runnable || slots[s].model != model)
			continue;
		turns[planned++] = (struct scheduler_turn){ s,
			tokens_of(&slots[s], chunk) };
	}
	*cursor = n ? (start + i) % n : 0;
	return planned;
}
