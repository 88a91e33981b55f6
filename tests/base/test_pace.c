/* A paced thread rests while it is crowded, and only then. */
#include "test.h"

#include "base/pace.h"
#include "base/team.h"

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#define MS 1000000

static int64_t clock_ns(clockid_t which)
{
	struct timespec t;

	clock_gettime(which, &t);
	return (int64_t)t.tv_sec * 1000 * MS + t.tv_nsec;
}

#define PACE(look, looks)                                     \
	{                                                     \
		look, looks, .burst_us = 200, .rest_us = 2000 \
	}

static bool always(void *arg)
{
	atomic_fetch_add((atomic_uint *)arg, 1);
	return true;
}

static bool never(void *arg)
{
	atomic_fetch_add((atomic_uint *)arg, 1);
	return false;
}

/* Computes for `ns` of the thread's own time; how long it had no core. */
static int64_t idle_of(int64_t ns)
{
	const int64_t wall = clock_ns(CLOCK_MONOTONIC);
	const int64_t used = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	int64_t now;

	do
		now = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	while (now - used < ns);
	return clock_ns(CLOCK_MONOTONIC) - wall - (now - used);
}

static int64_t idle_of_work(void)
{
	return idle_of(20 * MS);
}

/* A hundred rests of 2 ms, if each came in time; a tenth of them is proof. */
static void it_rests_while_crowded(void **state)
{
	atomic_uint looks = 0;
	const struct pace pace = PACE(always, &looks);

	pace_begin(&pace);
	assert_true(idle_of_work() > 20 * MS);
	pace_end();
	assert_true(looks > 0);
}

/* Pieces that are shorter than a burst make one together. */
static void so_it_does_between_small_pieces(void **state)
{
	atomic_uint looks = 0;
	const struct pace pace = PACE(always, &looks);
	int64_t rested = 0;

	for (int i = 0; i < 200; i++) {
		pace_begin(&pace);
		rested += idle_of(MS / 10);
		pace_end();
	}
	assert_true(rested > 20 * MS);
}

static void it_works_on_where_there_is_room(void **state)
{
	atomic_uint looks = 0;
	const struct pace pace = PACE(never, &looks);
	unsigned seen;

	pace_begin(&pace);
	idle_of_work();
	pace_end();
	seen = looks;
	assert_true(seen > 0);
	/* Nobody looks any more. */
	idle_of_work();
	assert_int_equal(looks, seen);
}

static _Atomic int64_t idle;

static void work(void *arg, unsigned member)
{
	struct team *team = arg;
	const int64_t own = idle_of_work();

	atomic_fetch_add(&idle, own);
	team_barrier(team, member);
}

/* All members do, and they meet all the same. */
static void a_team_is_paced(void **state)
{
	atomic_uint looks = 0;
	const struct pace pace = PACE(always, &looks);
	struct team *team;
	struct error err;

	assert_int_equal(team_open(&team, 3, &err), 0);
	team_set_pace(team, &pace);
	team_run(team, work, team);
	assert_true(idle > 3 * 20 * MS);
	team_set_pace(team, NULL);
	looks = 0;
	team_run(team, work, team);
	assert_int_equal(looks, 0);
	team_close(team);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_rests_while_crowded),
		cmocka_unit_test(so_it_does_between_small_pieces),
		cmocka_unit_test(it_works_on_where_there_is_room),
		cmocka_unit_test(a_team_is_paced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
