/* The cache of hot sessions: what leaves, what stays, what is never served. */
#include "test.h"
#include "serve/resident.h"

#include <stdio.h>
#include <string.h>

#define NEVER INT64_MAX

static struct resident *open_with(size_t sessions, size_t bytes)
{
	const struct resident_limits l = { sessions, bytes };
	struct resident *r;

	assert_int_equal(resident_open(&r, &l, NULL), 0);
	return r;
}

static bool has(struct resident *r, const char *id, const char *want)
{
	struct buf blob;
	bool found;

	buf_init(&blob, 1 << 20);
	found = resident_get(r, id, 5, &blob);
	if (found)
		assert_string_equal(blob.data, want);
	buf_release(&blob);
	return found;
}

static void put(struct resident *r, const char *id, const char *text)
{
	resident_put(r, id, text, strlen(text), NEVER);
}

static void test_the_least_recently_used_leaves(void **state)
{
	struct resident *r = open_with(2, 0);
	struct resident_stats s;

	put(r, "a", "1");
	put(r, "b", "2");
	assert_true(has(r, "a", "1"));
	put(r, "c", "3");
	assert_false(has(r, "b", NULL));
	assert_true(has(r, "a", "1"));
	assert_true(has(r, "c", "3"));
	put(r, "a", "longer");
	assert_true(has(r, "a", "longer"));
	resident_drop(r, "a");
	resident_drop(r, "none");
	assert_false(has(r, "a", NULL));
	resident_stats(r, &s);
	assert_int_equal(s.sessions, 1);
	assert_int_equal(s.spilled, 1);
	assert_int_equal(s.hits, 4);
	assert_int_equal(s.misses, 2);
	resident_close(r);
}

static void test_what_expired_is_not_served(void **state)
{
	struct resident *r = open_with(2, 0);

	resident_put(r, "a", "1", 1, 5);
	assert_false(has(r, "a", NULL));
	resident_put(r, "a", "1", 1, 6);
	assert_true(has(r, "a", "1"));
	resident_close(r);
}

static void test_bytes_are_bounded(void **state)
{
	struct resident *r = open_with(1000, 5000);
	struct resident_stats s;
	char blob[1000], id[16];

	memset(blob, 'x', sizeof(blob));
	for (int i = 0; i < 50; i++) {
		snprintf(id, sizeof(id), "%d", i);
		resident_put(r, id, blob, sizeof(blob), NEVER);
		resident_stats(r, &s);
		assert_true(s.bytes <= 5000);
	}
	assert_int_equal(s.sessions, 4);
	put(r, "huge", "small yet");
	resident_put(r, "huge", (char[6000]){ 0 }, 6000, NEVER);
	assert_false(has(r, "huge", NULL));
	resident_stats(r, &s);
	assert_int_equal(s.sessions, 4); /* nobody left for it */
	resident_close(r);
}

static void test_a_hundred_thousand(void **state)
{
	struct resident *r = open_with(100000, 0);
	struct resident_stats s;
	char id[16];

	for (int i = 0; i < 150000; i++) {
		snprintf(id, sizeof(id), "s%d", i);
		put(r, id, id);
	}
	resident_stats(r, &s);
	assert_int_equal(s.sessions, 100000);
	assert_int_equal(s.spilled, 50000);
	assert_true(s.bytes < 100000 * 100);
	assert_false(has(r, "s49999", NULL));
	for (int i = 50000; i < 150000; i += 7) {
		snprintf(id, sizeof(id), "s%d", i);
		assert_true(has(r, id, id));
	}
	resident_close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_least_recently_used_leaves),
		cmocka_unit_test(test_what_expired_is_not_served),
		cmocka_unit_test(test_bytes_are_bounded),
		cmocka_unit_test(test_a_hundred_thousand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
