/*
 * The cuts of python-jieba, from the golden file that make_jieba_golden.py
 * wrote, or from JIEBA_GOLDEN; and, on a dictionary of a few words, what
 * a dictionary's file and a user's words may do wrong.
 */
#include "text/jieba.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "small_jieba.h"
#include "test.h"
#include "text/jieba_file.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Bytes where each word ends, as jieba gives them. */
struct words {
	const char *text;
	size_t *ends;
	size_t n, cap, at;
};

static int take(void *arg, const char *word, size_t len, struct error *err)
{
	struct words *w = arg;

	assert_ptr_equal(word, w->text + w->at);
	assert_true(len > 0);
	if (w->n == w->cap) {
		w->cap = w->cap ? 2 * w->cap : 64;
		w->ends = realloc(w->ends, w->cap * sizeof(*w->ends));
		assert_non_null(w->ends);
	}
	w->at += len;
	w->ends[w->n++] = w->at;
	return 0;
}

static struct words cut(
	const struct jieba *j, const char *text, size_t len, bool hmm)
{
	struct words w = { .text = text };
	struct error err;

	if (jieba_cut(j, text, len, hmm, take, &w, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(w.at, len);
	return w;
}

/* expected: the words' lengths in characters. */
static void assert_cuts(const struct jieba *j, const char *text, size_t len,
	bool hmm, const json_t *expected, unsigned line)
{
	struct words w = cut(j, text, len, hmm);
	size_t from = 0, n;

	for (size_t i = 0; i < w.n && i < json_array_size(expected); i++) {
		n = utf8_count(text + from, w.ends[i] - from);
		if ((json_int_t)n !=
			json_integer_value(json_array_get(expected, i)))
			fail_msg("line %u, hmm %d: word %zu is \"%.*s\", "
				 "expected %lld characters of \"%.60s\"",
				line, hmm, i, (int)(w.ends[i] - from),
				text + from,
				json_integer_value(json_array_get(expected, i)),
				text + from);
		from = w.ends[i];
	}
	assert_int_equal(w.n, json_array_size(expected));
	free(w.ends);
}

/* The build tree's dictionary, or NULL where python3-jieba was not there. */
static struct jieba *open_built(void)
{
	const char *variant = getenv("VARIANT");
	char path[PATH_MAX];
	struct jieba *j;
	struct error err;

	snprintf(path, sizeof(path), "build/%s/jieba.dict",
		variant ? variant : "release");
	if (access(path, F_OK) < 0)
		return NULL;
	if (jieba_open(&j, path, &err) < 0)
		fail_msg("%s", err.message);
	return j;
}

static void write_text(const char *path, const char *text, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

/* A line that changes the user's dictionary, and what it came to. */
static struct jieba *with_user_words(struct jieba *j, const json_t *line)
{
	const json_t *text = json_object_get(line, "dictionary");
	const json_t *added = json_object_get(line, "added");
	char path[] = "/tmp/test_jieba_XXXXXX";
	struct error err;
	struct jieba_added a;
	const json_t *entry;

	jieba_close(j);
	j = open_built();
	close(mkstemp(path));
	write_text(path, json_string_value(text), json_string_length(text));
	if (jieba_load_user_dictionary(j, path, &err) < 0)
		fail_msg("%s", err.message);
	unlink(path);
	assert_int_equal(jieba_n_added(j), json_array_size(added));
	for (size_t i = 0; i < jieba_n_added(j); i++) {
		entry = json_array_get(added, i);
		a = jieba_added(j, i);
		assert_int_equal(
			a.len, json_string_length(json_array_get(entry, 0)));
		assert_memory_equal(a.word,
			json_string_value(json_array_get(entry, 0)), a.len);
		assert_int_equal(a.frequency,
			json_integer_value(json_array_get(entry, 1)));
	}
	return j;
}

static size_t check_line(
	struct jieba **j, const char *text, size_t len, unsigned number)
{
	json_t *line = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
	const json_t *s = json_object_get(line, "text");

	assert_non_null(line);
	if (s) {
		assert_cuts(*j, json_string_value(s), json_string_length(s),
			true, json_object_get(line, "hmm"), number);
		assert_cuts(*j, json_string_value(s), json_string_length(s),
			false, json_object_get(line, "plain"), number);
	} else {
		*j = with_user_words(*j, line);
	}
	len = json_string_length(s);
	json_decref(line);
	return len;
}

static void test_golden(void **state)
{
	const char *path = getenv("JIEBA_GOLDEN");
	struct jieba *j = open_built();
	unsigned number = 0;
	size_t len, bytes = 0;
	char *text, *eol;
	struct error err;

	if (!j)
		skip();
	if (file_read(path ? path : "tests/text/jieba.golden", 1u << 30, &text,
		    &len, &err) < 0)
		fail_msg("%s", err.message);
	for (char *s = text; (eol = strchr(s, '\n')); s = eol + 1)
		bytes += check_line(&j, s, (size_t)(eol - s), ++number);
	assert_true(number > 20 && bytes > 50000);
	printf("# %zu bytes of text, cut as python-jieba does\n", bytes);
	free(text);
	jieba_close(j);
}

struct small {
	struct small_jieba files;
	struct jieba *j;
};

static int open_small(void **state)
{
	struct small *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	small_jieba_make(&s->files);
	assert_int_equal(jieba_open(&s->j, s->files.dict, NULL), 0);
	*state = s;
	return 0;
}

static int close_small(void **state)
{
	struct small *s = *state;
	char path[128];

	snprintf(path, sizeof(path), "%s/user.txt", s->files.dir);
	unlink(path);
	small_jieba_remove(&s->files);
	assert_int_equal(access(s->files.dir, F_OK), -1);
	jieba_close(s->j);
	free(s);
	return 0;
}

/* Words, divided by '|'. */
static void assert_words(
	const struct jieba *j, const char *text, bool hmm, const char *expected)
{
	struct words w = cut(j, text, strlen(text), hmm);
	struct buf b;
	size_t from = 0;

	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < w.n; i++) {
		buf_append(&b, "|", i ? 1 : 0);
		buf_append(&b, text + from, w.ends[i] - from);
		from = w.ends[i];
	}
	assert_string_equal(b.data ? b.data : "", expected);
	buf_release(&b);
	free(w.ends);
}

static void test_small(void **state)
{
	const struct small *s = *state;

	assert_words(s->j, "", true, "");
	assert_words(s->j, "北京大学生活", true, "北京大学|生活");
	assert_words(s->j, "北京大学，大学生\r\n x", true,
		"北京大学|，|大学生|\r\n| |x");
	assert_words(s->j, "一一学", true, "一一学");
	assert_words(s->j, "一一学", false, "一|一|学");
	assert_words(s->j, "c++ 3.14%a", true, "c++| |3.14%|a");
	assert_words(s->j, "c++ 3.14%a", false, "c++| |3|.|14|%|a");
	assert_words(s->j, "\xf0\x9f\x98\x80!", true, "\xf0\x9f\x98\x80|!");
}

static void test_user_words(void **state)
{
	struct small *s = *state;
	char path[128];
	struct error err;

	assert_int_equal(
		jieba_add_word(s->j, "一一学", 9, JIEBA_SUGGEST, &err), 0);
	assert_int_equal(jieba_added(s->j, 0).frequency, 1);
	assert_words(s->j, "一一学", false, "一一学");
	assert_int_equal(jieba_add_word(s->j, "北京大学", 12, 0, &err), 0);
	assert_words(s->j, "北京大学", true, "北京|大学");
	small_jieba_write(&s->files, "user.txt",
		"新词 3 n\n\n  \t\n\xef\xbb\xbf𠮷野 5\n生活 0\n");
	snprintf(path, sizeof(path), "%s/user.txt", s->files.dir);
	if (jieba_load_user_dictionary(s->j, path, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(jieba_n_added(s->j), 5);
	assert_words(s->j, "新词生活", false, "新词|生|活");
	assert_words(s->j, "𠮷野", true, "𠮷|野");
}

static void test_wrong_user_words(void **state)
{
	struct small *s = *state;
	char path[128], longest[3 * JIEBA_WORD_MAX + 4];
	struct error err;

	snprintf(path, sizeof(path), "%s/user.txt", s->files.dir);
	assert_int_equal(jieba_add_word(s->j, "", 0, 1, &err), -1);
	assert_error(err, ERROR_INVALID, "the word is empty");
	assert_int_equal(jieba_add_word(s->j, "a\0b", 3, 1, &err), -1);
	assert_error(err, ERROR_INVALID, "a word with a NUL");
	assert_int_equal(jieba_add_word(s->j, "\xff", 1, 1, &err), -1);
	assert_error(err, ERROR_UNPROCESSABLE, "the word is not UTF-8");
	assert_int_equal(jieba_add_word(s->j, "甲", 3, 1ull << 54, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
	/* Its letter is known now, and no dictionary's. */
	assert_words(s->j, "大甲甲", false, "大|甲|甲");
	for (size_t i = 0; i <= JIEBA_WORD_MAX; i++)
		memcpy(longest + 3 * i, "一", 4);
	assert_int_equal(jieba_add_word(s->j, longest, strlen(longest),
				 JIEBA_SUGGEST, &err),
		-1);
	assert_error(
		err, ERROR_TOO_LARGE, "a word of more than 255 characters");
	assert_int_equal(jieba_load_user_dictionary(s->j, path, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	small_jieba_write(&s->files, "user.txt", "好\n坏 \xff\n");
	assert_int_equal(jieba_load_user_dictionary(s->j, path, &err), -1);
	assert_non_null(strstr(err.message, "/user.txt:2: not UTF-8"));
	small_jieba_write(
		&s->files, "user.txt", "坏 99999999999999999999999999 n\n");
	assert_int_equal(jieba_load_user_dictionary(s->j, path, &err), -1);
	assert_non_null(strstr(err.message, "/user.txt:1: frequency over"));
}

static void assert_build_fails(struct small *s, const char *name,
	const char *text, const char *message)
{
	struct error err;

	small_jieba_write(&s->files, name, text);
	assert_int_equal(small_jieba_build(&s->files, &err), -1);
	if (!strstr(err.message, message))
		fail_msg("\"%s\", expected \"%s\" in it", err.message, message);
}

static void test_wrong_sources(void **state)
{
	struct small *s = *state;
	char path[128];
	struct error err;

	assert_build_fails(s, "dict.txt", "北京 1\n\n", "dict.txt:2: no word");
	assert_build_fails(s, "dict.txt", "北京\n", "dict.txt:1: no word or");
	assert_build_fails(s, "dict.txt", "北京 x\n", "no such frequency");
	assert_build_fails(s, "dict.txt", "北京 99999999999999999999\n",
		"no such frequency");
	assert_build_fails(s, "dict.txt", "\xff 3\n", "not UTF-8");
	assert_build_fails(s, "dict.txt", "", "no word with a frequency");
	assert_build_fails(s, "dict.txt", "a 0\n", "no word with a frequency");
	small_jieba_write(&s->files, "dict.txt", small_jieba_files[0].text);
	assert_build_fails(
		s, "prob_emit.py", "Q={}", "prob_emit.py:1: expected P={");
	assert_build_fails(s, "prob_emit.py", "\nP={'B': {'\\u4e0': 1}}",
		"prob_emit.py:2: expected a character");
	assert_build_fails(
		s, "prob_emit.py", "P={'X': {'a': 1}}", "expected states");
	assert_build_fails(
		s, "prob_emit.py", "P={'B': {'a': nan}}", "expected a number");
	assert_build_fails(s, "prob_emit.py", "P={'B': {'a': 1}", "a comma or");
	assert_build_fails(
		s, "prob_start.py", "P={'B': {'B': {}}}", "expected");
	snprintf(path, sizeof(path), "%s/prob_start.py", s->files.dir);
	unlink(path);
	assert_int_equal(small_jieba_build(&s->files, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
}

/* The file with one thing changed; `seal` makes its checksum right. */
static void change(const struct small *s, size_t at, const void *bytes,
	size_t n, bool seal)
{
	char *file;
	size_t len;
	uint64_t sum;

	assert_int_equal(small_jieba_build(&s->files, NULL), 0);
	assert_int_equal(
		file_read(s->files.dict, 1 << 20, &file, &len, NULL), 0);
	memcpy(file + at, bytes, n);
	sum = jieba_file_checksum(file, len);
	if (seal)
		memcpy(file + offsetof(struct jieba_header, checksum), &sum,
			sizeof(sum));
	write_text(s->files.dict, file, len);
	free(file);
}

static void assert_not_opened(const struct small *s, const char *message)
{
	struct jieba *j = NULL;
	struct error err;

	assert_int_equal(jieba_open(&j, s->files.dict, &err), -1);
	assert_null(j);
	if (!strstr(err.message, message) ||
		!strstr(err.message, s->files.dict))
		fail_msg("\"%s\", expected the path and \"%s\" in it",
			err.message, message);
}

static void test_corrupt(void **state)
{
	const struct small *s = *state;
	const uint64_t everywhere = UINT64_MAX, infinite = 0x7ff0000000000000;
	const uint32_t n = 7;
	struct jieba_file f;

	change(s, 0, "X", 1, true);
	assert_not_opened(s, "not a compiled jieba dictionary");
	change(s, offsetof(struct jieba_header, version), &n, 4, true);
	assert_not_opened(s, "format version 7, expected 1: build it again");
	change(s, offsetof(struct jieba_header, byte_order), &n, 4, true);
	assert_not_opened(s, "another byte order");
	change(s, offsetof(struct jieba_header, bytes), &n, 4, true);
	assert_not_opened(s, "but its header says 7");
	change(s, 100, "X", 1, false);
	assert_not_opened(s, "its checksum is ");
	change(s, offsetof(struct jieba_header, n_letters), &n, 4, true);
	assert_not_opened(s, "but its counts make");
	change(s, offsetof(struct jieba_header, total), &everywhere, 8, true);
	assert_not_opened(s, "can't be");
	change(s, sizeof(struct jieba_header), &everywhere, 3, true);
	assert_not_opened(s, "unit 0: base 16777215, expected less than");
	change(s, sizeof(struct jieba_header) + 6, &everywhere, 2, true);
	assert_not_opened(s, "unit 0: frequency 65535, expected less than");
	assert_int_equal(small_jieba_build(&s->files, NULL), 0);
	assert_int_equal(jieba_file_open(&f, s->files.dict, NULL), 0);
	size_t frequencies =
		(size_t)((const uint8_t *)f.frequencies - f.map.data);
	size_t start = (size_t)((const uint8_t *)f.start - f.map.data);
	size_t letters = (size_t)((const uint8_t *)f.letters - f.map.data);

	jieba_file_close(&f);
	change(s, frequencies, &n, 4, true);
	assert_not_opened(s, "frequency 0 is 7, expected 0");
	change(s, start, &infinite, 8, true);
	assert_not_opened(s, "log-probability 0 is not finite");
	change(s, letters, &everywhere, 4, true);
	assert_not_opened(s, "letter 0 is U+FFFFFFFF, expected a code point");
	change(s, letters, (uint32_t[]){ 65, 65 }, 8, true);
	assert_not_opened(s, "letter 1, U+0041, is there twice");
	write_text(s->files.dict, "", 0);
	assert_not_opened(s, "not a compiled jieba dictionary");
	unlink(s->files.dict);
	assert_not_opened(s, "no such file");
}

static void test_invalid_text(void **state)
{
	const struct small *s = *state;
	static const char text[] = "北京\xe5\x8c";
	struct words w = { .text = text };
	struct error err;

	assert_int_equal(
		jieba_cut(s->j, text, strlen(text), true, take, &w, &err), -1);
	assert_int_equal(err.code, ERROR_UNPROCESSABLE);
	assert_non_null(strstr(err.message, "offset 6: byte 0xE5"));
	free(w.ends);
}

static int stop(void *arg, const char *word, size_t len, struct error *err)
{
	return error_set(
		err, ERROR_CANCELLED, "enough of %.*s", (int)len, word);
}

static void test_stops(void **state)
{
	const struct small *s = *state;
	struct error err;

	assert_int_equal(
		jieba_cut(s->j, "北京", 6, true, stop, NULL, &err), -1);
	assert_error(err, ERROR_CANCELLED, "enough of 北京");
}

/* A text cut where jieba_boundary says has the words of the whole. */
static void check_parts(
	const struct jieba *j, const char *text, size_t len, size_t part)
{
	struct words whole = cut(j, text, len, true), parts = { .text = text };
	size_t begin = 0, end = 0, n;

	while (end < len) {
		end = len - end < part ? len : end + part;
		n = end < len ? jieba_boundary(text + begin, end - begin)
			      : len - begin;
		assert_true(n <= end - begin);
		assert_int_equal(
			jieba_cut(j, text + begin, n, true, take, &parts, NULL),
			0);
		begin += n;
	}
	assert_int_equal(parts.n, whole.n);
	assert_memory_equal(
		parts.ends, whole.ends, whole.n * sizeof(*whole.ends));
	free(whole.ends);
	free(parts.ends);
}

static void test_parts(void **state)
{
	static const char *const pieces[] = { "北京大学", "生活", "，", "a1.5%",
		"\r\n", "\r", "一", "𠮷", " ", "é" };
	const struct small *s = *state;
	struct buf b;

	buf_init(&b, 1 << 20);
	for (uint32_t i = 0; i < 3000; i++)
		buf_puts(&b, pieces[rng_block(3, RNG_SEED, 1, i).v[0] % 10]);
	for (size_t part = 1; part < 60; part++)
		check_parts(s->j, b.data, b.len, part);
	buf_release(&b);
}

/* A line without an end is cut at JIEBA_BLOCK_MAX, in parts or whole. */
static void test_long_line(void **state)
{
	const struct small *s = *state;
	struct buf b;

	buf_init(&b, 8 << 20);
	while (b.len < 700000)
		buf_puts(&b, "北京大学生活一一学c++");
	check_parts(s->j, b.data, b.len, 50001);
	check_parts(s->j, b.data, b.len, 1 << 20);
	buf_release(&b);
}

static void test_same_bytes(void **state)
{
	const struct small *s = *state;
	char *a, *b;
	size_t n, m;

	assert_int_equal(file_read(s->files.dict, 1 << 20, &a, &n, NULL), 0);
	assert_int_equal(small_jieba_build(&s->files, NULL), 0);
	assert_int_equal(file_read(s->files.dict, 1 << 20, &b, &m, NULL), 0);
	assert_int_equal(n, m);
	assert_memory_equal(a, b, n);
	free(a);
	free(b);
}

static void test_default(void **state)
{
	const struct small *s = *state;
	struct jieba *j;
	struct error err;

	jieba_set_default(NULL, "none was built");
	assert_int_equal(jieba_open_default(&j, &err), -1);
	assert_error(err, ERROR_NOT_FOUND,
		"the jieba tokenizer needs its compiled dictionary, "
		"jieba.dict: none was built");
	jieba_set_default(s->files.dict, NULL);
	assert_int_equal(jieba_open_default(&j, &err), 0);
	assert_true(jieba_hash(j) == jieba_hash(s->j));
	assert_string_equal(jieba_path(j), s->files.dict);
	jieba_close(j);
}

int main(void)
{
#define ON_SMALL(test) \
	cmocka_unit_test_setup_teardown(test, open_small, close_small)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		ON_SMALL(test_small),
		ON_SMALL(test_user_words),
		ON_SMALL(test_wrong_user_words),
		ON_SMALL(test_wrong_sources),
		ON_SMALL(test_corrupt),
		ON_SMALL(test_invalid_text),
		ON_SMALL(test_stops),
		ON_SMALL(test_parts),
		ON_SMALL(test_long_line),
		ON_SMALL(test_same_bytes),
		ON_SMALL(test_default),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
