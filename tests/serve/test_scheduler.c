/* Who waits, joins and steps: the scheduler's promises, over many random
 * populations. What is random comes from a seed and is the same in each run. */
#include "serve/scheduler.h"

#include "base/rng.h"

#include "test.h"

#include <string.h>

static uint64_t draws;

static size_t below(size_t n)
{
	struct philox b = rng_block(1, RNG_SEED, 0, draws++);

	return b.v[0] % n;
}

static const struct scheduler_limits limits = {
	.slots = 8, .batch = 4, .chunk = 16, .queue = 3
};

/* --- waiting ----------------------------------------------------------- */

static void test_the_queue_is_bounded(void **state)
{
	struct scheduler_limits l = limits;

	assert_true(scheduler_accepts(&l, 2, 2, false));
	assert_false(scheduler_accepts(&l, 3, 0, false));
	l.queue_per_client = 2;
	assert_true(scheduler_accepts(&l, 2, 1, false));
	assert_false(scheduler_accepts(&l, 2, 2, false));
	/* Who finds a slot at once waits for nobody. */
	assert_true(scheduler_accepts(&l, 3, 3, true));
}

static void test_retry_after_follows_the_drain(void **state)
{
	const int64_t second = 1000000000;

	assert_int_equal(scheduler_retry_after(100, 64, 32 * second), 50);
	assert_int_equal(scheduler_retry_after(101, 64, 32 * second), 51);
	assert_int_equal(scheduler_retry_after(1000, 64, 32 * second), 60);
	assert_int_equal(scheduler_retry_after(1000, 64, second / 100), 1);
	assert_int_equal(scheduler_retry_after(0, 0, 0), 1);
	assert_int_equal(scheduler_retry_after(5, 0, 2 * second), 10);
	assert_int_equal(scheduler_retry_after(SIZE_MAX, 1, INT64_MAX), 60);
}

static void test_place_takes_the_least_loaded(void **state)
{
	const size_t loads[] = { 3, 1, 1, 2 };

	assert_int_equal(scheduler_place(loads, 4), 1);
	assert_int_equal(scheduler_place(loads, 1), 0);
	assert_int_equal(scheduler_weight(1, 20), 1);
	assert_int_equal(scheduler_weight(16, 8192), 18);
	assert_int_equal(scheduler_weight(1, 1 << 20), 17);
}

static void test_who_holds_least_joins_first(void **state)
{
	const size_t held[] = { 3, 0 };
	struct scheduler_head h[] = {
		{ .client = 0, .slots = 1, .held = 2, .arrival = 0 },
		{ .client = 1, .slots = 1, .held = 1, .arrival = 1 },
		{ .client = 2,
			.slots = 1,
			.held = 0,
			.served = 9,
			.arrival = 3 },
		{ .client = 3,
			.slots = 1,
			.held = 0,
			.served = 5,
			.arrival = 5 },
		{ .client = 4,
			.slots = 1,
			.held = 0,
			.served = 5,
			.arrival = 4 },
	};
	struct scheduler_door d = { 0 };

	assert_int_equal(scheduler_next(&limits, h, 5, held, &d), 4);
	assert_int_equal(scheduler_next(&limits, h, 4, held, &d), 3);
	assert_int_equal(scheduler_next(&limits, h, 3, held, &d), 2);
	assert_int_equal(scheduler_next(&limits, h, 2, held, &d), 1);
	assert_int_equal(scheduler_next(&limits, h, 1, held, &d), 0);
	assert_int_equal(scheduler_next(&limits, h, 0, held, &d), 0);
	/* Those that come now have saved nothing up. */
	assert_int_equal(scheduler_arrive(&d, 0), 9);
	assert_int_equal(scheduler_arrive(&d, 12), 12);
	d.joins[SCHEDULER_INTERACTIVE] = SCHEDULER_PART - 1;
	assert_int_equal(scheduler_next(&limits, h, 5, held, &d), 0);
}

