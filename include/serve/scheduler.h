/*
 * Slot policy as pure functions: who joins, who is fed how many tokens in the
 * next step, who waited too long. No threads, no clock, no I/O: an engine asks
 * before each step and obeys.
 */
#ifndef SERVE_SCHEDULER_H
#define SERVE_SCHEDULER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct scheduler_limits {
	size_t slots; /* sequences an engine may hold */
	size_t batch; /* sequences that one step may feed */
	size_t chunk; /* prompt tokens of one slot in one step, at most */
	size_t queue; /* requests that may wait, over all engines */
};

struct scheduler_waiting {
	size_t slots;	  /* it needs: its choices */
	int64_t deadline; /* to wait till; INT64_MAX = any */
};

/*
 * First come, first served: of n waiting in order of arrival, how many of the
 * first join now, given free slots. One that needs more slots than are free
 * holds back those behind it, so that it cannot starve.
 */
size_t scheduler_join(const struct scheduler_limits *l,
	const struct scheduler_waiting *waiting, size_t n, size_t free_slots);

/* Whether one more may wait. */
bool scheduler_accepts(const struct scheduler_limits *l, size_t queued);

/* Whether it waited past its deadline. */
bool scheduler_expired(const struct scheduler_waiting *w, int64_t now);

/* Of several engines, the one to give a new request to: the least loaded, the
 * lowest index among equals. */
size_t scheduler_place(const size_t *loads, size_t n);

struct scheduler_slot {
	bool runnable;	 /* in use, and not paused */
	size_t model;	 /* slots of different models never share a step */
	uint64_t prompt; /* tokens to feed before logits are wanted */
};

struct scheduler_turn {
	size_t slot;
	size_t tokens; /* to feed, >= 1 */
};

/*
 * The next step of one model: up to l->batch runnable slots of it, taken in
 * turn from *cursor on so that each gets an even share. A slot that generates
 * is fed one token; a prompt is fed one, or up to l->chunk while nobody
 * generates and nobody waits. Returns the turns written.
 */
size_t scheduler_plan(const struct scheduler_limits *l,
	const struct scheduler_slot *slots, size_t n, size_t model,
	bool others_wait, size_t *cursor, struct scheduler_turn *turns);

#endif
