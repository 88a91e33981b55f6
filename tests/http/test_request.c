/* Bodies into structs: what is taken, and how what isn't is named. */
#include "http/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

struct body {
	struct request_text text;
	const char *name;
	bool flag;
	int64_t count;
	double ratio;
	uint64_t seed;
	int policy;
	const json_t *any;
};

#define AT(m) .offset = offsetof(struct body, m)

static const struct field fields[] = {
	{ .name = "text", .type = FIELD_TEXT, AT(text) },
	{ .name = "name", .type = FIELD_NAME, AT(name), .max = 8 },
	{ .name = "flag", .type = FIELD_BOOL, AT(flag) },
	{ .name = "count", .type = FIELD_INT, AT(count), .min = 1, .max = 10 },
	{ .name = "ratio", .type = FIELD_NUMBER, AT(ratio), .max = 2 },
	{ .name = "seed", .type = FIELD_SEED, AT(seed) },
	{ .name = "policy",
		.type = FIELD_CHOICE,
		AT(policy),
		.choices = "error|skip" },
	{ .name = "any", .type = FIELD_JSON, AT(any) },
};
#define N (sizeof(fields) / sizeof(fields[0]))

/* The body's references end with *json. */
static int read_body(const char *text, struct body *b, uint64_t *given,
	json_t **json, struct error *err)
{
	memset(b, 0, sizeof(*b));
	memset(err, 0, sizeof(*err));
	if (request_parse(text, strlen(text), false, json, err) < 0) {
		*json = NULL;
		return -1;
	}
	return request_read(*json, fields, N, b, given, err);
}

static void takes_every_type(void **state)
{
	struct body b;
	struct error err;
	uint64_t given;
	json_t *json;

	(void)state;
	assert_int_equal(
		read_body("{\"text\": \"a\\u0000\\u00e9\", \"name\": \"n\","
			  "\"flag\": true, \"count\": 10, \"ratio\": 2,"
			  "\"seed\": 9223372036854775807,"
			  "\"policy\": \"skip\", \"any\": [1]}",
			&b, &given, &json, &err),
		0);
	assert_int_equal(given, 0xFF);
	assert_int_equal(b.text.len, 4);
	assert_memory_equal(b.text.bytes, "a\0\303\251", 5);
	assert_string_equal(b.name, "n");
	assert_true(b.flag);
	assert_int_equal(b.count, 10);
	assert_true(b.ratio == 2.0);
	assert_true(b.seed == INT64_MAX);
	assert_int_equal(b.policy, 1);
	assert_true(json_is_array(b.any));
	json_decref(json);
}

static void takes_null_for_absent(void **state)
{
	struct body b;
	struct error err;
	uint64_t given;
	json_t *json;

	(void)state;
	assert_int_equal(read_body("{\"count\": null, \"flag\": false}", &b,
				 &given, &json, &err),
		0);
	assert_int_equal(given, 1 << 2);
	json_decref(json);
}

static void takes_seeds_of_64_bits(void **state)
{
	struct body b;
	struct error err;
	uint64_t given;
	json_t *json;

	(void)state;
	assert_int_equal(read_body("{\"seed\": \"18446744073709551615\"}", &b,
				 &given, &json, &err),
		0);
	assert_true(b.seed == UINT64_MAX);
	json_decref(json);
}

