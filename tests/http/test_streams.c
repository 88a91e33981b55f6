/* What is kept of streams: found again by event, bounded, forgotten in time. */
#include "http/streams.h"
#include "test.h"

#include <stdio.h>
#include <string.h>

static int frame(struct streams *t, struct stream *s, uint64_t tokens)
{
	char bytes[64];
	int n = snprintf(
		bytes, sizeof(bytes), "<%llu>", (unsigned long long)tokens);

	stream_log(t, s, bytes, (size_t)n, true, tokens, tokens);
	return n;
}

static void expect_from(const struct stream *s, uint64_t from, const char *text)
{
	size_t offset;

	assert_int_equal(stream_seek(s, &from, &offset, NULL), 0);
	assert_string_equal(s->log.data + offset, text);
}

static void test_seek(void **state)
{
	struct streams t = { .max = 1000, .max_total = 10000, .ttl = 10 };
	struct stream *s = streams_begin(&t, "one", 0, true);
	struct error err;
	uint64_t from;
	size_t offset;

	assert_ptr_equal(streams_find(&t, "one"), s);
	assert_null(streams_find(&t, "two"));
	frame(&t, s, 3);
	frame(&t, s, 4);
	frame(&t, s, 9);
	stream_log(&t, s, "end", 3, false, 9, 9);
	assert_int_equal(stream_seek(s, NULL, &offset, NULL), 0);
	assert_int_equal(offset, 0);
	expect_from(s, 0, "<3><4><9>end");
	expect_from(s, 3, "<4><9>end");
	expect_from(s, 9, "end");
	from = 6;
	assert_int_equal(stream_seek(s, &from, &offset, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
	assert_non_null(strstr(err.message, "4 and 9"));
	from = 2;
	assert_int_equal(stream_seek(s, &from, &offset, &err), -1);
	assert_non_null(strstr(err.message, "0 and 3"));
	from = 10;
	assert_int_equal(stream_seek(s, &from, &offset, &err), -1);
	assert_non_null(strstr(err.message, "is 9"));
	/* Begun again in the middle. */
	s = streams_begin(&t, "one", 9, false);
	frame(&t, s, 12);
	assert_int_equal(stream_seek(s, NULL, &offset, NULL), 1);
	from = 4;
	assert_int_equal(stream_seek(s, &from, &offset, NULL), 1);
	expect_from(s, 9, "<12>");
	streams_release(&t);
	assert_int_equal(t.bytes, 0);
	assert_int_equal(t.count, 0);
}

static void test_bounds(void **state)
{
	struct streams t = { .max = 400, .max_total = 1000, .ttl = 10 };
	struct stream *s = streams_begin(&t, "one", 0, true);
	uint64_t from = 1;
	size_t offset;
	char id[16];

	for (uint64_t i = 1; i <= 1000; i++) {
		frame(&t, s, i);
		assert_true(t.bytes <= 400);
		assert_true(s->log.len > 0);
	}
	assert_int_equal(stream_seek(s, &from, &offset, NULL), 1);
	assert_int_equal(stream_seek(s, NULL, &offset, NULL), 1);
	expect_from(s, 999, "<1000>");
	/* Those that are over make room, the oldest first. */
	for (int i = 0; i < 100; i++) {
		snprintf(id, sizeof(id), "s%d", i);
		s = streams_begin(&t, id, 0, true);
		for (uint64_t n = 1; n <= 9; n++)
			frame(&t, s, n);
		stream_over(&t, s, (uint64_t)i);
		assert_true(t.bytes <= 1000);
	}
	assert_null(streams_find(&t, "s0"));
	assert_non_null(streams_find(&t, "s99"));
	assert_non_null(streams_find(&t, "one")); /* is live */
	streams_sweep(&t, 108);
	assert_non_null(streams_find(&t, "s99"));
	assert_null(streams_find(&t, "s98"));
	streams_sweep(&t, 109);
	assert_null(streams_find(&t, "s99"));
	assert_int_equal(t.count, 1);
	streams_release(&t);
	assert_int_equal(t.bytes, 0);
}

static void test_nothing_is_kept(void **state)
{
	struct streams t = { .max = 0, .max_total = 0, .ttl = 10 };
	struct stream *s = streams_begin(&t, "one", 0, true);
	uint64_t from = 3;
	size_t offset;

	frame(&t, s, 3);
	frame(&t, s, 5);
	assert_int_equal(t.bytes, 0);
	assert_int_equal(stream_seek(s, &from, &offset, NULL), 1);
	from = 5;
	assert_int_equal(stream_seek(s, &from, &offset, NULL), 0);
	stream_log(&t, s, "end", 3, false, 5, 5);
	assert_int_equal(t.bytes, 0);
	streams_release(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seek),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_nothing_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