static void test_interactive_joins_before_bulk(void **state)
{
	struct scheduler_head h[] = {
		{ .priority = SCHEDULER_BULK, .slots = 1, .arrival = 0 },
		{ .client = 1, .slots = 1, .held = 5, .arrival = 1 },
	};
	size_t held[] = { 0, 0 };
	struct scheduler_door d = { 0 };

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < SCHEDULER_PART - 1; i++)
			assert_int_equal(
				scheduler_next(&limits, h, 2, held, &d), 1);
		assert_int_equal(scheduler_next(&limits, h, 2, held, &d), 0);
	}
	/* It leaves one slot of eight, also when nobody else wants it. */
	held[SCHEDULER_BULK] = 6;
	assert_int_equal(scheduler_next(&limits, h, 1, held, &d), 0);
	held[SCHEDULER_BULK] = 7;
	assert_int_equal(scheduler_next(&limits, h, 1, held, &d), 1);
	assert_int_equal(scheduler_next(&limits, h, 2, held, &d), 1);
}

/* A queue with slots before it: what an engine thread does, without one. */
#define CLIENTS 6
#define ROOM 4096

struct visit {
	enum scheduler_priority priority;
	size_t client, slots;
	uint64_t arrival;
	uint64_t joins_before; /* of its priority, when it came */
	size_t older;	       /* of its priority, when it came */
	bool waits, runs;
};

struct hall {
	struct scheduler_limits l;
	struct scheduler_door door;
	struct visit visits[ROOM];
	size_t n;
	size_t held[SCHEDULER_PRIORITIES], held_by[CLIENTS];
	uint64_t served[CLIENTS];
	uint64_t joins[SCHEDULER_PRIORITIES];
	unsigned passed; /* interactive joins while a bulk one would fit */
};

static bool waits(const struct hall *h, size_t client)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->visits[i].waits && h->visits[i].client == client)
			return true;
	return false;
}

static void visit(struct hall *h, size_t client,
	enum scheduler_priority priority, size_t slots)
{
	struct visit *v = &h->visits[h->n];

	assert_true(h->n < ROOM);
	if (!waits(h, client))
		h->served[client] =
			scheduler_arrive(&h->door, h->served[client]);
	*v = (struct visit){ priority, client, slots, h->n, h->joins[priority],
		0, true, false };
	for (size_t i = 0; i < h->n; i++)
		v->older +=
			h->visits[i].waits && h->visits[i].priority == priority;
	h->n++;
}

static size_t heads_of(
	const struct hall *h, struct scheduler_head *heads, size_t *which)
{
	bool seen[SCHEDULER_PRIORITIES][CLIENTS] = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < h->n; i++) {
		const struct visit *v = &h->visits[i];

		if (!v->waits || seen[v->priority][v->client])
			continue;
		seen[v->priority][v->client] = true;
		which[n] = i;
		heads[n++] = (struct scheduler_head){ v->priority, v->client,
			v->slots, h->held_by[v->client], h->served[v->client],
			v->arrival };
	}
	return n;
}

/* One joins; which, or -1. Checks what must hold of each. */
static int admit(struct hall *h)
{
	struct scheduler_head heads[SCHEDULER_PRIORITIES * CLIENTS];
	size_t which[SCHEDULER_PRIORITIES * CLIENTS];
	size_t n = heads_of(h, heads, which);
	size_t i = scheduler_next(&h->l, heads, n, h->held, &h->door);
	size_t all = h->held[0] + h->held[1];
	struct visit *v;

	if (i == n)
		return -1;
	v = &h->visits[which[i]];
	assert_true(all + v->slots <= h->l.slots);
	v->waits = false;
	v->runs = true;
	h->held[v->priority] += v->slots;
	h->held_by[v->client] += v->slots;
	h->joins[v->priority]++;
	/* No one is passed by more than one eighth's rule allows. */
	assert_true(h->joins[v->priority] - v->joins_before <=
		    SCHEDULER_PART * (v->older + 2));
	return (int)which[i];
}

