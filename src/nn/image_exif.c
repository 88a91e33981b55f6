/* EXIF is a TIFF file: a byte order, the offset of a directory, and in it
 * entries of 12 bytes (TIFF 6.0, section 2). Tag 0x112 is the orientation. */
#include "nn/image_private.h"

#define TAG_ORIENTATION 0x112
#define TYPE_SHORT 3

struct reader {
	const uint8_t *bytes;
	size_t len;
	bool little;
};

/* 0 beyond the end. */
static uint32_t number(const struct reader *r, size_t at, unsigned size)
{
	uint32_t value = 0;

	if (at > r->len || r->len - at < size)
		return 0;
	for (unsigned i = 0; i < size; i++)
		value = value << 8 |
			r->bytes[at + (r->little ? size - 1 - i : i)];
	return value;
}

int image_exif_orientation(const uint8_t *tiff, size_t len)
{
	struct reader r = { tiff, len, len && tiff[0] == 'I' };
	uint32_t directory, entries;

	if (number(&r, 2, 2) != 42)
		return 1;
	directory = number(&r, 4, 4);
	entries = number(&r, directory, 2);
	for (uint32_t i = 0; i < entries; i++) {
		size_t at = (size_t)directory + 2 + 12 * (size_t)i;
		uint32_t value = number(&r, at + 8, 2);

		if (at >= len)
			break;
		if (number(&r, at, 2) != TAG_ORIENTATION ||
			number(&r, at + 2, 2) != TYPE_SHORT)
			continue;
		return value >= 1 && value <= 8 ? (int)value : 1;
	}
	return 1;
}
