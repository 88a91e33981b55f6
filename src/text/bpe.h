/*
 * Byte-level byte-pair encoding: the tokens, and the merges that make them of
 * bytes. Immutable once made but for a cache of words, which any thread may
 * read and fill. Private to tokenizer_bpe.c and its neighbours.
 */
#ifndef TEXT_BPE_H
#define TEXT_BPE_H

#include "text/tokenizer.h"
#include "text/vocabulary.h"

#define BPE_VOCAB_DEFAULT 4096u /* to learn, when nothing else is said */

struct bpe_merge {
	uint32_t left, right, to; /* ids */
};

struct bpe {
	char *bytes;  /* owned: all tokens one after the other */
	size_t *ends; /* [vocab] owned */
	size_t vocab;
	uint32_t byte_ids[256];
	struct bpe_merge *merges; /* [n_merges] owned, by rank */
	size_t n_merges;
	struct bpe_slot *slots; /* owned: pair to rank + 1; 0: free */
	size_t n_slots;
	struct bpe_cache *cache; /* owned */
};

/* Takes tokens (their bytes) and merges; byte_ids must be set, and ids be in
 * range. ERROR_INVALID names a merge that comes twice. */
int bpe_open(struct bpe *b, struct error *err);
void bpe_release(struct bpe *b);

static inline const char *bpe_bytes(
	const struct bpe *b, uint32_t id, size_t *len)
{
	size_t begin = id ? b->ends[id - 1] : 0;

	*len = b->ends[id] - begin;
	return b->bytes + begin;
}

/* Append a piece's ids to out: 0, or -1 with *err. */
int bpe_encode(const struct bpe *b, const char *piece, size_t len,
	struct token_buf *out, struct error *err);

/*
 * Learn merges from counted pieces: always the most frequent pair, of equals
 * the one of lower ids, until there are `vocab` tokens or no pair comes
 * min_count times. Ids 0 to 255 are the bytes.
 */
int bpe_train(struct bpe *b, const struct vocabulary_counts *pieces,
	size_t vocab, uint64_t min_count, struct error *err);

/* GPT-2's letters for bytes, in which vocabularies are written: "Ġ" is a space.
 * Each is a code point below 512. */
uint32_t bpe_letter(uint8_t byte);
/* The byte of a letter, or -1. */
int bpe_byte(uint32_t letter);

#endif
