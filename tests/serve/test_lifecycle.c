/* How requests wait, pause, leave and end, whatever the engine is doing. */
#include "serve/fixture.h"

#include <sched.h>

/* Run one request without looking at any other; returns its tokens. */
static unsigned read_alone(struct fixture *f, struct generate_options *g)
{
	struct generate_request *r = fixture_submit(f, g, NULL);
	const struct generate_event *e;
	unsigned tokens = 0;

	while (!(e = generate_next(r)) || e->type != GENERATE_ENDED)
		tokens += e && e->type == GENERATE_TOKEN;
	generate_close(r);
	return tokens;
}

static void test_a_full_ring_pauses_only_its_slot(void **state)
{
	struct fixture_options o = { 0 };
	struct generate_options g = fixture_request("slow", 5000, 1);
	struct generate_options q = fixture_request("quick", 400, 2);
	struct outcome slow, again;
	struct generate_request *r;
	struct engine_stats stats;
	struct fixture f;

	fixture_init(&f, &o);
	outcome_init(&slow);
	r = fixture_submit(&f, &g, &slow);
	do {
		sched_yield();
		engine_stats(f.engine, &stats);
	} while (!stats.slots_paused);
	assert_true(stats.generated_tokens < 300);
	assert_int_equal(read_alone(&f, &q), 400);
	engine_stats(f.engine, &stats);
	assert_true(stats.generated_tokens < 700);
	fixture_read(r, NULL);
	fixture_until(&f, &slow, 1);
	assert_int_equal(slow.tokens[0].len, 5000);
	fixture_run(&f, &g, &again);
	assert_string_equal(outcome_text(&slow), outcome_text(&again));
	outcome_release(&slow);
	outcome_release(&again);
	fixture_release(&f);
}

static void test_cancel_frees_the_slot(void **state)
{
	struct fixture_options o = { .slots = 1 };
	struct generate_options g = fixture_request("long", 1u << 24, 1);
	struct generate_options n = fixture_request("next", 5, 1);
	struct outcome out[2];
	struct engine_stats stats;
	struct fixture f;

	fixture_init(&f, &o);
	outcome_init(&out[0]);
	outcome_init(&out[1]);
	out[0].cancel_at = 20;
	fixture_submit(&f, &g, &out[0]);
	fixture_submit(&f, &n, &out[1]); /* waits for the only slot */
	fixture_until(&f, out, 2);
	assert_int_equal(out[0].result.error.code, ERROR_CANCELLED);
	assert_int_equal(out[1].result.error.code, ERROR_NONE);
	engine_stats(f.engine, &stats);
	assert_int_equal(stats.cancelled, 1);
	assert_int_equal(stats.requests, 2);
	outcome_release(&out[0]);
	outcome_release(&out[1]);
	fixture_release(&f);
}

/* One that waits, and one whose ring is full, can be cancelled as well. */
static void test_cancel_wherever_it_is(void **state)
{
	struct fixture_options o = { .slots = 1 };
	struct generate_options g = fixture_request("long", 100000, 1);
	struct generate_request *full, *waits;
	struct engine_stats stats;
	struct outcome out[2];
	struct fixture f;

	fixture_init(&f, &o);
	outcome_init(&out[0]);
	outcome_init(&out[1]);
	full = fixture_submit(&f, &g, &out[0]);
	waits = fixture_submit(&f, &g, &out[1]);
	do {
		sched_yield();
		engine_stats(f.engine, &stats);
	} while (!stats.slots_paused);
	generate_cancel(waits, 0);
	generate_cancel(full, 0);
	generate_cancel(full, 0);
	fixture_until(&f, out, 2);
	assert_int_equal(out[0].result.error.code, ERROR_CANCELLED);
	assert_int_equal(out[1].result.error.code, ERROR_CANCELLED);
	assert_int_equal(out[1].tokens[0].len, 0);
	assert_int_equal(engine_active(f.engine), 0);
	outcome_release(&out[0]);
	outcome_release(&out[1]);
	fixture_release(&f);
}

