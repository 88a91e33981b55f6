/*
 * Chinese word segmentation: the cuts of python-jieba 0.42.1's cut(), to the
 * tie. A `struct jieba` is a mapped dictionary (see text/jieba_build.h) and the
 * words a user adds to it; once those are in it is immutable, and any number
 * of threads may cut by it. Words lie in the text that is cut, one after the
 * other, and leave nothing out.
 *
 * One thing differs: a run of more than JIEBA_BLOCK_MAX characters without
 * anything but ideographs, ASCII letters, digits and +#&._%- is cut there, so
 * that memory is bounded.
 */
#ifndef TEXT_JIEBA_H
#define TEXT_JIEBA_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JIEBA_WORD_MAX 255u	   /* characters of a word in a dictionary */
#define JIEBA_BLOCK_MAX (1u << 16) /* characters */

struct jieba;

/* Maps the compiled dictionary at path and checks it. ERROR_NOT_FOUND,
 * ERROR_CORRUPT, …: the message names the file. */
int jieba_open(struct jieba **j, const char *path, struct error *err);
void jieba_close(struct jieba *j);

const char *jieba_path(const struct jieba *j);
/* Of the words, frequencies and tables that the dictionary was made from. */
uint64_t jieba_hash(const struct jieba *j);

/* Where jieba_open_default looks: set once, before the first thread. NULL:
 * there is none, and `why` is said. Both are kept, not copied. */
void jieba_set_default(const char *path, const char *why);
int jieba_open_default(struct jieba **j, struct error *err);

/* What a user adds, in order. frequency JIEBA_SUGGEST takes what
 * suggest_freq() says, from what is there already; 0 forbids a word. The word
 * is UTF-8 of 1..JIEBA_WORD_MAX characters, without NUL. */
#define JIEBA_SUGGEST UINT64_MAX
int jieba_add_word(struct jieba *j, const char *word, size_t len,
	uint64_t frequency, struct error *err);
/* Each line `word [frequency] [tag]`, as python-jieba's load_userdict() reads
 * it; errors name file and line. */
int jieba_load_user_dictionary(
	struct jieba *j, const char *path, struct error *err);

/* What was added, in order, with the frequencies that came of it: added again
 * to a fresh dictionary it makes the same cuts. */
struct jieba_added {
	const char *word; /* borrowed until the next word is added */
	size_t len;
	uint64_t frequency;
};
size_t jieba_n_added(const struct jieba *j);
struct jieba_added jieba_added(const struct jieba *j, size_t i);

/* Takes one word; -1 stops the cutting (and fills *err). */
typedef int jieba_sink(
	void *arg, const char *word, size_t len, struct error *err);

/* Cuts text; `hmm` finds words that the dictionary lacks. ERROR_UNPROCESSABLE
 * for what isn't UTF-8, naming the byte; words before it have been given. */
int jieba_cut(const struct jieba *j, const char *text, size_t len, bool hmm,
	jieba_sink *sink, void *arg, struct error *err);

/* Bytes of the longest start of text whose cuts don't depend on what follows;
 * text begins where a text does, or where one was cut so. */
size_t jieba_boundary(const char *text, size_t len);

#endif
