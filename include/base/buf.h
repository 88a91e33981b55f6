/*
 * A growing byte buffer that never grows past the limit it was given. `data`
 * is always NUL-terminated one byte past `len`, once anything was appended.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

struct buf {
	char *data; /* owned; NULL until the first append */
	size_t len;
	size_t cap;
	size_t max; /* bytes that len may reach */
};

void buf_init(struct buf *b, size_t max);
void buf_release(struct buf *b);

/* Each returns 0, or -1 when the limit or memory is exhausted; the buffer then
 * holds what it held before. */
int buf_append(struct buf *b, const void *bytes, size_t len);
int buf_puts(struct buf *b, const char *text);
int buf_printf(struct buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
int buf_reserve(struct buf *b, size_t extra);

/* Forget the first n bytes (n <= len). */
void buf_consume(struct buf *b, size_t n);
void buf_clear(struct buf *b);

#endif
