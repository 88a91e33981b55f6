/*
 * GPT-2's pattern (Radford et al. 2019, encoder.py), tried in this order:
 *   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 * Bytes that are no UTF-8 are taken one by one for what is neither letter nor
 * number nor space, so that any file can be encoded.
 */
#include "text/bpe_scan.h"

#include "base/utf8.h"
#include "text/unicode.h"

#include <stdint.h>
#include <string.h>

#define LOOK_BACK 4096u

struct scan {
	const uint8_t *s;
	size_t len, stop; /* stop: len, or where a piece must end */
	bool open;
};

/* The category at `at` and its length; false at the end of what may be seen. */
static bool peek(
	struct scan *c, size_t at, enum unicode_category *category, size_t *n)
{
	uint32_t code;
	int next;

	if (at >= c->stop) {
		c->open |= at >= c->len;
		return false;
	}
	*n = 1;
	code = c->s[at];
	if (code >= 0x80) {
		next = utf8_next((const char *)c->s + at, c->len - at, &code);
		c->open |= next == UTF8_CUT;
		if (next <= 0) {
			*category = CATEGORY_OTHER;
			return true;
		}
		*n = (size_t)next;
	}
	*category = unicode_category_of(code);
	return true;
}

/* Past all that are of a category. */
static size_t run(struct scan *c, size_t at, enum unicode_category wanted)
{
	enum unicode_category category;
	size_t n;

	while (peek(c, at, &category, &n) && category == wanted)
		at += n;
	return at;
}

/* Length of 's 't 're 've 'm 'll 'd, or 0. */
static size_t contraction(struct scan *c)
{
	static const char *const ends[] = { "s", "t", "re", "ve", "m", "ll",
		"d" };
	size_t left = c->len - 1;

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		size_t n = strlen(ends[i]);
		size_t seen = n < left ? n : left;

		if (memcmp(c->s + 1, ends[i], seen) != 0)
			continue;
		if (seen == n)
			return 1 + n;
		c->open = true;
	}
	return 0;
}

/* White space from the start: all of it before the end, else all but the last
 * one, which what follows may have. */
static size_t spaces(struct scan *c)
{
	enum unicode_category category;
	size_t at = 0, last = 0, n;

	while (peek(c, at, &category, &n) && category == CATEGORY_SPACE) {
		last = at;
		at += n;
	}
	return at >= c->stop || !last ? at : last;
}

size_t bpe_next(const char *text, size_t len, bool regex, bool *open)
{
	struct scan c = { .s = (const uint8_t *)text, .len = len };
	enum unicode_category category;
	size_t n = 0, at;

	c.stop = len < BPE_PIECE_MAX ? len : BPE_PIECE_MAX;
	*open = len < BPE_PIECE_MAX;
	if (!regex)
		return c.stop;
	if (*text == '\'' && (n = contraction(&c))) {
		*open = false;
		return n;
	}
	at = *text == ' ';
	if (peek(&c, at, &category, &n) && category != CATEGORY_SPACE)
		at = run(&c, at + n, category);
	else
		at = spaces(&c);
	*open = c.open;
	return at;
}

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Before white space after what is none: pieces end there whatever follows. */
static size_t sure_place(const char *s, size_t len)
{
	size_t stop = len > LOOK_BACK ? len - LOOK_BACK : 0;

	for (size_t at = len; at > stop + 1;) {
		at--;
		if (is_blank(s[at]) && (uint8_t)s[at - 1] < 0x80 &&
			!is_blank(s[at - 1]))
			return at;
	}
	return 0;
}

size_t bpe_scan_boundary(const char *s, size_t len, bool regex)
{
	size_t at = regex ? sure_place(s, len) : 0, n;
	bool open = false;

	while (at < len) {
		n = bpe_next(s + at, len - at, regex, &open);
		if (open)
			break;
		at += n;
	}
	return at;
}