static void leave(struct hall *h, struct visit *v)
{
	v->runs = false;
	h->held[v->priority] -= v->slots;
	h->held_by[v->client] -= v->slots;
	h->served[v->client] += 1 + below(50);
}

/* Each of those that run ends with this probability, in percent. */
static void some_end(struct hall *h, size_t percent)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->visits[i].runs && below(100) < percent)
			leave(h, &h->visits[i]);
}

static void test_all_get_in(void **state)
{
	static struct hall h;

	for (int population = 0; population < 12; population++) {
		memset(&h, 0, sizeof(h));
		h.l = limits;
		h.l.slots = 1 + below(40);
		for (int round = 0; round < 400; round++) {
			size_t widest = h.l.slots < 16 ? h.l.slots : 16;

			for (size_t i = below(4); i; i--)
				visit(&h,
					below(CLIENTS) * below(CLIENTS) /
						CLIENTS,
					below(3) ? SCHEDULER_INTERACTIVE
						 : SCHEDULER_BULK,
					below(9) ? 1 : 1 + below(widest));
			while (admit(&h) >= 0)
				;
			some_end(&h, 20);
		}
		/* Nobody comes any more: all get in, whatever they need. */
		for (int round = 0; round < 20000; round++) {
			while (admit(&h) >= 0)
				;
			some_end(&h, 20);
		}
		for (size_t i = 0; i < h.n; i++)
			assert_false(h.visits[i].waits || h.visits[i].runs);
	}
}

/* Of one client, first come first served, of each priority. */
static void test_a_client_is_first_come_first_served(void **state)
{
	static struct hall h;
	int last[CLIENTS][SCHEDULER_PRIORITIES];

	memset(&h, 0, sizeof(h));
	memset(last, -1, sizeof(last));
	h.l = limits;
	for (int round = 0; round < 1000; round++) {
		int i;

		if (below(2))
			visit(&h, below(CLIENTS),
				(enum scheduler_priority)below(2), 1);
		while ((i = admit(&h)) >= 0) {
			const struct visit *v = &h.visits[i];

			assert_true(last[v->client][v->priority] < i);
			last[v->client][v->priority] = i;
		}
		some_end(&h, 10);
	}
}

/* One with a hundred in the queue, one with one at a time: the latter never
 * waits for more than a slot. */
static void test_many_requests_buy_no_more_slots(void **state)
{
	static struct hall h;
	size_t joins[2] = { 0 };

	memset(&h, 0, sizeof(h));
	h.l = limits;
	h.l.slots = 1;
	for (int i = 0; i < 400; i++)
		visit(&h, 0, SCHEDULER_INTERACTIVE, 1);
	for (int round = 0; round < 400; round++) {
		int i;

		if (!waits(&h, 1))
			visit(&h, 1, SCHEDULER_INTERACTIVE, 1);
		i = admit(&h);
		assert_true(i >= 0);
		joins[h.visits[i].client]++;
		/* The same service each, so it must be turn about, but for the
		 * eighth that goes by age. */
		h.served[h.visits[i].client] += 10;
		leave(&h, &h.visits[i]);
		h.served[0] = h.served[0] / 10 * 10;
		h.served[1] = h.served[1] / 10 * 10;
	}
	assert_true(joins[1] >= 400 * 3 / 8);
}

/* While others come and go without end, a wide one gets in: of either
 * priority, and into nearly all slots there are. */
