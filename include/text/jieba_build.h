/*
 * Makes the compiled dictionary that text/jieba.h maps, from python-jieba's own
 * data: a word list in the form of dict.txt, and finalseg's prob_start.py,
 * prob_trans.py and prob_emit.py. The same data makes the same bytes.
 */
#ifndef TEXT_JIEBA_BUILD_H
#define TEXT_JIEBA_BUILD_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct jieba_sources {
	const char *words; /* "word frequency [tag]" lines */
	const char *model; /* directory of prob_*.py */
};

struct jieba_built {
	size_t words, letters, units, bytes;
	uint64_t hash; /* as jieba_hash */
};

/* Writes `path` atomically. Errors name the file and the line. */
int jieba_build(const struct jieba_sources *from, const char *path,
	struct jieba_built *built, struct error *err);

#endif
