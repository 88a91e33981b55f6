/* How a text is cut into rows, and what of it is held out. */
#include "nn/fixture.h"

#include "nn/streams.h"

static uint32_t ids[1000];
static const struct tokens_view text = { ids, sizeof(ids[0]), 1000 };

static int number(void **unused)
{
	for (uint32_t i = 0; i < 1000; i++)
		ids[i] = i;
	return 0;
}

static void assert_streams(const struct streams *s, size_t batch, size_t stride,
	size_t begin, size_t end)
{
	assert_int_equal(s->batch, batch);
	assert_int_equal(s->stride, stride);
	assert_int_equal(s->begin, begin);
	assert_int_equal(s->end, end);
}

static void the_tail_is_held_out(void **unused)
{
	struct streams t, v;
	struct error err;

	assert_int_equal(
		streams_split(&text, 7, 10, SPLIT_TAIL, 0.1, &t, &v, &err), 0);
	assert_streams(&t, 7, 128, 0, 128);
	assert_int_equal(t.tokens.count, 900);
	assert_int_equal(tokens_at(&t.tokens, 899), 899);
	assert_streams(&v, 1, 100, 0, 100);
	assert_int_equal(tokens_at(&v.tokens, 0), 900);
	assert_int_equal(streams_steps(&v), 99);
}

static void the_end_of_each_stream_is_held_out(void **unused)
{
	uint32_t in[5], out[5];
	struct streams t, v;
	struct error err;

	assert_int_equal(
		streams_split(&text, 5, 10, SPLIT_STREAM, 0.05, &t, &v, &err),
		0);
	assert_streams(&t, 5, 200, 0, 190);
	assert_streams(&v, 5, 200, 190, 200);
	assert_int_equal(streams_steps(&v), 9);
	streams_gather(&v, v.begin, 1, in, out);
	for (uint32_t b = 0; b < 5; b++) {
		assert_int_equal(in[b], b * 200 + 190);
		assert_int_equal(out[b], b * 200 + 191);
	}
}

static void nothing_is_held_out_when_so_asked(void **unused)
{
	struct streams t, v;
	struct error err;

	for (int split = SPLIT_TAIL; split <= SPLIT_STREAM; split++) {
		assert_int_equal(
			streams_split(&text, 1, 25,
				(enum validation_split)split, 0, &t, &v, &err),
			0);
		assert_streams(&t, 1, 1000, 0, 1000);
		assert_int_equal(v.end, v.begin);
		assert_int_equal(streams_steps(&v), 0);
	}
}

/* One token more than a chunk is enough, less is an error with the numbers. */
static void a_text_shorter_than_a_chunk_is_an_error(void **unused)
{
	struct streams t, v;
	struct error err;

	assert_int_equal(
		streams_split(&text, 10, 99, SPLIT_TAIL, 0, &t, &v, &err), 0);
	assert_int_equal(
		streams_split(&text, 10, 100, SPLIT_TAIL, 0, &t, &v, &err), -1);
	assert_error(err, ERROR_INVALID,
		"the text has 1000 tokens: 100 for each of 10 rows to train "
		"on, expected more than seq-length 100; use a longer text, or "
		"a smaller batch or seq-length");
	assert_int_equal(
		streams_split(&text, 1001, 1, SPLIT_STREAM, 0.5, &t, &v, &err),
		-1);
	assert_int_equal(err.code, ERROR_INVALID);
	for (size_t n = 0; n < 2; n++) {
		struct tokens_view few = tokens_slice(&text, 0, n);

		assert_int_equal(
			streams_split(&few, 1, 1, SPLIT_TAIL, 0, &t, &v, &err),
			-1);
		assert_int_equal(err.code, ERROR_INVALID);
	}
}

static void targets_are_the_next_inputs(void **unused)
{
	const struct streams s = { text, 3, 300, 0, 300 };
	uint32_t in[12], out[12];

	streams_gather(&s, 7, 4, in, out);
	for (uint32_t t = 0; t < 4; t++)
		for (uint32_t b = 0; b < 3; b++) {
			assert_int_equal(in[t * 3 + b], b * 300 + 7 + t);
			assert_int_equal(out[t * 3 + b], b * 300 + 8 + t);
		}
}

/* Rows side by side score each prediction once, but for a few at the end. */
static void one_stream_is_evaluated_in_rows(void **unused)
{
	const struct streams one = { text, 1, 1000, 100, 900 };
	unsigned char scored[1000] = { 0 };
	uint32_t in[8], out[8];
	struct streams s;
	size_t warm = 10, all = 0;

	s = streams_parallel(&one, 8, &warm);
	assert_int_equal(s.batch, 8);
	assert_int_equal(warm, 10);
	for (size_t t = warm; t < streams_steps(&s); t++) {
		streams_gather(&s, s.begin + t, 1, in, out);
		for (size_t b = 0; b < 8; b++) {
			assert_in_range(out[b], 101, 899);
			assert_int_equal(scored[out[b]]++, 0);
			all++;
		}
	}
	assert_in_range(all, 799 - 10 - 16, 799 - 10);
}

static void a_short_stream_is_evaluated_in_fewer_rows(void **unused)
{
	const struct streams one = { text, 1, 1000, 0, 300 };
	const struct streams less = { text, 1, 1000, 0, 79 };
	const struct streams three = { text, 3, 300, 0, 300 };
	struct streams s;
	size_t warm = 10;

	s = streams_parallel(&one, 8, &warm);
	assert_int_equal(warm, 10);
	assert_streams(&s, 4, 72, 0, 82);
	s = streams_parallel(&less, 8, &warm);
	assert_int_equal(warm, 0);
	assert_streams(&s, 1, 1000, 0, 79);
	warm = 10;
	s = streams_parallel(&three, 2, &warm);
	assert_int_equal(warm, 0);
	assert_streams(&s, 3, 300, 0, 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tail_is_held_out),
		cmocka_unit_test(the_end_of_each_stream_is_held_out),
		cmocka_unit_test(nothing_is_held_out_when_so_asked),
		cmocka_unit_test(a_text_shorter_than_a_chunk_is_an_error),
		cmocka_unit_test(targets_are_the_next_inputs),
		cmocka_unit_test(one_stream_is_evaluated_in_rows),
		cmocka_unit_test(a_short_stream_is_evaluated_in_fewer_rows),
	};

	return cmocka_run_group_tests(tests, number, NULL);
}