static void test_a_wide_one_gets_in(void **state)
{
	static struct hall h;

	for (int p = 0; p < SCHEDULER_PRIORITIES; p++)
		for (size_t slots = 16; slots < 80; slots += 7) {
			size_t wide;

			memset(&h, 0, sizeof(h));
			h.l = limits;
			h.l.slots = slots;
			/* Those of its client hold slots already. */
			for (int i = 0; i < 4; i++)
				visit(&h, 0, (enum scheduler_priority)p, 1);
			while (admit(&h) >= 0)
				;
			wide = h.n;
			visit(&h, 0, (enum scheduler_priority)p, 16);
			for (int round = 0; round < 600; round++) {
				for (int i = 0; i < 3; i++)
					visit(&h, 1 + below(CLIENTS - 1),
						SCHEDULER_INTERACTIVE, 1);
				while (admit(&h) >= 0)
					;
				some_end(&h, 15);
				if (!h.visits[wide].waits)
					break;
			}
			assert_false(h.visits[wide].waits);
		}
}

/* Under an endless rush of interactive requests bulk gets an eighth of the
 * joins; under one of bulk, interactive ones find a slot at once. */
static void test_bulk_keeps_its_part_of_joins(void **state)
{
	static struct hall h;

	memset(&h, 0, sizeof(h));
	h.l = limits;
	for (int i = 0; i < 20; i++)
		visit(&h, below(CLIENTS), SCHEDULER_BULK, 1);
	for (int round = 0; round < 600; round++) {
		while (h.n < ROOM && below(4))
			visit(&h, below(CLIENTS), SCHEDULER_INTERACTIVE, 1);
		while (admit(&h) >= 0)
			;
		some_end(&h, 30);
		if (h.joins[SCHEDULER_BULK] < 20)
			assert_true((h.joins[SCHEDULER_BULK] + 1) *
					    (SCHEDULER_PART - 1) >=
				    h.joins[SCHEDULER_INTERACTIVE]);
	}
	assert_int_equal(h.joins[SCHEDULER_BULK], 20);
	memset(&h, 0, sizeof(h));
	h.l = limits;
	for (int i = 0; i < 100; i++)
		visit(&h, 0, SCHEDULER_BULK, 1);
	while (admit(&h) >= 0)
		;
	visit(&h, 0, SCHEDULER_INTERACTIVE, 1);
	assert_int_equal(admit(&h), 100);
}

/* --- steps ------------------------------------------------------------- */

#define SLOTS 48
#define MODELS 3

/* The slots of an engine, in the order in which they were last fed. */
struct stage {
	struct scheduler_limits l;
	struct scheduler_slot slots[SLOTS];
	size_t name[SLOTS];	/* of the slot, which moves */
	uint64_t waited[SLOTS]; /* steps, by name */
	uint64_t rows[SLOTS];	/* by name */
	size_t n;
	struct scheduler_lane lanes[MODELS];
	struct scheduler_turn turns[SLOTS];
	size_t planned;
};

static struct scheduler_slot random_slot(size_t clients, size_t models)
{
	return (struct scheduler_slot){ .runnable = below(8) > 0,
		.waits_first = below(2),
		.priority = below(3) ? SCHEDULER_INTERACTIVE : SCHEDULER_BULK,
		.client = (uint32_t)(below(clients) * below(clients) / clients),
		.model = below(models),
		.prompt = below(3) ? 0 : below(200) };
}

static void fill(struct stage *s, size_t n, size_t clients, size_t models)
{
	memset(s, 0, sizeof(*s));
	s->l = limits;
	s->n = n;
	for (size_t i = 0; i < n; i++) {
		s->slots[i] = random_slot(clients, models);
		s->name[i] = i;
	}
}

static void send_to_back(struct stage *s, const bool *fed)
{
	struct scheduler_slot slots[SLOTS];
	size_t name[SLOTS], kept = 0, n = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (fed[i]) {
			slots[n] = s->slots[i];
			name[n++] = s->name[i];
		} else {
			s->slots[kept] = s->slots[i];
			s->name[kept++] = s->name[i];
		}
	}
	memcpy(s->slots + kept, slots, n * sizeof(slots[0]));
	memcpy(s->name + kept, name, n * sizeof(name[0]));
}

/* One step of a model, with what must hold of each; then the order is as the
 * next expects it. */
