/*
 * How fast each tokenizer learns and encodes, on one core: a JSON object a
 * line for each kind and file that is named. The best of several runs, since
 * noise only slows.
 */
#include "text/tokenizer.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RUNS 5
#define TEXT_MAX (64u << 20)

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static struct tokenizer *learn(
	const char *kind, const char *text, size_t len, double *seconds)
{
	const struct tokenizer_options o = { .max_vocab = 10000 };
	const char *const fixed[] = { "byte", "char" };
	struct tokenizer_builder *b;
	struct tokenizer *t = NULL;
	struct error err;
	double begun = now();
	bool counted = true;

	for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++)
		counted &= strcmp(kind, fixed[i]) != 0;
	if (tokenizer_builder_open(&b, kind, counted ? &o : NULL, &err) < 0 ||
		tokenizer_builder_feed(b, text, len, &err) < 0 ||
		tokenizer_builder_finish(b, &t, &err) < 0)
		fprintf(stderr, "bench: %s: %s\n", kind, err.message);
	*seconds = now() - begun;
	return t;
}

static int measure(
	const char *kind, const char *path, const char *text, size_t len)
{
	double learnt, best = 0;
	struct tokenizer *t = learn(kind, text, len, &learnt);
	struct token_buf ids;

	if (!t)
		return -1;
	token_buf_init(&ids, len + 1);
	for (int i = 0; i < RUNS; i++) {
		double begun = now(), seconds;

		ids.len = 0;
		if (tokenizer_encode(
			    t, text, len, UNKNOWN_AUTO, &ids, NULL, NULL) < 0)
			return -1;
		seconds = now() - begun;
		if (!i || seconds < best)
			best = seconds;
	}
	printf("{\"bench\":\"tokenizer\",\"kind\":\"%s\",\"text\":\"%s\","
	       "\"vocabulary\":%zu,\"tokens\":%zu,\"encode_mb_s\":%.1f,"
	       "\"learn_mb_s\":%.1f}\n",
		kind, path, tokenizer_vocab(t), ids.len,
		(double)len / best * 1e-6, (double)len / learnt * 1e-6);
	fflush(stdout);
	token_buf_release(&ids);
	tokenizer_unref(t);
	return 0;
}

/* bench_text FILE...: UTF-8 texts. */
int main(int argc, char **argv)
{
	struct error err;
	int failed = 0;

	for (int i = 1; i < argc; i++) {
		const char *name = strrchr(argv[i], '/');
		char *text;
		size_t len;

		if (file_read(argv[i], TEXT_MAX, &text, &len, &err) < 0) {
			fprintf(stderr, "bench: %s\n", err.message);
			return 1;
		}
		for (const char *const *k = tokenizer_kinds(); *k; k++)
			failed |= measure(
				*k, name ? name + 1 : argv[i], text, len);
		free(text);
	}
	return failed ? 1 : 0;
}
