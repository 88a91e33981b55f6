/*
 * Who may wait, who gets a slot, and who is fed how many tokens in the next
 * step: policy as pure functions. No threads, no clock, no I/O; an engine asks
 * and obeys. What a decision must remember of those before is in structs that
 * the caller keeps and these functions alone write; zeroed they are new.
 *
 * Shares are even among clients, then among a client's requests or slots.
 * Interactive work goes before bulk, which keeps one part in SCHEDULER_PART of
 * joins, rows and steps, so that nobody starves.
 */
#ifndef SERVE_SCHEDULER_H
#define SERVE_SCHEDULER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCHEDULER_PART 8
/* Tokens of a prompt up to which its first token is waited for by a person. */
#define SCHEDULER_SHORT_PROMPT 64

enum scheduler_priority {
	SCHEDULER_INTERACTIVE,
	SCHEDULER_BULK,
	SCHEDULER_PRIORITIES
};

struct scheduler_limits {
	size_t slots; /* sequences an engine may hold */
	size_t batch; /* sequences that one step may feed */
	size_t chunk; /* prompt tokens of one slot in one step, at most */
	size_t queue; /* requests that may wait, over all engines */
	size_t queue_per_client; /* the same of one client; 0 = any */
};

/* --- waiting ----------------------------------------------------------- */

/* Whether one more may come, when so many wait: of all, and of its client.
 * `room`: it and all before it find a slot as soon as its engine looks, so that
 * it doesn't wait for anybody. */
bool scheduler_accepts(const struct scheduler_limits *l, size_t queued,
	size_t of_client, bool room);

/* Seconds, 1 to 60, after which who was refused may ask again: when all that
 * wait now will have left, if they leave as the last `left` did in `ns`. */
unsigned scheduler_retry_after(size_t queued, size_t left, int64_t ns);

/* The first in line of a client's requests of one priority. */
struct scheduler_head {
	enum scheduler_priority priority;
	size_t client;	  /* the caller's number for it */
	size_t slots;	  /* it needs: its choices */
	size_t held;	  /* slots that its client has */
	uint64_t served;  /* tokens of its client; see scheduler_arrive */
	uint64_t arrival; /* requests that came before it */
};

/* What joins remember. */
struct scheduler_door {
	uint64_t joins[SCHEDULER_PRIORITIES];
	uint64_t overtaken; /* interactive joins since a bulk one that could */
	uint64_t floor;	    /* served, of those that joined */
};

/*
 * Who of n joins next, when slots are held as given by priority; n for nobody.
 * Of a priority it is whose client holds the least slots, then was served
 * least, then came first; but each SCHEDULER_PARTth join is the oldest's. Who
 * needs more slots than are free holds back those of its priority and of lower
 * ones, so that it cannot starve. Bulk takes at most (PART - 1) / PART of the
 * slots; one that was overtaken PART - 1 times is next, and while it doesn't
 * fit, interactive requests keep to one part in PART.
 */
size_t scheduler_next(const struct scheduler_limits *l,
	const struct scheduler_head *heads, size_t n,
	const size_t held[SCHEDULER_PRIORITIES], struct scheduler_door *door);

/* A client's `served`, when it begins to wait: none is saved up while away. */
uint64_t scheduler_arrive(const struct scheduler_door *door, uint64_t served);

/* What a request adds to its engine's load: a long prompt keeps it busy. */
size_t scheduler_weight(size_t slots, uint64_t prompt);

/* Of several engines, the one to give a new request to: the least loaded, the
 * lowest index among equals. */
size_t scheduler_place(const size_t *loads, size_t n);

/* --- steps ------------------------------------------------------------- */

struct scheduler_slot {
	bool runnable;	  /* in use, and not paused */
	bool waits_first; /* none of its tokens was drawn yet */
	enum scheduler_priority priority;
	uint32_t client; /* < n_clients; the same while it has slots */
	size_t model;	 /* slots of different models never share a step */
	uint64_t prompt; /* tokens to feed before logits are wanted */
};

struct scheduler_turn {
	size_t slot;
	size_t tokens; /* to feed, >= 1 */
};

/* A model of an engine: its slots at a glance, as scheduler_survey left it, and
 * what its steps remember. */
struct scheduler_lane {
	size_t runnable;
	size_t bulk;	      /* of these */
	size_t generating;    /* of these */
	size_t hurried;	      /* interactive, and soon at its first token */
	size_t long_prompts;  /* interactive, and far from it */
	uint64_t prompt_left; /* the least of those that have one */

	uint64_t skipped; /* rounds since its last turn, for another's sake */
	size_t cursor[SCHEDULER_PRIORITIES]; /* a client */
	uint64_t credit;		     /* of bulk, in 2^-20 rows */
};

void scheduler_survey(const struct scheduler_slot *slots, size_t n,
	struct scheduler_lane *lanes, size_t n_lanes);

/*
 * Whether model i steps in this round. All do, but for those that only prime
 * long prompts while somebody elsewhere waits for a first token, and those that
 * only have bulk while others have interactive work: they step in one round of
 * SCHEDULER_PART.
 */
bool scheduler_takes_turn(
	struct scheduler_lane *lanes, size_t n_lanes, size_t i);

/*
 * Tokens of a prompt that model i may feed before the others get their turn:
 * one while anybody generates or waits (a long prompt then delays nobody by
 * more than its row in the batch), else l->chunk, and no further than the first
 * prompt to end.
 */
size_t scheduler_chunk(const struct scheduler_limits *l,
	const struct scheduler_lane *lanes, size_t n_lanes, size_t i,
	bool others_wait);

/* Scratch of a plan, of a client. */
struct scheduler_share {
	size_t want[SCHEDULER_PRIORITIES], get[SCHEDULER_PRIORITIES];
};

/*
 * The next step of one model: all its runnable slots, or l->batch of them.
 * slots are in the order in which they were last fed, longest ago first, new
 * ones last. Too many of them share the rows evenly among clients, then among
 * a client's slots; of both priorities bulk gets one row in SCHEDULER_PART, or
 * as large a part as it is of the slots, or what interactive ones leave.
 * shares [n_clients], turns [l->batch]; returns the turns written.
 */
size_t scheduler_plan(const struct scheduler_limits *l,
	const struct scheduler_slot *slots, size_t n, size_t model,
	size_t chunk, struct scheduler_lane *lane,
	struct scheduler_share *shares, size_t n_clients,
	struct scheduler_turn *turns);

#endif
