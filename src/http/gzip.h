/*
 * A whole answer as gzip, a piece at a time as its client takes it, so that a
 * long one does not hold up the loop. Loop thread.
 */
#ifndef HTTP_GZIP_H
#define HTTP_GZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct gzip;

/* Whether an Accept-Encoding (or NULL) takes it. */
bool gzip_accepted(const char *accept_encoding);

/* Takes body (malloc'ed) when it succeeds; *sent is added to by gzip_read, and
 * must live as long as that is called. NULL when memory ran out. */
struct gzip *gzip_open(char *body, size_t len, uint64_t *sent);
/* A content reader and its free callback, as MHD wants them. */
ssize_t gzip_read(void *gzip, uint64_t pos, char *out, size_t max);
void gzip_close(void *gzip);

#endif
