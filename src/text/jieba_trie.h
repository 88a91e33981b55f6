/* Makes a trie of words into a double array. Private to jieba_build.c. */
#ifndef TEXT_JIEBA_TRIE_H
#define TEXT_JIEBA_TRIE_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct jieba_node {
	uint32_t parent; /* before this one in the order */
	uint16_t letter;
	uint16_t frequency; /* index */
	uint32_t children;  /* how many */
	uint32_t first;	    /* in the list of all nodes by parent */
	uint32_t base, unit;
};

struct jieba_trie {
	struct jieba_node *nodes; /* [n] owned; 0 is the root */
	size_t n, cap;
};

void jieba_trie_release(struct jieba_trie *t);
/* A new child of `parent`, which has none by this letter: its number. */
int jieba_trie_add(struct jieba_trie *t, uint32_t parent, uint32_t letter,
	uint32_t *node, struct error *err);

/* *units [*n] is the caller's. ERROR_TOO_LARGE past what a unit can say. */
int jieba_trie_place(struct jieba_trie *t, uint32_t n_letters, uint64_t **units,
	size_t *n, struct error *err);

#endif
