/*
 * Finds stop strings in a text that comes in pieces: what may yet become one
 * is held back, what cannot is let go.
 */
#ifndef SERVE_STOP_H
#define SERVE_STOP_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* Immutable, shared by all choices of a request. */
struct stop_strings {
	char *text;	 /* owned: all of them, one after another */
	size_t *lengths; /* [n] owned */
	size_t n;
	size_t longest;
};

/* 0, or -1 when memory ran out. */
int stop_strings_init(
	struct stop_strings *s, const char *const *strings, size_t n);
void stop_strings_release(struct stop_strings *s);

/*
 * `held` has gained text at its end: returns how many of its first bytes may be
 * emitted. *found: a stop begins right after those, and nothing of the rest
 * ever comes out. Of several the one that begins first counts.
 */
size_t stop_scan(
	const struct stop_strings *s, const struct buf *held, bool *found);

#endif
