/*
 * Sennrich et al. 2016 on distinct pieces with their counts. Each pair knows
 * the pieces it was seen in; a heap gives the most frequent, and what comes up
 * with an old count goes back in with its new one.
 */
#include "text/bpe.h"

#include <stdlib.h>
#include <string.h>

struct pair {
	uint64_t key; /* left << 32 | right */
	int64_t count;
	uint32_t *pieces; /* owned [n], perhaps more than once */
	uint32_t n, cap;
};

struct heap_entry {
	int64_t count;
	uint64_t key;
};

struct training {
	const struct vocabulary_counts *counts;
	uint32_t *symbols; /* owned; of all pieces, one after the other */
	size_t *begins;	   /* [n_pieces] owned, into symbols */
	uint32_t *lens;	   /* [n_pieces] owned; they shrink */
	size_t n_pieces;

	struct pair *pairs; /* [n_pairs] owned */
	size_t n_pairs, cap_pairs;
	uint32_t *slots; /* [n_slots] owned: index into pairs + 1 */
	size_t n_slots;
	struct heap_entry *heap; /* owned */
	size_t n_heap, cap_heap;
	bool no_memory;
};

static void training_release(struct training *t)
{
	for (size_t i = 0; i < t->n_pairs; i++)
		free(t->pairs[i].pieces);
	free(t->pairs);
	free(t->slots);
	free(t->heap);
	free(t->symbols);
	free(t->begins);
	free(t->lens);
}

static bool before(const struct heap_entry *a, const struct heap_entry *b)
{
	return a->count != b->count ? a->count > b->count : a->key < b->key;
}

static void push(struct training *t, int64_t count, uint64_t key)
{
	struct heap_entry e = { count, key }, *heap;
	size_t i;

	if (t->n_heap == t->cap_heap) {
		size_t cap = t->cap_heap ? 2 * t->cap_heap : 1024;

		heap = reallocarray(t->heap, cap, sizeof(*heap));
		if (!heap) {
			t->no_memory = true;
			return;
		}
		t->heap = heap;
		t->cap_heap = cap;
	}
	for (i = t->n_heap++; i && before(&e, &t->heap[(i - 1) / 2]);
		i = (i - 1) / 2)
		t->heap[i] = t->heap[(i - 1) / 2];
	t->heap[i] = e;
}

static struct heap_entry pop(struct training *t)
{
	struct heap_entry top = t->heap[0], last = t->heap[--t->n_heap];
	size_t i = 0, child;

	for (; (child = 2 * i + 1) < t->n_heap; i = child) {
		if (child + 1 < t->n_heap &&
			before(&t->heap[child + 1], &t->heap[child]))
			child++;
		if (!before(&t->heap[child], &last))
			break;
		t->heap[i] = t->heap[child];
	}
	t->heap[i] = last;
	return top;
}

static uint32_t *slot_of(struct training *t, uint64_t key)
{
	size_t at = (size_t)(key * 0x9e3779b97f4a7c15ull >> 20);

	for (;; at++) {
		uint32_t *slot = &t->slots[at & (t->n_slots - 1)];

		if (!*slot || t->pairs[*slot - 1].key == key)
			return slot;
	}
}

static int grow(struct training *t)
{
	size_t n = t->n_slots ? 2 * t->n_slots : 1 << 14;
	uint32_t *slots = calloc(n, sizeof(*slots));
	struct pair *pairs =
		slots ? reallocarray(t->pairs, n / 2, sizeof(*pairs)) : NULL;

	if (!pairs) {
		free(slots);
		t->no_memory = true;
		return -1;
	}
	free(t->slots);
	t->slots = slots;
	t->n_slots = n;
	t->pairs = pairs;
	t->cap_pairs = n / 2;
	for (size_t i = 0; i < t->n_pairs; i++)
		*slot_of(t, pairs[i].key) = (uint32_t)i + 1;
	return 0;
}

/* The pair, made if it is new; NULL when memory ran out. */
static struct pair *pair_at(struct training *t, uint64_t key)
{
	uint32_t *slot;

	if (t->n_pairs == t->cap_pairs && grow(t) < 0)
		return NULL;
	slot = slot_of(t, key);
	if (!*slot) {
		t->pairs[t->n_pairs] = (struct pair){ .key = key };
		*slot = (uint32_t)++t->n_pairs;
	}
	return &t->pairs[*slot - 1];
}

static void see(struct training *t, uint32_t left, uint32_t right,
	uint32_t piece, int64_t times)
{
	struct pair *p = pair_at(t, (uint64_t)left << 32 | right);
	uint32_t *pieces;

	if (!p)
		return;
	p->count += times;
	if (times < 0 || (p->n && p->pieces[p->n - 1] == piece))
		return;
	if (p->n == p->cap) {
		p->cap = p->cap ? 2 * p->cap : 4;
		pieces = reallocarray(p->pieces, p->cap, sizeof(*pieces));
		if (!pieces) {
			t->no_memory = true;
			p->cap = p->n;
			return;
		}
		p->pieces = pieces;
	}
	p->pieces[p->n++] = piece;
}

