/* Base64 as in RFC 4648, section 4. Any thread. */
#ifndef HTTP_BASE64_H
#define HTTP_BASE64_H

#include <stddef.h>

/* Malloc'ed and terminated; NULL when memory ran out. */
char *base64_encode(const void *bytes, size_t len);
/* Malloc'ed bytes for *bytes; -1 when the text is not base64 (whitespace is
 * not, padding is needed) or memory ran out. */
int base64_decode(const char *text, size_t len, void **bytes, size_t *n);

#endif
