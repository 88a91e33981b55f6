#include "text/tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct tokenizer *learn(
	const char *text, const struct tokenizer_options *o)
{
	struct tokenizer_builder *b;
	struct tokenizer *t;

	assert_int_equal(tokenizer_builder_open(&b, "word", o, NULL), 0);
	assert_int_equal(
		tokenizer_builder_feed(b, text, strlen(text), NULL), 0);
	assert_int_equal(tokenizer_builder_finish(b, &t, NULL), 0);
	return t;
}

static void assert_tokens(const struct tokenizer *t, const char *text,
	enum unknown_policy policy, const char *want)
{
	struct token_buf ids;
	char got[256] = "";
	size_t len;

	token_buf_init(&ids, 100);
	assert_int_equal(tokenizer_encode(t, text, strlen(text), policy, &ids,
				 NULL, NULL),
		0);
	for (size_t i = 0; i < ids.len; i++) {
		const char *s = tokenizer_bytes(t, ids.ids[i], &len);

		snprintf(got + strlen(got), sizeof(got) - strlen(got), "[%.*s]",
			(int)len, s);
	}
	assert_string_equal(got, want);
	token_buf_release(&ids);
}

static const char rhyme[] = "the cat, the hat, the bat\nthe cat sat";

static void test_rare_words_are_unknown(void **state)
{
	struct tokenizer *t =
		learn(rhyme, &(struct tokenizer_options){ .min_count = 2 });

	/* Of " the" two of four begin no line: " the" 2, "the" 2. */
	assert_int_equal(tokenizer_unknown(t), 0);
	assert_tokens(t, "the cat sat, the mat", UNKNOWN_AUTO,
		"[the][ cat][<unk>][,][ the][<unk>]");
	assert_tokens(t, "the cat sat, the mat", UNKNOWN_SKIP,
		"[the][ cat][,][ the]");
	/* A space that is known by itself goes before a word that is. */
	assert_tokens(t, "cat   the", UNKNOWN_AUTO, "[<unk>][ ][ ][ the]");
	tokenizer_unref(t);
}

static void test_unknown_is_counted(void **state)
{
	struct tokenizer *t =
		learn(rhyme, &(struct tokenizer_options){ .min_count = 2 });
	static const char text[] = "the \xe4\xb8\xad!";
	struct tokenizer_count count = { 0 };
	struct token_buf ids;
	struct error err;

	token_buf_init(&ids, 100);
	assert_int_equal(tokenizer_encode_part(t, text, strlen(text),
				 UNKNOWN_AUTO, &count, &ids, NULL),
		0);
	assert_int_equal(count.characters, 6);
	assert_int_equal(count.unknown, 2);
	assert_int_equal(count.unknown_characters, 3);
	assert_int_equal(count.skipped, 0);
	assert_int_equal(tokenizer_encode_part(t, text, strlen(text),
				 UNKNOWN_SKIP, &count, &ids, NULL),
		0);
	assert_int_equal(count.skipped, 3);
	assert_int_equal(count.characters, 12);
	assert_int_equal(tokenizer_encode_part(t, text, strlen(text),
				 UNKNOWN_ERROR, &count, &ids, &err),
		-1);
	assert_int_equal(err.code, ERROR_UNPROCESSABLE);
	assert_string_equal(err.message,
		"\" \xe4\xb8\xad\" at character offset 15 is not in the "
		"vocabulary");
	token_buf_release(&ids);
	tokenizer_unref(t);
}

static void test_max_vocab(void **state)
{
	struct tokenizer *t =
		learn(rhyme, &(struct tokenizer_options){ .max_vocab = 4 });

	/* 2 each: "," " cat" " the" "the"; ties by their bytes. */
	assert_int_equal(tokenizer_vocab(t), 4);
	assert_tokens(
		t, "the the cat,", UNKNOWN_AUTO, "[<unk>][ the][ cat][,]");
	tokenizer_unref(t);
}

static void test_lower_case(void **state)
{
	static const char text[] =
		"The CAT \xc3\x84\xd0\x96\xc8\xba \xe4\xb8\xad";
	struct tokenizer *t =
		learn(text, &(struct tokenizer_options){ .lower_case = true });
	struct tokenizer *loaded;
	json_t *json = tokenizer_save(t);

	assert_int_equal(tokenizer_load(&loaded, json, NULL), 0);
	assert_tokens(loaded, text, UNKNOWN_ERROR,
		"[the][ cat][ \xc3\xa4\xd0\xb6\xe2\xb1\xa5][ \xe4\xb8\xad]");
	assert_tokens(loaded, "the Cat", UNKNOWN_ERROR, "[the][ cat]");
	json_decref(json);
	tokenizer_unref(loaded);
	tokenizer_unref(t);
}

static void test_options_of_other_kinds(void **state)
{
	static const struct {
		struct tokenizer_options o;
		const char *message;
	} rows[] = {
		{ { .min_count = 2 }, "tokenizer char takes no min-count" },
		{ { .max_vocab = 9 }, "tokenizer char takes no max-vocab" },
		{ { .lower_case = true },
			"tokenizer char takes no lower-case" },
	};
	struct tokenizer_builder *b;
	struct error err;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(
			tokenizer_builder_open(&b, "char", &rows[i].o, &err),
			-1);
		assert_null(b);
		assert_string_equal(err.message, rows[i].message);
	}
}

static void test_load_refuses(void **state)
{
	static const struct {
		const char *json, *message;
	} rows[] = {
		{ "{\"kind\":\"word\",\"vocabulary\":[\"a\"],\"rules\":"
		  "\"x\"}",
			"tokenizer: rules are \"x\", expected "
			"\"unicode-14.0\"" },
		{ "{\"kind\":\"word\",\"vocabulary\":[\"a\"],\"rules\":1}",
			"tokenizer: rules are \"not a string\", expected "
			"\"unicode-14.0\"" },
		{ "{\"kind\":\"word\",\"vocabulary\":[\"a\"],"
		  "\"lower_case\":1}",
			"tokenizer: lower_case is not true or false" },
		{ "{\"kind\":\"word\",\"vocabulary\":[\"a\",\"a\"]}",
			"tokenizer: vocabulary[1] is \"a\", as is "
			"vocabulary[0]" },
		{ "{\"kind\":\"word\"}",
			"tokenizer: vocabulary is missing or not an array" },
	};
	struct tokenizer *t;
	struct error err;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		json_t *json = json_loads(rows[i].json, 0, NULL);

		assert_int_equal(tokenizer_load(&t, json, &err), -1);
		assert_string_equal(err.message, rows[i].message);
		json_decref(json);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rare_words_are_unknown),
		cmocka_unit_test(test_unknown_is_counted),
		cmocka_unit_test(test_max_vocab),
		cmocka_unit_test(test_lower_case),
		cmocka_unit_test(test_options_of_other_kinds),
		cmocka_unit_test(test_load_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
