#include "base/utf8.h"

#include <string.h>
#include "test.h"

static void test_every_code_point_round_trips(void **state)
{
	char bytes[UTF8_MAX];
	uint32_t code, back;

	for (code = 0; code <= 0x110000; code++) {
		size_t n = utf8_encode(code, bytes);
		int expected = code < 0x80	? 1
			       : code < 0x800	? 2
			       : code < 0x10000 ? 3
						: 4;

		if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
			assert_int_equal(n, 0);
			continue;
		}
		assert_int_equal(n, expected);
		assert_int_equal(utf8_next(bytes, n, &back), expected);
		assert_int_equal(back, code);
		for (size_t k = 1; k < n; k++)
			assert_int_equal(utf8_next(bytes, k, &back), UTF8_CUT);
	}
}

/* All sequences of three bytes: valid exactly when decoding to a code
 * point and encoding that gives the bytes back. */
static void test_nothing_else_is_valid(void **state)
{
	unsigned valid = 0;

	for (uint32_t i = 0; i < 1u << 24; i++) {
		const char b[3] = { (char)(i >> 16), (char)(i >> 8), (char)i };
		char back[UTF8_MAX];
		uint32_t code;

		if (utf8_next(b, 3, &code) != 3)
			continue;
		valid++;
		assert_int_equal(utf8_encode(code, back), 3);
		assert_memory_equal(b, back, 3);
	}
	assert_int_equal(valid, 0x10000 - 0x800 - 0x800);
}

static void test_refused(void **state)
{
	static const char *const bad[] = { "\x80", "\xBF", "\xC0\x80",
		"\xC1\xBF", "\xE0\x80\x80", "\xE0\x9F\xBF", "\xED\xA0\x80",
		"\xED\xBF\xBF", "\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF",
		"\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFE", "\xFF", "\xC3(",
		"\xE2\x28\xA1", "\xE2\x82\x28", "\xF0\x9F\x98(" };
	uint32_t code;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
			utf8_next(bad[i], strlen(bad[i]), &code), UTF8_INVALID);
	assert_int_equal(utf8_next("", 0, &code), 0);
}

/* Unicode 15, table 3-8 and its text: U+FFFD per maximal subpart. */
static void test_bad_lengths(void **state)
{
	assert_int_equal(utf8_bad_length("\xF0\x9F\x98(", 4), 3);
	assert_int_equal(utf8_bad_length("\xE2\x82\x28", 3), 2);
	assert_int_equal(utf8_bad_length("\xED\xA0\x80", 3), 1);
	assert_int_equal(utf8_bad_length("\xFF", 1), 1);
	assert_int_equal(utf8_bad_length("", 0), 0);
}

static void test_prefix_and_count(void **state)
{
	const char *text = "plain ascii, then \xC3\xA9\xE6\xBC\xA2"
			   "\xF0\x9F\x98\x80 end";
	size_t len = strlen(text), codes;

	assert_int_equal(utf8_valid_prefix(text, len, &codes), len);
	assert_int_equal(codes, 18 + 3 + 4);
	assert_int_equal(utf8_count(text, len), codes);
	assert_int_equal(utf8_valid_prefix("ab\xFF", 3, &codes), 2);
	assert_int_equal(codes, 2);
	assert_int_equal(utf8_valid_prefix("", 0, &codes), 0);
	assert_int_equal(codes, 0);
	assert_int_equal(utf8_valid_prefix("a\0b", 3, &codes), 3);
}

static void test_check_names_the_place(void **state)
{
	struct error err;

	assert_int_equal(utf8_check("caf\xC3\xA9", 5, &err), 0);
	assert_int_equal(utf8_check("caf\xE9 noir", 9, &err), -1);
	assert_error(err, ERROR_UNPROCESSABLE,
		"invalid UTF-8 at offset 3: byte 0xE9 is not part of a valid "
		"sequence");
	assert_int_equal(utf8_check("caf\xC3", 4, &err), -1);
	assert_error(err, ERROR_UNPROCESSABLE,
		"invalid UTF-8 at offset 3: byte 0xC3 begins a sequence that "
		"the end cuts off");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_code_point_round_trips),
		cmocka_unit_test(test_nothing_else_is_valid),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bad_lengths),
		cmocka_unit_test(test_prefix_and_count),
		cmocka_unit_test(test_check_names_the_place),
	};

	return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
