#include "base/metrics.h"

#include <math.h>
#include <pthread.h>
#include <string.h>
#include "test.h"

enum { REQUESTS, SESSIONS, LATENCY, SIMPLE, CODES, N_ROWS };

static const double bounds[] = { 0.001, 0.01, 0.1 };
static const struct metric rows[N_ROWS] = {
	[REQUESTS] = { .name = "unrolld_http_requests_total",
		.type = METRIC_COUNTER,
		.help = "Answers by route\nand \\status",
		.labels = { { "route", "/sample|/v1/\"x\"" },
			{ "status", "2xx|4xx" } } },
	[SESSIONS] = { .name = "unrolld_sessions",
		.type = METRIC_GAUGE,
		.help = "Sessions now" },
	[LATENCY] = { .name = "unrolld_step_seconds",
		.type = METRIC_HISTOGRAM,
		.help = "Time of a step",
		.labels = { { "model", "a|b" } },
		.bounds = bounds,
		.n_bounds = 3 },
	[SIMPLE] = { .name = "unrolld_wait_seconds",
		.type = METRIC_HISTOGRAM,
		.help = "Waiting",
		.bounds = bounds,
		.n_bounds = 1 },
	[CODES] = { .name = "unrolld_codes_total",
		.type = METRIC_COUNTER,
		.help = "Codes",
		.labels = { { "code", "200|404|500" } },
		.sparse = true },
};

static void test_render(void **state)
{
	struct metrics *m;
	struct buf out;

	buf_init(&out, 1 << 16);
	assert_int_equal(metrics_open(&m, rows, N_ROWS, NULL), 0);
	metrics_add(m, REQUESTS, metrics_series(m, REQUESTS, 0, 1), 2);
	metrics_add(m, REQUESTS, metrics_series(m, REQUESTS, 1, 0), 1.5);
	metrics_add(m, CODES, 1, 3);
	metrics_set(m, SESSIONS, 0, 7);
	metrics_add(m, SESSIONS, 0, -8);
	metrics_observe(m, LATENCY, 1, 0.001);
	metrics_observe(m, LATENCY, 1, 0.05);
	metrics_observe(m, LATENCY, 1, 3);
	assert_int_equal(metrics_render(m, &out), 0);
	assert_string_equal(out.data,
		"# HELP unrolld_http_requests_total Answers by route\\nand "
		"\\\\status\n"
		"# TYPE unrolld_http_requests_total counter\n"
		"unrolld_http_requests_total{route=\"/sample\",status=\"2xx\"} "
		"0\n"
		"unrolld_http_requests_total{route=\"/sample\",status=\"4xx\"} "
		"2\n"
		"unrolld_http_requests_total{route=\"/v1/\\\"x\\\"\",status="
		"\"2xx\"} 1.5\n"
		"unrolld_http_requests_total{route=\"/v1/\\\"x\\\"\",status="
		"\"4xx\"} 0\n"
		"# HELP unrolld_sessions Sessions now\n"
		"# TYPE unrolld_sessions gauge\n"
		"unrolld_sessions -1\n"
		"# HELP unrolld_step_seconds Time of a step\n"
		"# TYPE unrolld_step_seconds histogram\n"
		"unrolld_step_seconds_bucket{model=\"a\",le=\"0.001\"} 0\n"
		"unrolld_step_seconds_bucket{model=\"a\",le=\"0.01\"} 0\n"
		"unrolld_step_seconds_bucket{model=\"a\",le=\"0.1\"} 0\n"
		"unrolld_step_seconds_bucket{model=\"a\",le=\"+Inf\"} 0\n"
		"unrolld_step_seconds_sum{model=\"a\"} 0\n"
		"unrolld_step_seconds_count{model=\"a\"} 0\n"
		"unrolld_step_seconds_bucket{model=\"b\",le=\"0.001\"} 1\n"
		"unrolld_step_seconds_bucket{model=\"b\",le=\"0.01\"} 1\n"
		"unrolld_step_seconds_bucket{model=\"b\",le=\"0.1\"} 2\n"
		"unrolld_step_seconds_bucket{model=\"b\",le=\"+Inf\"} 3\n"
		"unrolld_step_seconds_sum{model=\"b\"} 3.051\n"
		"unrolld_step_seconds_count{model=\"b\"} 3\n"
		"# HELP unrolld_wait_seconds Waiting\n"
		"# TYPE unrolld_wait_seconds histogram\n"
		"unrolld_wait_seconds_bucket{le=\"0.001\"} 0\n"
		"unrolld_wait_seconds_bucket{le=\"+Inf\"} 0\n"
		"unrolld_wait_seconds_sum 0\n"
		"unrolld_wait_seconds_count 0\n"
		"# HELP unrolld_codes_total Codes\n"
		"# TYPE unrolld_codes_total counter\n"
		"unrolld_codes_total{code=\"404\"} 3\n");
	assert_true(metrics_value(m, LATENCY, 1) == 3);
	assert_true(metrics_value(m, SESSIONS, 0) == -1);
	buf_release(&out);
	metrics_close(m);
}

