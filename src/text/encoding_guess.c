#include "text/encoding.h"

#include "base/utf8.h"

#include <string.h>

static void look(struct encoding_guess *g, const char *s, size_t len)
{
	size_t valid = utf8_valid_prefix(s, len, NULL);
	uint32_t code;

	g->offset += valid;
	if (utf8_next(s + valid, len - valid, &code) == UTF8_INVALID) {
		g->invalid = true;
		g->fault = g->offset;
		return;
	}
	g->n_held = (uint8_t)(len - valid);
	memcpy(g->held, s + valid, g->n_held);
}

void encoding_guess_feed(
	struct encoding_guess *g, const char *bytes, size_t len)
{
	char joined[8];
	size_t n;

	for (size_t i = 0; i < len && g->n_head < sizeof(g->head); i++)
		g->head[g->n_head++] = (uint8_t)bytes[i];
	/* A code point that the last part cut, with its missing bytes. */
	while (g->n_held && len && !g->invalid) {
		n = g->n_held;
		memcpy(joined, g->held, n);
		joined[n] = *bytes;
		g->n_held = 0;
		look(g, joined, n + 1);
		bytes++;
		len--;
	}
	if (!g->invalid && len)
		look(g, bytes, len);
}

const char *encoding_guess_charset(const struct encoding_guess *g)
{
	static const struct {
		const char *mark;
		size_t len;
		const char *charset;
	} marks[] = {
		/* UTF-32's begins as UTF-16's does. */
		{ "\xff\xfe\0\0", 4, "utf-32le" },
		{ "\0\0\xfe\xff", 4, "utf-32be" },
		{ "\xff\xfe", 2, "utf-16le" },
		{ "\xfe\xff", 2, "utf-16be" },
		{ "\x84\x31\x95\x33", 4, "gb18030" },
	};

	for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++)
		if (g->n_head >= marks[i].len &&
			!memcmp(g->head, marks[i].mark, marks[i].len))
			return marks[i].charset;
	/* The end within a code point is a fault, too. */
	return g->invalid || g->n_held ? "gb18030" : "utf-8";
}
