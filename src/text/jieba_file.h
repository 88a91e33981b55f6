/*
 * The compiled dictionary's file: words as a double-array trie, frequencies as
 * integers (logarithms are taken when it is opened, by the libm that runs), and
 * the tables of the hidden Markov model. Little-endian, mapped as it is.
 *
 *     header        struct jieba_header
 *     units         u64[n_units]; unit 0 is the root
 *     frequencies   u64[n_frequencies]; [0] is 0: a beginning, no word
 *     start         f64[4], log-probabilities, states in the order B E M S
 *     transitions   f64[4][4], from, to
 *     emissions     f64[n_letters + 1][4], row 0: a letter that is not there
 *     letters       u32[n_letters], the code point of letter i + 1
 *
 * A unit is base | parent << 24 | frequency << 48: the child of unit u by
 * letter c is base(u) + c, if that one's parent is u. Base 0: no children.
 */
#ifndef TEXT_JIEBA_FILE_H
#define TEXT_JIEBA_FILE_H

#include "base/error.h"
#include "base/file.h"

#include <stdint.h>

#define JIEBA_MAGIC "UNROLLJB"
#define JIEBA_VERSION 1u
#define JIEBA_BYTE_ORDER 0x01020304u

#define JIEBA_LETTERS_MAX 0xffffu
#define JIEBA_UNITS_MAX 0xffffffu
#define JIEBA_FREQUENCIES_MAX 0x10000u
#define JIEBA_TOTAL_MAX (1ull << 53) /* a double holds all up to it */
#define JIEBA_NO_PARENT 0xffffffu    /* a unit that is free */

#define JIEBA_MIN_FLOAT (-3.14e100) /* finalseg's log of nothing */

/* In the order of their letters, by which finalseg breaks ties. */
enum jieba_state { JIEBA_B, JIEBA_E, JIEBA_M, JIEBA_S, JIEBA_STATES };

struct jieba_header {
	char magic[8];
	uint32_t version;
	uint32_t byte_order;
	uint64_t checksum; /* XXH3-64 of all that follows it */
	uint64_t bytes;	   /* of the file */
	uint64_t content;  /* XXH3-64 of what it was made from */
	uint64_t total;	   /* sum of all frequencies */
	uint32_t n_letters;
	uint32_t n_units;
	uint32_t n_frequencies;
	uint32_t zero;
};

struct jieba_file {
	struct file_map map;
	const struct jieba_header *header; /* and so on: all in the map */
	const uint64_t *units;
	const uint64_t *frequencies;
	const double *start;			   /* [4] */
	const double (*transitions)[JIEBA_STATES]; /* [4][4] */
	const double (*emissions)[JIEBA_STATES];   /* [n_letters + 1][4] */
	const uint32_t *letters;
};

static inline uint32_t jieba_unit_base(uint64_t unit)
{
	return (uint32_t)unit & 0xffffff;
}

static inline uint32_t jieba_unit_parent(uint64_t unit)
{
	return (uint32_t)(unit >> 24) & 0xffffff;
}

static inline uint32_t jieba_unit_frequency(uint64_t unit)
{
	return (uint32_t)(unit >> 48);
}

/* Bytes of a file with these counts. */
uint64_t jieba_file_bytes(const struct jieba_header *h);
uint64_t jieba_file_checksum(const void *file, size_t len);

/* Maps and checks everything: whatever a lookup may reach is inside. Errors
 * name the file; ERROR_CORRUPT for one that fails its checks. */
int jieba_file_open(struct jieba_file *f, const char *path, struct error *err);
void jieba_file_close(struct jieba_file *f);

#endif
