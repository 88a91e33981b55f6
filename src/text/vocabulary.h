/*
 * Strings that are tokens: counted while a text is learnt, then a fixed map
 * from string to id and back that a checkpoint stores as a JSON array. Private
 * to the kinds of tokenizers. An entry that is exactly "<unk>" stands for
 * every string that is not in the vocabulary; no rule cuts a text so that it
 * could come from there.
 */
#ifndef TEXT_VOCABULARY_H
#define TEXT_VOCABULARY_H

#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VOCABULARY_NONE UINT32_MAX
#define VOCABULARY_MAX (1u << 24)	  /* strings, as a model's */
#define VOCABULARY_MAX_COUNTED (1u << 26) /* distinct strings of a text */
#define VOCABULARY_MAX_STRING 4096u	  /* bytes */
#define VOCABULARY_UNKNOWN "<unk>"

/* Distinct strings in the order they came, each found by its hash. All zeros
 * is empty. */
struct string_table {
	char *bytes; /* owned, all strings one after the other */
	size_t n_bytes, cap_bytes;
	size_t *ends; /* owned [cap] */
	size_t n, cap;
	struct string_slot {
		uint32_t hash, id; /* id + 1; 0: free */
	} * slots;		   /* owned [n_slots], a power of two */
	size_t n_slots;
};

void string_table_release(struct string_table *t);
/* VOCABULARY_NONE when it is not there. */
uint32_t string_table_find(
	const struct string_table *t, const char *s, size_t len);
/* Its id, new (== n before) or not; VOCABULARY_NONE with *err set when memory
 * ran out or there are `max` already. */
uint32_t string_table_add(struct string_table *t, const char *s, size_t len,
	size_t max, struct error *err);

static inline const char *string_table_get(
	const struct string_table *t, uint32_t id, size_t *len)
{
	size_t begin = id ? t->ends[id - 1] : 0;

	*len = t->ends[id] - begin;
	return t->bytes + begin;
}

/* How often each distinct string came. All zeros is empty. */
struct vocabulary_counts {
	struct string_table strings;
	uint64_t *counts; /* owned [cap] */
	size_t cap;
};

void vocabulary_counts_release(struct vocabulary_counts *c);
int vocabulary_count(struct vocabulary_counts *c, const char *s, size_t len,
	uint64_t times, struct error *err);

struct vocabulary {
	struct string_table strings; /* ids as in the checkpoint */
	bool has_unknown;
	uint32_t unknown; /* id of "<unk>" */
	size_t longest;	  /* bytes */
};

/*
 * What came at least min_count times (0 as 1), the most frequent first and of
 * equals by their bytes, so that runs repeat and low ids are frequent; at most
 * `max` entries (0: no limit). When something was left out, id 0 is "<unk>",
 * which counts, too. ERROR_INVALID when nothing is left.
 */
int vocabulary_learn(struct vocabulary *v, const struct vocabulary_counts *c,
	uint64_t min_count, size_t max, struct error *err);

/* From the JSON array: ERROR_INVALID names the entry that is no string, empty,
 * too long, a repetition, or has a NUL within; a NUL alone is a token. */
int vocabulary_load(
	struct vocabulary *v, const json_t *list, struct error *err);
/* New reference, NULL when memory ran out. */
json_t *vocabulary_save(const struct vocabulary *v);
void vocabulary_release(struct vocabulary *v);

#endif
