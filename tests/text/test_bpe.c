/* Byte-pair encoding against Hugging Face's own outputs (tests/text/bpe, see
 * make_goldens.mjs), and what it refuses. */
#include "base/file.h"
#include "base/rng.h"
#include "text/hugging_face.h"
#include "text/tokenizer.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *read_json(const char *name, const char *end)
{
	char path[128], *text;
	struct error err;
	json_t *json;
	size_t len;

	snprintf(path, sizeof(path), "tests/text/bpe/%s%s", name, end);
	if (file_read(path, 1 << 20, &text, &len, &err) < 0)
		fail_msg("%s", err.message);
	json = json_loadb(text, len, 0, NULL);
	assert_non_null(json);
	free(text);
	return json;
}

static struct tokenizer *load_file(const char *name)
{
	json_t *file = read_json(name, ".json"), *json;
	struct tokenizer *t;
	struct error err;

	json = hugging_face_read(file, &err);
	if (!json)
		fail_msg("%s", err.message);
	if (tokenizer_load(&t, json, &err) < 0)
		fail_msg("%s", err.message);
	json_decref(json);
	json_decref(file);
	return t;
}

static void assert_case(
	const struct tokenizer *t, const char *name, const json_t *golden)
{
	const json_t *text = json_object_get(golden, "text");
	const json_t *want = json_object_get(golden, "ids");
	const json_t *decoded = json_object_get(golden, "decoded");
	struct token_buf ids;
	struct buf out;
	struct error err;

	token_buf_init(&ids, 1 << 16);
	buf_init(&out, 1 << 20);
	if (tokenizer_encode(t, json_string_value(text),
		    json_string_length(text), UNKNOWN_ERROR, &ids, NULL,
		    &err) < 0)
		fail_msg("%s", err.message);
	for (size_t i = 0; i < ids.len; i++) {
		size_t len;
		const char *bytes = tokenizer_bytes(t, ids.ids[i], &len);

		assert_int_equal(buf_append(&out, bytes, len), 0);
		if (ids.ids[i] != json_integer_value(json_array_get(want, i)))
			fail_msg("%s: \"%s\": token %zu is %u, not %lld", name,
				json_string_value(text), i, ids.ids[i],
				(long long)json_integer_value(
					json_array_get(want, i)));
	}
	assert_int_equal(ids.len, json_array_size(want));
	assert_int_equal(out.len, json_string_length(decoded));
	if (out.len)
		assert_memory_equal(
			out.data, json_string_value(decoded), out.len);
	buf_release(&out);
	token_buf_release(&ids);
}

static void test_as_hugging_face_does(void **state)
{
	static const char *const names[] = { "plain", "prefix", "noregex" };

	for (size_t n = 0; n < sizeof(names) / sizeof(*names); n++) {
		struct tokenizer *t = load_file(names[n]);
		json_t *goldens = read_json(names[n], ".ids.json");

		assert_int_equal(json_array_size(goldens), 400);
		/* Twice: the second time from the cache. */
		for (size_t i = 0; i < 800; i++)
			assert_case(
				t, names[n], json_array_get(goldens, i % 400));
		json_decref(goldens);
		tokenizer_unref(t);
	}
}

/* Written as it was read, as far as it says anything. */
static void test_writes_what_it_reads(void **state)
{
	static const char *const names[] = { "plain", "prefix", "noregex" };

	for (size_t n = 0; n < sizeof(names) / sizeof(*names); n++) {
		struct tokenizer *t = load_file(names[n]);
		json_t *saved = tokenizer_save(t), *again, *file;
		struct error err;

		file = hugging_face_write(saved);
		assert_non_null(file);
		json_object_del(saved, "start");
		again = hugging_face_read(file, &err);
		if (!again)
			fail_msg("%s", err.message);
		assert_true(json_equal(saved, again));
		json_decref(again);
		json_decref(file);
		json_decref(saved);
		tokenizer_unref(t);
	}
}

/* In parts that end where boundary says, with added tokens and prefix spaces,
 * it is the same. */
