/*
 * multipart/form-data (RFC 7578, RFC 2046) as it comes, cut anywhere, in
 * constant memory. Pure: it knows no connection and no file. Parts are given
 * to the caller one after the other; what stands before the first delimiter and
 * after the last is skipped, as RFC 2046 asks for.
 *
 *   PREAMBLE -> DELIMITED -> HEADERS -> BODY -> DELIMITED -> … -> DONE
 */
#ifndef HTTP_MULTIPART_H
#define HTTP_MULTIPART_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

#define MULTIPART_BOUNDARY_MAX 70  /* RFC 2046 */
#define MULTIPART_HEADERS_MAX 4096 /* bytes of a part's headers */
#define MULTIPART_PARTS_MAX 32

struct multipart_part {
	char name[64];
	bool is_file;	    /* it has a filename */
	char filename[256]; /* without directories; UTF-8 */
	char charset[32];   /* of its Content-Type, or "" */
};

/* Each returns 0, or -1 with *err, which ends the parsing. */
struct multipart_ops {
	int (*begin)(void *arg, const struct multipart_part *part,
		struct error *err);
	int (*data)(
		void *arg, const char *bytes, size_t len, struct error *err);
	int (*end)(void *arg, struct error *err);
};

enum multipart_state {
	MULTIPART_PREAMBLE,
	MULTIPART_DELIMITED, /* after a delimiter: "--" or the line's end */
	MULTIPART_HEADERS,
	MULTIPART_BODY,
	MULTIPART_DONE,
};

struct multipart {
	const struct multipart_ops *ops;
	void *arg;
	enum multipart_state state;
	char delimiter[4 + MULTIPART_BOUNDARY_MAX + 1]; /* CR LF - - boundary */
	size_t delimiter_len;
	size_t matched; /* bytes of it that came last */
	char tail[2];	/* what came after it, in DELIMITED */
	size_t n_tail;
	struct buf headers;
	unsigned n_parts;
};

/* From the request's Content-Type: ERROR_UNSUPPORTED when it is something else,
 * ERROR_INVALID without a good boundary. ops stay borrowed. */
int multipart_init(struct multipart *m, const char *content_type,
	const struct multipart_ops *ops, void *arg, struct error *err);
void multipart_release(struct multipart *m);

/* Not to be called again after an error, which is ERROR_INVALID or what an op
 * gave. */
int multipart_feed(
	struct multipart *m, const char *bytes, size_t len, struct error *err);
/* The end of the body: ERROR_INVALID when the last delimiter did not come. */
int multipart_finish(struct multipart *m, struct error *err);

#endif
