/* The contract that every kind of tokenizer keeps, and what is particular to
 * each. Random texts come from Philox with fixed seeds. */
#include "text/tokenizer.h"

#include "base/rng.h"
#include "base/utf8.h"
#include "small_jieba.h"
#include "text/decoder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TEXTS 40

static uint32_t draw(uint64_t text, uint64_t i, uint32_t below)
{
	return rng_block(text, RNG_SEED, 7, i).v[0] % below;
}

static size_t put(uint32_t cp, char *out)
{
	if (cp < 0x80) {
		out[0] = (char)cp;
		return 1;
	}
	if (cp < 0x800) {
		out[0] = (char)(0xc0 | cp >> 6);
		out[1] = (char)(0x80 | (cp & 63));
		return 2;
	}
	if (cp < 0x10000) {
		out[0] = (char)(0xe0 | cp >> 12);
		out[1] = (char)(0x80 | (cp >> 6 & 63));
		out[2] = (char)(0x80 | (cp & 63));
		return 3;
	}
	out[0] = (char)(0xf0 | cp >> 18);
	out[1] = (char)(0x80 | (cp >> 12 & 63));
	out[2] = (char)(0x80 | (cp >> 6 & 63));
	out[3] = (char)(0x80 | (cp & 63));
	return 4;
}

/* A text of n code points from all planes, NUL and U+10FFFF included. */
static struct buf random_text(uint64_t seed, size_t n)
{
	static const uint32_t below[] = { 0x80, 0x80, 0x80, 0x800, 0x3000,
		0xd800, 0x10000, 0x110000 };
	struct buf text;
	char utf8[4];
	uint32_t cp;

	buf_init(&text, 1 << 20);
	for (size_t i = 0; i < n; i++) {
		cp = draw(seed, 2 * i, below[draw(seed, 2 * i + 1, 8)]);
		if (cp >= 0xd800 && cp < 0xe000)
			cp = 0x10ffff;
		assert_int_equal(buf_append(&text, utf8, put(cp, utf8)), 0);
	}
	return text;
}

static struct tokenizer *learn(
	const char *kind, const char *text, size_t len, size_t part)
{
	struct tokenizer_builder *b;
	struct tokenizer *t;
	struct error err;
	size_t n;

	assert_int_equal(tokenizer_builder_open(&b, kind, NULL, &err), 0);
	for (size_t i = 0; i < len; i += n) {
		n = part < len - i ? part : len - i;
		if (tokenizer_builder_feed(b, text + i, n, &err))
			fail_msg("%s: %s", kind, err.message);
	}
	assert_int_equal(tokenizer_builder_finish(b, &t, &err), 0);
	return t;
}

static struct tokenizer *learn_text(const char *kind, const char *text)
{
	return learn(kind, text, strlen(text), SIZE_MAX);
}

static struct token_buf encode(
	const struct tokenizer *t, const char *text, size_t len)
{
	struct token_buf ids;
	struct error err;
	size_t skipped = 99;

	token_buf_init(&ids, 1 << 20);
	if (tokenizer_encode(t, text, len, UNKNOWN_ERROR, &ids, &skipped, &err))
		fail_msg("%s", err.message);
	assert_int_equal(skipped, 0);
	return ids;
}

static void assert_decodes(const struct tokenizer *t,
	const struct token_buf *ids, const char *text, size_t len)
{
	struct buf out;
	const char *bytes;
	size_t n;

	buf_init(&out, 1 << 20);
	for (size_t i = 0; i < ids->len; i++) {
		assert_true(ids->ids[i] < tokenizer_vocab(t));
		bytes = tokenizer_bytes(t, ids->ids[i], &n);
		assert_non_null(bytes);
		assert_int_equal(buf_append(&out, bytes, n), 0);
	}
	assert_int_equal(out.len, len);
	assert_memory_equal(out.data, text, len);
	buf_release(&out);
}

