#include "serve/scheduler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

static const struct scheduler_limits limits = {
	.slots = 8, .batch = 4, .chunk = 16, .queue = 3
};

static void test_join_is_first_come_first_served(void **state)
{
	const struct scheduler_waiting w[] = { { 1, INT64_MAX },
		{ 3, INT64_MAX }, { 1, INT64_MAX } };

	assert_int_equal(scheduler_join(&limits, w, 3, 5), 3);
	assert_int_equal(scheduler_join(&limits, w, 3, 4), 2);
	/* The big one in front is not overtaken, so it cannot starve. */
	assert_int_equal(scheduler_join(&limits, w, 3, 3), 1);
	assert_int_equal(scheduler_join(&limits, w, 3, 0), 0);
	assert_int_equal(scheduler_join(&limits, w, 0, 5), 0);
}

static void test_queue_is_bounded(void **state)
{
	assert_true(scheduler_accepts(&limits, 2));
	assert_false(scheduler_accepts(&limits, 3));
}

static void test_deadlines(void **state)
{
	const struct scheduler_waiting never = { 1, INT64_MAX };
	const struct scheduler_waiting soon = { 1, 100 };

	assert_false(scheduler_expired(&never, INT64_MAX - 1));
	assert_false(scheduler_expired(&soon, 99));
	assert_true(scheduler_expired(&soon, 100));
}

static void test_place_takes_the_least_loaded(void **state)
{
	const size_t loads[] = { 3, 1, 1, 2 };

	assert_int_equal(scheduler_place(loads, 4), 1);
	assert_int_equal(scheduler_place(loads, 1), 0);
}

static void test_prompts_chunk_only_when_nobody_minds(void **state)
{
	struct scheduler_slot slots[] = { { true, 0, 1000 }, { true, 0, 3 } };
	struct scheduler_turn turns[4];
	size_t cursor = 0;

	assert_int_equal(
		scheduler_plan(&limits, slots, 2, 0, false, &cursor, turns), 2);
	assert_int_equal(turns[0].tokens, 16);
	assert_int_equal(turns[1].tokens, 3);
	cursor = 0;
	scheduler_plan(&limits, slots, 2, 0, true, &cursor, turns);
	assert_int_equal(turns[0].tokens, 1);
	slots[1].prompt = 0; /* generates: gets its token at each step */
	cursor = 0;
	scheduler_plan(&limits, slots, 2, 0, false, &cursor, turns);
	assert_int_equal(turns[0].tokens, 1);
	assert_int_equal(turns[1].tokens, 1);
	slots[1].model = 1; /* one of another model minds as much */
	cursor = 0;
	assert_int_equal(
		scheduler_plan(&limits, slots, 2, 0, false, &cursor, turns), 1);
	assert_int_equal(turns[0].tokens, 1);
}

/* Over random views: no step exceeds the batch, none feeds who can't run or is
 * of another model, none feeds a slot twice or more than it has. */
static void test_plans_are_valid(void **state)
{
	unsigned random = 1;
	size_t cursor = 0;

	for (int round = 0; round < 20000; round++) {
		struct scheduler_slot slots[8];
		struct scheduler_turn turns[4];
		bool seen[8] = { false };
		size_t n, planned, can = 0;

		random = random * 1103515245 + 12345;
		n = random >> 16 & 7;
		for (size_t i = 0; i < n; i++) {
			random = random * 1103515245 + 12345;
			slots[i] = (struct scheduler_slot){ random >> 16 & 1,
				random >> 17 & 1, random >> 18 & 31 };
			can += slots[i].runnable && !slots[i].model;
		}
		planned = scheduler_plan(
			&limits, slots, n, 0, random >> 25 & 1, &cursor, turns);
		assert_int_equal(planned, can < 4 ? can : 4);
		for (size_t i = 0; i < planned; i++) {
			const struct scheduler_slot *s = &slots[turns[i].slot];

			assert_true(turns[i].slot < n);
			assert_true(s->runnable && !s->model);
			assert_false(seen[turns[i].slot]);
			seen[turns[i].slot] = true;
			assert_in_range(turns[i].tokens, 1, 16);
			assert_true(!s->prompt || turns[i].tokens <= s->prompt);
		}
	}
}

/* Eight that generate share four rows: after many steps all have as much. */
static void test_shares_are_even(void **state)
{
	struct scheduler_slot slots[8];
	struct scheduler_turn turns[4];
	size_t served[8] = { 0 }, cursor = 0;

	for (size_t i = 0; i < 7; i++)
		slots[i] = (struct scheduler_slot){ true, 0, 0 };
	for (int step = 0; step < 700; step++) {
		size_t n = scheduler_plan(
			&limits, slots, 7, 0, false, &cursor, turns);

		for (size_t i = 0; i < n; i++)
			served[turns[i].slot]++;
	}
	for (size_t i = 0; i < 7; i++)
		assert_int_equal(served[i], 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_join_is_first_come_first_served),
		cmocka_unit_test(test_queue_is_bounded),
		cmocka_unit_test(test_deadlines),
		cmocka_unit_test(test_place_takes_the_least_loaded),
		cmocka_unit_test(test_prompts_chunk_only_when_nobody_minds),
		cmocka_unit_test(test_plans_are_valid),
		cmocka_unit_test(test_shares_are_even),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