static void names_what_is_wrong(void **state)
{
	static const struct {
		const char *text, *param, *message;
	} cases[] = {
		{ "{\"cuont\": 1}", "cuont", "unknown field 'cuont'" },
		{ "{\"count\": 0}", "count",
			"count is the integer 0, expected an integer from 1 "
			"to 10" },
		{ "{\"count\": 11}", "count", "the integer 11" },
		{ "{\"count\": \"5\"}", "count", "a string (\"5\")" },
		{ "{\"count\": 5.0}", "count", "the number 5" },
		{ "{\"count\": true}", "count", "count is true" },
		{ "{\"ratio\": -0.1}", "ratio",
			"expected a number from 0 to 2" },
		{ "{\"ratio\": 2.5}", "ratio", "the number 2.5" },
		{ "{\"ratio\": \"1\"}", "ratio", "a string" },
		{ "{\"ratio\": [1]}", "ratio", "an array" },
		{ "{\"flag\": 1}", "flag", "expected true or false" },
		{ "{\"text\": 5}", "text", "expected a string" },
		{ "{\"name\": \"\"}", "name", "1 to 8 bytes" },
		{ "{\"name\": \"123456789\"}", "name", "1 to 8 bytes" },
		{ "{\"name\": \"a\\u0000b\"}", "name", "1 to 8 bytes" },
		{ "{\"seed\": -1}", "seed", "the integer -1" },
		{ "{\"seed\": 1.5}", "seed", "the number 1.5" },
		{ "{\"seed\": 1e3}", "seed", "the number 1000" },
		{ "{\"seed\": \"18446744073709551616\"}", "seed",
			"up to 18446744073709551615" },
		{ "{\"seed\": \"0x10\"}", "seed", "a string (\"0x10\")" },
		{ "{\"seed\": \"\"}", "seed", "a string" },
		{ "{\"seed\": 9223372036854775808}", "",
			"column 28: the number is too large" },
		{ "{\"policy\": \"skp\"}", "policy",
			"expected one of error|skip" },
		{ "{\"policy\": \"\"}", "policy", "a string (\"\")" },
		{ "{\"count\": 1, \"count\": 2}", "", "duplicate" },
		{ "[1]", "", "the body is an array, expected a JSON object" },
		{ "null", "", "the body is null" },
		{ "", "", "the body is empty" },
		{ "{\"count\": }", "", "line 1 column 11" },
		{ "{\"count\": 1", "", "line 1 column 11" },
		{ "{\"count\": 1} x", "", "line 1 column 14" },
		{ "{'count': 1}", "", "not valid JSON: line 1" },
		{ "{\"text\": \"\xff\"}", "", "not valid JSON" },
		{ "{\"text\": \"\\ud800\"}", "", "not valid JSON" },
		{ "{\"ratio\": NaN}", "", "not valid JSON" },
		{ "{\"ratio\": 1e999}", "", "too large" },
		{ "\xef\xbb\xbf{}", "", "not valid JSON" },
		{ "{\"any\": [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}", "",
			"nests deeper than 16" },
	};
	struct body b;
	struct error err;
	uint64_t given;
	json_t *json;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (!read_body(cases[i].text, &b, &given, &json, &err))
			fail_msg("%s was taken", cases[i].text);
		json_decref(json);
		if (err.code != ERROR_INVALID ||
			strcmp(err.param, cases[i].param) != 0 ||
			!strstr(err.message, cases[i].message))
			fail_msg("%s: code %d param '%s': %s", cases[i].text,
				err.code, err.param, err.message);
	}
}

static void says_the_line_of_a_fault(void **state)
{
	static const char text[] = "{\n  \"count\": 1,\n  \"flag\" true\n}";
	struct error err;
	json_t *json;

	(void)state;
	assert_int_equal(
		request_parse(text, strlen(text), false, &json, &err), -1);
	assert_non_null(strstr(err.message, "line 3 column"));
}

static void wants_json(void **state)
{
	static const char *const good[] = { "application/json",
		"application/json; charset=utf-8", "Application/JSON" };
	static const char *const bad[] = { NULL, "", "text/plain",
		"application/json5", "application/x-www-form-urlencoded" };
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(request_check_type(good[i], &err), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(request_check_type(bad[i], &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_every_type),
		cmocka_unit_test(takes_null_for_absent),
		cmocka_unit_test(takes_seeds_of_64_bits),
		cmocka_unit_test(names_what_is_wrong),
		cmocka_unit_test(says_the_line_of_a_fault),
		cmocka_unit_test(wants_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