static void test_parts(void **state)
{
	static const char *const bits[] = { "<|endoftext|>", "<|end", "<|",
		"two words", "two", " ", "  ", "king", "\n", "'", "ll", "1",
		"\xe4\xb8\xad", "\xff", "\xe4" };
	struct tokenizer *t = load_file("prefix");

	for (uint64_t seed = 0; seed < 300; seed++) {
		struct tokenizer_count count = { 0 };
		struct token_buf whole, parts;
		char text[400] = "", *from = text;
		size_t seen = 0, n;

		for (uint64_t i = 0; i < 20; i++)
			strcat(text, bits[rng_block(seed, RNG_SEED, 8, i).v[0] %
					     (sizeof(bits) / sizeof(*bits))]);
		token_buf_init(&whole, 1000);
		token_buf_init(&parts, 1000);
		assert_int_equal(tokenizer_encode(t, text, strlen(text),
					 UNKNOWN_ERROR, &whole, NULL, NULL),
			0);
		while (seen < strlen(text)) {
			seen++;
			n = tokenizer_boundary(
				t, from, seen - (size_t)(from - text));
			tokenizer_encode_part(t, from, n, UNKNOWN_ERROR, &count,
				&parts, NULL);
			from += n;
		}
		tokenizer_encode_part(t, from, strlen(from), UNKNOWN_ERROR,
			&count, &parts, NULL);
		assert_int_equal(parts.len, whole.len);
		assert_memory_equal(
			parts.ids, whole.ids, whole.len * sizeof(*whole.ids));
		token_buf_release(&parts);
		token_buf_release(&whole);
	}
	tokenizer_unref(t);
}

/* Whatever bytes there are, also of a piece that is merged by a heap. */
static void test_any_bytes(void **state)
{
	struct tokenizer *t = load_file("plain");

	for (uint64_t seed = 0; seed < 200; seed++) {
		char bytes[300];
		size_t len = 0, at = 0, n;
		struct token_buf ids;

		for (; len < sizeof(bytes); len++)
			bytes[len] =
				(char)(rng_block(seed, RNG_SEED, 9, len).v[0] %
						(seed % 2 ? 256 : 4) +
					(seed % 2 ? 0 : 'a'));
		token_buf_init(&ids, 1000);
		assert_int_equal(tokenizer_encode(t, bytes, len, UNKNOWN_ERROR,
					 &ids, NULL, NULL),
			0);
		for (size_t i = 0; i < ids.len; i++) {
			const char *s = tokenizer_bytes(t, ids.ids[i], &n);

			assert_true(at + n <= len);
			assert_memory_equal(s, bytes + at, n);
			at += n;
		}
		assert_int_equal(at, len);
		token_buf_release(&ids);
	}
	tokenizer_unref(t);
}

struct reader {
	pthread_t thread;
	const struct tokenizer *t;
	uint32_t ids[4096];
	size_t n;
};

static void *read_all(void *arg)
{
	struct reader *r = arg;
	struct token_buf ids;
	char text[64];

	token_buf_init(&ids, 4096);
	for (int i = 0; i < 400; i++) {
		snprintf(text, sizeof(text), "the king of %d lands, ", i % 50);
		tokenizer_encode(r->t, text, strlen(text), UNKNOWN_ERROR, &ids,
			NULL, NULL);
	}
	r->n = ids.len;
	memcpy(r->ids, ids.ids, ids.len * sizeof(*ids.ids));
	token_buf_release(&ids);
	return NULL;
}

