#include "store/writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A memory store behind a gate: counts transactions, can be held and failed. */
struct gate {
	struct store store;
	struct store *inner;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool closed, fails;
	unsigned applies;
	size_t last_n;
};

static int gate_apply(struct store *s, const struct store_change *c, size_t n,
	struct error *err)
{
	struct gate *g = (struct gate *)s;
	bool fails;

	pthread_mutex_lock(&g->lock);
	g->applies++;
	g->last_n = n;
	pthread_cond_broadcast(&g->cond);
	while (g->closed)
		pthread_cond_wait(&g->cond, &g->lock);
	fails = g->fails;
	pthread_mutex_unlock(&g->lock);
	if (fails)
		return error_set(err, ERROR_NO_SPACE, "gate: disk full");
	return store_apply(g->inner, c, n, err);
}

static int gate_get(struct store *s, const char *key, int64_t now,
	struct buf *value, struct error *err)
{
	return store_get(((struct gate *)s)->inner, key, now, value, err);
}

static int gate_list(struct store *s, const char *prefix, const char *after,
	size_t limit, int64_t now, store_row_fn *fn, void *arg,
	struct error *err)
{
	return store_list(((struct gate *)s)->inner, prefix, after, limit, now,
		fn, arg, err);
}

static int gate_count(struct store *s, const char *prefix, int64_t now,
	uint64_t *n, struct error *err)
{
	return store_count(((struct gate *)s)->inner, prefix, now, n, err);
}

static int gate_expire(struct store *s, int64_t now, size_t limit,
	struct buf *keys, size_t *removed, struct error *err)
{
	return store_expire(
		((struct gate *)s)->inner, now, limit, keys, removed, err);
}

static int gate_bytes(struct store *s, uint64_t *n, struct error *err)
{
	return store_bytes(((struct gate *)s)->inner, n, err);
}

static int gate_tend(struct store *s, bool idle, struct error *err)
{
	return store_tend(((struct gate *)s)->inner, idle, err);
}

static const struct store_ops gate_ops = {
	.name = "gate",
	.get = gate_get,
	.list = gate_list,
	.count = gate_count,
	.apply = gate_apply,
	.expire = gate_expire,
	.bytes = gate_bytes,
	.tend = gate_tend,
};

static void gate_init(struct gate *g)
{
	struct store_options o = { 0 };

	memset(g, 0, sizeof(*g));
	g->store.ops = &gate_ops;
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->cond, NULL);
	assert_int_equal(store_open(&g->inner, "memory", &o, NULL), 0);
}

static void gate_release(struct gate *g)
{
	store_close(g->inner);
	pthread_cond_destroy(&g->cond);
	pthread_mutex_destroy(&g->lock);
}

static void gate_set(struct gate *g, bool closed, bool fails)
{
	pthread_mutex_lock(&g->lock);
	g->closed = closed;
	g->fails = fails;
	pthread_cond_broadcast(&g->cond);
	pthread_mutex_unlock(&g->lock);
}

