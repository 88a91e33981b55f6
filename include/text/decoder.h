/*
 * Streaming decode: emits only whole code points, holding back at most three
 * bytes of a cut one; what can never become valid is U+FFFD. Plain data: a
 * session stores it as it is.
 */
#ifndef TEXT_DECODER_H
#define TEXT_DECODER_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct decoder {
	uint8_t held[4];
	uint8_t n_held;
};

/* Whether held is a cut code point (or nothing): ask this of one that comes
 * from outside, before it is fed. */
bool decoder_valid(const struct decoder *d);

/* Append what became whole; 0, or -1 when out is full (start over then). */
int decoder_feed(
	struct decoder *d, const char *bytes, size_t len, struct buf *out);
/* The end of the text: held bytes become one U+FFFD. */
int decoder_finish(struct decoder *d, struct buf *out);

#endif
