/* A jieba dictionary of ten lines, for tests that must run also where
 * python3-jieba is not installed. */
#ifndef TESTS_SMALL_JIEBA_H
#define TESTS_SMALL_JIEBA_H

#include "text/jieba.h"
#include "text/jieba_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct small_jieba_file {
	const char *name, *text;
} small_jieba_files[] = {
	{ "dict.txt", "北京 34488 ns\n"
		      "北京大学 20530 nt\n"
		      "大学 20025 n\n"
		      "大学生 1000 n\n"
		      "生 500\n"
		      "活 400\n"
		      "生活 800 vn\n"
		      "c++ 3 nz\n"
		      "大 100 x\n"
		      "大 144099 a\n" },
	{ "prob_emit.py", "from __future__ import unicode_literals\n\n"
			  "P={'B': {'\\u4e00': -3.65,\n '\\u5927': -4.0},\n"
			  " 'E': {'\\u4e00': -6.0, '\\u5b66': -3.0},\n"
			  " 'M': {'\\u4e00': -4.0},\n"
			  " 'S': {'\\u4e00': -4.9, '\\u751f': -1.0}}\n" },
	{ "prob_start.py", "P={'B': -0.26,\n 'E': -3.14e+100,\n"
			   " 'M': -3.14e+100,\n 'S': -1.46}\n" },
	{ "prob_trans.py", "P={'B': {'E': -0.51, 'M': -0.91},\n"
			   " 'E': {'B': -0.58, 'S': -0.80},\n"
			   " 'M': {'E': -0.33, 'M': -1.26},\n"
			   " 'S': {'B': -0.72, 'S': -0.66}}\n" },
};

#define SMALL_JIEBA_FILES \
	(sizeof(small_jieba_files) / sizeof(small_jieba_files[0]))

/* Made and removed by the two below. */
struct small_jieba {
	char dir[32];
	char words[64], dict[64];
};

static inline void small_jieba_write(
	const struct small_jieba *s, const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	f = fopen(path, "w");
	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		abort();
}

static inline int small_jieba_build(
	const struct small_jieba *s, struct error *err)
{
	struct jieba_sources from = { s->words, s->dir };
	struct jieba_built built;

	return jieba_build(&from, s->dict, &built, err);
}

static inline void small_jieba_make(struct small_jieba *s)
{
	strcpy(s->dir, "/tmp/small_jieba_XXXXXX");
	if (!mkdtemp(s->dir))
		abort();
	snprintf(s->words, sizeof(s->words), "%s/dict.txt", s->dir);
	snprintf(s->dict, sizeof(s->dict), "%s/jieba.dict", s->dir);
	for (size_t i = 0; i < SMALL_JIEBA_FILES; i++)
		small_jieba_write(s, small_jieba_files[i].name,
			small_jieba_files[i].text);
	if (small_jieba_build(s, NULL) < 0)
		abort();
}

static inline void small_jieba_remove(const struct small_jieba *s)
{
	char path[128];

	for (size_t i = 0; i < SMALL_JIEBA_FILES; i++) {
		snprintf(path, sizeof(path), "%s/%s", s->dir,
			small_jieba_files[i].name);
		unlink(path);
	}
	unlink(s->dict);
	rmdir(s->dir);
}

/* The dictionary of the jieba tokenizer from here to the end of the program. */
static inline struct small_jieba *small_jieba_used(void)
{
	static struct small_jieba s;

	return &s;
}

static inline void small_jieba_end(void)
{
	small_jieba_remove(small_jieba_used());
}

static inline void small_jieba_use(void)
{
	struct small_jieba *s = small_jieba_used();

	small_jieba_make(s);
	jieba_set_default(s->dict, NULL);
	atexit(small_jieba_end);
}

#endif
