#include "text/bpe.h"

#include "text/tokenizer_ops.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define SHORT 24u /* symbols that are merged by looking at all pairs */
#define CACHE_SLOTS (1u << 16)
#define CACHE_PROBES 4u
#define CACHE_BYTES 40u /* of a piece, and … */
#define CACHE_IDS 8u	/* … of its tokens, that are worth keeping */
#define NO_RANK UINT32_MAX

struct bpe_slot {
	uint64_t pair;
	uint32_t rank; /* + 1 */
};

struct cached {
	uint8_t len, n;
	char bytes[CACHE_BYTES];
	uint32_t ids[CACHE_IDS];
};

/* Entries are made once and stay: a reader needs no lock. */
struct bpe_cache {
	_Atomic(struct cached *) slots[CACHE_SLOTS];
};

static uint64_t pair_of(uint32_t left, uint32_t right)
{
	return (uint64_t)left << 32 | right;
}

static size_t spread(uint64_t pair)
{
	return (size_t)(pair * 0x9e3779b97f4a7c15ull >> 20);
}

static struct bpe_slot *find(const struct bpe *b, uint64_t pair)
{
	size_t at = spread(pair);

	while (b->slots[at & (b->n_slots - 1)].rank &&
		b->slots[at & (b->n_slots - 1)].pair != pair)
		at++;
	return &b->slots[at & (b->n_slots - 1)];
}

static uint32_t rank_of(const struct bpe *b, uint32_t left, uint32_t right)
{
	/* Of a free slot it is 0 - 1: NO_RANK. */
	return find(b, pair_of(left, right))->rank - 1;
}

int bpe_open(struct bpe *b, struct error *err)
{
	b->n_slots = 64;
	while (b->n_slots < 2 * b->n_merges)
		b->n_slots *= 2;
	b->slots = calloc(b->n_slots, sizeof(*b->slots));
	b->cache = calloc(1, sizeof(*b->cache));
	if (!b->slots || !b->cache)
		return error_set_memory(
			err, "merges", b->n_slots * sizeof(*b->slots));
	for (size_t i = 0; i < b->n_merges; i++) {
		const struct bpe_merge *m = &b->merges[i];
		struct bpe_slot *slot = find(b, pair_of(m->left, m->right));

		if (slot->rank)
			return error_set_param(err, ERROR_INVALID, "merges",
				"tokenizer: merges[%zu] is as merges[%u]", i,
				slot->rank - 1);
		*slot = (struct bpe_slot){ pair_of(m->left, m->right),
			(uint32_t)i + 1 };
	}
	return 0;
}

void bpe_release(struct bpe *b)
{
	for (size_t i = 0; b->cache && i < CACHE_SLOTS; i++)
		free(atomic_load_explicit(
			&b->cache->slots[i], memory_order_relaxed));
	free(b->cache);
	free(b->slots);
	free(b->merges);
	free(b->bytes);
	free(b->ends);
	*b = (struct bpe){ 0 };
}

/* Few symbols: the lowest rank of all neighbours, again and again. */
static size_t merge_short(const struct bpe *b, uint32_t *ids, size_t n)
{
	uint32_t ranks[SHORT], best;
	size_t at;

	for (size_t i = 0; i + 1 < n; i++)
		ranks[i] = rank_of(b, ids[i], ids[i + 1]);
	while (n > 1) {
		at = 0;
		for (size_t i = 1; i + 1 < n; i++)
			at = ranks[i] < ranks[at] ? i : at;
		best = ranks[at];
		if (best == NO_RANK)
			break;
		ids[at] = b->merges[best].to;
		n--;
		memmove(ids + at + 1, ids + at + 2,
			(n - at - 1) * sizeof(*ids));
		memmove(ranks + at, ranks + at + 1,
			(n - at - 1) * sizeof(*ranks));
		if (at + 1 < n)
			ranks[at] = rank_of(b, ids[at], ids[at + 1]);
		if (at)
			ranks[at - 1] = rank_of(b, ids[at - 1], ids[at]);
	}
	return n;
}

/* Many symbols: a heap of pairs by rank and place, which are looked at again
 * when they come up, since what they were may be merged by then. */
struct candidate {
	uint32_t rank, at;
	uint32_t left, right;
};

struct merging {
	const struct bpe *b;
	uint32_t *ids, *next, *previous; /* [n]; next is n at the end */
	struct candidate *heap;
	size_t n, n_heap;
};

