/*
 * Any charset that iconv knows, to UTF-8, in a stream: constant memory, strict
 * with the byte offset of the first fault, or going on past faults and counting
 * them. A leading byte-order mark is dropped and CR LF and lone CR become LF
 * when asked.
 */
#ifndef TEXT_ENCODING_H
#define TEXT_ENCODING_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct encoding;

/* What becomes of bytes that the charset doesn't have. */
enum encoding_faults {
	FAULTS_STRICT,	/* ERROR_UNPROCESSABLE */
	FAULTS_REPLACE, /* each becomes U+FFFD */
	FAULTS_SKIP,	/* each is left out */
};

/* `charset` as iconv names it, or "utf-8" (checked, not converted).
 * ERROR_INVALID for a charset iconv doesn't know, with examples of names. */
int encoding_open(struct encoding **e, const char *charset,
	bool normalise_newlines, enum encoding_faults faults,
	struct error *err);
void encoding_close(struct encoding *e);

/* Append the UTF-8 of `len` more bytes to out; a sequence cut at the end waits
 * for the next call. ERROR_UNPROCESSABLE names the offset since open and the
 * bytes at fault. */
int encoding_feed(struct encoding *e, const char *bytes, size_t len,
	struct buf *out, struct error *err);
/* The end of the text: a sequence still cut is an error. */
int encoding_finish(struct encoding *e, struct buf *out, struct error *err);

/* How many were replaced or left out so far: of UTF-8 maximal subparts, else
 * the charset's smallest units, and what is cut at the end as one. */
uint64_t encoding_faults(const struct encoding *e);

/*
 * Which charset a text has that says nothing about it, from all of its bytes
 * in order: by its byte-order mark, else utf-8 if it is valid, else gb18030
 * (which GBK and GB2312 are part of). All zeros is a guess at nothing.
 */
struct encoding_guess {
	uint8_t head[4]; /* first bytes */
	uint8_t held[4]; /* a cut code point */
	uint8_t n_head, n_held;
	bool invalid; /* no UTF-8, at byte `fault` */
	uint64_t offset, fault;
};

#define ENCODING_AUTO "auto" /* what users call it; not for encoding_open */

void encoding_guess_feed(
	struct encoding_guess *g, const char *bytes, size_t len);
/* At the end of the text; a static name for encoding_open. */
const char *encoding_guess_charset(const struct encoding_guess *g);

#endif
