#include "text/vocabulary.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

void string_table_release(struct string_table *t)
{
	free(t->bytes);
	free(t->ends);
	free(t->slots);
	*t = (struct string_table){ 0 };
}

static uint32_t hash_of(const char *s, size_t len)
{
	return (uint32_t)XXH3_64bits(s, len);
}

/* The slot that holds s, or the free one where it belongs. */
static struct string_slot *slot_of(
	const struct string_table *t, const char *s, size_t len, uint32_t hash)
{
	size_t at = hash, n;
	struct string_slot *slot;
	const char *other;

	for (;; at++) {
		slot = &t->slots[at & (t->n_slots - 1)];
		if (!slot->id)
			return slot;
		if (slot->hash != hash)
			continue;
		other = string_table_get(t, slot->id - 1, &n);
		if (n == len && !memcmp(other, s, len))
			return slot;
	}
}

uint32_t string_table_find(
	const struct string_table *t, const char *s, size_t len)
{
	if (!t->n)
		return VOCABULARY_NONE;
	/* Of a free slot the id is 0, and VOCABULARY_NONE is 0 - 1. */
	return slot_of(t, s, len, hash_of(s, len))->id - 1;
}

/* At most half of the slots are in use. */
static int grow_slots(struct string_table *t)
{
	size_t n = t->n_slots ? t->n_slots * 2 : 1024;
	struct string_slot *old = t->slots, *slots;

	slots = calloc(n, sizeof(*slots));
	if (!slots)
		return -1;
	for (size_t i = 0; i < t->n_slots; i++) {
		size_t at = old[i].hash;

		if (!old[i].id)
			continue;
		while (slots[at & (n - 1)].id)
			at++;
		slots[at & (n - 1)] = old[i];
	}
	free(old);
	t->slots = slots;
	t->n_slots = n;
	return 0;
}

static int reserve(struct string_table *t, size_t len)
{
	size_t cap = t->cap_bytes ? t->cap_bytes : 4096;
	size_t *ends;
	char *bytes;

	if (t->n == t->cap) {
		ends = reallocarray(
			t->ends, t->cap ? 2 * t->cap : 256, sizeof(*ends));
		if (!ends)
			return -1;
		t->ends = ends;
		t->cap = t->cap ? 2 * t->cap : 256;
	}
	while (cap - t->n_bytes < len)
		cap *= 2;
	if (cap != t->cap_bytes) {
		bytes = realloc(t->bytes, cap);
		if (!bytes)
			return -1;
		t->bytes = bytes;
		t->cap_bytes = cap;
	}
	return t->n >= t->n_slots / 2 ? grow_slots(t) : 0;
}

uint32_t string_table_add(struct string_table *t, const char *s, size_t len,
	size_t max, struct error *err)
{
	uint32_t hash = hash_of(s, len), id;
	struct string_slot *slot;

	if (t->n) {
		slot = slot_of(t, s, len, hash);
		if (slot->id)
			return slot->id - 1;
	}
	if (t->n >= max) {
		error_set(err, ERROR_TOO_LARGE, "more than %zu distinct tokens",
			max);
		return VOCABULARY_NONE;
	}
	if (reserve(t, len) < 0) {
		error_set_memory(err, "vocabulary", t->n_bytes + len);
		return VOCABULARY_NONE;
	}
	slot = slot_of(t, s, len, hash);
	id = (uint32_t)t->n++;
	*slot = (struct string_slot){ hash, id + 1 };
	if (len)
		memcpy(t->bytes + t->n_bytes, s, len);
	t->n_bytes += len;
	t->ends[id] = t->n_bytes;
	return id;
}