static void step(struct stage *s, size_t model, bool others_wait)
{
	struct scheduler_share shares[CLIENTS];
	bool fed[SLOTS] = { false };
	size_t chunk, can = 0;

	scheduler_survey(s->slots, s->n, s->lanes, MODELS);
	chunk = scheduler_chunk(&s->l, s->lanes, MODELS, model, others_wait);
	s->planned = scheduler_plan(&s->l, s->slots, s->n, model, chunk,
		&s->lanes[model], shares, CLIENTS, s->turns);
	for (size_t i = 0; i < s->n; i++)
		can += s->slots[i].runnable && s->slots[i].model == model;
	assert_int_equal(s->lanes[model].runnable, can);
	assert_int_equal(s->planned, can < s->l.batch ? can : s->l.batch);
	for (size_t i = 0; i < s->planned; i++) {
		const struct scheduler_turn *t = &s->turns[i];
		const struct scheduler_slot *slot = &s->slots[t->slot];

		assert_true(t->slot < s->n && !fed[t->slot]);
		assert_true(slot->runnable && slot->model == model);
		assert_in_range(t->tokens, 1, s->l.chunk);
		assert_true(t->tokens == 1 || t->tokens <= slot->prompt);
		fed[t->slot] = true;
	}
	for (size_t i = 0; i < s->n; i++) {
		s->rows[s->name[i]] += fed[i];
		s->waited[s->name[i]]++;
		if (fed[i] || !s->slots[i].runnable)
			s->waited[s->name[i]] = 0;
	}
	send_to_back(s, fed);
}

static void test_plans_are_valid(void **state)
{
	static struct stage s;

	for (int round = 0; round < 5000; round++) {
		fill(&s, below(SLOTS + 1), CLIENTS, MODELS);
		s.l.batch = 1 + below(20);
		s.l.chunk = 1 + below(20);
		for (size_t m = 0; m < MODELS; m++)
			step(&s, m, below(2));
	}
}

/* Of one priority: clients that want more than they get have the same to a
 * row over any time, none of them less than one that is content; and so have
 * the slots of a client. */
static void check_even(const struct stage *s, uint64_t steps)
{
	uint64_t rows[CLIENTS] = { 0 }, want[CLIENTS] = { 0 };

	for (size_t i = 0; i < s->n; i++) {
		const struct scheduler_slot *a = &s->slots[i];

		rows[a->client] += s->rows[s->name[i]];
		want[a->client] += a->runnable ? steps : 0;
		for (size_t j = 0; j < s->n; j++)
			if (a->runnable && s->slots[j].runnable &&
				a->client == s->slots[j].client)
				assert_true(s->rows[s->name[i]] <=
					    s->rows[s->name[j]] + 1);
	}
	for (size_t a = 0; a < CLIENTS; a++)
		for (size_t b = 0; b < CLIENTS; b++)
			if (rows[b] < want[b])
				assert_true(rows[a] <= rows[b] + 1);
}

static void test_shares_are_even(void **state)
{
	static struct stage s;

	for (int round = 0; round < 300; round++) {
		fill(&s, 1 + below(SLOTS), 1 + below(CLIENTS), 1);
		s.l.batch = 1 + below(SLOTS);
		for (size_t i = 0; i < s.n; i++)
			s.slots[i].priority = SCHEDULER_INTERACTIVE;
		for (uint64_t steps = 1; steps <= 40; steps++) {
			step(&s, 0, false);
			check_even(&s, steps);
		}
	}
}

/* A single stream beside a crowd of another's has a row in every step. */
static void test_a_crowd_does_not_slow_a_single_stream(void **state)
{
	static struct stage s;

	memset(&s, 0, sizeof(s));
	s.l = limits;
	s.n = SLOTS;
	for (size_t i = 0; i < s.n; i++) {
		s.slots[i] = (struct scheduler_slot){ .runnable = true,
			.client = i == 17 };
		s.name[i] = i;
	}
	for (int i = 0; i < 500; i++)
		step(&s, 0, false);
	assert_int_equal(s.rows[17], 500);
}

