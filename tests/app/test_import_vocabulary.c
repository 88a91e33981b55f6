/* Files are made in a directory of the test's own, which is its current one. */
#include "app/import.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char home[] = "/tmp/unrolld-vocabulary.XXXXXX";

static void make(const char *text, size_t len)
{
	int fd = open("file", O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
}

static void assert_gives(const char *text, size_t len, const char *want)
{
	json_t *json, *expected;
	struct error err;

	make(text, len);
	json = import_vocabulary("char", "file", &err);
	if (!json)
		fail_msg("%s", err.message);
	expected = json_loads(want, JSON_ALLOW_NUL, NULL);
	assert_non_null(expected);
	assert_string_equal(
		json_string_value(json_object_get(json, "kind")), "char");
	assert_true(json_equal(json_object_get(json, "vocabulary"), expected));
	json_decref(expected);
	json_decref(json);
}

static void assert_refused(const char *text, const char *message)
{
	struct error err;

	make(text, strlen(text));
	assert_null(import_vocabulary("char", "file", &err));
	if (strncmp(err.message, "file: ", 6) ||
		strncmp(err.message + 6, message, strlen(message)))
		fail_msg("%s\nexpected %s", err.message, message);
}

#define GIVES(text, want) assert_gives(text, sizeof(text) - 1, want)

static void test_json(void **state)
{
	GIVES("[\"a\", \"\\n\", \"\\u0000\"]", "[\"a\",\"\\n\",\"\\u0000\"]");
	GIVES("\n[\n \"a\",\n \"b\"\n]\n", "[\"a\",\"b\"]");
	GIVES("\xef\xbb\xbf[\"a\"]", "[\"a\"]");
	GIVES("{\"b\": 1, \"a\": 0, \"\xc3\xa4\": 2}",
		"[\"a\",\"b\",\"\xc3\xa4\"]");
	assert_refused("{\"b\": 1, \"a\": 1}",
		"\"a\": its id is not a whole number from 0 to 1 that no other "
		"token has");
	assert_refused("{\"b\": 2, \"a\": 0}", "\"b\": its id is not");
	assert_refused("{\"b\": 0.0}", "\"b\": its id is not");
	assert_refused("{\"b\": 0, \"b\": 1}", "not valid JSON: duplicate");
	assert_refused("[]", "no tokens");
	assert_refused("{}", "no tokens");
	assert_refused("[\"a\", ", "not valid JSON:");
}

static void test_lines(void **state)
{
	GIVES("a\nb\n \n\\n\n", "[\"a\",\"b\",\" \",\"\\n\"]");
	GIVES("a\r\nb", "[\"a\",\"b\"]");
	GIVES("\\\\\n\\t\n\\r\n\\0\n\\b",
		"[\"\\\\\",\"\\t\",\"\\r\",\"\\u0000\",\"\\b\"]");
	GIVES("\\u4e2d\n\\u{1F600}\n\xe4\xb8\xad",
		"[\"\xe4\xb8\xad\",\"\xf0\x9f\x98\x80\",\"\xe4\xb8\xad\"]");
	/* Tokens that JSON could begin with, too. */
	GIVES("[\n]\n\"\n", "[\"[\",\"]\",\"\\\"\"]");
	GIVES("{\n}\n", "[\"{\",\"}\"]");
	GIVES("1\n2\n", "[\"1\",\"2\"]");
	assert_refused("a\n\nb\n", "line 2: empty, expected a token");
	assert_refused("a\\\n", "line 1: a lone \\");
	assert_refused("a\n\\q\n", "line 2: unknown escape");
	assert_refused("\\u12\n", "line 1: unknown escape");
	assert_refused("\\ud800\n", "line 1: unknown escape");
	assert_refused("\\u{110000}\n", "line 1: unknown escape");
	assert_refused("\\u{41\n", "line 1: unknown escape");
	assert_refused("\\u{}\n", "line 1: unknown escape");
	assert_refused("a\n\xff\n", "line 2: not UTF-8");
}

static void test_kinds(void **state)
{
	json_t *json = import_vocabulary("byte", NULL, NULL);
	struct error err;

	assert_int_equal(json_object_size(json), 1);
	json_decref(json);
	assert_null(import_vocabulary("byte", "file", &err));
	assert_string_equal(
		err.message, "file: tokenizer byte takes no vocabulary file");
	assert_null(import_vocabulary("char", NULL, &err));
	assert_string_equal(err.param, "vocab");
	assert_null(import_vocabulary("char", "missing", &err));
	assert_int_equal(err.code, ERROR_NOT_FOUND);
}

static int enter(void **state)
{
	return mkdtemp(home) && chdir(home) == 0 ? 0 : -1;
}

static int leave(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", home);
	return chdir("/") || system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_kinds),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
