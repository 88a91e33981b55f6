/* The headers that multipart.c needs: pure functions of their text. */
#ifndef HTTP_MULTIPART_HEADERS_H
#define HTTP_MULTIPART_HEADERS_H

#include "http/multipart.h"

/* boundary [MULTIPART_BOUNDARY_MAX + 1] of a Content-Type (NULL: there is
 * none). */
int multipart_boundary(
	const char *content_type, char *boundary, struct error *err);

/* The lines of a part's headers, each with its CR LF, and the empty one. */
int multipart_headers(struct multipart_part *part, const char *text, size_t len,
	struct error *err);

#endif
