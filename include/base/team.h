/*
 * A team of threads that run one function together and meet at barriers; for
 * training. Waiting spins for a bounded time, then sleeps, so that a member
 * that was descheduled costs the others no core. Every member computes with
 * denormals flushed to zero, so that bits don't depend on the thread.
 */
#ifndef BASE_TEAM_H
#define BASE_TEAM_H

#include "base/error.h"
#include "base/pace.h"

struct team;

/* `size` members including the caller; 1 starts no thread. */
int team_open(struct team **team, unsigned size, struct error *err);
void team_close(struct team *team);
unsigned team_size(const struct team *team);

/* What fn's runs from now on are paced by, borrowed; NULL: nothing. */
void team_set_pace(struct team *team, const struct pace *pace);

/* Run fn(arg, member) on all members, the caller being member 0, and return
 * when all have returned. One caller at a time. */
void team_run(
	struct team *team, void (*fn)(void *arg, unsigned member), void *arg);

/* Inside fn: wait for all members. Memory written before is seen after. */
void team_barrier(struct team *team, unsigned member);

/* The half-open share [*begin, *end) of n items, in units of `unit`, that
 * member takes: contiguous, as even as the unit allows. */
void team_share(const struct team *team, unsigned member, size_t n, size_t unit,
	size_t *begin, size_t *end);

/* Cores that affinity and the cgroup's quota allow: at least 1. */
unsigned team_default_size(void);

/* Set FTZ and DAZ on this thread (no-op where there are none). */
void team_flush_denormals(void);

#endif
