/* Each case runs whole and in parts of 1..5 bytes: cuts must not show. */
#include "text/encoding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static enum encoding_faults faults = FAULTS_STRICT;
static uint64_t n_faults;

static int convert(const char *charset, bool normalise, const char *in,
	size_t len, size_t part, struct buf *out, struct error *err)
{
	struct encoding *e;
	int failed = 0;
	size_t n;

	buf_init(out, 1 << 20);
	if (encoding_open(&e, charset, normalise, faults, err) < 0)
		fail_msg("%s", err->message);
	for (size_t i = 0; i < len && !failed; i += n) {
		n = part < len - i ? part : len - i;
		failed = encoding_feed(e, in + i, n, out, err);
	}
	if (!failed)
		failed = encoding_finish(e, out, err);
	n_faults = encoding_faults(e);
	encoding_close(e);
	return failed;
}

static void assert_gives(const char *charset, bool normalise, const char *in,
	size_t len, const char *want)
{
	struct error err;
	struct buf out;

	for (size_t part = 1; part <= 6; part++) {
		if (convert(charset, normalise, in, len,
			    part < 6 ? part : SIZE_MAX, &out, &err))
			fail_msg("%s", err.message);
		assert_string_equal(out.data ? out.data : "", want);
		buf_release(&out);
	}
}

static void assert_fails(
	const char *charset, const char *in, size_t len, const char *message)
{
	struct error err;
	struct buf out;

	for (size_t part = 1; part <= 6; part++) {
		assert_int_equal(
			convert(charset, false, in, len,
				part < 6 ? part : SIZE_MAX, &out, &err),
			-1);
		assert_int_equal(err.code, ERROR_UNPROCESSABLE);
		/* How many bytes are shown may depend on the cut. */
		if (strncmp(err.message, message, strlen(message)))
			fail_msg("%s\nexpected %s", err.message, message);
		buf_release(&out);
	}
}

static void test_utf8(void **state)
{
	static const char text[] = "a\xc3\xa4\xe4\xb8\xad\xf0\x9f\x98\x80\r\nz";

	assert_gives("utf-8", false, text, strlen(text), text);
	assert_gives("UTF8", false, text, strlen(text), text);
	assert_gives("utf-8", false, "", 0, "");
	assert_gives("utf-8", false, "\xef\xbf\xbf\xf4\x8f\xbf\xbf", 7,
		"\xef\xbf\xbf\xf4\x8f\xbf\xbf");
}

static void test_invalid_utf8(void **state)
{
	struct error err;
	struct buf out;

	assert_fails("utf-8",
		"abc\xff"
		"Axyz",
		8, "invalid UTF-8 at byte 3: 0xff");
	assert_fails("utf-8", "\xc0\x80", 2, "invalid UTF-8 at byte 0: 0xc0");
	assert_fails(
		"utf-8", "a\xe0\x9f\xbf", 4, "invalid UTF-8 at byte 1: 0xe0");
	assert_fails("utf-8", "ab\xed\xa0\x80", 5,
		"invalid UTF-8 at byte 2: 0xed 0xa0");
	assert_fails("utf-8", "\xf4\x90\x80\x80", 4,
		"invalid UTF-8 at byte 0: 0xf4 0x90");
	assert_fails("utf-8", "\xf8\x88\x80\x80\x80", 5,
		"invalid UTF-8 at byte 0: 0xf8");
	assert_fails(
		"utf-8", "\xc3\xa4\x80", 3, "invalid UTF-8 at byte 2: 0x80");
	assert_fails("utf-8", "abc\xe4\xb8", 5,
		"UTF-8 is cut at its end: byte 3 starts");
	assert_int_equal(convert("utf-8", false,
				 "abc\xff"
				 "Axyz",
				 8, SIZE_MAX, &out, &err),
		-1);
	assert_string_equal(err.message, "invalid UTF-8 at byte 3: 0xff 0x41");
	assert_string_equal(err.param, "encoding");
	assert_string_equal(out.data, "abc");
	buf_release(&out);
}

