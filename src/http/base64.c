#include "http/base64.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *bytes, size_t len)
{
	const uint8_t *in = bytes;
	char *text = malloc((len + 2) / 3 * 4 + 1), *out = text;

	if (!text)
		return NULL;
	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		uint32_t v = (uint32_t)in[i] << 16;

		v |= n > 1 ? (uint32_t)in[i + 1] << 8 : 0;
		v |= n > 2 ? in[i + 2] : 0;
		*out++ = digits[v >> 18];
		*out++ = digits[v >> 12 & 63];
		*out++ = n > 1 ? digits[v >> 6 & 63] : '=';
		*out++ = n > 2 ? digits[v & 63] : '=';
	}
	*out = '\0';
	return text;
}

/* -1: no digit. */
static inline int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four characters of which `pad` are '='. */
static int decode_quad(const char *text, size_t pad, uint8_t *out)
{
	uint32_t v = 0;

	for (size_t i = 0; i < 4; i++) {
		int digit = i < 4 - pad ? value_of(text[i]) : 0;

		if (digit < 0)
			return -1;
		v = v << 6 | (uint32_t)digit;
	}
	/* What the padding leaves over must be zero. */
	if (v & ((1u << 8 * pad) - 1))
		return -1;
	for (size_t i = 0; i < 3 - pad; i++)
		out[i] = (uint8_t)(v >> (16 - 8 * i));
	return 0;
}

int base64_decode(const char *text, size_t len, void **bytes, size_t *n)
{
	size_t pad = 0;
	uint8_t *out;

	if (len % 4)
		return -1;
	if (len)
		pad = (text[len - 1] == '=') +
		      (text[len - 1] == '=' && text[len - 2] == '=');
	out = malloc(len / 4 * 3 + 1);
	if (!out)
		return -1;
	for (size_t i = 0; i < len; i += 4)
		if (decode_quad(text + i, i + 4 == len ? pad : 0,
			    out + i / 4 * 3) < 0) {
			free(out);
			return -1;
		}
	*bytes = out;
	*n = len / 4 * 3 - pad;
	return 0;
}
