/*
 * Words as Unicode's default word boundaries cut them (UAX #29, rules WB3 to
 * WB16): letters with what is within a word ("don't", "3.14"), runs of digits,
 * everything else by itself. On top of that, so that a language model has one
 * token a word and still loses nothing:
 * - one space (U+0020) belongs to the piece that it stands before; of several
 *   the last one does, and those before it are a piece;
 * - a line's end is a piece each, CR LF is one;
 * - a piece has at most WORD_MAX bytes, so that no text needs more memory.
 * Scripts that write no spaces (Han, Hiragana, Thai, …) come out as one piece
 * a character, as UAX #29 has it without a dictionary.
 */
#include "text/word_rules.h"

#include "base/utf8.h"
#include "text/unicode.h"

#include <stdint.h>

#define LOOK_BACK 4096u

/* No piece needs a look beyond `stop`, however long the text is. */
struct cursor {
	const uint8_t *s;
	size_t at, len, stop;
	bool open;
};

/* The class at `at` and its length; false at the end of what may be seen. */
static bool peek(
	struct cursor *c, size_t at, enum unicode_break *class, size_t *n)
{
	uint32_t code;

	if (at >= c->stop) {
		c->open |= at >= c->len;
		return false;
	}
	code = c->s[at];
	*n = 1;
	if (code >= 0x80)
		*n = (size_t)utf8_next(
			(const char *)c->s + at, c->len - at, &code);
	*class = unicode_break_of(code);
	return true;
}

static bool is_joined(enum unicode_break class)
{
	return class == BREAK_EXTEND || class == BREAK_FORMAT ||
	       class == BREAK_ZWJ;
}

static bool is_letter(enum unicode_break class)
{
	return class == BREAK_LETTER || class == BREAK_HEBREW;
}

/* Whether nothing joins across it (WB3a, WB3b). */
static bool is_break(enum unicode_break class)
{
	return class >= BREAK_CR && class <= BREAK_SPACE;
}

/* Extend, Format and ZWJ belong to what they follow (WB4). *zwj, where there
 * are any: whether the last is a joiner. */
static size_t skip_joined(struct cursor *c, size_t at, bool *zwj)
{
	enum unicode_break class;
	size_t n;

	while (peek(c, at, &class, &n) && is_joined(class)) {
		*zwj = class == BREAK_ZWJ;
		at += n;
	}
	return at;
}

/* WB5 to WB13b: what follows without anything between. */
static bool joins(enum unicode_break a, enum unicode_break b)
{
	if (is_letter(a))
		return is_letter(b) || b == BREAK_NUMERIC ||
		       b == BREAK_EXTEND_NUM ||
		       (a == BREAK_HEBREW && b == BREAK_QUOTE);
	switch (a) {
	case BREAK_NUMERIC:
		return b == BREAK_NUMERIC || is_letter(b) ||
		       b == BREAK_EXTEND_NUM;
	case BREAK_KATAKANA:
		return b == BREAK_KATAKANA || b == BREAK_EXTEND_NUM;
	case BREAK_EXTEND_NUM:
		return b == BREAK_EXTEND_NUM || is_letter(b) ||
		       b == BREAK_NUMERIC || b == BREAK_KATAKANA;
	default:
		return false;
	}
}

/* WB6, WB7, WB7b, WB7c, WB11, WB12: whether `mid` may join a to what is after
 * it, which must then be of a's kind. */
static bool bridges(
	enum unicode_break a, enum unicode_break mid, enum unicode_break b)
{
	if (is_letter(a) && is_letter(b) &&
		(mid == BREAK_MID_LETTER || mid == BREAK_MID_BOTH ||
			mid == BREAK_QUOTE))
		return true;
	if (a == BREAK_HEBREW && b == BREAK_HEBREW)
		return mid == BREAK_DOUBLE_QUOTE;
	return a == BREAK_NUMERIC && b == BREAK_NUMERIC &&
	       (mid == BREAK_MID_NUM || mid == BREAK_MID_BOTH ||
		       mid == BREAK_QUOTE);
}

/* Bytes of a bridge at c->at and of what it leads to; 0: it leads nowhere. */
static size_t bridge(struct cursor *c, enum unicode_break mid, size_t n,
	enum unicode_break *last)
{
	enum unicode_break after;
	bool ignored;
	size_t past, m;

