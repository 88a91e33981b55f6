/* Files are made in a directory of the test's own, which is its current one. */
#include "text/corpus.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <cmocka.h>

static char home[] = "/tmp/unrolld-corpus.XXXXXX";

static void make(const char *path, const char *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
}

static int open_corpus(struct corpus *c, const char *const *paths, size_t n,
	const char *kind, struct error *err)
{
	const struct corpus_options o = {
		.paths = paths,
		.n_paths = n,
		.tokenizer = kind,
		.cache_dir = "cache/deep",
	};

	return corpus_open(c, &o, NULL, err);
}

static void assert_text(const struct corpus *c, const char *want, size_t len)
{
	size_t at = 0, n;

	for (size_t i = 0; i < c->tokens.count; i++) {
		const char *bytes = tokenizer_bytes(
			c->tokenizer, tokens_at(&c->tokens, i), &n);

		assert_non_null(bytes);
		assert_true(at + n <= len);
		assert_memory_equal(bytes, want + at, n);
		at += n;
	}
	assert_int_equal(at, len);
	assert_int_equal(c->bytes, len);
	assert_int_equal(c->hash, XXH3_64bits(want, len));
}

static void test_small_file(void **state)
{
	const char *paths[] = { "a.txt" };
	struct corpus c;
	struct error err;

	make("a.txt", "\xef\xbb\xbfhello\r\nw\xc3\xb6rld\r", 17);
	assert_int_equal(open_corpus(&c, paths, 1, "char", &err), 0);
	assert_text(&c, "hello\nw\xc3\xb6rld\n", 13);
	assert_int_equal(c.characters, 12);
	assert_int_equal(c.tokens.count, 12);
	assert_int_equal(c.tokens.width, 1);
	assert_int_equal(tokenizer_vocab(c.tokenizer), 9);
	assert_false(c.storage_mapped);
	corpus_release(&c);
	assert_int_equal(open_corpus(&c, paths, 1, "byte", &err), 0);
	assert_text(&c, "hello\nw\xc3\xb6rld\n", 13);
	assert_int_equal(c.tokens.count, 13);
	assert_int_equal(c.characters, 13);
	corpus_release(&c);
}

static void test_files_are_one_text(void **state)
{
	const char *paths[] = { "a.txt", "b.txt", "empty.txt", "c.txt" };
	struct corpus c;
	struct error err;

	make("a.txt", "one\r", 4);
	make("b.txt", "\n\xef\xbb\xbftwo", 7);
	make("empty.txt", "", 0);
	make("c.txt", "\xef\xbb\xbfthree", 8);
	assert_int_equal(open_corpus(&c, paths, 4, "char", &err), 0);
	assert_text(&c, "one\n\n\xef\xbb\xbftwothree", 16);
	corpus_release(&c);
}

static void test_keep_newlines_and_charset(void **state)
{
	const char *paths[] = { "a.txt" };
	const struct corpus_options o = { .paths = paths,
		.n_paths = 1,
		.encoding = "latin1",
		.keep_newlines = true };
	struct corpus c;

	make("a.txt", "caf\xe9\r\n", 6);
	assert_int_equal(corpus_open(&c, &o, NULL, NULL), 0);
	assert_text(&c, "caf\xc3\xa9\r\n", 7);
	corpus_release(&c);
}

/* As a large text: past the memory it may have, into a mapped file, with each
 * width of ids; and the same ids as in memory. */
static void test_mapped_equals_memory(void **state)
{
	static const size_t vocabs[] = { 100, 300, 70000 };
	static const unsigned widths[] = { 1, 2, 4 };
	const char *paths[] = { "big.txt" };
	struct corpus_options o = { .paths = paths,
		.n_paths = 1,
		.tokenizer = "char",
		.cache_dir = "cache" };
	struct corpus a, b;
	struct error err;

	for (size_t k = 0; k < 3; k++) {
		FILE *f = fopen("big.txt", "w");

		for (size_t i = 0; i < 600000; i++) {
			size_t cp = 0x10000 + i * 7919 % vocabs[k];

			fprintf(f, "%c%c%c%c", (int)(0xf0 | cp >> 18),
				(int)(0x80 | (cp >> 12 & 63)),
				(int)(0x80 | (cp >> 6 & 63)),
				(int)(0x80 | (cp & 63)));
		}
		fclose(f);
		o.memory = 0;
		assert_int_equal(corpus_open(&a, &o, NULL, &err), 0);
		o.memory = 1000;
		assert_int_equal(corpus_open(&b, &o, NULL, &err), 0);
		assert_false(a.storage_mapped);
		assert_true(b.storage_mapped);
		assert_int_equal(a.tokens.width, widths[k]);
		assert_int_equal(b.tokens.width, widths[k]);
		assert_int_equal(a.tokens.count, 600000);
		assert_int_equal(b.tokens.count, 600000);
		assert_memory_equal(
			a.tokens.data, b.tokens.data, a.storage_bytes);
		for (size_t i = 0; i < 600000; i++)
			assert_int_equal(
				tokens_at(&a.tokens, i), i * 7919 % vocabs[k]);
		assert_int_equal(a.hash, b.hash);
		corpus_release(&a);
		corpus_release(&b);
	}
}

static void feed_stdin(const char *text, size_t len)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], text, len), len);
	close(ends[1]);
	assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
	close(ends[0]);
}