static void test_bulk_keeps_its_part_of_rows(void **state)
{
	static struct stage s;

	for (int round = 0; round < 200; round++) {
		size_t bulk = 0, interactive = 0, rows = 0;
		const size_t steps = 64;

		fill(&s, 1 + below(SLOTS), CLIENTS, 1);
		s.l.batch = 1 + below(16);
		for (size_t i = 0; i < s.n; i++) {
			bulk += s.slots[i].runnable && s.slots[i].priority;
			interactive +=
				s.slots[i].runnable && !s.slots[i].priority;
		}
		for (size_t i = 0; i < steps; i++)
			step(&s, 0, false);
		for (size_t i = 0; i < s.n; i++)
			if (s.slots[i].priority)
				rows += s.rows[s.name[i]];
		if (bulk + interactive <= s.l.batch) {
			assert_int_equal(rows, steps * bulk);
			continue;
		}
		/* Its eighth, or its even part; more only of what is left. */
		assert_true(rows + 1 >= steps * s.l.batch / SCHEDULER_PART ||
			    rows + 1 >= steps * s.l.batch * bulk /
						(bulk + interactive));
		if (interactive >= s.l.batch)
			assert_true(rows <= steps * s.l.batch / SCHEDULER_PART);
	}
}

/* Slots and clients come and go, pause and go on: nobody that could run is
 * left out for long. */
static void test_nobody_starves(void **state)
{
	static struct stage s;
	uint64_t longest[SCHEDULER_PRIORITIES] = { 0 };

	fill(&s, SLOTS, CLIENTS, 1);
	for (int round = 0; round < 20000; round++) {
		step(&s, 0, false);
		for (size_t i = 0; i < s.n; i++) {
			uint64_t w = s.waited[s.name[i]];

			if (w > longest[s.slots[i].priority])
				longest[s.slots[i].priority] = w;
		}
		for (size_t i = 0; i < s.n; i++) {
			size_t name = s.name[i];

			if (below(40))
				continue;
			/* One ends; a new one comes last in order. */
			memmove(&s.slots[i], &s.slots[i + 1],
				(s.n - 1 - i) * sizeof(s.slots[0]));
			memmove(&s.name[i], &s.name[i + 1],
				(s.n - 1 - i) * sizeof(s.name[0]));
			s.slots[s.n - 1] = random_slot(CLIENTS, 1);
			s.name[s.n - 1] = name;
			s.waited[name] = 0;
		}
	}
	/* At most 48 of a client go before it, at a row in two steps; of bulk
	 * at an eighth of that. */
	assert_true(longest[SCHEDULER_INTERACTIVE] <= SLOTS * 2);
	assert_true(longest[SCHEDULER_BULK] <= SLOTS * 2 * SCHEDULER_PART);
}

static void test_prompts_chunk_only_when_nobody_minds(void **state)
{
	struct scheduler_slot slots[] = {
		{ .runnable = true, .waits_first = true, .prompt = 1000 },
		{ .runnable = true, .waits_first = true, .prompt = 300 },
	};
	struct scheduler_lane lanes[2] = { 0 };

#define EXPECT_CHUNK(others, want)                                            \
	do {                                                                  \
		scheduler_survey(slots, 2, lanes, 2);                         \
		assert_int_equal(                                             \
			scheduler_chunk(&limits, lanes, 2, 0, others), want); \
	} while (0)
	EXPECT_CHUNK(false, 16);
	EXPECT_CHUNK(true, 1); /* somebody waits for a slot */
	slots[1].prompt = 3;   /* it generates after 3 */
	EXPECT_CHUNK(false, 3);
	slots[1].prompt = 0; /* it generates: gets its token at each step */
	EXPECT_CHUNK(false, 1);
	slots[1].model = 1; /* one of another model minds as much */
	EXPECT_CHUNK(false, 1);
	slots[1].prompt = 20; /* and so does one that soon will */
	EXPECT_CHUNK(false, 1);
	slots[1].prompt = 500;
	EXPECT_CHUNK(false, 16);
	slots[1].runnable = false;
	slots[1].prompt = 0;
	EXPECT_CHUNK(false, 16);
}