	if (!(is_letter(*last) || *last == BREAK_NUMERIC) ||
		mid < BREAK_MID_LETTER || mid > BREAK_DOUBLE_QUOTE)
		return 0;
	past = skip_joined(c, c->at + n, &ignored);
	if (!peek(c, past, &after, &m) || !bridges(*last, mid, after))
		return 0;
	*last = after;
	return past + m - c->at;
}

/* One more step of a word: c->at moves on past the next code point that
 * belongs, with what joins it. false: the word ends here. */
static bool step(struct cursor *c, enum unicode_break *last, bool *zwj)
{
	enum unicode_break class;
	size_t n, wide;

	if (!peek(c, c->at, &class, &n))
		return false;
	wide = bridge(c, class, n, last);
	if (wide)
		n = wide;
	else if (*last == BREAK_REGIONAL && class == BREAK_REGIONAL)
		*last = BREAK_OTHER; /* WB15, WB16: in pairs */
	else if (joins(*last, class) ||
		 (*zwj && class == BREAK_PICTOGRAPH)) /* WB3c */
		*last = class;
	else
		return false;
	*zwj = false;
	c->at = skip_joined(c, c->at + n, zwj);
	return true;
}

static size_t letters(const struct cursor *c, size_t at)
{
	while (at < c->stop && c->s[at] < 0x80 &&
		unicode_break_of(c->s[at]) == BREAK_LETTER)
		at++;
	return at;
}

/* Where code points end at or before `at`. */
static size_t whole(const uint8_t *s, size_t at)
{
	while ((s[at] & 0xc0) == 0x80)
		at--;
	return at;
}

/* From c->at to the piece's end, at most WORD_MAX bytes. */
static void word(struct cursor *c)
{
	size_t begin = c->at, n = 0;
	enum unicode_break last = BREAK_OTHER, next;
	bool zwj = false;

	peek(c, c->at, &last, &n);
	c->at += n;
	if (is_break(last)) {
		if (last == BREAK_CR && peek(c, c->at, &next, &n) &&
			next == BREAK_LF)
			c->at += n;
		return;
	}
	if (is_joined(last)) {
		zwj = last == BREAK_ZWJ;
		last = BREAK_OTHER;
	}
	if (last == BREAK_LETTER)
		c->at = letters(c, c->at);
	c->at = skip_joined(c, c->at, &zwj);
	while (c->at - begin <= WORD_MAX && step(c, &last, &zwj))
		if (last == BREAK_LETTER && !zwj)
			c->at = skip_joined(c, letters(c, c->at), &zwj);
	if (c->at - begin > WORD_MAX) {
		c->at = whole(c->s, begin + WORD_MAX);
		c->open = false;
	}
}

/* A run of spaces at the start: whether one of them belongs to what follows,
 * with c->at then at that. */
static bool spaces(struct cursor *c)
{
	enum unicode_break next;
	size_t n;

	while (c->at < c->len && c->at < WORD_MAX && c->s[c->at] == ' ')
		c->at++;
	if (c->at == WORD_MAX)
		return false;
	if (!peek(c, c->at, &next, &n) || is_break(next))
		return false;
	if (c->at == 1)
		return true;
	c->at--;
	return false;
}

size_t word_next(const char *text, size_t len, bool *open)
{
	struct cursor c = { .s = (const uint8_t *)text, .len = len };

	c.stop = len < WORD_MAX + UTF8_MAX ? len : WORD_MAX + UTF8_MAX;

	if (*text != ' ' || spaces(&c))
		word(&c);
	*open = c.open;
	return c.at;
}

/* A place near the end where pieces end whatever follows: before a space that
 * comes after no space, or before a line feed. 0: none was seen. */
static size_t sure_place(const char *text, size_t len)
{
	size_t stop = len > LOOK_BACK ? len - LOOK_BACK : 0;

	for (size_t at = len; at > stop + 1;) {
		at--;
		if ((text[at] == ' ' && text[at - 1] != ' ') ||
			(text[at] == '\n' && text[at - 1] != '\r'))
			return at;
	}
	return 0;
}

size_t word_boundary(const char *text, size_t len)
{
	size_t at = sure_place(text, len), n;
	bool open = false;

	while (at < len) {
		n = word_next(text + at, len - at, &open);
		if (open)
			break;
		at += n;
	}
	return at;
}