static void test_byte_order_mark(void **state)
{
	assert_gives("utf-8", false,
		"\xef\xbb\xbf"
		"ab",
		5, "ab");
	assert_gives("utf-8", false, "\xef\xbb\xbf", 3, "");
	/* Only the first one is a mark. */
	assert_gives(
		"utf-8", false, "\xef\xbb\xbf\xef\xbb\xbf", 6, "\xef\xbb\xbf");
	assert_gives("utf-8", false, "a\xef\xbb\xbf", 4, "a\xef\xbb\xbf");
	assert_gives("utf-16", false, "\xff\xfe\x2d\x4e", 4, "\xe4\xb8\xad");
	assert_gives("utf-16", false, "\xfe\xff\x4e\x2d", 4, "\xe4\xb8\xad");
	assert_gives("utf-16le", false, "\xff\xfe\x2d\x4e", 4, "\xe4\xb8\xad");
	assert_gives("utf-16be", false, "\xfe\xff\x4e\x2d", 4, "\xe4\xb8\xad");
}

static void test_newlines(void **state)
{
	static const char mixed[] = "a\r\nb\rc\nd\r\r\ne\n\rf\r";

	assert_gives(
		"utf-8", true, mixed, strlen(mixed), "a\nb\nc\nd\n\ne\n\nf\n");
	assert_gives("utf-8", false, mixed, strlen(mixed), mixed);
	assert_gives(
		"latin1", true, mixed, strlen(mixed), "a\nb\nc\nd\n\ne\n\nf\n");
	assert_gives("utf-8", true, "\xef\xbb\xbf\r\n", 5, "\n");
	assert_gives("utf-8", true, "\r\r\r", 3, "\n\n\n");
}

static void test_charsets(void **state)
{
	assert_gives("latin1", false, "caf\xe9", 4, "caf\xc3\xa9");
	assert_gives("windows-1252", false, "\x80", 1, "\xe2\x82\xac");
	assert_gives("gbk", false, "\xd6\xd0\xce\xc4", 4,
		"\xe4\xb8\xad\xe6\x96\x87");
	assert_gives("GB18030", false, "\x81\x30\x81\x30\x94\x39\xfc\x36", 8,
		"\xc2\x80\xf0\x9f\x98\x80");
	assert_gives(
		"utf-16le", false, "\x3d\xd8\x00\xde", 4, "\xf0\x9f\x98\x80");
	/* Escape sequences switch the state across parts. */
	assert_gives("iso-2022-jp", false, "\x1b$B\x46\x7c\x4b\x5c\x1b(Bx", 11,
		"\xe6\x97\xa5\xe6\x9c\xac"
		"x");
	assert_gives("bytes", true, "\xff\r\n\x80", 4, "\xff\r\n\x80");
}

static void test_invalid_charsets(void **state)
{
	assert_fails("gbk", "ab\xff\xff", 4, "invalid gbk at byte 2: 0xff");
	assert_fails(
		"us-ascii", "abc\x80", 4, "invalid us-ascii at byte 3: 0x80");
	assert_fails(
		"utf-16le", "a\0\0\xdc", 4, "invalid utf-16le at byte 2: 0x00");
	assert_fails("gbk", "a\xd6", 2, "gbk is cut at its end: byte 1 starts");
	assert_fails("utf-16le", "a\0b", 3,
		"utf-16le is cut at its end: byte 2 starts");
	/* Past Unicode, and a surrogate: valid UCS-4 to iconv, no text to us.
	 */
	assert_fails(
		"ucs-4be", "\x00\x11\x00\x00", 4, "invalid ucs-4be at byte");
	assert_fails(
		"ucs-4be", "\x00\x00\xd8\x00", 4, "invalid ucs-4be at byte");
}

static void test_unknown_charsets(void **state)
{
	static const char *const names[] = { "", "klingon", "latin1//TRANSLIT",
		"utf-8//IGNORE", "a b",
		"a-name-that-is-much-longer-than-any-charset-has" };
	struct encoding *e;
	struct error err;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		assert_int_equal(
			encoding_open(&e, names[i], false, FAULTS_STRICT, &err),
			-1);
		assert_null(e);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_string_equal(err.param, "encoding");
		assert_non_null(strstr(err.message, names[i]));
		assert_non_null(strstr(err.message, "gb18030"));
	}
	encoding_close(NULL);
}

static void test_limit(void **state)
{
	struct encoding *e;
	struct error err;
	struct buf out;

	buf_init(&out, 4);
	assert_int_equal(
		encoding_open(&e, "latin1", false, FAULTS_STRICT, &err), 0);
	assert_int_equal(encoding_feed(e, "abcd", 4, &out, &err), 0);
	assert_int_equal(encoding_feed(e, "e", 1, &out, &err), -1);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	encoding_close(e);
	buf_release(&out);
}