static void test_the_queue_is_bounded(void **state)
{
	struct fixture_options o = { .slots = 1, .queue = 2 };
	struct generate_options g = fixture_request("long", 100000, 1);
	struct outcome out[3];
	struct generate_request *r[3], *extra;
	struct engine_stats stats;
	struct error err = { 0 };
	struct fixture f;

	fixture_init(&f, &o);
	for (int i = 0; i < 3; i++) {
		outcome_init(&out[i]);
		r[i] = fixture_submit(&f, &g, &out[i]);
		do { /* the first has its slot, the others wait */
			sched_yield();
			engine_stats(f.engine, &stats);
		} while (stats.queued > (size_t)i);
	}
	must(generate_open(&extra, &g, &fault));
	assert_int_equal(engine_submit(f.engine, extra, &err), -1);
	assert_int_equal(err.code, ERROR_OVERLOADED);
	generate_close(extra);
	for (int i = 0; i < 3; i++)
		generate_cancel(r[i], 0);
	fixture_until(&f, out, 3);
	engine_stats(f.engine, &stats);
	assert_int_equal(stats.rejected, 1);
	assert_int_equal(stats.queued, 0);
	g.n = 2; /* can never join a single slot */
	g.model = fixture_model(&f);
	must(generate_open(&extra, &g, &fault));
	assert_int_equal(engine_submit(f.engine, extra, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
	assert_string_equal(err.param, "n");
	generate_close(extra);
	registry_unref(g.model);
	for (int i = 0; i < 3; i++)
		outcome_release(&out[i]);
	fixture_release(&f);
}

/* The server's limits, or a deadline of the request's own within them: it ends
 * what runs, and what waits. */
static void test_deadlines(void **state)
{
	struct fixture_options o = { .slots = 1 };

	for (int own = 0; own < 2; own++) {
		struct generate_options run =
			fixture_request("run", 1u << 24, 1);
		struct generate_options wait = fixture_request("wait", 5, 1);
		struct outcome out[2];
		struct fixture f;

		fixture_init(&f, &o);
		outcome_init(&out[0]);
		outcome_init(&out[1]);
		run.run_ms = own ? 3600000 : 200;
		run.deadline_ms = own ? 200 : 3600000;
		wait.queue_ms = own ? 3600000 : 20;
		wait.deadline_ms = own ? 20 : 3600000;
		fixture_submit(&f, &run, &out[0]);
		fixture_submit(&f, &wait, &out[1]);
		fixture_until(&f, out, 2);
		assert_int_equal(out[0].result.error.code, ERROR_NONE);
		assert_int_equal(out[0].finish[0], GENERATE_DEADLINE);
		assert_true(out[0].tokens[0].len > 0);
		assert_int_equal(out[1].result.error.code, ERROR_OVERLOADED);
		assert_non_null(strstr(out[1].result.error.message, "20 ms"));
		outcome_release(&out[0]);
		outcome_release(&out[1]);
		fixture_release(&f);
	}
}

/* A deadline finds a paused slot too, and its session keeps what was drawn. */
static void test_deadline_of_a_paused_session(void **state)
{
	struct fixture_options o = { 0 };
	struct generate_options g = fixture_request("", 100000, 0);
	struct session_info info;
	struct outcome out;
	struct fixture f;

	fixture_init(&f, &o);
	fixture_create(&f, "s", 1);
	outcome_init(&out);
	g.run_ms = 50;
	fixture_submit_session(&f, "s", &g, &out);
	while (engine_active(f.engine)) /* nobody reads */
		sched_yield();
	fixture_until(&f, &out, 1);
	assert_int_equal(out.finish[0], GENERATE_DEADLINE);
	assert_true(out.result.committed);
	must(session_get(f.sessions, "s", &info, &fault));
	assert_int_equal(info.position, out.tokens[0].len);
	session_info_release(&info);
	outcome_release(&out);
	fixture_release(&f);
}

/* While one client primes with a megabyte, a short request is through long
 * before. */
static void test_a_long_prompt_stalls_nobody(void **state)
{
	struct fixture_options o = { 0 };
	struct generate_options big, small;
	struct generate_request *r;
	struct outcome out[2];
	struct engine_stats before, after;
	struct fixture f;
	char *text = malloc((1 << 20) + 1);

	memset(text, 'a', 1 << 20);
	text[1 << 20] = '\0';
	fixture_init(&f, &o);
	big = fixture_request(text, 1, 1);
	small = fixture_request("twenty characters...", 1, 1);
	outcome_init(&out[0]);
	outcome_init(&out[1]);
	r = fixture_submit(&f, &big, &out[0]);
	do {
		sched_yield();
		engine_stats(f.engine, &before);
	} while (before.prompt_tokens < 100);
	fixture_submit(&f, &small, &out[1]);
	fixture_until(&f, &out[1], 1);
	engine_stats(f.engine, &after);
	assert_false(out[0].ended);
	assert_true(out[1].result.timings.prompt > 0);
	assert_true(after.prompt_tokens < 1 << 19);
	generate_cancel(r, 0);
	fixture_until(&f, &out[0], 1);
	assert_int_equal(out[0].result.error.code, ERROR_CANCELLED);
	outcome_release(&out[0]);
	outcome_release(&out[1]);
	free(text);
	fixture_release(&f);
}

static void test_drain_and_close(void **state)
{
	struct fixture_options o = { .threads = 2 };
	struct generate_options g = fixture_request("work", 1u << 24, 1);
	struct generate_options e = fixture_request("end", 300, 1);
	struct outcome out[3];
	struct generate_request *late;
	struct error err = { 0 };
	struct fixture f;

	fixture_init(&f, &o);
	for (int i = 0; i < 3; i++)
		outcome_init(&out[i]);
	fixture_create(&f, "s", 1);
	fixture_submit(&f, &e, &out[0]);
	fixture_submit(&f, &g, &out[1]);
	fixture_submit_session(&f, "s", &g, &out[2]);
	engine_drain(f.engine);
	g.session = NULL;
	g.model = fixture_model(&f);
	must(generate_open(&late, &g, &fault));
	assert_int_equal(engine_submit(f.engine, late, &err), -1);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	generate_close(late);
	registry_unref(g.model);
	fixture_until(&f, &out[0], 1); /* what can end does */
	assert_int_equal(out[0].result.error.code, ERROR_NONE);
	engine_cancel_all(f.engine);
	fixture_until(&f, out, 3);
	assert_int_equal(out[1].result.error.code, ERROR_UNAVAILABLE);
	assert_int_equal(out[2].result.error.code, ERROR_UNAVAILABLE);
	assert_false(out[2].result.committed);
	for (int i = 0; i < 3; i++)
		outcome_release(&out[i]);
	fixture_release(&f);
}

/* The engine may close on requests that nobody read; they are closed later. */
static void test_close_with_work_left(void **state)
{
	struct fixture_options o = { .threads = 2 };
	struct generate_options g = fixture_request("left", 1u << 24, 1);
	struct engine_options eo = { .threads = 1, .wake = fixture_wake };
	struct generate_request *r[20];
	struct outcome out;
	struct fixture f;

	fixture_init(&f, &o);
	outcome_init(&out);
	for (int i = 0; i < 20; i++)
		r[i] = fixture_submit(&f, &g, &out);
	engine_close(f.engine);
	for (int i = 0; i < 20; i++) {
		const struct generate_event *e;
		bool ended = false;

		while ((e = generate_next(r[i])) != NULL)
			ended = e->type == GENERATE_ENDED;
		assert_true(ended);
		generate_close(r[i]);
	}
	eo.wake_arg = &f;
	must(engine_open(&f.engine, &eo, &fault));
	outcome_release(&out);
	fixture_release(&f);
}

/* However early its threads are told to stop, they do. */
static void test_open_and_close_at_once(void **state)
{
	struct fixture_options o = { 0 };
	struct fixture f;
	struct engine_options eo = { .threads = 2,
		.slots = 2,
		.batch = 1,
		.queue = 2,
		.wake = fixture_wake,
		.wake_arg = &f };

	fixture_init(&f, &o);
	for (int i = 0; i < 3000; i++) {
		struct engine *e;

		must(engine_open(&e, &eo, &fault));
		for (int j = 0; j < i % 50; j++)
			sched_yield();
		engine_close(e);
	}
	fixture_release(&f);
}

#define CHURN 400
#define AT_ONCE 40

/* Joins, leaves, cancels, sessions, choices and hot swaps, all at once. */
static void test_churn(void **state)
{
	struct fixture_options o = { .threads = 3,
		.slots = 10,
		.batch = 4,
		.store = "sqlite",
		.sessions.durability = SESSION_RELAXED };
	static struct outcome out[AT_ONCE];
	struct engine_stats stats;
	struct fixture f;
	size_t ended = 0;

	fixture_init(&f, &o);
	for (int i = 0; i < AT_ONCE; i += 4) {
		char id[8];

		snprintf(id, sizeof(id), "s%d", i);
		fixture_create(&f, id, (uint64_t)i);
	}
	for (int i = 0; i < CHURN; i++) {
		struct philox r = rng_block(1, RNG_SEED, 0, (uint64_t)i);
		struct outcome *slot = &out[i % AT_ONCE];
		struct generate_options g =
			fixture_request("churn", r.v[0] % 60, r.v[1]);
		char id[8];

		if (i >= AT_ONCE) {
			fixture_until(&f, slot, 1);
			ended++;
			outcome_release(slot);
		}
		outcome_init(slot);
		slot->cancel_at = r.v[2] % 3 ? 0 : 1 + r.v[2] % 30;
		slot->kept = slot->cancel_at / 2;
		snprintf(id, sizeof(id), "s%d", i % AT_ONCE);
		if (i % AT_ONCE % 4 == 0) {
			fixture_submit_session(&f, id, &g, slot);
		} else {
			g.n = 1 + r.v[3] % 3;
			fixture_submit(&f, &g, slot);
		}
		if (i % 100 == 50) {
			must(registry_load(f.registry, f.model_path, &fault));
			engine_forget(f.engine);
		}
		engine_poll(f.engine, fixture_read, NULL);
	}
	fixture_until(&f, out, AT_ONCE);
	for (int i = 0; i < AT_ONCE; i++)
		outcome_release(&out[i]);
	engine_stats(f.engine, &stats);
	assert_int_equal(stats.requests, CHURN);
	assert_int_equal(stats.failed, 0);
	assert_int_equal(stats.queued, 0);
	fixture_release(&f);
}

static void test_metrics(void **state)
{
	struct fixture_options o = { 0 };
	struct generate_options g = fixture_request("m", 10, 1);
	struct outcome out;
	struct fixture f;
	struct buf b;

	fixture_init(&f, &o);
	fixture_run(&f, &g, &out);
	buf_init(&b, 1 << 20);
	assert_int_equal(engine_metrics(f.engine, &b), 0);
	assert_non_null(strstr(b.data, "unrolld_batch_size_count 11"));
	assert_non_null(strstr(b.data, "unrolld_queue_seconds_count 1"));
	buf_release(&b);
	outcome_release(&out);
	fixture_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_full_ring_pauses_only_its_slot),
		cmocka_unit_test(test_cancel_frees_the_slot),
		cmocka_unit_test(test_cancel_wherever_it_is),
		cmocka_unit_test(test_the_queue_is_bounded),
		cmocka_unit_test(test_deadlines),
		cmocka_unit_test(test_deadline_of_a_paused_session),
		cmocka_unit_test(test_a_long_prompt_stalls_nobody),
		cmocka_unit_test(test_drain_and_close),
		cmocka_unit_test(test_close_with_work_left),
		cmocka_unit_test(test_open_and_close_at_once),
		cmocka_unit_test(test_churn),
		cmocka_unit_test(test_metrics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