static void test_standard_input(void **state)
{
	const char *paths[] = { "-" }, *twice[] = { "-", "a.txt", "-" };
	struct corpus c;
	struct error err;

	feed_stdin("from a pipe", 11);
	assert_int_equal(open_corpus(&c, paths, 1, "char", &err), 0);
	assert_text(&c, "from a pipe", 11);
	corpus_release(&c);
	feed_stdin("from a pipe", 11);
	assert_int_equal(open_corpus(&c, paths, 1, "byte", &err), 0);
	assert_text(&c, "from a pipe", 11);
	corpus_release(&c);
	assert_int_equal(open_corpus(&c, twice, 3, "byte", &err), -1);
	assert_string_equal(err.message,
		"-: standard input is named 2 times, expected once");
}

static void test_known_tokenizer(void **state)
{
	const char *paths[] = { "a.txt", "b.txt" };
	struct corpus_options o = { .paths = paths, .n_paths = 1 };
	struct corpus a, b;
	struct error err;

	make("a.txt", "abc", 3);
	make("b.txt", "abxyc", 5);
	assert_int_equal(corpus_open(&a, &o, NULL, &err), 0);
	o.n_paths = 2;
	assert_int_equal(corpus_open(&b, &o, a.tokenizer, &err), -1);
	assert_int_equal(err.code, ERROR_UNPROCESSABLE);
	assert_string_equal(err.message,
		"b.txt: character 'x' (U+0078) at character offset 2 is not "
		"in the vocabulary");
	o.unknown = UNKNOWN_SKIP;
	assert_int_equal(corpus_open(&b, &o, a.tokenizer, &err), 0);
	assert_int_equal(b.skipped, 2);
	assert_int_equal(b.tokens.count, 6);
	assert_int_equal(b.characters, 8);
	assert_ptr_equal(a.tokenizer, b.tokenizer);
	corpus_release(&b);
	make("b.txt", "xyz", 3);
	o.paths++;
	o.n_paths = 1;
	assert_int_equal(corpus_open(&b, &o, a.tokenizer, &err), -1);
	assert_string_equal(err.message,
		"b.txt: none of its characters is in the vocabulary");
	corpus_release(&a);
}

static void assert_refused(const char *path, const char *kind,
	enum error_code code, const char *message)
{
	const char *paths[] = { "good.txt", path };
	struct corpus c;
	struct error err;

	make("good.txt", "good", 4);
	assert_int_equal(open_corpus(&c, paths, 2, kind, &err), -1);
	assert_int_equal(err.code, code);
	assert_string_equal(err.message, message);
	assert_null(c.tokenizer);
}

static void test_bad_files(void **state)
{
	assert_refused("missing.txt", "char", ERROR_NOT_FOUND,
		"missing.txt: no such file");
	assert_refused("cache", "char", ERROR_INVALID,
		"cache: is a directory, expected a text file");
	make("bad.txt",
		"0123456789\xff"
		"A",
		12);
	assert_refused("bad.txt", "char", ERROR_UNPROCESSABLE,
		"bad.txt: invalid UTF-8 at byte 10: 0xff 0x41");
	make("cut.txt", "ab\xe4", 3);
	assert_refused("cut.txt", "char", ERROR_UNPROCESSABLE,
		"cut.txt: UTF-8 is cut at its end: byte 2 starts a character "
		"that is not complete");
	assert_refused("good.txt", "morse", ERROR_INVALID,
		"tokenizer: kind \"morse\", expected one of byte, char, word, "
		"bpe");
	if (geteuid() != 0) {
		make("secret.txt", "x", 1);
		assert_int_equal(chmod("secret.txt", 0), 0);
		assert_refused("secret.txt", "char", ERROR_IO,
			"secret.txt: cannot open: Permission denied");
	}
}

static void test_nothing_to_read(void **state)
{
	const char *paths[] = { "empty.txt", "empty.txt" };
	struct corpus c;
	struct error err;

	make("empty.txt", "", 0);
	for (const char *const *kind = tokenizer_kinds(); *kind; kind++) {
		assert_int_equal(open_corpus(&c, paths, 1, *kind, &err), -1);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_string_equal(
			err.message, "empty.txt: the text is empty");
	}
	assert_int_equal(open_corpus(&c, paths, 2, "char", &err), -1);
	assert_string_equal(err.message,
		"empty.txt: the text is empty, and so are the other files");
	make("empty.txt", "\xef\xbb\xbf", 3);
	assert_int_equal(open_corpus(&c, paths, 1, "char", &err), -1);
	assert_string_equal(err.message, "empty.txt: the text is empty");
	assert_int_equal(open_corpus(&c, paths, 0, "char", &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
}

static void test_full_cache(void **state)
{
	const char *paths[] = { "a.txt" };
	struct corpus_options o = { .paths = paths,
		.n_paths = 1,
		.memory = 2,
		.cache_dir = "a.txt/cache" };
	struct corpus c;
	struct error err;

	make("a.txt", "abcdef", 6);
	assert_int_equal(corpus_open(&c, &o, NULL, &err), -1);
	assert_non_null(strstr(err.message, "a.txt"));
	o.cache_dir = NULL;
	assert_int_equal(corpus_open(&c, &o, NULL, &err), -1);
	assert_string_equal(err.param, "cache_dir");
}

static int enter(void **state)
{
	return mkdtemp(home) && chdir(home) == 0 && mkdir("cache", 0755) == 0
		       ? 0
		       : -1;
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
		cmocka_unit_test(test_small_file),
		cmocka_unit_test(test_files_are_one_text),
		cmocka_unit_test(test_keep_newlines_and_charset),
		cmocka_unit_test(test_mapped_equals_memory),
		cmocka_unit_test(test_standard_input),
		cmocka_unit_test(test_known_tokenizer),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_nothing_to_read),
		cmocka_unit_test(test_full_cache),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