/* Whatever there is, somebody steps in each round, and each model that can in
 * one of eight. */
static void test_every_model_gets_its_turn(void **state)
{
	static struct stage s;

	for (int population = 0; population < 300; population++) {
		unsigned since[MODELS] = { 0 };

		fill(&s, 1 + below(12), CLIENTS, MODELS);
		for (int round = 0; round < 50; round++) {
			bool any = false, could = false;

			scheduler_survey(s.slots, s.n, s.lanes, MODELS);
			for (size_t m = 0; m < MODELS; m++) {
				bool turn = scheduler_takes_turn(
					s.lanes, MODELS, m);

				since[m] = turn ? 0 : since[m] + 1;
				if (s.lanes[m].runnable)
					assert_true(since[m] < SCHEDULER_PART);
				any |= turn;
				could |= s.lanes[m].runnable > 0;
			}
			assert_true(any == could);
		}
	}
}

/* 20 tokens of one model while others prime long prompts of two: its first
 * token comes within 25 steps, of whichever model. */
static void test_a_short_prompt_is_soon_at_its_first_token(void **state)
{
	struct scheduler_slot slots[] = {
		{ .runnable = true, .waits_first = true, .prompt = 1 << 20 },
		{ .runnable = true,
			.waits_first = true,
			.client = 1,
			.prompt = 20 },
	};

	for (size_t model = 0; model < 2; model++) {
		struct scheduler_lane lanes[2] = { 0 };
		size_t steps = 1; /* the one that runs as it comes */
		bool drawn = false;

		slots[1].prompt = 20;
		slots[1].model = model;
		while (!drawn) {
			scheduler_survey(slots, 2, lanes, 2);
			for (size_t m = 0; m < 2 && !drawn; m++) {
				struct scheduler_share shares[2];
				struct scheduler_turn turns[4];
				size_t chunk = scheduler_chunk(
					&limits, lanes, 2, m, false);
				size_t n;

				if (!scheduler_takes_turn(lanes, 2, m))
					continue;
				n = scheduler_plan(&limits, slots, 2, m, chunk,
					&lanes[m], shares, 2, turns);
				steps += turns[0].tokens;
				for (size_t i = 0; i < n; i++) {
					struct scheduler_slot *slot =
						&slots[turns[i].slot];

					drawn |= !slot->prompt;
					if (slot->prompt)
						slot->prompt -= turns[i].tokens;
				}
			}
		}
		assert_in_range(steps, 22, 25);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_queue_is_bounded),
		cmocka_unit_test(test_retry_after_follows_the_drain),
		cmocka_unit_test(test_place_takes_the_least_loaded),
		cmocka_unit_test(test_who_holds_least_joins_first),
		cmocka_unit_test(test_interactive_joins_before_bulk),
		cmocka_unit_test(test_all_get_in),
		cmocka_unit_test(test_a_client_is_first_come_first_served),
		cmocka_unit_test(test_many_requests_buy_no_more_slots),
		cmocka_unit_test(test_a_wide_one_gets_in),
		cmocka_unit_test(test_bulk_keeps_its_part_of_joins),
		cmocka_unit_test(test_plans_are_valid),
		cmocka_unit_test(test_shares_are_even),
		cmocka_unit_test(test_a_crowd_does_not_slow_a_single_stream),
		cmocka_unit_test(test_bulk_keeps_its_part_of_rows),
		cmocka_unit_test(test_nobody_starves),
		cmocka_unit_test(test_prompts_chunk_only_when_nobody_minds),
		cmocka_unit_test(test_every_model_gets_its_turn),
		cmocka_unit_test(
			test_a_short_prompt_is_soon_at_its_first_token),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