/* The cache of words is shared, and starts empty. */
static void test_threads(void **state)
{
	static struct reader readers[4];
	struct tokenizer *t = load_file("plain");

	for (int i = 0; i < 4; i++) {
		readers[i].t = t;
		assert_int_equal(pthread_create(&readers[i].thread, NULL,
					 read_all, &readers[i]),
			0);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(readers[i].thread, NULL);
	assert_true(readers[0].n > 1000);
	for (int i = 1; i < 4; i++) {
		assert_int_equal(readers[i].n, readers[0].n);
		assert_memory_equal(readers[i].ids, readers[0].ids,
			readers[0].n * sizeof(uint32_t));
	}
	tokenizer_unref(t);
}

static struct tokenizer *learn(
	const char *text, size_t len, const struct tokenizer_options *o)
{
	struct tokenizer_builder *b;
	struct tokenizer *t;
	struct error err;

	assert_int_equal(tokenizer_builder_open(&b, "bpe", o, &err), 0);
	assert_int_equal(tokenizer_builder_feed(b, text, len, &err), 0);
	if (tokenizer_builder_finish(b, &t, &err) < 0)
		fail_msg("%s", err.message);
	return t;
}

/* Worked by hand: low 5, lower 2, newest 6, widest 3, as Sennrich et al. have
 * it: es 9, est 9, lo 7, low 7, then the n-e pair, … */
static void test_learns(void **state)
{
	static const char text[] =
		"low low low low low lower lower newest newest newest newest "
		"newest newest widest widest widest";
	struct tokenizer *t = learn(text, strlen(text),
		&(struct tokenizer_options){ .max_vocab = 259 });
	static const char *const want[] = { "es", "est", "lo" };
	size_t len;

	assert_int_equal(tokenizer_vocab(t), 259);
	for (uint32_t i = 0; i < 3; i++) {
		const char *s = tokenizer_bytes(t, 256 + i, &len);

		assert_int_equal(len, strlen(want[i]));
		assert_memory_equal(s, want[i], len);
	}
	assert_int_equal(tokenizer_start(t), '\n');
	tokenizer_unref(t);
}

static void test_refuses(void **state)
{
	static const struct {
		const char *field, *value, *message;
	} rows[] = {
		{ "normalizer", "{\"type\":\"NFC\"}",
			"tokenizer.json: normalizer is {\"type\":\"NFC\"}, "
			"expected null" },
		{ "pre_tokenizer", "{\"type\":\"Whitespace\"}",
			"tokenizer.json: pre_tokenizer is \"Whitespace\", "
			"expected ByteLevel" },
		{ "pre_tokenizer", "null",
			"tokenizer.json: pre_tokenizer is null, expected "
			"ByteLevel" },
		{ "post_processor", "{\"type\":\"TemplateProcessing\"}",
			"tokenizer.json: post_processor is "
			"\"TemplateProcessing\", expected ByteLevel" },
		{ "decoder", "{\"type\":\"Metaspace\"}",
			"tokenizer.json: decoder is \"Metaspace\", expected "
			"ByteLevel" },
		{ "truncation", "{\"max_length\":9}",
			"tokenizer.json: truncation is {\"max_length\":9}, "
			"expected null" },
		{ "speed", "7",
			"tokenizer.json: the file has \"speed\", which is not "
			"known here" },
		{ "model", "{\"type\":\"WordPiece\",\"vocab\":{}}",
			"tokenizer.json: model is \"WordPiece\", expected "
			"BPE" },
		{ "model",
			"{\"type\":\"BPE\",\"dropout\":0.1,\"vocab\":{},"
			"\"merges\":[]}",
			"tokenizer.json: model.dropout is 0.1" },
		{ "model",
			"{\"type\":\"BPE\",\"vocab\":{\"a\":5},\"merges\":[]}",
			"tokenizer.json: the id of \"a\" is no number from 0 "
			"to 0" },
		{ "model",
			"{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},"
			"\"merges\":[]}",
			"tokenizer.json: \"a\" and \"b\" have the same id 0" },
		{ "model",
			"{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[7]}",
			"tokenizer.json: merges[0] is neither" },
		{ "added_tokens",
			"[{\"id\":640,\"content\":\"x\",\"lstrip\":true}]",
			"tokenizer.json: added_tokens[0].lstrip is true, "
			"expected null" },
		{ "model", "7", "tokenizer.json: no object \"model\" in it" },
	};
	struct error err;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		json_t *file = read_json("plain", ".json");

		json_object_set_new(file, rows[i].field,
			json_loads(rows[i].value, JSON_DECODE_ANY, NULL));
		assert_null(hugging_face_read(file, &err));
		if (strncmp(err.message, rows[i].message,
			    strlen(rows[i].message)))
			fail_msg("%s\nexpected %s", err.message,
				rows[i].message);
		json_decref(file);
	}
}

/* Of a checkpoint's JSON: one change each to a valid one. */
static void test_load_refuses(void **state)
{
	static const struct {
		const char *list;
		size_t at;
		const char *value, *message;
	} rows[] = {
		{ "merges", 3, "\"x\"", "merges[3] is not \"LEFT RIGHT\"" },
		{ "merges", 3, "\"x zzz\"",
			"merges[3] is of tokens that are not all in the "
			"vocabulary" },
		{ "vocabulary", 300, "\"a\"",
			"vocabulary[300] is in the vocabulary twice" },
		{ "vocabulary", 300, "\"a b\"",
			"vocabulary[300] is not written in the letters of "
			"bytes" },
		{ "vocabulary", 97, "\"aaaaaaa\"",
			"vocabulary has no token for the byte 0x61" },
		{ "vocabulary", 300, "7",
			"vocabulary[300] is not a string of 1 to 4096 bytes" },
	};
	struct tokenizer *t = load_file("plain"), *bad;
	json_t *saved = tokenizer_save(t);
	struct error err;
	char want[128];

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		json_t *json = json_deep_copy(saved);

		json_array_set_new(json_object_get(json, rows[i].list),
			rows[i].at,
			json_loads(rows[i].value, JSON_DECODE_ANY, NULL));
		assert_int_equal(tokenizer_load(&bad, json, &err), -1);
		snprintf(want, sizeof(want), "tokenizer: %s", rows[i].message);
		assert_string_equal(err.message, want);
		json_decref(json);
	}
	json_array_set(json_object_get(saved, "merges"), 9,
		json_array_get(json_object_get(saved, "merges"), 2));
	assert_int_equal(tokenizer_load(&bad, saved, &err), -1);
	assert_string_equal(
		err.message, "tokenizer: merges[9] is as merges[2]");
	json_decref(saved);
	tokenizer_unref(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_hugging_face_does),
		cmocka_unit_test(test_writes_what_it_reads),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_any_bytes),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_learns),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_load_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
