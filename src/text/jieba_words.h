/* dict.txt, read as python-jieba's gen_pfdict() does. Private to
 * jieba_build.c. */
#ifndef TEXT_JIEBA_WORDS_H
#define TEXT_JIEBA_WORDS_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct jieba_entry {
	const char *word; /* [len] UTF-8, in text */
	uint32_t len;
	uint32_t line;
	uint64_t frequency;
};

struct jieba_words {
	char *text;		     /* the file; owned */
	struct jieba_entry *entries; /* [n] owned; by word, each once */
	size_t n;
	uint64_t total; /* of all lines, repeated words included */
};

int jieba_words_read(
	struct jieba_words *w, const char *path, struct error *err);
void jieba_words_release(struct jieba_words *w);

#endif
