/* What tokenizers ask of a code point, from tables that unicode_tables.pl
 * wrote. Pure, any thread. */
#ifndef TEXT_UNICODE_H
#define TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Unicode's Word_Break property (UAX #29), with ExtPict for what has none and
 * may follow a joiner. NUL is BREAK_NEWLINE. */
enum unicode_break {
	BREAK_OTHER,
	BREAK_CR,
	BREAK_LF,
	BREAK_NEWLINE,
	BREAK_SPACE,
	BREAK_EXTEND,
	BREAK_ZWJ,
	BREAK_FORMAT,
	BREAK_LETTER,
	BREAK_HEBREW,
	BREAK_NUMERIC,
	BREAK_KATAKANA,
	BREAK_EXTEND_NUM,
	BREAK_MID_LETTER,
	BREAK_MID_NUM,
	BREAK_MID_BOTH,
	BREAK_QUOTE,
	BREAK_DOUBLE_QUOTE,
	BREAK_REGIONAL,
	BREAK_PICTOGRAPH,
};

enum unicode_category {
	CATEGORY_OTHER,
	CATEGORY_LETTER, /* L */
	CATEGORY_NUMBER, /* N */
	CATEGORY_SPACE,	 /* White_Space */
};

extern const uint8_t unicode_pages[0x1100];
extern const uint8_t unicode_blocks[][256];
extern const uint32_t unicode_lower[][2]; /* from, to; sorted */
extern const size_t unicode_n_lower;

static inline uint8_t unicode_class(uint32_t code)
{
	return unicode_blocks[unicode_pages[code >> 8]][code & 255];
}

static inline enum unicode_break unicode_break_of(uint32_t code)
{
	return (enum unicode_break)(unicode_class(code) & 31);
}

static inline enum unicode_category unicode_category_of(uint32_t code)
{
	return (enum unicode_category)(unicode_class(code) >> 5 & 3);
}

/* The simple lower case mapping, or code itself. */
uint32_t unicode_to_lower(uint32_t code);

#endif
