/*
 * A read-only run of token ids, held as narrow as the vocabulary allows: what
 * a corpus offers and a trainer reads, in memory or in a mapped cache file.
 */
#ifndef BASE_TOKENS_H
#define BASE_TOKENS_H

#include <stddef.h>
#include <stdint.h>

struct tokens_view {
	const void *data;
	unsigned width; /* bytes per id: 1, 2 or 4, native order */
	size_t count;
};

static inline uint32_t tokens_at(const struct tokens_view *t, size_t i)
{
	if (t->width == 1)
		return ((const uint8_t *)t->data)[i];
	if (t->width == 2)
		return ((const uint16_t *)t->data)[i];
	return ((const uint32_t *)t->data)[i];
}

static inline struct tokens_view tokens_slice(
	const struct tokens_view *t, size_t begin, size_t end)
{
	return (struct tokens_view){ (const char *)t->data + begin * t->width,
		t->width, end - begin };
}

#endif
