/*
 * Any charset that iconv knows, to UTF-8, in a stream: constant memory, strict,
 * with the byte offset of the first fault. A leading byte-order mark is
 * dropped and CR LF and lone CR become LF when asked.
 */
#ifndef TEXT_ENCODING_H
#define TEXT_ENCODING_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct encoding;

/* `charset` as iconv names it, or "utf-8" (checked, not converted).
 * ERROR_INVALID for a charset iconv doesn't know, with examples of names. */
int encoding_open(struct encoding **e, const char *charset,
	bool normalise_newlines, struct error *err);
void encoding_close(struct encoding *e);

/* Append the UTF-8 of `len` more bytes to out; a sequence cut at the end waits
 * for the next call. ERROR_UNPROCESSABLE names the offset since open and the
 * bytes at fault. */
int encoding_feed(struct encoding *e, const char *bytes, size_t len,
	struct buf *out, struct error *err);
/* The end of the text: a sequence still cut is an error. */
int encoding_finish(struct encoding *e, struct buf *out, struct error *err);

#endif
