/*
 * The words that a user adds, as a trie of hashed edges that lies over the
 * dictionary's: where it has a word, its frequency counts.
 */
#ifndef TEXT_JIEBA_USER_H
#define TEXT_JIEBA_USER_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

#define JIEBA_USER_NONE UINT32_MAX

struct jieba_user_node {
	uint64_t frequency;
	double log;   /* of it; of 0: log(1) */
	bool word;    /* frequency is set */
	bool divided; /* was once forbidden: the model's word is taken apart */
};

struct jieba_user {
	struct jieba_user_node *nodes; /* [n_nodes] owned; 0 is the root */
	size_t n_nodes, cap;
	uint64_t *edges; /* [n_edges] owned: node << 16 | letter, or 0 */
	uint32_t *to;	 /* [n_edges] owned */
	size_t n_edges;	 /* a power of two */

	struct buf words; /* what was added, end to end */
	struct jieba_user_word {
		size_t end; /* in words */
		uint64_t frequency;
	} * added; /* [n_added] owned */
	size_t n_added, cap_added;
};

void jieba_user_init(struct jieba_user *u);
void jieba_user_release(struct jieba_user *u);

/* The node below `node` by letter, or JIEBA_USER_NONE. */
uint32_t jieba_user_child(
	const struct jieba_user *u, uint32_t node, uint32_t letter);

/* Of `letters` and of the same word in UTF-8, for the record. */
int jieba_user_add(struct jieba_user *u, const uint16_t *letters, size_t n,
	const char *word, size_t len, uint64_t frequency, struct error *err);

#endif
