/* What the parts of text/jieba share. */
#ifndef TEXT_JIEBA_PRIVATE_H
#define TEXT_JIEBA_PRIVATE_H

#include "text/jieba.h"
#include "text/jieba_file.h"
#include "text/jieba_user.h"

struct jieba {
	char *path; /* owned */
	struct jieba_file file;
	double *logs; /* [n_frequencies] owned; of frequency 0: log(1) */
	uint64_t total;
	double log_total;

	/* Code point -> letter: page[cp >> 8] of pages; page 0 holds none. */
	uint16_t page[0x1100];
	uint16_t (*pages)[256]; /* [n_pages] owned */
	size_t n_pages;
	uint32_t n_letters; /* the file's, and those of added words */

	struct jieba_user user;
};

static inline uint32_t jieba_letter(const struct jieba *j, uint32_t cp)
{
	return j->pages[j->page[cp >> 8]][cp & 0xff];
}

/* Frequency of a word of n letters; -1: not even the beginning of one. */
int64_t jieba_frequency(
	const struct jieba *j, const uint16_t *letters, size_t n);

/* One run of letters from the block's text, cut by the hidden Markov model;
 * states is scratch for n of them. */
struct jieba_run {
	const char *text;
	size_t len;
	const uint16_t *letters; /* [n] */
	size_t n;
	uint8_t *states; /* [n] */
};
int jieba_recognise(const struct jieba *j, const struct jieba_run *r,
	jieba_sink *sink, void *arg, struct error *err);

/* Bytes of a character that is an ideograph or ASCII. */
static inline size_t jieba_char_bytes(char lead)
{
	return (unsigned char)lead < 0x80 ? 1 : 3;
}

static inline bool jieba_is_alnum(char c)
{
	return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

#endif
