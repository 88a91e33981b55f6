/*
 * Requests that wait for a slot of one engine thread, in a line per client and
 * priority. Only that thread comes here; who joins is the scheduler's to say.
 */
#include "serve/engine_private.h"

#include "base/queue.h"

#include <stdlib.h>

#define NS_PER_MS 1000000

/* The server's limit or the request's own, whichever is less; 0 = none. */
static int64_t may_wait_ms(const struct generate_request *r)
{
	if (!r->queue_ms || (r->deadline_ms && r->deadline_ms < r->queue_ms))
		return r->deadline_ms;
	return r->queue_ms;
}

int64_t engine_queue_deadline(const struct generate_request *r)
{
	int64_t ms = may_wait_ms(r);

	return ms ? r->submitted + ms * NS_PER_MS : INT64_MAX;
}

/* Scratch for as many clients as there are. */
static int fit_scratch(struct engine_thread *t, struct error *err)
{
	size_t room = t->clients.room;
	struct scheduler_share *shares;
	struct scheduler_head *heads;

	if (t->heads_room >= SCHEDULER_PRIORITIES * room)
		return 0;
	shares = realloc(t->shares, room * sizeof(*shares));
	if (shares)
		t->shares = shares;
	heads = realloc(t->heads, SCHEDULER_PRIORITIES * room * sizeof(*heads));
	if (heads)
		t->heads = heads;
	if (!shares || !heads)
		return error_set_memory(err, "clients", room * sizeof(*heads));
	t->heads_room = SCHEDULER_PRIORITIES * room;
	return 0;
}

static int find_client(
	struct engine_thread *t, struct generate_request *r, struct error *err)
{
	if (clients_find(&t->clients, r->client, &r->known, err) < 0)
		return -1;
	if (fit_scratch(t, err) == 0)
		return 0;
	clients_settle(&t->clients, r->known);
	return -1;
}

static void begin_to_wait(struct engine_thread *t, struct generate_request *r)
{
	struct client *c = &t->clients.list[r->known];
	struct client_line *line = &c->lines[r->priority];
	int64_t deadline = engine_queue_deadline(r);

	if (!c->waiting++)
		c->served = scheduler_arrive(&t->door, c->served);
	r->arrival = t->arrivals++;
	r->next_waiting = NULL;
	if (line->last)
		line->last->next_waiting = r;
	else
		line->first = r;
	line->last = r;
	t->n_waiting++;
	if (deadline < t->soonest)
		t->soonest = deadline;
}

void engine_take_inbox(struct engine_thread *t)
{
	struct admission *a = &t->engine->admission;
	struct generate_request *r;
	struct error err;

	while ((r = queue_pop(t->inbox)) != NULL) {
		if (find_client(t, r, &err) == 0) {
			begin_to_wait(t, r);
		} else {
			admission_leave(a, r->admitted, r->priority);
			engine_end(t, r, &err, NULL);
		}
	}
}

/* r comes after `before` in its line (NULL: it is the first). The caller lets
 * the client go, if nothing is left of it. */
static void leave(struct engine_thread *t, struct generate_request *before,
	struct generate_request *r)
{
	struct client *c = &t->clients.list[r->known];
	struct client_line *line = &c->lines[r->priority];

	if (before)
		before->next_waiting = r->next_waiting;
	else
		line->first = r->next_waiting;
	if (line->last == r)
		line->last = before;
	c->waiting--;
	t->n_waiting--;
	admission_leave(&t->engine->admission, r->admitted, r->priority);
}

/* Why a request waits no longer, or NULL. */
static const struct error *in_vain(const struct engine_thread *t,
	const struct generate_request *r, struct error *late)
{
	if (atomic_load(&t->engine->cancelling))
		return &engine_shutting_down;
	if (atomic_load(&r->cancelled))
		return &engine_cancelled;
	if (t->now < engine_queue_deadline(r))
		return NULL;
	error_set(late, ERROR_OVERLOADED,
		"waited %lld ms for a slot, try later",
		(long long)may_wait_ms(r));
	return late;
}

static void sort_out_line(struct engine_thread *t, struct client_line *line)
{
	struct generate_request *before = NULL, *r, *next;

	for (r = line->first; r; r = next) {
		struct error late;
		const struct error *why = in_vain(t, r, &late);
		int64_t deadline = engine_queue_deadline(r);

		next = r->next_waiting;
		if (why) {
			leave(t, before, r);
			engine_end(t, r, why, NULL);
			continue;
		}
		before = r;
		if (deadline < t->soonest)
			t->soonest = deadline;
	}
}

void engine_sort_out(struct engine_thread *t)
{
	if (!t->n_waiting || (!t->looks && t->now < t->soonest))
		return;
	t->soonest = INT64_MAX;
	for (uint32_t i = 0; i < t->clients.n; i++) {
		struct client *c = &t->clients.list[i];

		if (!c->known || !c->waiting)
			continue;
		for (size_t p = 0; p < SCHEDULER_PRIORITIES; p++)
			sort_out_line(t, &c->lines[p]);
		clients_settle(&t->clients, i);
	}
}

static struct scheduler_head describe(
	const struct engine_thread *t, const struct generate_request *r)
{
	const struct client *c = &t->clients.list[r->known];

	return (struct scheduler_head){ .priority = r->priority,
		.client = r->known,
		.slots = r->n,
		.held = c->held,
		.served = c->served,
		.arrival = r->arrival };
}

size_t engine_line_up(struct engine_thread *t)
{
	size_t n = 0;

	if (!t->n_waiting || t->n_active == t->engine->limits.slots)
		return 0;
	for (size_t i = 0; i < t->clients.n; i++) {
		const struct client *c = &t->clients.list[i];

		for (size_t p = 0; c->waiting && p < SCHEDULER_PRIORITIES; p++)
			if (c->lines[p].first)
				t->heads[n++] = describe(t, c->lines[p].first);
	}
	return n;
}

/* The i-th of n heads has joined: who is behind it, if any, is head now. */
static size_t move_up(
	struct engine_thread *t, size_t n, size_t i, struct client_line *line)
{
	size_t client = t->heads[i].client;

	for (size_t j = 0; j < n; j++)
		if (t->heads[j].client == client)
			t->heads[j].held = t->clients.list[client].held;
	if (line->first)
		t->heads[i] = describe(t, line->first);
	else
		t->heads[i] = t->heads[--n];
	return n;
}

struct generate_request *engine_next(struct engine_thread *t, size_t *n_heads)
{
	size_t i = scheduler_next(
		&t->engine->limits, t->heads, *n_heads, t->held, &t->door);
	struct generate_request *r;
	struct client_line *line;
	struct client *c;

	if (i == *n_heads)
		return NULL;
	c = &t->clients.list[t->heads[i].client];
	line = &c->lines[t->heads[i].priority];
	r = line->first;
	leave(t, NULL, r);
	c->held += r->n;
	t->held[r->priority] += r->n;
	*n_heads = move_up(t, *n_heads, i, line);
	return r;
}

void engine_let_go(
	struct engine_thread *t, struct generate_request *r, size_t slots)
{
	t->clients.list[r->known].held -= slots;
	t->held[r->priority] -= slots;
	clients_settle(&t->clients, r->known);
}