/* Longer than any buffer inside. */
static void test_long_text(void **state)
{
	static char in[100000], want[200001];
	struct error err;
	struct buf out;

	for (size_t i = 0; i < sizeof(in); i++) {
		in[i] = (char)0xe4;
		memcpy(want + 2 * i, "\xc3\xa4", 2);
	}
	assert_int_equal(
		convert("latin1", true, in, sizeof(in), 70001, &out, &err), 0);
	assert_int_equal(out.len, 200000);
	assert_string_equal(out.data, want);
	buf_release(&out);
}

static void assert_mends(const char *charset, const char *in, size_t len,
	const char *replaced, const char *skipped, uint64_t count)
{
	faults = FAULTS_REPLACE;
	assert_gives(charset, false, in, len, replaced);
	assert_int_equal(n_faults, count);
	faults = FAULTS_SKIP;
	assert_gives(charset, false, in, len, skipped);
	assert_int_equal(n_faults, count);
	faults = FAULTS_STRICT;
}

#define FFFD "\xef\xbf\xbd"

static void test_faults_are_counted(void **state)
{
	assert_mends("utf-8", "a\xff\xe4\xb8z\xc3", 6, "a" FFFD FFFD "z" FFFD,
		"az", 3);
	assert_mends("utf-8", "ok", 2, "ok", "ok", 0);
	assert_mends("gbk", "\xd6\xd0\xff\xce\xc4 \xd6", 7,
		"\xe4\xb8\xad" FFFD "\xe6\x96\x87 " FFFD,
		"\xe4\xb8\xad\xe6\x96\x87 ", 2);
	/* A lead byte alone is at fault, not the letter after it. */
	assert_mends("shift_jis", "a\x81 b", 4, "a" FFFD " b", "a b", 1);
	assert_mends("big5", "\xa4\xa4\xffq", 4, "\xe4\xb8\xad" FFFD "q",
		"\xe4\xb8\xadq", 1);
	assert_mends("euc-kr", "\xc7\xd1\xffq", 4, "\xed\x95\x9c" FFFD "q",
		"\xed\x95\x9cq", 1);
	/* Units of two and four bytes stay in step. */
	assert_mends("utf-16le", "\x00\xdc\x2d\x4e\x00\xd8\x41\x00", 8,
		FFFD "\xe4\xb8\xad" FFFD "A",
		"\xe4\xb8\xad"
		"A",
		2);
	assert_mends("utf-32be", "\x00\x11\x00\x00\x00\x00\x00\x41", 8,
		FFFD "A", "A", 1);
	assert_mends("ascii", "a\x80\x81z", 4, "a" FFFD FFFD "z", "az", 2);
}

static void assert_guess(const char *text, size_t len, const char *want)
{
	for (size_t part = 1; part <= 6; part++) {
		struct encoding_guess g = { 0 };
		size_t n;

		for (size_t i = 0; i < len; i += n) {
			n = part == 6 || part > len - i ? len - i : part;
			encoding_guess_feed(&g, text + i, n);
		}
		assert_string_equal(encoding_guess_charset(&g), want);
	}
}

static void test_guess(void **state)
{
	assert_guess("", 0, "utf-8");
	assert_guess("plain", 5, "utf-8");
	assert_guess("\xe4\xb8\xad\xf0\x9f\x98\x80", 7, "utf-8");
	assert_guess("\xef\xbb\xbfx", 4, "utf-8");
	assert_guess("\xd6\xd0\xce\xc4", 4, "gb18030");
	assert_guess("abc\xe4\xb8", 5, "gb18030");
	assert_guess("abc\xe4\xb8x", 6, "gb18030");
	assert_guess("\xe4\xb8\xad\xff", 4, "gb18030");
	assert_guess("\xff\xfe\x2d\x4e", 4, "utf-16le");
	assert_guess("\xff\xfe", 2, "utf-16le");
	assert_guess("\xfe\xff\x4e\x2d", 4, "utf-16be");
	assert_guess("\xff\xfe\x00\x00\x41\x00\x00\x00", 8, "utf-32le");
	assert_guess("\x00\x00\xfe\xff\x00\x00\x00\x41", 8, "utf-32be");
	assert_guess("\x84\x31\x95\x33", 4, "gb18030");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_invalid_utf8),
		cmocka_unit_test(test_byte_order_mark),
		cmocka_unit_test(test_newlines),
		cmocka_unit_test(test_charsets),
		cmocka_unit_test(test_invalid_charsets),
		cmocka_unit_test(test_unknown_charsets),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_long_text),
		cmocka_unit_test(test_faults_are_counted),
		cmocka_unit_test(test_guess),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
