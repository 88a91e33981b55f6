/* Unicode's default word boundaries as pieces of text: see word_rules.c. Pure,
 * any thread. */
#ifndef TEXT_WORD_RULES_H
#define TEXT_WORD_RULES_H

#include <stdbool.h>
#include <stddef.h>

#define WORD_MAX 256u /* bytes of a piece, but for a space before it */

/* Bytes of the piece at text (valid UTF-8, len > 0), at least one code point.
 * *open says that more text could have changed it. */
size_t word_next(const char *text, size_t len, bool *open);

/* Bytes of the longest start of text whose pieces are certain. */
size_t word_boundary(const char *text, size_t len);

#endif