static bool before(const struct candidate *a, const struct candidate *b)
{
	return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void push(struct merging *m, uint32_t at)
{
	uint32_t right = m->next[at];
	struct candidate c = { .at = at };
	size_t i = m->n_heap;

	if (right >= m->n)
		return;
	c.left = m->ids[at];
	c.right = m->ids[right];
	c.rank = rank_of(m->b, c.left, c.right);
	if (c.rank == NO_RANK)
		return;
	for (m->n_heap++; i && before(&c, &m->heap[(i - 1) / 2]);
		i = (i - 1) / 2)
		m->heap[i] = m->heap[(i - 1) / 2];
	m->heap[i] = c;
}

static struct candidate pop(struct merging *m)
{
	struct candidate top = m->heap[0], last = m->heap[--m->n_heap];
	size_t i = 0, child;

	for (; (child = 2 * i + 1) < m->n_heap; i = child) {
		if (child + 1 < m->n_heap &&
			before(&m->heap[child + 1], &m->heap[child]))
			child++;
		if (!before(&m->heap[child], &last))
			break;
		m->heap[i] = m->heap[child];
	}
	m->heap[i] = last;
	return top;
}

static void apply(struct merging *m, const struct candidate *c)
{
	uint32_t right = m->next[c->at];

	/* Merged away: marked by an id that no token has. */
	if (m->ids[c->at] != c->left || right >= m->n ||
		m->ids[right] != c->right)
		return;
	m->ids[c->at] = m->b->merges[c->rank].to;
	m->ids[right] = NO_RANK;
	m->next[c->at] = m->next[right];
	if (m->next[right] < m->n)
		m->previous[m->next[right]] = c->at;
	push(m, c->at);
	if (c->at)
		push(m, m->previous[c->at]);
}

static int merge_long(
	const struct bpe *b, uint32_t *ids, size_t *n, struct error *err)
{
	/* Each merge adds at most two candidates. */
	struct merging m = { .b = b, .ids = ids, .n = *n };
	size_t bytes = *n * (2 * sizeof(*ids) + 3 * sizeof(*m.heap)), kept = 0;
	char *memory = malloc(bytes);

	if (!memory)
		return error_set_memory(err, "tokens", bytes);
	m.heap = (struct candidate *)memory;
	m.next = (uint32_t *)(m.heap + 3 * *n);
	m.previous = m.next + *n;
	for (uint32_t i = 0; i < *n; i++) {
		m.next[i] = i + 1;
		m.previous[i] = i ? i - 1 : 0;
	}
	for (uint32_t i = 0; i < *n; i++)
		push(&m, i);
	while (m.n_heap) {
		struct candidate c = pop(&m);

		apply(&m, &c);
	}
	for (uint32_t i = 0; i < *n; i = m.next[i])
		ids[kept++] = ids[i];
	*n = kept;
	free(memory);
	return 0;
}

static int append_all(
	struct token_buf *out, const uint32_t *ids, size_t n, struct error *err)
{
	if (token_buf_reserve(out, n) == 0 && out->cap - out->len >= n) {
		memcpy(out->ids + out->len, ids, n * sizeof(*ids));
		out->len += n;
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		if (token_buf_append(out, ids[i]) < 0)
			return token_buf_error(out, err);
	return 0;
}

static int merge(const struct bpe *b, const char *piece, size_t len,
	struct token_buf *out, struct error *err)
{
	uint32_t local[SHORT], *ids = local;
	size_t n = len;
	int failed = 0;

	if (len > SHORT) {
		ids = malloc(len * sizeof(*ids));
		if (!ids)
			return error_set_memory(
				err, "tokens", len * sizeof(*ids));
	}
	for (size_t i = 0; i < len; i++)
		ids[i] = b->byte_ids[(uint8_t)piece[i]];
	if (len > SHORT)
		failed = merge_long(b, ids, &n, err);
	else
		n = merge_short(b, ids, n);
	if (!failed)
		failed = append_all(out, ids, n, err);
	if (ids != local)
		free(ids);
	return failed;
}

/* Its entry, or NULL, and then in *free_slot where one may go, if anywhere. */
static const struct cached *look_up(
	const struct bpe *b, const char *piece, size_t len, size_t *free_slot)
{
	size_t at = (size_t)XXH3_64bits(piece, len);
	const struct cached *c;

	*free_slot = CACHE_SLOTS;
	for (size_t i = 0; i < CACHE_PROBES; i++, at++) {
		c = atomic_load_explicit(&b->cache->slots[at % CACHE_SLOTS],
			memory_order_acquire);
		if (!c) {
			*free_slot = at % CACHE_SLOTS;
			return NULL;
		}
		if (c->len == len && !memcmp(c->bytes, piece, len))
			return c;
	}
	return NULL;
}

static void remember(const struct bpe *b, const char *piece, size_t len,
	const uint32_t *ids, size_t n, size_t slot)
{
	struct cached *c, *none = NULL;

	if (n > CACHE_IDS || slot == CACHE_SLOTS || !(c = malloc(sizeof(*c))))
		return;
	c->len = (uint8_t)len;
	c->n = (uint8_t)n;
	memcpy(c->bytes, piece, len);
	memcpy(c->ids, ids, n * sizeof(*ids));
	if (!atomic_compare_exchange_strong_explicit(&b->cache->slots[slot],
		    &none, c, memory_order_release, memory_order_relaxed))
		free(c);
}

int bpe_encode(const struct bpe *b, const char *piece, size_t len,
	struct token_buf *out, struct error *err)
{
	const struct cached *c;
	size_t slot, begin = out->len;

	if (len > CACHE_BYTES)
		return merge(b, piece, len, out, err);
	c = look_up(b, piece, len, &slot);
	if (c)
		return append_all(out, c->ids, c->n, err);
	if (merge(b, piece, len, out, err) < 0)
		return -1;
	remember(b, piece, len, out->ids + begin, out->len - begin, slot);
	return 0;
}

/* Printable ones of Latin-1 stand for themselves; the others follow from 256
 * on, in their order. */
static bool is_own_letter(unsigned byte)
{
	return (byte >= 0x21 && byte <= 0x7e) ||
	       (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

uint32_t bpe_letter(uint8_t byte)
{
	uint32_t n = 0;

	if (is_own_letter(byte))
		return byte;
	for (unsigned i = 0; i < byte; i++)
		n += !is_own_letter(i);
	return 256 + n;
}

int bpe_byte(uint32_t letter)
{
	uint32_t n = 256;

	if (letter < 256)
		return is_own_letter(letter) ? (int)letter : -1;
	for (unsigned i = 0; i < 256; i++)
		if (!is_own_letter(i) && n++ == letter)
			return (int)i;
	return -1;
}