static void round_trip(const char *kind)
{
	for (uint64_t seed = 1; seed <= TEXTS; seed++) {
		struct buf text = random_text(seed, 1 + draw(seed, 0, 400));
		struct tokenizer *t =
			learn(kind, text.data, text.len, SIZE_MAX);
		struct token_buf ids = encode(t, text.data, text.len);

		assert_decodes(t, &ids, text.data, text.len);
		token_buf_release(&ids);
		tokenizer_unref(t);
		buf_release(&text);
	}
}

static void assert_same_json(
	const struct tokenizer *a, const struct tokenizer *b)
{
	json_t *x = tokenizer_save(a), *y = tokenizer_save(b);

	assert_true(json_equal(x, y));
	json_decref(x);
	json_decref(y);
}

static void parts_equal_whole(const char *kind)
{
	for (uint64_t seed = 1; seed <= TEXTS; seed++) {
		struct buf text = random_text(seed, 50);
		struct tokenizer *whole =
			learn(kind, text.data, text.len, SIZE_MAX);
		struct tokenizer *parts =
			learn(kind, text.data, text.len, 1 + draw(seed, 9, 7));

		assert_same_json(whole, parts);
		tokenizer_unref(whole);
		tokenizer_unref(parts);
		buf_release(&text);
	}
}

/* Encoding a stream, cut where tokenizer_boundary says, gives the same ids. */
static void stream_equals_whole(const char *kind)
{
	struct buf text = random_text(5, 300), carry;
	struct tokenizer *t = learn(kind, text.data, text.len, SIZE_MAX);
	struct token_buf whole = encode(t, text.data, text.len), ids;
	struct tokenizer_count count = { 0 };
	struct error err;
	size_t n;

	buf_init(&carry, 1 << 20);
	token_buf_init(&ids, 1 << 20);
	for (size_t i = 0; i < text.len; i++) {
		buf_append(&carry, text.data + i, 1);
		n = tokenizer_boundary(t, carry.data, carry.len);
		assert_true(n <= carry.len);
		assert_int_equal(tokenizer_encode_part(t, carry.data, n,
					 UNKNOWN_ERROR, &count, &ids, &err),
			0);
		buf_consume(&carry, n);
	}
	assert_int_equal(tokenizer_encode_part(t, carry.data, carry.len,
				 UNKNOWN_ERROR, &count, &ids, &err),
		0);
	assert_int_equal(ids.len, whole.len);
	assert_memory_equal(ids.ids, whole.ids, ids.len * sizeof(*ids.ids));
	token_buf_release(&ids);
	token_buf_release(&whole);
	buf_release(&carry);
	buf_release(&text);
	tokenizer_unref(t);
}

