/*
 * First fit, nodes of many children first: those of one fill what is left
 * between them.
 */
#include "text/jieba_trie.h"

#include "text/jieba_file.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void jieba_trie_release(struct jieba_trie *t)
{
	free(t->nodes);
	*t = (struct jieba_trie){ 0 };
}

int jieba_trie_add(struct jieba_trie *t, uint32_t parent, uint32_t letter,
	uint32_t *node, struct error *err)
{
	size_t cap = t->cap ? 2 * t->cap : 1u << 16;
	struct jieba_node *more;

	if (t->n == JIEBA_UNITS_MAX)
		return error_set(err, ERROR_TOO_LARGE,
			"more than %u beginnings of words", JIEBA_UNITS_MAX);
	if (t->n == t->cap) {
		more = realloc(t->nodes, cap * sizeof(*more));
		if (!more)
			return error_set_memory(
				err, "words", cap * sizeof(*more));
		t->nodes = more;
		t->cap = cap;
	}
	*node = (uint32_t)t->n;
	t->nodes[t->n++] = (struct jieba_node){ .parent = parent,
		.letter = (uint16_t)letter };
	if (*node)
		t->nodes[parent].children++;
	return 0;
}

#define SIZES 256u
#define PATIENCE 256u /* misfits after which nodes as large begin later */

struct placer {
	struct jieba_trie *trie;
	uint32_t n_letters;
	uint32_t *children; /* [trie->n] owned: those of a node together */
	uint64_t *order;    /* [trie->n] owned: size << 32 | node, ascending */
	uint32_t *next;	    /* [cap] owned: itself where free, or one after */
	size_t cap;
	uint32_t from[SIZES]; /* where to begin, by number of children */
	uint32_t last_base;
};

static int ascending(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void sort_nodes(struct placer *p)
{
	struct jieba_node *nodes = p->trie->nodes;
	size_t n = p->trie->n;
	uint32_t first = 0;

	for (size_t i = 0; i < n; i++) {
		nodes[i].first = first;
		first += nodes[i].children;
		p->order[i] = (uint64_t)nodes[i].children << 32 | i;
	}
	for (size_t i = 1; i < n; i++)
		p->children[nodes[nodes[i].parent].first++] = (uint32_t)i;
	for (size_t i = 0; i < n; i++)
		nodes[i].first -= nodes[i].children;
	qsort(p->order, n, sizeof(*p->order), ascending);
}

/* Units up to i, and a node's children from there, can be looked at. */
static int reach(struct placer *p, size_t i, struct error *err)
{
	size_t need = i + p->n_letters + 2;
	size_t cap = p->cap ? 2 * p->cap : 1u << 16;
	uint32_t *next;

	if (p->next && need <= p->cap)
		return 0;
	if (need > JIEBA_UNITS_MAX)
		return error_set(err, ERROR_TOO_LARGE,
			"the words don't fit into %u units", JIEBA_UNITS_MAX);
	if (cap < need)
		cap = need;
	next = realloc(p->next, cap * sizeof(*next));
	if (!next)
		return error_set_memory(err, "units", cap * sizeof(*next));
	for (size_t k = p->cap; k < cap; k++)
		next[k] = (uint32_t)k;
	p->next = next;
	p->cap = cap;
	return 0;
}

/* The first free unit from i on; the last one is never taken. */
static uint32_t find_free(struct placer *p, uint32_t i)
{
	uint32_t end = i, after;

	while (p->next[end] != end)
		end = p->next[end];
	for (; i != end; i = after) {
		after = p->next[i];
		p->next[i] = end;
	}
	return end;
}

static bool fits(
	const struct placer *p, const struct jieba_node *node, uint32_t base)
{
	const struct jieba_node *nodes = p->trie->nodes;

	for (uint32_t i = 0; i < node->children; i++) {
		uint32_t unit =
			base + nodes[p->children[node->first + i]].letter;

		if (p->next[unit] != unit)
			return false;
	}
	return true;
}

static uint32_t least_letter(
	const struct placer *p, const struct jieba_node *node)
{
	uint32_t least = UINT32_MAX;

	for (uint32_t i = 0; i < node->children; i++) {
		uint32_t letter =
			p->trie->nodes[p->children[node->first + i]].letter;

		least = letter < least ? letter : least;
	}
	return least;
}

static int place_node(
	struct placer *p, struct jieba_node *node, struct error *err)
{
	uint32_t *from =
		&p->from[node->children < SIZES ? node->children : SIZES - 1];
	uint32_t least = least_letter(p, node), unit, misfits = 0;

	unit = find_free(p, *from > least ? *from : least + 1);
	while (reach(p, unit, err) == 0) {
		if (fits(p, node, unit - least))
			break;
		unit = find_free(p, unit + 1);
		misfits++;
	}
	if (p->cap < (size_t)unit + p->n_letters + 2)
		return -1;
	if (misfits > PATIENCE)
		*from = unit;
	node->base = unit - least;
	if (node->base > p->last_base)
		p->last_base = node->base;
	for (uint32_t i = 0; i < node->children; i++) {
		struct jieba_node *child =
			&p->trie->nodes[p->children[node->first + i]];

		child->unit = node->base + child->letter;
		p->next[child->unit] = child->unit + 1;
	}
	return 0;
}

static int place_all(struct placer *p, struct error *err)
{
	size_t n = p->trie->n;

	if (reach(p, p->n_letters, err) < 0)
		return -1;
	p->next[0] = 1;
	for (size_t i = n; i-- > 0;) {
		struct jieba_node *node =
			&p->trie->nodes[p->order[i] & UINT32_MAX];

		if (node->children && place_node(p, node, err) < 0)
			return -1;
	}
	return 0;
}

static int write_units(
	struct placer *p, uint64_t **units, size_t *n, struct error *err)
{
	const uint64_t free_unit = (uint64_t)JIEBA_NO_PARENT << 24;
	const struct jieba_node *nodes = p->trie->nodes;

	*n = p->last_base + p->n_letters + 1;
	*units = malloc(*n * sizeof(**units));
	if (!*units)
		return error_set_memory(err, "units", *n * sizeof(**units));
	for (size_t i = 0; i < *n; i++)
		(*units)[i] = free_unit;
	for (size_t i = 0; i < p->trie->n; i++)
		(*units)[nodes[i].unit] = nodes[i].base |
					  (uint64_t)nodes[nodes[i].parent].unit
						  << 24 |
					  (uint64_t)nodes[i].frequency << 48;
	/* Nothing leads to the root. */
	(*units)[0] = nodes[0].base | free_unit;
	return 0;
}

int jieba_trie_place(struct jieba_trie *t, uint32_t n_letters, uint64_t **units,
	size_t *n, struct error *err)
{
	struct placer p = { .trie = t, .n_letters = n_letters };
	int rc = -1;

	*units = NULL;
	p.children = malloc(t->n * sizeof(*p.children));
	p.order = malloc(t->n * sizeof(*p.order));
	if (!p.children || !p.order) {
		error_set_memory(err, "words", t->n * sizeof(*p.order));
		goto out;
	}
	sort_nodes(&p);
	if (place_all(&p, err) == 0)
		rc = write_units(&p, units, n, err);
out:
	free(p.children);
	free(p.order);
	free(p.next);
	return rc;
}