static int start(struct training *t, struct error *err)
{
	const struct string_table *strings = &t->counts->strings;
	size_t len;

	t->n_pieces = strings->n;
	t->symbols = calloc(strings->n_bytes + 1, sizeof(*t->symbols));
	t->begins = calloc(t->n_pieces + 1, sizeof(*t->begins));
	t->lens = calloc(t->n_pieces + 1, sizeof(*t->lens));
	if (!t->symbols || !t->begins || !t->lens)
		return error_set_memory(
			err, "pieces", strings->n_bytes * sizeof(*t->symbols));
	for (size_t i = 0; i < strings->n_bytes; i++)
		t->symbols[i] = (uint8_t)strings->bytes[i];
	for (uint32_t i = 0; i < t->n_pieces; i++) {
		const char *s = string_table_get(strings, i, &len);
		const uint32_t *symbols;

		t->begins[i] = (size_t)(s - strings->bytes);
		t->lens[i] = (uint32_t)len;
		symbols = t->symbols + t->begins[i];
		for (size_t k = 0; k + 1 < len; k++)
			see(t, symbols[k], symbols[k + 1], i,
				(int64_t)t->counts->counts[i]);
	}
	for (size_t i = 0; i < t->n_pairs; i++)
		push(t, t->pairs[i].count, t->pairs[i].key);
	return t->no_memory ? error_set_memory(err, "pairs",
				      t->n_pairs * sizeof(*t->pairs))
			    : 0;
}

/* Replace a pair in one piece; neighbours lose a pair and gain one. */
static void merge_in(
	struct training *t, uint32_t piece, uint64_t key, uint32_t to)
{
	uint32_t *s = t->symbols + t->begins[piece];
	const uint32_t left = (uint32_t)(key >> 32), right = (uint32_t)key;
	const int64_t times = (int64_t)t->counts->counts[piece];
	uint32_t n = t->lens[piece], kept = 0;

	for (uint32_t i = 0; i < n; kept++) {
		if (s[i] != left || i + 1 == n || s[i + 1] != right) {
			s[kept] = s[i++];
			continue;
		}
		if (kept) {
			see(t, s[kept - 1], left, piece, -times);
			see(t, s[kept - 1], to, piece, times);
		}
		if (i + 2 < n) {
			see(t, right, s[i + 2], piece, -times);
			see(t, to, s[i + 2], piece, times);
		}
		s[kept] = to;
		i += 2;
	}
	t->lens[piece] = kept;
}

/* Where pairs got a new count, the heap has to know. Only the new token's own
 * ones can have grown. */
static void push_new(struct training *t, size_t first)
{
	for (size_t i = first; i < t->n_pairs; i++)
		if (t->pairs[i].count > 0)
			push(t, t->pairs[i].count, t->pairs[i].key);
}

static int apply(struct training *t, struct bpe *b, uint64_t key)
{
	uint32_t left = (uint32_t)(key >> 32), right = (uint32_t)key;
	struct pair *p = pair_at(t, key);
	uint32_t to = (uint32_t)b->vocab, *pieces, n;
	size_t first = t->n_pairs, a, z;
	const char *s;

	if (!p)
		return -1;
	pieces = p->pieces;
	n = p->n;
	p->pieces = NULL;
	p->n = p->cap = 0;
	for (uint32_t i = 0; i < n; i++)
		merge_in(t, pieces[i], key, to);
	free(pieces);
	pair_at(t, key)->count = 0;
	push_new(t, first);
	b->merges[b->n_merges++] = (struct bpe_merge){ left, right, to };
	a = b->ends[to - 1];
	s = bpe_bytes(b, left, &z);
	memcpy(b->bytes + a, s, z);
	a += z;
	s = bpe_bytes(b, right, &z);
	memcpy(b->bytes + a, s, z);
	b->ends[to] = a + z;
	b->vocab++;
	return t->no_memory ? -1 : 0;
}

static int room(struct bpe *b, size_t vocab, size_t *cap, struct error *err)
{
	*cap = 1 << 20;
	b->ends = calloc(vocab, sizeof(*b->ends));
	b->merges = calloc(vocab, sizeof(*b->merges));
	b->bytes = malloc(*cap);
	if (!b->ends || !b->merges || !b->bytes)
		return error_set_memory(
			err, "vocabulary", vocab * sizeof(*b->merges));
	for (unsigned i = 0; i < 256; i++) {
		b->bytes[i] = (char)i;
		b->ends[i] = i + 1;
		b->byte_ids[i] = i;
	}
	b->vocab = 256;
	return 0;
}

/* Room for the bytes of one more token, and whether it isn't too long. */
static int next_fits(
	struct bpe *b, uint64_t key, size_t *cap, bool *fits, struct error *err)
{
	size_t left, right;
	char *bytes;

	bpe_bytes(b, (uint32_t)(key >> 32), &left);
	bpe_bytes(b, (uint32_t)key, &right);
	*fits = left + right <= VOCABULARY_MAX_STRING / 4;
	if (*cap - b->ends[b->vocab - 1] >= left + right)
		return 0;
	bytes = realloc(b->bytes, *cap * 2);
	if (!bytes)
		return error_set_memory(err, "vocabulary", *cap * 2);
	b->bytes = bytes;
	*cap *= 2;
	return 0;
}

int bpe_train(struct bpe *b, const struct vocabulary_counts *pieces,
	size_t vocab, uint64_t min_count, struct error *err)
{
	struct training t = { .counts = pieces };
	size_t cap;
	bool fits;
	int failed;

	failed = room(b, vocab, &cap, err) < 0 || start(&t, err) < 0;
	while (!failed && b->vocab < vocab && t.n_heap) {
		struct heap_entry e = pop(&t);
		int64_t count = pair_at(&t, e.key)->count;

		if (count != e.count) {
			if (count > 0)
				push(&t, count, e.key);
			continue;
		}
		if (count < 1 || (uint64_t)count < min_count)
			break;
		failed = next_fits(b, e.key, &cap, &fits, err);
		if (!failed && fits && apply(&t, b, e.key) < 0)
			failed = error_set_memory(err, "pairs", t.n_pairs);
	}
	training_release(&t);
	if (!failed)
		failed = bpe_open(b, err);
	return failed ? -1 : 0;
}
