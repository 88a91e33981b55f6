/*
 * UTF-8, strictly as Unicode defines it: no overlong forms, no surrogates,
 * nothing above U+10FFFF. Pure functions, any thread.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

#define UTF8_MAX 4	  /* bytes of one code point */
#define UTF8_INVALID (-1) /* these bytes can't begin a code point */
#define UTF8_CUT (-2)	  /* a valid beginning: more bytes are needed */
#define UTF8_REPLACEMENT 0xFFFDu

/* The code point at text: its length 1..4 with *code set, 0 when len is 0, or
 * UTF8_INVALID or UTF8_CUT. */
int utf8_next(const char *text, size_t len, uint32_t *code);

/* Bytes at text that are no part of a code point and become one U+FFFD:
 * Unicode's "maximal subpart", at least 1 when len is not 0. To be called
 * where utf8_next said UTF8_INVALID. */
size_t utf8_bad_length(const char *text, size_t len);

/* Writes 1..4 bytes; 0 for what is no code point (surrogates, > 10FFFF). */
size_t utf8_encode(uint32_t code, char out[UTF8_MAX]);

/* Length of the valid prefix: len when all of it is valid. *codes (may be
 * NULL) counts its code points. */
size_t utf8_valid_prefix(const char *text, size_t len, size_t *codes);

/* ERROR_UNPROCESSABLE naming the offset and the byte at fault. */
int utf8_check(const char *text, size_t len, struct error *err);

/* Code points of a valid text. */
size_t utf8_count(const char *text, size_t len);

#endif
