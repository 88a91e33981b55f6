#include "text/jieba_user.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX (256u << 20)

void jieba_user_init(struct jieba_user *u)
{
	*u = (struct jieba_user){ 0 };
	buf_init(&u->words, WORDS_MAX);
}

void jieba_user_release(struct jieba_user *u)
{
	free(u->nodes);
	free(u->edges);
	free(u->to);
	free(u->added);
	buf_release(&u->words);
}

static size_t slot_of(const struct jieba_user *u, uint64_t key)
{
	size_t mask = u->n_edges - 1;
	size_t i = (key * 0x9e3779b97f4a7c15u) >> 32 & mask;

	while (u->edges[i] && u->edges[i] != key)
		i = (i + 1) & mask;
	return i;
}

uint32_t jieba_user_child(
	const struct jieba_user *u, uint32_t node, uint32_t letter)
{
	size_t i;

	if (!u->n_edges || !letter)
		return JIEBA_USER_NONE;
	i = slot_of(u, (uint64_t)node << 16 | letter);
	return u->edges[i] ? u->to[i] : JIEBA_USER_NONE;
}

/* At most half of the edges' slots are taken: one for each node but the root.
 */
static int grow_edges(struct jieba_user *u, size_t n_nodes)
{
	struct jieba_user old = *u;
	size_t n = u->n_edges ? u->n_edges : 64;

	while (n < 2 * n_nodes)
		n *= 2;
	if (n == u->n_edges)
		return 0;
	u->edges = calloc(n, sizeof(*u->edges));
	u->to = calloc(n, sizeof(*u->to));
	if (!u->edges || !u->to) {
		free(u->edges);
		free(u->to);
		*u = old;
		return -1;
	}
	u->n_edges = n;
	for (size_t i = 0; i < old.n_edges; i++) {
		size_t to = old.edges[i] ? slot_of(u, old.edges[i]) : 0;

		if (!old.edges[i])
			continue;
		u->edges[to] = old.edges[i];
		u->to[to] = old.to[i];
	}
	free(old.edges);
	free(old.to);
	return 0;
}

/* Room for n more nodes and one more word. */
static int grow(struct jieba_user *u, size_t n)
{
	size_t nodes = u->n_nodes + n + 1, cap = u->cap ? u->cap : 64;
	void *more;

	while (cap < nodes)
		cap *= 2;
	if (cap != u->cap) {
		more = realloc(u->nodes, cap * sizeof(*u->nodes));
		if (!more)
			return -1;
		u->nodes = more;
		u->cap = cap;
	}
	if (u->n_added == u->cap_added) {
		cap = u->cap_added ? 2 * u->cap_added : 64;
		more = realloc(u->added, cap * sizeof(*u->added));
		if (!more)
			return -1;
		u->added = more;
		u->cap_added = cap;
	}
	if (!u->n_nodes)
		u->nodes[u->n_nodes++] = (struct jieba_user_node){ 0 };
	return grow_edges(u, nodes);
}

static uint32_t child_or_new(
	struct jieba_user *u, uint32_t node, uint32_t letter)
{
	uint64_t key = (uint64_t)node << 16 | letter;
	size_t i = slot_of(u, key);

	if (!u->edges[i]) {
		u->edges[i] = key;
		u->to[i] = (uint32_t)u->n_nodes;
		u->nodes[u->n_nodes++] = (struct jieba_user_node){ 0 };
	}
	return u->to[i];
}

int jieba_user_add(struct jieba_user *u, const uint16_t *letters, size_t n,
	const char *word, size_t len, uint64_t frequency, struct error *err)
{
	uint32_t node = 0;

	if (grow(u, n) < 0 || buf_append(&u->words, word, len) < 0)
		return error_set_memory(err, "user dictionary", len);
	u->added[u->n_added++] =
		(struct jieba_user_word){ u->words.len, frequency };
	for (size_t i = 0; i < n; i++)
		node = child_or_new(u, node, letters[i]);
	u->nodes[node].word = true;
	u->nodes[node].frequency = frequency;
	u->nodes[node].log = frequency ? log((double)frequency) : 0;
	u->nodes[node].divided |= !frequency;
	return 0;
}
