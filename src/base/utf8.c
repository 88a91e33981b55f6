#include "base/utf8.h"

#include <string.h>

/* Well-formed sequences by first byte (Unicode 15, table 3-7): what the second
 * byte may be is what rules out overlong forms and surrogates. */
static int lead(unsigned char b, unsigned char *low, unsigned char *high)
{
	*low = 0x80;
	*high = 0xBF;
	if (b < 0x80)
		return 1;
	if (b < 0xC2 || b > 0xF4)
		return 0;
	if (b < 0xE0)
		return 2;
	if (b == 0xE0)
		*low = 0xA0;
	if (b == 0xED)
		*high = 0x9F;
	if (b == 0xF0)
		*low = 0x90;
	if (b == 0xF4)
		*high = 0x8F;
	return b < 0xF0 ? 3 : 4;
}

/* How many bytes from text on belong to one sequence, of *need. */
static size_t matched(const char *text, size_t len, int *need)
{
	const unsigned char *u = (const unsigned char *)text;
	unsigned char low, high;
	size_t n = 1;

	*need = lead(u[0], &low, &high);
	if (!*need)
		return 0;
	while (n < (size_t)*need && n < len && u[n] >= low && u[n] <= high) {
		low = 0x80;
		high = 0xBF;
		n++;
	}
	return n;
}

int utf8_next(const char *text, size_t len, uint32_t *code)
{
	static const unsigned char mask[] = { 0, 0x7F, 0x1F, 0x0F, 0x07 };
	const unsigned char *u = (const unsigned char *)text;
	uint32_t c;
	size_t n;
	int need;

	if (!len)
		return 0;
	n = matched(text, len, &need);
	if (!need)
		return UTF8_INVALID;
	if (n < (size_t)need)
		return n == len ? UTF8_CUT : UTF8_INVALID;
	c = u[0] & mask[need];
	for (int i = 1; i < need; i++)
		c = c << 6 | (u[i] & 0x3F);
	*code = c;
	return need;
}

size_t utf8_bad_length(const char *text, size_t len)
{
	size_t n;
	int need;

	if (!len)
		return 0;
	n = matched(text, len, &need);
	return n ? n : 1;
}

size_t utf8_encode(uint32_t code, char out[UTF8_MAX])
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xC0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3F));
		return 2;
	}
	if (code < 0x10000) {
		if (code >= 0xD800 && code < 0xE000)
			return 0;
		out[0] = (char)(0xE0 | code >> 12);
		out[1] = (char)(0x80 | (code >> 6 & 0x3F));
		out[2] = (char)(0x80 | (code & 0x3F));
		return 3;
	}
	if (code > 0x10FFFF)
		return 0;
	out[0] = (char)(0xF0 | code >> 18);
	out[1] = (char)(0x80 | (code >> 12 & 0x3F));
	out[2] = (char)(0x80 | (code >> 6 & 0x3F));
	out[3] = (char)(0x80 | (code & 0x3F));
	return 4;
}

/* Eight bytes at a time while they are ASCII. */
static size_t ascii_prefix(const char *text, size_t len)
{
	uint64_t word;
	size_t n = 0;

	while (len - n >= sizeof(word)) {
		memcpy(&word, text + n, sizeof(word));
		if (word & 0x8080808080808080u)
			break;
		n += sizeof(word);
	}
	return n;
}

size_t utf8_valid_prefix(const char *text, size_t len, size_t *codes)
{
	size_t at = 0, count = 0, ascii;
	uint32_t code;
	int n;

	for (;;) {
		ascii = ascii_prefix(text + at, len - at);
		at += ascii;
		count += ascii;
		n = utf8_next(text + at, len - at, &code);
		if (n <= 0)
			break;
		at += (size_t)n;
		count++;
	}
	if (codes)
		*codes = count;
	return at;
}

int utf8_check(const char *text, size_t len, struct error *err)
{
	size_t at = utf8_valid_prefix(text, len, NULL);
	uint32_t code;

	if (at == len)
		return 0;
	return error_set(err, ERROR_UNPROCESSABLE,
		"invalid UTF-8 at offset %zu: byte 0x%02X %s", at,
		(unsigned char)text[at],
		utf8_next(text + at, len - at, &code) == UTF8_CUT
			? "begins a sequence that the end cuts off"
			: "is not part of a valid sequence");
}

size_t utf8_count(const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += ((unsigned char)text[i] & 0xC0) != 0x80;
	return n;
}
