/* Waiting: who may, who joins next, and where. Steps are scheduler_step.c's. */
#include "serve/scheduler.h"

#define NS_PER_S 1000000000
#define MAX_RETRY_S 60
/* A prompt weighs as much as a slot for each so many tokens, up to a limit. */
#define PROMPT_WEIGHT 4096
#define MAX_PROMPT_WEIGHT 16

bool scheduler_accepts(const struct scheduler_limits *l, size_t queued,
	size_t of_client, bool room)
{
	if (room)
		return true;
	return queued < l->queue &&
	       (!l->queue_per_client || of_client < l->queue_per_client);
}

unsigned scheduler_retry_after(size_t queued, size_t left, int64_t ns)
{
	double seconds = (double)queued * (double)(ns > 0 ? ns : 0) /
			 (double)(left ? left : 1) / NS_PER_S;

	if (seconds >= MAX_RETRY_S)
		return MAX_RETRY_S;
	return seconds <= 1 ? 1 : (unsigned)(seconds + 0.999);
}

/* Slots that bulk leaves to others, and they to it. */
static size_t kept_free(const struct scheduler_limits *l)
{
	return l->slots / SCHEDULER_PART;
}

/* Bulk may hold what is over, or be the only one of its kind. */
static bool bulk_may(const struct scheduler_limits *l,
	const struct scheduler_head *h, const size_t *held)
{
	size_t most = l->slots - kept_free(l);

	return !held[SCHEDULER_BULK] || held[SCHEDULER_BULK] + h->slots <= most;
}

static bool goes_before(
	const struct scheduler_head *a, const struct scheduler_head *b)
{
	if (a->held != b->held)
		return a->held < b->held;
	if (a->served != b->served)
		return a->served < b->served;
	return a->arrival < b->arrival;
}

/* The first of a priority, or NULL. */
static const struct scheduler_head *first_of(const struct scheduler_head *heads,
	size_t n, enum scheduler_priority priority, bool by_age)
{
	const struct scheduler_head *best = NULL;

	for (size_t i = 0; i < n; i++) {
		const struct scheduler_head *h = &heads[i];

		if (h->priority != priority)
			continue;
		if (!best || (by_age ? h->arrival < best->arrival
				     : goes_before(h, best)))
			best = h;
	}
	return best;
}

static void take(struct scheduler_door *door, const struct scheduler_head *h,
	bool bulk_waits)
{
	door->joins[h->priority]++;
	if (h->priority == SCHEDULER_BULK || !bulk_waits)
		door->overtaken = 0;
	else
		door->overtaken++;
	if (h->served > door->floor)
		door->floor = h->served;
}

size_t scheduler_next(const struct scheduler_limits *l,
	const struct scheduler_head *heads, size_t n,
	const size_t held[SCHEDULER_PRIORITIES], struct scheduler_door *door)
{
	size_t free_slots =
		l->slots - held[SCHEDULER_INTERACTIVE] - held[SCHEDULER_BULK];
	const struct scheduler_head *first[SCHEDULER_PRIORITIES], *pick, *bulk;

	for (int p = 0; p < SCHEDULER_PRIORITIES; p++)
		first[p] = first_of(heads, n, (enum scheduler_priority)p,
			door->joins[p] % SCHEDULER_PART == SCHEDULER_PART - 1);
	bulk = first[SCHEDULER_BULK];
	if (bulk && !bulk_may(l, bulk, held))
		bulk = NULL;
	pick = first[SCHEDULER_INTERACTIVE];
	if (pick && bulk && door->overtaken >= SCHEDULER_PART - 1) {
		size_t most = l->slots - bulk->slots;

		if (most > kept_free(l))
			most = kept_free(l);
		if (bulk->slots <= free_slots)
			pick = bulk;
		else if (held[SCHEDULER_INTERACTIVE] + pick->slots > most)
			return n;
	} else if (!pick) {
		pick = bulk;
	}
	if (!pick || pick->slots > free_slots)
		return n;
	take(door, pick, bulk != NULL);
	return (size_t)(pick - heads);
}

uint64_t scheduler_arrive(const struct scheduler_door *door, uint64_t served)
{
	return served > door->floor ? served : door->floor;
}

size_t scheduler_weight(size_t slots, uint64_t prompt)
{
	uint64_t weight = prompt / PROMPT_WEIGHT;

	return slots + (weight < MAX_PROMPT_WEIGHT ? (size_t)weight
						   : MAX_PROMPT_WEIGHT);
}

size_t scheduler_place(const size_t *loads, size_t n)
{
	size_t best = 0;

	for (size_t i = 1; i < n; i++)
		if (loads[i] < loads[best])
			best = i;
	return best;
}