static void gate_wait(struct gate *g, unsigned applies)
{
	pthread_mutex_lock(&g->lock);
	while (g->applies < applies)
		pthread_cond_wait(&g->cond, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

static void post(struct store_writer *w, const char *key, const char *value,
	store_done_fn *done, void *arg)
{
	const struct store_change c = { key, value, value ? strlen(value) : 0,
		STORE_NEVER };

	assert_int_equal(store_writer_post(w, &c, 1, done, arg, NULL), 0);
}

static void expect(struct store_writer *w, const char *key, const char *value)
{
	struct buf b;

	buf_init(&b, 4096);
	assert_int_equal(store_writer_get(w, key, 1, &b, NULL), value ? 0 : -1);
	if (value)
		assert_string_equal(b.data ? b.data : "", value);
	buf_release(&b);
}

static void count_done(void *arg, const struct error *err)
{
	atomic_fetch_add((atomic_uint *)arg, err ? 1000 : 1);
}

static struct store_writer *writer(
	struct store *s, size_t max_bytes, int64_t sweep_ms)
{
	const struct store_writer_options o = {
		.max_bytes = max_bytes, .sweep_ms = sweep_ms, .idle_ms = 1
	};
	struct store_writer *w;

	assert_int_equal(store_writer_open(&w, s, &o, NULL), 0);
	return w;
}

/* What comes in during one COMMIT is one transaction, the latest put of each
 * key wins, and readers see all of it before it is stored. */
static void test_groups_and_reads(void **state)
{
	atomic_uint done = 0;
	struct store_writer *w;
	struct gate g;

	gate_init(&g);
	w = writer(&g.store, 0, 0);
	gate_set(&g, true, false);
	post(w, "a", "0", count_done, &done);
	gate_wait(&g, 1);
	for (int i = 1; i <= 100; i++) {
		char value[8];

		snprintf(value, sizeof(value), "%d", i);
		post(w, "a", value, count_done, &done);
		expect(w, "a", value);
	}
	post(w, "b", "x", NULL, NULL);
	post(w, "gone", "x", NULL, NULL);
	post(w, "gone", NULL, NULL, NULL);
	expect(w, "b", "x");
	expect(w, "gone", NULL);
	assert_int_equal(atomic_load(&done), 0);
	gate_set(&g, false, false);
	store_writer_flush(w);
	assert_int_equal(atomic_load(&done), 101);
	assert_int_equal(g.applies, 2);
	assert_int_equal(g.last_n, 3);
	expect(w, "a", "100");
	expect(w, "gone", NULL);
	store_writer_close(w);
	gate_release(&g);
}

static void test_failure_is_told_and_nothing_stays(void **state)
{
	atomic_uint done = 0;
	struct store_writer *w;
	struct gate g;

	gate_init(&g);
	w = writer(&g.store, 0, 0);
	post(w, "a", "before", NULL, NULL);
	store_writer_flush(w);
	gate_set(&g, false, true);
	post(w, "a", "lost", count_done, &done);
	store_writer_flush(w);
	assert_int_equal(atomic_load(&done), 1000);
	expect(w, "a", "before");
	gate_set(&g, false, false);
	post(w, "a", "after", count_done, &done);
	store_writer_flush(w);
	assert_int_equal(atomic_load(&done), 1001);
	expect(w, "a", "after");
	store_writer_close(w);
	gate_release(&g);
}

static void test_bound(void **state)
{
	static char big[3000];
	const struct store_change c = { "big", big, sizeof(big), STORE_NEVER };
	struct error err = { 0 };
	struct store_writer *w;
	struct gate g;

	gate_init(&g);
	w = writer(&g.store, 5000, 0);
	gate_set(&g, true, false);
	assert_int_equal(store_writer_post(w, &c, 1, NULL, NULL, NULL), 0);
	gate_wait(&g, 1);
	assert_int_equal(store_writer_post(w, &c, 1, NULL, NULL, &err), -1);
	assert_int_equal(err.code, ERROR_OVERLOADED);
	gate_set(&g, false, false);
	store_writer_flush(w);
	assert_int_equal(store_writer_post(w, &c, 1, NULL, NULL, NULL), 0);
	store_writer_close(w);
	gate_release(&g);
}

static double measured(struct store_writer *w, const char *series)
{
	const char *line;
	struct buf out;
	double v;

	buf_init(&out, 1 << 20);
	assert_int_equal(store_writer_metrics(w, &out), 0);
	line = strstr(out.data, series);
	assert_non_null(line);
	v = strtod(line + strlen(series), NULL);
	buf_release(&out);
	return v;
}

/* How far commits lag behind what was posted, and how they went. */
static void test_lag_is_measured(void **state)
{
	struct store_writer *w;
	struct gate g;

	gate_init(&g);
	w = writer(&g.store, 0, 0);
	assert_true(measured(w, "\nunrolld_store_lag_seconds ") == 0);
	gate_set(&g, true, false);
	post(w, "a", "0", NULL, NULL);
	gate_wait(&g, 1);
	post(w, "b", "1", NULL, NULL);
	post(w, "b", "2", NULL, NULL);
	usleep(20000);
	assert_true(measured(w, "\nunrolld_store_pending_changes ") == 2);
	assert_true(measured(w, "\nunrolld_store_pending_bytes ") > 2);
	assert_true(measured(w, "\nunrolld_store_lag_seconds ") >= 0.02);
	gate_set(&g, false, false);
	store_writer_flush(w);
	gate_set(&g, false, true);
	post(w, "c", "3", NULL, NULL);
	store_writer_flush(w);
	assert_true(measured(w, "\nunrolld_store_pending_changes ") == 0);
	assert_true(measured(w, "\nunrolld_store_lag_seconds ") == 0);
	assert_true(measured(w, "_commits_total{outcome=\"ok\"} ") == 2);
	assert_true(measured(w, "_commits_total{outcome=\"error\"} ") == 1);
	assert_true(measured(w, "\nunrolld_store_group_changes_sum ") == 3);
	store_writer_close(w);
	gate_release(&g);
}

static void test_close_commits(void **state)
{
	struct store_writer *w;
	struct gate g;

	gate_init(&g);
	w = writer(&g.store, 0, 0);
	post(w, "a", "kept", NULL, NULL);
	store_writer_close(w);
	w = writer(&g.store, 0, 0);
	expect(w, "a", "kept");
	store_writer_close(w);
	gate_release(&g);
}

static void add_removed(void *arg, const char *key)
{
	atomic_fetch_add((atomic_uint *)arg, strcmp(key, "old") ? 100 : 1);
}

static void test_sweeps(void **state)
{
	const struct store_change old = { "old", "x", 1, 5 };
	atomic_uint removed = 0;
	struct store_writer *w;
	struct gate g;
	uint64_t n = 9;

	gate_init(&g);
	w = writer(&g.store, 0, 10);
	store_writer_on_sweep(w, add_removed, &removed);
	assert_int_equal(store_writer_post(w, &old, 1, NULL, NULL, NULL), 0);
	for (int i = 0; i < 500 && !atomic_load(&removed); i++)
		usleep(10000);
	assert_int_equal(atomic_load(&removed), 1);
	store_writer_on_sweep(w, NULL, NULL);
	assert_int_equal(store_writer_count(w, "", 1, &n, NULL), 0);
	assert_int_equal(n, 0);
	store_writer_close(w);
	gate_release(&g);
}

struct poster {
	struct store_writer *w;
	atomic_uint *done;
	int index;
};

static void *post_many(void *arg)
{
	struct poster *p = arg;
	char key[16], value[16];

	for (int i = 0; i < 300; i++) {
		snprintf(key, sizeof(key), "k%d/%d", p->index, i % 7);
		snprintf(value, sizeof(value), "%d", i);
		post(p->w, key, value, count_done, p->done);
		expect(p->w, key, value);
	}
	return NULL;
}

static void test_many_threads(void **state)
{
	struct poster posters[4];
	pthread_t threads[4];
	atomic_uint done = 0;
	struct store_writer *w;
	struct gate g;

	gate_init(&g);
	w = writer(&g.store, 0, 1);
	for (int i = 0; i < 4; i++) {
		posters[i] = (struct poster){ w, &done, i };
		pthread_create(&threads[i], NULL, post_many, &posters[i]);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	store_writer_flush(w);
	assert_int_equal(atomic_load(&done), 1200);
	expect(w, "k3/5", "299"); /* 299 % 7 == 5 */
	store_writer_close(w);
	gate_release(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_groups_and_reads),
		cmocka_unit_test(test_failure_is_told_and_nothing_stays),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_lag_is_measured),
		cmocka_unit_test(test_close_commits),
		cmocka_unit_test(test_sweeps),
		cmocka_unit_test(test_many_threads),
	};

	alarm(120); /* a test that hangs has failed */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
