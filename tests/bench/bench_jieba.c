/*
 * How fast a text is cut as jieba does, on one core, and what the dictionary
 * costs: bench_jieba DICTIONARY TEXT prints one JSON object. The best of
 * several runs, since noise only slows.
 */
#include "text/jieba.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RUNS 7
#define TEXT_MAX (64u << 20)

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Resident kB of this process, the mapped file's pages included. */
static long resident(void)
{
	char line[128];
	long kb = 0;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmRSS: %ld", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb;
}

static int count(void *arg, const char *word, size_t len, struct error *err)
{
	++*(size_t *)arg;
	return 0;
}

/* MB/s; *words are counted. */
static double cut(const struct jieba *j, const char *text, size_t len, bool hmm,
	size_t *words)
{
	double best = 0;

	for (int i = 0; i < RUNS; i++) {
		double begun = now(), seconds;

		*words = 0;
		if (jieba_cut(j, text, len, hmm, count, words, NULL) < 0)
			return 0;
		seconds = now() - begun;
		if (!i || seconds < best)
			best = seconds;
	}
	return (double)len / best * 1e-6;
}

static int open_best(struct jieba **j, const char *path, double *ms)
{
	struct error err;

	for (int i = 0; i < RUNS; i++) {
		double begun = now(), took;

		if (i)
			jieba_close(*j);
		if (jieba_open(j, path, &err) < 0) {
			fprintf(stderr, "bench: %s\n", err.message);
			return -1;
		}
		took = (now() - begun) * 1e3;
		if (!i || took < *ms)
			*ms = took;
	}
	return 0;
}

int main(int argc, char **argv)
{
	size_t len, words, plain_words;
	double hmm, plain, ms = 0;
	struct error err;
	struct jieba *j;
	long before;
	char *text;

	if (argc != 3)
		return 2;
	if (file_read(argv[2], TEXT_MAX, &text, &len, &err) < 0) {
		fprintf(stderr, "bench: %s\n", err.message);
		return 1;
	}
	before = resident();
	if (open_best(&j, argv[1], &ms) < 0)
		return 1;
	hmm = cut(j, text, len, true, &words);
	plain = cut(j, text, len, false, &plain_words);
	printf("{\"open_ms\":%.2f,\"resident_mb\":%.1f,\"hmm_mb_s\":%.2f,"
	       "\"plain_mb_s\":%.2f,\"hmm_words\":%zu,\"plain_words\":%zu}\n",
		ms, (double)(resident() - before) / 1e3, hmm, plain, words,
		plain_words);
	jieba_close(j);
	free(text);
	return 0;
}
