/* A text on its way to a daemon. */
#ifndef APP_UPLOAD_H
#define APP_UPLOAD_H

#include "app/http_client.h"

#define FILES "/v1/files"

struct upload_options {
	const char *name;     /* that it gets; NULL: its own */
	const char *encoding; /* NULL: the daemon takes it for utf-8 */
	const char *format;   /* "text", "jsonl"; NULL: as its name says */
};

/* `file` is on disk, or "-" for standard input. *answer is the daemon's
 * description of it. */
int upload_file(struct http_client *c, const char *file,
	const struct upload_options *o, json_t **answer, struct error *err);

#endif