static void test_special_numbers(void **state)
{
	struct metrics *m;
	struct buf out;

	buf_init(&out, 1 << 16);
	assert_int_equal(metrics_open(&m, &rows[SESSIONS], 1, NULL), 0);
	metrics_set(m, 0, 0, INFINITY);
	assert_int_equal(metrics_render(m, &out), 0);
	assert_non_null(strstr(out.data, "\nunrolld_sessions +Inf\n"));
	metrics_set(m, 0, 0, NAN);
	assert_int_equal(metrics_render(m, &out), 0);
	assert_non_null(strstr(out.data, "\nunrolld_sessions NaN\n"));
	metrics_set(m, 0, 0, 1234567890123);
	assert_int_equal(metrics_render(m, &out), 0);
	assert_non_null(strstr(out.data, "\nunrolld_sessions 1234567890123\n"));
	buf_release(&out);
	buf_init(&out, 20);
	assert_int_equal(metrics_render(m, &out), -1);
	buf_release(&out);
	metrics_close(m);
}

static void *count(void *arg)
{
	for (int i = 0; i < 10000; i++) {
		metrics_add(arg, REQUESTS, 0, 1);
		metrics_observe(arg, SIMPLE, 0, 0.5);
	}
	return NULL;
}

static void test_nothing_is_lost_between_threads(void **state)
{
	pthread_t threads[4];
	struct metrics *m;

	assert_int_equal(metrics_open(&m, rows, N_ROWS, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, count, m);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_true(metrics_value(m, REQUESTS, 0) == 40000);
	assert_true(metrics_value(m, SIMPLE, 0) == 40000);
	metrics_close(m);
}

static void test_faulty_tables(void **state)
{
	static const double falling[] = { 2, 1 };
	static const struct {
		struct metric row;
		const char *message;
	} bad[] = {
		{ { .name = "http_total", .type = METRIC_COUNTER },
			"metric http_total: its name is not "
			"unrolld_[a-z0-9_]*" },
		{ { .name = "unrolld_a", .type = METRIC_COUNTER },
			"metric unrolld_a: counters, and only they, end in "
			"_total" },
		{ { .name = "unrolld_a_total", .type = METRIC_GAUGE },
			"metric unrolld_a_total: counters, and only they, end "
			"in _total" },
		{ { .name = "unrolld_h", .type = METRIC_HISTOGRAM },
			"metric unrolld_h: histograms, and only they, have "
			"bounds" },
		{ { .name = "unrolld_h",
			  .type = METRIC_HISTOGRAM,
			  .bounds = falling,
			  .n_bounds = 2 },
			"metric unrolld_h: its bounds do not ascend" },
		{ { .name = "unrolld_a",
			  .type = METRIC_GAUGE,
			  .labels = { { "A-b", "x" } } },
			"metric unrolld_a: a label's name or values are "
			"wrong" },
	};
	const struct metric twice[] = { rows[SESSIONS], rows[SESSIONS] };
	struct metrics *m;
	struct error err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(metrics_open(&m, &bad[i].row, 1, &err), -1);
		assert_error(err, ERROR_INTERNAL, bad[i].message);
	}
	assert_int_equal(metrics_open(&m, twice, 2, &err), -1);
	assert_error(err, ERROR_INTERNAL,
		"metric unrolld_sessions: it is there twice");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_render),
		cmocka_unit_test(test_special_numbers),
		cmocka_unit_test(test_nothing_is_lost_between_threads),
		cmocka_unit_test(test_faulty_tables),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
