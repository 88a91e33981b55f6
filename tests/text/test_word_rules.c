/* Word boundaries against Perl's (word_breaks.txt, see word_breaks.pl), and
 * what we add to them: the space before a word, and a limit. */
#include "text/word_rules.h"

#include "base/rng.h"
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* "61 62 | 2e" to text, and the ends of its pieces. */
static size_t parse_line(char *line, char *text, size_t *ends, size_t *n_ends)
{
	size_t len = 0;

	*n_ends = 0;
	for (char *word = strtok(line, " \n"); word; word = strtok(NULL, " \n"))
		if (*word == '|')
			ends[(*n_ends)++] = len;
		else
			len += utf8_encode(
				(uint32_t)strtoul(word, NULL, 16), text + len);
	ends[(*n_ends)++] = len;
	return len;
}

static void test_breaks_as_perl_does(void **state)
{
	FILE *f = fopen("tests/text/word_breaks.txt", "r");
	char line[512], copy[512], text[256];
	size_t ends[128], n_ends, lines = 0;
	bool open;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		size_t len, at = 0;

		strcpy(copy, line);
		len = parse_line(line, text, ends, &n_ends);
		for (size_t i = 0; i < n_ends; i++) {
			at += word_next(text + at, len - at, &open);
			if (at != ends[i])
				fail_msg("%sa piece ends at byte %zu, not %zu",
					copy, at, ends[i]);
		}
		lines++;
	}
	fclose(f);
	assert_int_equal(lines, 1500);
}

static void assert_pieces(const char *text, const char *want)
{
	char got[512] = "";
	size_t len = strlen(text), n;
	bool open;

	for (size_t at = 0; at < len; at += n) {
		n = word_next(text + at, len - at, &open);
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "[%.*s]",
			(int)n, text + at);
	}
	assert_string_equal(got, want);
}

static void test_spaces(void **state)
{
	assert_pieces("The cat's 3.14 naps, 1,000 of them.",
		"[The][ cat's][ 3.14][ naps][,][ 1,000][ of][ them][.]");
	assert_pieces("a   b \n\n  c", "[a][  ][ b][ ][\n][\n][ ][ c]");
	assert_pieces("x\r\ny\rz\t!", "[x][\r\n][y][\r][z][\t][!]");
	assert_pieces("  ", "[  ]");
	assert_pieces(" ", "[ ]");
	assert_pieces(" \xe4\xb8\xad\xe6\x96\x87 ok",
		"[ \xe4\xb8\xad][\xe6\x96\x87][ ok]");
	assert_pieces("\xe3\x80\x80x", "[\xe3\x80\x80][x]");
}

/* However long a run is, a piece ends, at a code point. */
static void test_limit(void **state)
{
	static const char *const units[] = { "a", "\xc3\xa4", " ", "\xcc\x81",
		"\xf0\x9f\x87\xa9", "a\xcc\x81", "7", "_", "a'", "\xd7\x90\"" };
	char *text = malloc(1 << 20);
	bool open;

	assert_non_null(text);
	for (size_t u = 0; u < sizeof(units) / sizeof(*units); u++) {
		size_t len = 0, n;

		while (len + 8 < 1 << 20) {
			strcpy(text + len, units[u]);
			len += strlen(units[u]);
		}
		for (size_t at = 0; at < len; at += n) {
			n = word_next(text + at, len - at, &open);
			assert_in_range(n, 1, WORD_MAX + 1);
			assert_int_equal(
				utf8_valid_prefix(text + at, n, NULL), n);
		}
		assert_true(word_boundary(text, len) > len - 2 * WORD_MAX);
	}
	free(text);
}

/* A place that word_boundary names is one where pieces end, whatever comes. */
static void test_boundary_is_certain(void **state)
{
	static const char *const bits[] = { "a", " ", "'", ".", "1", "\r", "\n",
		"\xcc\x81", "\xe2\x80\x8d", "\xf0\x9f\x91\xa9", "\xd7\x90",
		"\"", "\xf0\x9f\x87\xa9", "\xe4\xb8\xad", "_" };
	const uint32_t n_bits = sizeof(bits) / sizeof(*bits);
	bool open;

	for (uint64_t seed = 0; seed < 3000; seed++) {
		char text[200] = "";
		size_t half = 0, at = 0, end;

		for (uint64_t i = 0; i < 24; i++) {
			if (i == 12)
				half = strlen(text);
			strcat(text, bits[rng_block(seed, RNG_SEED, 5, i).v[0] %
					     n_bits]);
		}
		end = word_boundary(text, half);
		assert_true(end <= half);
		while (at < end)
			at += word_next(text + at, strlen(text) - at, &open);
		assert_int_equal(at, end);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_breaks_as_perl_does),
		cmocka_unit_test(test_spaces),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_boundary_is_certain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