/* Through text, as a checkpoint stores it. */
static void json_round_trip(const char *kind)
{
	struct buf text = random_text(11, 500);
	struct tokenizer *t = learn(kind, text.data, text.len, SIZE_MAX);
	struct token_buf ids = encode(t, text.data, text.len), again;
	json_t *saved = tokenizer_save(t), *parsed;
	char *dumped = json_dumps(saved, JSON_COMPACT);
	struct tokenizer *loaded;
	struct error err;

	parsed = json_loads(
		dumped, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(parsed);
	if (tokenizer_load(&loaded, parsed, &err))
		fail_msg("%s", err.message);
	assert_string_equal(tokenizer_kind(loaded), kind);
	assert_int_equal(tokenizer_vocab(loaded), tokenizer_vocab(t));
	assert_int_equal(tokenizer_start(loaded), tokenizer_start(t));
	again = encode(loaded, text.data, text.len);
	assert_int_equal(again.len, ids.len);
	assert_memory_equal(again.ids, ids.ids, ids.len * sizeof(*ids.ids));
	assert_same_json(t, loaded);
	token_buf_release(&again);
	token_buf_release(&ids);
	tokenizer_unref(loaded);
	tokenizer_unref(t);
	json_decref(parsed);
	json_decref(saved);
	free(dumped);
	buf_release(&text);
}

/* Token by token, as a stream is sent: what comes out is whole code points at
 * any time, and in the end the text. */
static void decodes_in_stream(const char *kind)
{
	for (uint64_t seed = 1; seed <= TEXTS; seed++) {
		struct buf text = random_text(seed, 60), out;
		struct tokenizer *t =
			learn(kind, text.data, text.len, SIZE_MAX);
		struct token_buf ids = encode(t, text.data, text.len);
		struct decoder d = { 0 };

		buf_init(&out, 1 << 20);
		for (size_t i = 0; i < ids.len; i++) {
			size_t n;
			const char *bytes = tokenizer_bytes(t, ids.ids[i], &n);

			assert_int_equal(decoder_feed(&d, bytes, n, &out), 0);
			if (!out.len)
				continue;
			assert_int_equal(
				utf8_valid_prefix(out.data, out.len, NULL),
				out.len);
			assert_memory_equal(out.data, text.data, out.len);
		}
		assert_int_equal(decoder_finish(&d, &out), 0);
		assert_int_equal(out.len, text.len);
		assert_memory_equal(out.data, text.data, text.len);
		buf_release(&out);
		token_buf_release(&ids);
		tokenizer_unref(t);
		buf_release(&text);
	}
}

/* Where a kind takes cut-offs: any text encodes, ids are in range, what is
 * unknown is counted, and the checkpoint's JSON keeps it. */
static void cuts_off(const char *kind)
{
	const struct tokenizer_options o = { .min_count = 3 };
	struct buf text = random_text(3, 2000), other = random_text(4, 500);
	struct tokenizer_count count = { 0 };
	struct tokenizer_builder *b;
	struct token_buf ids;
	struct tokenizer *t, *loaded;
	uint64_t unknown = 0;
	json_t *json;

	if (tokenizer_builder_open(&b, kind, &o, NULL) < 0)
		goto out; /* it takes none */
	assert_int_equal(
		tokenizer_builder_feed(b, text.data, text.len, NULL), 0);
	assert_int_equal(tokenizer_builder_finish(b, &t, NULL), 0);
	json = tokenizer_save(t);
	assert_int_equal(tokenizer_load(&loaded, json, NULL), 0);
	assert_int_equal(tokenizer_unknown(loaded), tokenizer_unknown(t));
	token_buf_init(&ids, 1 << 20);
	assert_int_equal(tokenizer_encode_part(loaded, other.data, other.len,
				 UNKNOWN_AUTO, &count, &ids, NULL),
		0);
	for (size_t i = 0; i < ids.len; i++) {
		assert_true(ids.ids[i] < tokenizer_vocab(t));
		unknown += ids.ids[i] == tokenizer_unknown(t);
	}
	assert_int_equal(count.unknown, unknown);
	assert_true(count.unknown_characters >= unknown);
	json_decref(json);
	token_buf_release(&ids);
	tokenizer_unref(loaded);
	tokenizer_unref(t);
out:
	buf_release(&text);
	buf_release(&other);
}

/* Whatever bytes come: ids that decode to them, or an error with words. */
static void random_bytes(const char *kind)
{
	struct tokenizer *t = learn_text(kind, "abc \n\xc3\xa4\xe4\xb8\xad");
	char bytes[64];

	for (uint64_t seed = 100; seed < 400; seed++) {
		size_t len = draw(seed, 0, sizeof(bytes));
		struct token_buf ids;
		struct error err = { 0 };

		for (size_t i = 0; i < len; i++)
			bytes[i] = (char)draw(seed, i + 1, 256);
		token_buf_init(&ids, 1 << 10);
		if (tokenizer_encode(t, bytes, len, UNKNOWN_ERROR, &ids, NULL,
			    &err) == 0)
			assert_decodes(t, &ids, bytes, len);
		else
			assert_true(err.code == ERROR_UNPROCESSABLE &&
				    strlen(err.message) > 10);
		ids.len = 0;
		if (tokenizer_encode(
			    t, bytes, len, UNKNOWN_SKIP, &ids, NULL, NULL) == 0)
			for (size_t i = 0; i < ids.len; i++)
				assert_true(ids.ids[i] < tokenizer_vocab(t));
		token_buf_release(&ids);
	}
	tokenizer_unref(t);
}

static void limits(const char *kind)
{
	struct tokenizer *t = learn_text(kind, "a\nb\n");
	struct token_buf ids;
	struct error err;
	size_t len = 9;

	token_buf_init(&ids, 3);
	assert_int_equal(tokenizer_encode(t, "a\nb\n", 4, UNKNOWN_ERROR, &ids,
				 NULL, &err),
		-1);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	assert_true(ids.len <= 3);
	ids.len = 0;
	assert_int_equal(
		tokenizer_encode(t, "a\nb", 3, UNKNOWN_ERROR, &ids, NULL, &err),
		0);
	assert_int_equal(ids.len, 3);
	token_buf_release(&ids);
	assert_null(tokenizer_bytes(t, (uint32_t)tokenizer_vocab(t), &len));
	assert_int_equal(len, 0);
	tokenizer_unref(tokenizer_ref(t));
	assert_string_equal(
		tokenizer_bytes(t, tokenizer_start(t), &len) ? "ok" : "", "ok");
	assert_int_equal(*tokenizer_bytes(t, tokenizer_start(t), &len), '\n');
	tokenizer_unref(t);
}

static void test_every_kind(void **state)
{
	size_t n = 0;

	for (const char *const *kind = tokenizer_kinds(); *kind; kind++, n++) {
		round_trip(*kind);
		parts_equal_whole(*kind);
		stream_equals_whole(*kind);
		json_round_trip(*kind);
		decodes_in_stream(*kind);
		cuts_off(*kind);
		random_bytes(*kind);
		limits(*kind);
	}
	assert_true(n >= 2);
}

static void test_byte_knows_all_bytes(void **state)
{
	struct tokenizer *t = learn("byte", "", 0, 1);
	char all[256];
	struct token_buf ids;

	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	ids = encode(t, all, sizeof(all));
	assert_int_equal(tokenizer_vocab(t), 256);
	assert_int_equal(tokenizer_start(t), '\n');
	for (uint32_t i = 0; i < 256; i++)
		assert_int_equal(ids.ids[i], i);
	assert_false(tokenizer_kind_learns("byte"));
	assert_true(tokenizer_kind_learns("char"));
	token_buf_release(&ids);
	tokenizer_unref(t);
}

static void test_char_is_sorted(void **state)
{
	struct tokenizer *t =
		learn_text("char", "b\xf0\x9f\x98\x80za\xe4\xb8\xad\xc3\xa4");
	static const char *const want[] = { "a", "b", "z", "\xc3\xa4",
		"\xe4\xb8\xad", "\xf0\x9f\x98\x80" };
	size_t len;

	assert_int_equal(tokenizer_vocab(t), 6);
	assert_int_equal(tokenizer_start(t), 0); /* there is no newline */
	for (uint32_t i = 0; i < 6; i++) {
		assert_memory_equal(
			tokenizer_bytes(t, i, &len), want[i], strlen(want[i]));
		assert_int_equal(len, strlen(want[i]));
	}
	tokenizer_unref(t);
}

static void test_unknown(void **state)
{
	struct tokenizer *t = learn_text("char", "ab\xc3\xa4");
	const char *text = "a\xc3\xa4\xe4\xb8\xad"
			   "b\x01";
	struct token_buf ids;
	struct error err;
	size_t skipped;

	token_buf_init(&ids, 100);
	assert_int_equal(tokenizer_encode(t, text, strlen(text), UNKNOWN_ERROR,
				 &ids, &skipped, &err),
		-1);
	assert_int_equal(err.code, ERROR_UNPROCESSABLE);
	assert_string_equal(err.message,
		"character '\xe4\xb8\xad' (U+4E2D) at character offset 2 is "
		"not in the vocabulary");
	assert_int_equal(tokenizer_encode(t, "ab\x01", 3, UNKNOWN_ERROR, &ids,
				 &skipped, &err),
		-1);
	assert_string_equal(err.message,
		"character (U+0001) at character offset 2 is not in the "
		"vocabulary");
	ids.len = 0;
	assert_int_equal(tokenizer_encode(t, text, strlen(text), UNKNOWN_SKIP,
				 &ids, &skipped, &err),
		0);
	assert_int_equal(skipped, 2);
	assert_int_equal(ids.len, 3);
	/* Bytes that are no text are an error under either policy. */
	assert_int_equal(tokenizer_encode(t, "ab\xff", 3, UNKNOWN_SKIP, &ids,
				 &skipped, &err),
		-1);
	assert_string_equal(
		err.message, "invalid UTF-8 at character offset 2: 0xff");
	token_buf_release(&ids);
	tokenizer_unref(t);
}

static void test_builder_refuses(void **state)
{
	static const char *const bad[] = { "\xff", "a\xc0\x80", "\xed\xa0\x80",
		"\xf4\x90\x80\x80", "\xe4\xb8", "\x80" };
	struct tokenizer_builder *b;
	struct tokenizer *t;
	struct error err;
	int failed;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		for (size_t part = 1; part < 5; part++) {
			const char *s = bad[i];

			assert_int_equal(
				tokenizer_builder_open(&b, "char", NULL, &err),
				0);
			for (failed = 0; *s && !failed; s += strnlen(s, part))
				failed = tokenizer_builder_feed(
					b, s, strnlen(s, part), &err);
			if (failed)
				tokenizer_builder_abort(b);
			else
				failed = tokenizer_builder_finish(b, &t, &err);
			assert_int_equal(failed, -1);
			assert_non_null(strstr(err.message, "invalid UTF-8"));
			assert_non_null(strstr(err.message,
				bad[i][0] == 'a' ? "at byte 1" : "at byte 0"));
		}
	}
	assert_int_equal(tokenizer_builder_open(&b, "char", NULL, &err), 0);
	assert_int_equal(tokenizer_builder_finish(b, &t, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
	assert_int_equal(tokenizer_builder_open(&b, "morse", NULL, &err), -1);
	assert_string_equal(err.message, "tokenizer: kind \"morse\", expected "
					 "one of byte, char, word, "
					 "jieba, bpe");
}

struct bad_json {
	const char *json, *message;
};

#define JIEBA "{\"kind\":\"jieba\",\"vocabulary\":[\"a\"]"
#define WITH_DICTIONARY ",\"hmm\":true,\"dictionary\":\"26099bbf6db63270\""

static const struct bad_json bad_json[] = {
	{ "[]", "tokenizer: not an object" },
	{ "{}", "tokenizer: kind is missing or not a string" },
	{ "{\"kind\":7}", "tokenizer: kind is missing or not a string" },
	{ "{\"kind\":\"x\"}", "tokenizer: kind \"x\", expected one of byte, "
			      "char, word, jieba, bpe" },
	{ JIEBA "}", "tokenizer: hmm is missing or not true or false" },
	{ JIEBA ",\"hmm\":true}",
		"tokenizer: dictionary is missing or not a string" },
	{ JIEBA WITH_DICTIONARY ",\"user_words\":3}",
		"tokenizer: user_words is not an array" },
	{ JIEBA WITH_DICTIONARY ",\"user_words\":[[\"a\"]]}",
		"tokenizer: user_words[0] is not a word with its frequency" },
	{ JIEBA WITH_DICTIONARY ",\"user_words\":[[\"a\",-1]]}",
		"tokenizer: user_words[0] is not a word with its frequency" },
	{ JIEBA WITH_DICTIONARY ",\"user_words\":[[\"a\",1],[\"\",3]]}",
		"tokenizer: user_words[1]: the word is empty" },
	{ JIEBA WITH_DICTIONARY ",\"user_words\":[[\"a\",9007199254740993]]}",
		"tokenizer: user_words[0]: frequency 9007199254740993, "
		"expected 0 to 9007199254519047" },
	{ JIEBA ",\"hmm\":true,\"rules\":1}",
		"tokenizer: unknown field \"rules\"" },
	{ "{\"kind\":\"char\"}",
		"tokenizer: vocabulary is missing or not an array" },
	{ "{\"kind\":\"char\",\"vocabulary\":\"ab\"}",
		"tokenizer: vocabulary is missing or not an array" },
	{ "{\"kind\":\"char\",\"vocabulary\":[]}",
		"tokenizer: vocabulary of 0 characters, expected 1 to "
		"1114112" },
	{ "{\"kind\":\"char\",\"vocabulary\":[\"a\",1]}",
		"tokenizer: vocabulary[1] is not a string" },
	{ "{\"kind\":\"char\",\"vocabulary\":[\"a\",\"\"]}",
		"tokenizer: vocabulary[1] is empty, expected one character" },
	{ "{\"kind\":\"char\",\"vocabulary\":[\"ab\"]}",
		"tokenizer: vocabulary[0] is \"ab\", expected one character" },
	{ "{\"kind\":\"char\",\"vocabulary\":[\"a\",\"b\",\"a\"]}",
		"tokenizer: vocabulary[2] is U+0061, as is vocabulary[0]" },
	{ "{\"kind\":\"char\",\"vocabulary\":[\"a\"],\"start\":1}",
		"tokenizer: start 1, expected 0 to 0" },
	{ "{\"kind\":\"char\",\"vocabulary\":[\"a\"],\"start\":-1}",
		"tokenizer: start -1, expected 0 to 0" },
	{ "{\"kind\":\"char\",\"vocabulary\":[\"a\"],\"start\":\"a\"}",
		"tokenizer: start is not an integer" },
	{ "{\"kind\":\"char\",\"vocabulary\":[\"a\"],\"merges\":[]}",
		"tokenizer: unknown field \"merges\"" },
	{ "{\"kind\":\"byte\",\"vocabulary\":[\"a\"]}",
		"tokenizer: unknown field \"vocabulary\"" },
	{ "{\"kind\":\"byte\",\"start\":256}",
		"tokenizer: start 256, expected 0 to 255" },
};

static void test_load_refuses(void **state)
{
	struct tokenizer *t;
	struct error err;

	for (size_t i = 0; i < sizeof(bad_json) / sizeof(*bad_json); i++) {
		json_t *json = json_loads(bad_json[i].json, 0, NULL);

		assert_non_null(json);
		assert_int_equal(tokenizer_load(&t, json, &err), -1);
		assert_null(t);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_string_equal(err.message, bad_json[i].message);
		json_decref(json);
	}
}

/* More entries than there are characters can't be unique: refused before any
 * is looked at. Surrogates don't pass the JSON parser. */
static void test_load_too_many(void **state)
{
	json_t *json = json_object(), *list = json_array();
	json_t *a = json_string("a");
	struct tokenizer *t;
	struct error err;

	for (uint32_t i = 0; i <= 0x110000; i++)
		json_array_append(list, a);
	json_object_set_new(json, "kind", json_string("char"));
	json_object_set_new(json, "vocabulary", list);
	assert_int_equal(tokenizer_load(&t, json, &err), -1);
	assert_string_equal(err.message,
		"tokenizer: vocabulary of 1114113 characters, expected 1 to "
		"1114112");
	json_decref(a);
	json_decref(json);
	assert_null(json_loads("[\"\\ud800\"]", 0, NULL));
	assert_null(json_loads("[\"\xed\xa0\x80\"]", 0, NULL));
}

static void test_load_keeps_order(void **state)
{
	json_t *json = json_loads("{\"kind\":\"char\",\"vocabulary\":"
				  "[\"z\",\"\\u0000\",\"\\n\",\"a\"]}",
		JSON_ALLOW_NUL, NULL);
	struct tokenizer *t;
	struct token_buf ids;

	assert_int_equal(tokenizer_load(&t, json, NULL), 0);
	assert_int_equal(tokenizer_start(t), 2);
	ids = encode(t, "az\0\n", 4);
	assert_int_equal(ids.ids[0], 3);
	assert_int_equal(ids.ids[1], 0);
	assert_int_equal(ids.ids[2], 1);
	assert_int_equal(ids.ids[3], 2);
	token_buf_release(&ids);
	tokenizer_unref(t);
	json_decref(json);
}

/* Of every kind: the old ids mean what they did, and all of the text is known;
 * where nothing is new, it is the same tokenizer. */
static void test_extend(void **state)
{
	static const char old[] = "hello\n",
			  text[] = "w\xc3\xb6rld \xe4\xb8\xad";

	for (const char *const *kind = tokenizer_kinds(); *kind; kind++) {
		struct tokenizer *t = learn_text(*kind, old), *more, *both,
				 *same;
		struct token_buf ids;
		struct error err;
		size_t n, m;

		more = learn_text(*kind, text);
		assert_int_equal(tokenizer_extend(&both, t, more, &err), 0);
		for (uint32_t id = 0; id < tokenizer_vocab(t); id++) {
			const char *was = tokenizer_bytes(t, id, &n);
			const char *is = tokenizer_bytes(both, id, &m);

			assert_int_equal(m, n);
			assert_memory_equal(is, was, n);
		}
		assert_int_equal(tokenizer_start(both), tokenizer_start(t));
		token_buf_init(&ids, 100);
		assert_int_equal(tokenizer_encode(both, text, strlen(text),
					 UNKNOWN_ERROR, &ids, NULL, &err),
			0);
		token_buf_release(&ids);
		assert_int_equal(tokenizer_extend(&same, both, more, &err), 0);
		assert_ptr_equal(same, both);
		tokenizer_unref(same);
		tokenizer_unref(both);
		tokenizer_unref(more);
		tokenizer_unref(t);
	}
}

/* What extends a tokenizer is cut by its rules, not by the defaults. */
static void test_what_extends_is_cut_alike(void **state)
{
	const struct tokenizer_options o = { .lower_case = true };
	struct tokenizer *t, *more, *both;
	struct tokenizer_builder *b;
	const char *added;
	struct error err;
	size_t len;

	assert_int_equal(tokenizer_builder_open(&b, "word", &o, &err), 0);
	assert_int_equal(tokenizer_builder_feed(b, "one two", 7, &err), 0);
	assert_int_equal(tokenizer_builder_finish(b, &t, &err), 0);
	assert_int_equal(tokenizer_builder_open(&b, "word", NULL, &err), 0);
	assert_int_equal(tokenizer_builder_follow(b, t, &err), 0);
	assert_int_equal(tokenizer_builder_feed(b, "ONE Three", 9, &err), 0);
	assert_int_equal(tokenizer_builder_finish(b, &more, &err), 0);
	assert_int_equal(tokenizer_extend(&both, t, more, &err), 0);
	assert_int_equal(tokenizer_vocab(both), tokenizer_vocab(t) + 1);
	added = tokenizer_bytes(both, (uint32_t)tokenizer_vocab(t), &len);
	assert_int_equal(len, 6);
	assert_memory_equal(added, " three", 6);
	assert_int_equal(tokenizer_builder_open(&b, "char", NULL, &err), 0);
	assert_int_equal(tokenizer_builder_follow(b, t, &err), -1);
	assert_string_equal(err.param, "tokenizer");
	tokenizer_builder_abort(b);
	tokenizer_unref(both);
	tokenizer_unref(more);
	tokenizer_unref(t);
}

static void test_extend_is_of_one_kind(void **state)
{
	struct tokenizer *a = learn_text("char", "a"),
			 *b = learn_text("byte", "a"), *c;
	struct error err;

	assert_int_equal(tokenizer_extend(&c, a, b, &err), -1);
	assert_string_equal(err.param, "tokenizer");
	tokenizer_unref(a);
	tokenizer_unref(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind),
		cmocka_unit_test(test_byte_knows_all_bytes),
		cmocka_unit_test(test_char_is_sorted),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_builder_refuses),
		cmocka_unit_test(test_load_refuses),
		cmocka_unit_test(test_load_too_many),
		cmocka_unit_test(test_load_keeps_order),
		cmocka_unit_test(test_extend),
		cmocka_unit_test(test_extend_is_of_one_kind),
		cmocka_unit_test(test_what_extends_is_cut_alike),
	};

	small_jieba_use();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
