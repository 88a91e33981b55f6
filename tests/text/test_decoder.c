#include "text/decoder.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct buf decode(const char *in, size_t len, size_t part)
{
	struct decoder d = { 0 };
	struct buf out;
	size_t n;

	buf_init(&out, 1 << 16);
	for (size_t i = 0; i < len; i += n) {
		n = part < len - i ? part : len - i;
		assert_int_equal(decoder_feed(&d, in + i, n, &out), 0);
		assert_true(decoder_valid(&d));
	}
	assert_int_equal(decoder_finish(&d, &out), 0);
	assert_int_equal(d.n_held, 0);
	return out;
}

static void assert_decodes(const char *in, size_t len, const char *want)
{
	for (size_t part = 1; part < 8; part++) {
		struct buf out = decode(in, len, part);

		assert_string_equal(out.data ? out.data : "", want);
		buf_release(&out);
	}
}

#define FFFD "\xef\xbf\xbd"

static void test_valid_text_passes(void **state)
{
	static const char text[] = "a\xc3\xa4\xe4\xb8\xad\xf0\x9f\x98\x80z";

	assert_decodes(text, strlen(text), text);
	assert_decodes("", 0, "");
}

/* One U+FFFD for each maximal subpart (Unicode 15, section 3.9). */
static void test_invalid_is_replaced(void **state)
{
	assert_decodes("a\xff"
		       "b",
		3, "a" FFFD "b");
	assert_decodes("\xc3", 1, FFFD);
	assert_decodes("\xe4\xb8", 2, FFFD);
	assert_decodes("\xe4\xb8x", 3, FFFD "x");
	assert_decodes("\xe4\xb8\xc3\xa4", 4, FFFD "\xc3\xa4");
	assert_decodes("\xe4\xb8\xe4\xb8\xad", 5, FFFD "\xe4\xb8\xad");
	assert_decodes("\xed\xa0\x80", 3, FFFD FFFD FFFD);
	assert_decodes("\xf0\x80\x80\x80", 4, FFFD FFFD FFFD FFFD);
	assert_decodes("\xf0\x9f\x98", 3, FFFD);
	assert_decodes("a\xf1\x80\x80\xe1\x80\xc2"
		       "b\x80"
		       "c\x80\xbf"
		       "d",
		13, "a" FFFD FFFD FFFD "b" FFFD "c" FFFD FFFD "d");
}

static void test_holds_only_what_is_cut(void **state)
{
	struct decoder d = { 0 };
	struct buf out;

	buf_init(&out, 100);
	assert_int_equal(decoder_feed(&d, "ab\xf0\x9f\x98", 5, &out), 0);
	assert_string_equal(out.data, "ab");
	assert_int_equal(d.n_held, 3);
	assert_int_equal(decoder_feed(&d, "", 0, &out), 0);
	assert_int_equal(d.n_held, 3);
	assert_int_equal(decoder_feed(&d, "\x80", 1, &out), 0);
	assert_string_equal(out.data, "ab\xf0\x9f\x98\x80");
	assert_int_equal(d.n_held, 0);
	buf_release(&out);
}

/* Any bytes, cut anywhere, give the same valid UTF-8. */
static void test_cuts_do_not_show(void **state)
{
	for (uint64_t seed = 0; seed < 500; seed++) {
		struct buf whole, parts, again;
		char bytes[40];

		for (size_t i = 0; i < sizeof(bytes); i++) {
			struct philox p = rng_block(seed, RNG_SEED, 1, i);

			/* Mostly lead and continuation bytes. */
			bytes[i] = (char)(p.v[0] % 4 ? 0x80 | p.v[1] % 128
						     : p.v[1] % 128);
		}
		bytes[39] = bytes[39] ? bytes[39] : 'x';
		whole = decode(bytes, sizeof(bytes), SIZE_MAX);
		parts = decode(bytes, sizeof(bytes), 1 + seed % 5);
		assert_int_equal(whole.len, parts.len);
		assert_memory_equal(whole.data, parts.data, whole.len);
		again = decode(whole.data, whole.len, SIZE_MAX);
		assert_int_equal(again.len, whole.len);
		assert_memory_equal(again.data, whole.data, whole.len);
		buf_release(&again);
		buf_release(&parts);
		buf_release(&whole);
	}
}

static void test_foreign_state_is_checked(void **state)
{
	assert_true(decoder_valid(&(struct decoder){ 0 }));
	assert_true(decoder_valid(&(struct decoder){ { 0xe4, 0xb8 }, 2 }));
	assert_false(decoder_valid(&(struct decoder){ { 0xe4, 0x20 }, 2 }));
	assert_false(decoder_valid(&(struct decoder){ { 'a' }, 1 }));
	assert_false(decoder_valid(
		&(struct decoder){ { 0xf0, 0x9f, 0x98, 0x80 }, 4 }));
	assert_false(decoder_valid(&(struct decoder){ { 0 }, 200 }));
}

static void test_full_buffer(void **state)
{
	struct decoder d = { 0 };
	struct buf out;

	buf_init(&out, 2);
	assert_int_equal(decoder_feed(&d, "abc", 3, &out), -1);
	assert_int_equal(decoder_feed(&d, "\xff", 1, &out), -1);
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid_text_passes),
		cmocka_unit_test(test_invalid_is_replaced),
		cmocka_unit_test(test_holds_only_what_is_cut),
		cmocka_unit_test(test_cuts_do_not_show),
		cmocka_unit_test(test_foreign_state_is_checked),
		cmocka_unit_test(test_full_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
