/*
 * The files of the page, as src/web/embed.sh puts them into the executable.
 * Constant: any thread.
 */
#ifndef HTTP_WEB_H
#define HTTP_WEB_H

#include <stddef.h>

struct web_bytes {
	const char *bytes; /* [len] not terminated */
	size_t len;
};

struct web_file {
	const char *name; /* "main.js" */
	const char *type; /* its content type */
	const char *tag;  /* of its bytes, in hexadecimal */
	struct web_bytes plain, gzip;
};

extern const struct web_file web_files[]; /* [web_n_files] */
extern const size_t web_n_files;

#endif
