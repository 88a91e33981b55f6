/* One code point at a time, strictly (Unicode 15, table 3-7): no surrogates,
 * no overlong forms, nothing past U+10FFFF. Private to the text layer. */
#ifndef TEXT_UTF8_STEP_H
#define TEXT_UTF8_STEP_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * The code point that starts at s: its length 1..4 and *cp; 0 when all `len`
 * bytes are the start of one that is cut; -n when the first n bytes (its
 * maximal subpart) can never become one.
 */
static inline int utf8_step(const uint8_t *s, size_t len, uint32_t *cp)
{
	uint8_t low = 0x80, high = 0xbf;
	uint32_t value;
	int more;

	if (!len)
		return 0;
	if (s[0] < 0x80) {
		*cp = s[0];
		return 1;
	}
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return -1;
	more = s[0] < 0xe0 ? 1 : s[0] < 0xf0 ? 2 : 3;
	value = s[0] & (0x3fu >> more);
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	for (int i = 1; i <= more; i++) {
		if ((size_t)i == len)
			return 0;
		if (s[i] < low || s[i] > high)
			return -i;
		value = value << 6 | (s[i] & 0x3f);
		low = 0x80;
		high = 0xbf;
	}
	*cp = value;
	return more + 1;
}

/* Bytes 0..4 of the code point, which must be a scalar value. */
static inline size_t utf8_put(uint32_t cp, char out[4])
{
	if (cp < 0x80) {
		out[0] = (char)cp;
		return 1;
	}
	if (cp < 0x800) {
		out[0] = (char)(0xc0 | cp >> 6);
		out[1] = (char)(0x80 | (cp & 0x3f));
		return 2;
	}
	if (cp < 0x10000) {
		out[0] = (char)(0xe0 | cp >> 12);
		out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
		out[2] = (char)(0x80 | (cp & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | cp >> 18);
	out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
	out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
	out[3] = (char)(0x80 | (cp & 0x3f));
	return 4;
}

/* Length of the ASCII run that s starts with, eight bytes at a time. */
static inline size_t utf8_ascii_run(const uint8_t *s, size_t len)
{
	size_t i = 0;
	uint64_t word;

	for (; len - i >= sizeof(word); i += sizeof(word)) {
		memcpy(&word, s + i, sizeof(word));
		if (word & 0x8080808080808080u)
			break;
	}
	while (i < len && s[i] < 0x80)
		i++;
	return i;
}

#endif
