#include "text/vocabulary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void count(struct vocabulary_counts *c, const char *s, uint64_t times)
{
	assert_int_equal(vocabulary_count(c, s, strlen(s), times, NULL), 0);
}

static void assert_strings(const struct vocabulary *v, const char *want)
{
	char got[256] = "";

	for (uint32_t id = 0; id < v->strings.n; id++) {
		size_t len;
		const char *s = string_table_get(&v->strings, id, &len);

		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%.*s|",
			(int)len, s);
		assert_int_equal(string_table_find(&v->strings, s, len), id);
	}
	assert_string_equal(got, want);
}

static void test_frequent_first(void **state)
{
	struct vocabulary_counts c = { 0 };
	struct vocabulary v;
	struct error err;

	count(&c, "rare", 1);
	count(&c, "b", 5);
	count(&c, "a", 2);
	count(&c, "a", 3);
	count(&c, "often", 9);
	count(&c, "ab", 5);
	assert_int_equal(vocabulary_learn(&v, &c, 0, 0, &err), 0);
	assert_strings(&v, "often|a|ab|b|rare|");
	assert_false(v.has_unknown);
	assert_int_equal(v.longest, 5);
	vocabulary_release(&v);
	assert_int_equal(vocabulary_learn(&v, &c, 2, 0, &err), 0);
	assert_strings(&v, "<unk>|often|a|ab|b|");
	assert_true(v.has_unknown);
	assert_int_equal(v.unknown, 0);
	vocabulary_release(&v);
	assert_int_equal(vocabulary_learn(&v, &c, 1, 3, &err), 0);
	assert_strings(&v, "<unk>|often|a|");
	vocabulary_release(&v);
	assert_int_equal(vocabulary_learn(&v, &c, 1, 5, &err), 0);
	assert_strings(&v, "often|a|ab|b|rare|");
	vocabulary_release(&v);
	assert_int_equal(vocabulary_learn(&v, &c, 10, 0, &err), -1);
	assert_string_equal(err.message,
		"none of 5 distinct tokens came 10 times: nothing is left to "
		"learn");
	assert_string_equal(err.param, "min-count");
	vocabulary_counts_release(&c);
}

/* Enough strings that every part of the table grows several times. */
static void test_many(void **state)
{
	struct string_table t = { 0 };
	char s[32];
	size_t len;

	for (uint32_t i = 0; i < 100000; i++) {
		int n = snprintf(s, sizeof(s), "%u", i * 2654435761u);

		assert_int_equal(
			string_table_add(&t, s, (size_t)n, 1 << 20, NULL), i);
	}
	for (uint32_t i = 0; i < 100000; i++) {
		int n = snprintf(s, sizeof(s), "%u", i * 2654435761u);

		assert_int_equal(string_table_find(&t, s, (size_t)n), i);
		assert_int_equal(
			string_table_add(&t, s, (size_t)n, 1 << 20, NULL), i);
		assert_memory_equal(
			string_table_get(&t, i, &len), s, (size_t)n);
		assert_int_equal(len, n);
	}
	assert_int_equal(string_table_find(&t, "x", 1), VOCABULARY_NONE);
	assert_int_equal(string_table_find(&t, "", 0), VOCABULARY_NONE);
	string_table_release(&t);
	assert_int_equal(string_table_find(&t, "x", 1), VOCABULARY_NONE);
}

static void test_limit(void **state)
{
	struct string_table t = { 0 };
	struct error err = { 0 };

	assert_int_equal(string_table_add(&t, "a", 1, 2, &err), 0);
	assert_int_equal(string_table_add(&t, "b", 1, 2, &err), 1);
	assert_int_equal(string_table_add(&t, "a", 1, 2, &err), 0);
	assert_int_equal(
		string_table_add(&t, "c", 1, 2, &err), VOCABULARY_NONE);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	string_table_release(&t);
}

static void test_json(void **state)
{
	static const char text[] = "[\"the\",\"\\u0000\",\"<unk>\",\"\\n\"]";
	json_t *json = json_loads(text, JSON_ALLOW_NUL, NULL), *saved;
	struct vocabulary v;
	struct error err;

	assert_int_equal(vocabulary_load(&v, json, &err), 0);
	assert_true(v.has_unknown);
	assert_int_equal(v.unknown, 2);
	assert_int_equal(string_table_find(&v.strings, "", 1), 1);
	saved = vocabulary_save(&v);
	assert_true(json_equal(saved, json));
	json_decref(saved);
	json_decref(json);
	vocabulary_release(&v);
}

static void test_json_refused(void **state)
{
	static const struct {
		const char *json, *message;
	} rows[] = {
		{ "{}", "vocabulary is missing or not an array" },
		{ "[]", "vocabulary of 0 tokens, expected 1 to 16777216" },
		{ "[\"a\",7]", "vocabulary[1] is not a string" },
		{ "[\"\"]", "vocabulary[0] is empty" },
		{ "[\"a\",\"b\",\"a\"]",
			"vocabulary[2] is \"a\", as is vocabulary[0]" },
		{ "[\"a\\u0000b\"]",
			"vocabulary[0] is a string with a NUL in it, expected "
			"none but alone" },
	};
	struct vocabulary v;
	struct error err;
	char want[160];

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		json_t *json = json_loads(rows[i].json, JSON_ALLOW_NUL, NULL);

		assert_int_equal(vocabulary_load(&v, json, &err), -1);
		snprintf(want, sizeof(want), "tokenizer: %s", rows[i].message);
		assert_string_equal(err.message, want);
		assert_int_equal(err.code, ERROR_INVALID);
		json_decref(json);
	}
}

static void test_json_too_long(void **state)
{
	char s[VOCABULARY_MAX_STRING + 2];
	struct vocabulary v;
	struct error err;
	json_t *json;

	memset(s, 'x', sizeof(s));
	s[sizeof(s) - 1] = 0;
	json = json_pack("[s]", s);
	assert_int_equal(vocabulary_load(&v, json, &err), -1);
	assert_string_equal(err.message,
		"tokenizer: vocabulary[0] is 4097 bytes long, expected at most "
		"4096");
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frequent_first),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_refused),
		cmocka_unit_test(test_json_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
