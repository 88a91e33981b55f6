/* A body of multipart/form-data as the JSON object that it stands for. */
#ifndef HTTP_FORM_H
#define HTTP_FORM_H

#include "base/buf.h"
#include "http/request.h"

#define FORM_TYPE "multipart/form-data"

/* Parts become members by the type of the field of their name: numbers and
 * booleans are read as JSON has them, all else is text. The part of the field
 * that is a `file` goes into *file as its bytes, and is no member; file->max
 * bounds it. The caller releases both, *json also being NULL on failure.
 * ERROR_INVALID names the part; ERROR_TOO_LARGE is a part's, too. Any thread.
 */
int form_read(const char *content_type, const char *body, size_t len,
	const struct field *fields, size_t n, json_t **json, struct buf *file,
	struct error *err);

#endif
