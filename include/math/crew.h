/*
 * Idle threads lend a hand with the products of a busy one: a small batch on
 * weights larger than a core's cache is bound by one core's memory path, and
 * two cores have two. Outputs are split by panel, so the bits don't change.
 * Nobody waits for long: a share that no helper has begun is taken back, and
 * one whose helper was descheduled is given up and computed anew. Every thread
 * is a member, by number; helpers work on copies, so that what was given up
 * harms nobody.
 */
#ifndef MATH_CREW_H
#define MATH_CREW_H

#include "base/error.h"
#include "math/kernels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CREW_MAX_PRODUCTS 8 /* in one call: a layer's worth each */
#define CREW_MAX_ROWS 8	    /* more are bound by arithmetic, not by memory */

struct crew;

/* `wake(arg, member)` rouses an idle member, so that it calls crew_help; it
 * must not block. Products of up to max_reals x, or y, values are shared. */
int crew_open(struct crew **c, unsigned members, size_t max_reals,
	void (*wake)(void *arg, unsigned member), void *arg, struct error *err);
/* No member may be in any call. */
void crew_close(struct crew *c);

/* Compute n <= CREW_MAX_PRODUCTS products, that don't depend on each other,
 * with whoever listens; y_column is 0. Weights, bias and rows outlive the
 * helpers (crew_settle); the rest is copied. Called by a busy member. */
void crew_products(
	struct crew *c, unsigned member, const struct product *p, size_t n);

/* Called by an idle member: help whoever asks, until nobody has for idle_ns or
 * `busy(arg)` says that there is work of its own. */
void crew_help(struct crew *c, unsigned member, uint64_t idle_ns,
	bool (*busy)(void *arg), void *arg);
/* Whether crew_products would rouse this member: set by it before it sleeps,
 * cleared when it has work. */
void crew_set_idle(struct crew *c, unsigned member, bool idle);

/* Wait until no helper touches what this member handed out: before weights
 * are freed. */
void crew_settle(struct crew *c, unsigned member);

#endif
