/*
 * A delimiter begins with the CR LF that ends what is before it. No byte of it
 * but the first is a CR, so whoever stops matching need only look whether the
 * byte at hand begins anew.
 */
#include "http/multipart.h"
#include "http/multipart_headers.h"

#include <string.h>

int multipart_init(struct multipart *m, const char *content_type,
	const struct multipart_ops *ops, void *arg, struct error *err)
{
	*m = (struct multipart){ .ops = ops, .arg = arg };
	buf_init(&m->headers, MULTIPART_HEADERS_MAX);
	memcpy(m->delimiter, "\r\n--", 4);
	if (multipart_boundary(content_type, m->delimiter + 4, err) < 0)
		return -1;
	m->delimiter_len = strlen(m->delimiter);
	/* The first may stand at the very beginning. */
	m->matched = 2;
	return 0;
}

void multipart_release(struct multipart *m)
{
	buf_release(&m->headers);
}

static int malformed(const char *what, struct error *err)
{
	return error_set(err, ERROR_INVALID,
		"the multipart body is malformed: %s", what);
}

static int emit(
	struct multipart *m, const char *bytes, size_t len, struct error *err)
{
	if (m->state != MULTIPART_BODY || !len)
		return 0;
	return m->ops->data(m->arg, bytes, len, err);
}

static int end_part(struct multipart *m, struct error *err)
{
	bool in_part = m->state == MULTIPART_BODY;

	m->state = MULTIPART_DELIMITED;
	m->matched = 0;
	m->n_tail = 0;
	return in_part ? m->ops->end(m->arg, err) : 0;
}

/* What looked like a delimiter, and is not, is data. At the beginning of a body
 * its first two bytes were not there. */
static int unmatch(struct multipart *m, struct error *err)
{
	size_t n = m->matched;

	m->matched = 0;
	return emit(m, m->delimiter, n, err);
}

/* PREAMBLE or BODY, up to the end of a delimiter. */
static int feed_data(
	struct multipart *m, const char **p, const char *end, struct error *err)
{
	const char *from = *p, *at = from;

	while (at < end) {
		if (!m->matched) {
			const char *cr = memchr(at, '\r', (size_t)(end - at));

			at = cr ? cr : end;
			if (emit(m, from, (size_t)(at - from), err) < 0)
				return -1;
			from = at;
			if (!cr)
				break;
		}
		if (*at == m->delimiter[m->matched]) {
			from = ++at;
			if (++m->matched == m->delimiter_len) {
				*p = at;
				return end_part(m, err);
			}
		} else if (unmatch(m, err) < 0) {
			return -1;
		}
	}
	*p = at;
	return 0;
}

static bool is_padding(char c)
{
	return c == ' ' || c == '\t';
}

static int feed_delimited(
	struct multipart *m, const char **p, struct error *err)
{
	char c = *(*p)++;

	/* Blanks may stand between a delimiter and its line's end. */
	if (is_padding(c) && !m->n_tail)
		return 0;
	m->tail[m->n_tail++] = c;
	if (m->n_tail < 2)
		return 0;
	if (!memcmp(m->tail, "--", 2)) {
		m->state = MULTIPART_DONE;
		return 0;
	}
	if (memcmp(m->tail, "\r\n", 2) != 0)
		return malformed("a boundary is followed by neither a line's "
				 "end nor '--'",
			err);
	if (m->n_parts++ == MULTIPART_PARTS_MAX)
		return malformed("it has too many parts", err);
	m->state = MULTIPART_HEADERS;
	buf_clear(&m->headers);
	return 0;
}

static int begin_part(struct multipart *m, struct error *err)
{
	struct multipart_part part;

	if (multipart_headers(&part, m->headers.data, m->headers.len, err) < 0)
		return -1;
	m->state = MULTIPART_BODY;
	return m->ops->begin(m->arg, &part, err);
}

/* A byte more of the headers, which an empty line ends. */
static int feed_headers(struct multipart *m, const char **p, struct error *err)
{
	struct buf *h = &m->headers;

	if (buf_append(h, (*p)++, 1) < 0)
		return malformed("a part's headers are too long", err);
	if ((h->len == 2 && !memcmp(h->data, "\r\n", 2)) ||
		(h->len >= 4 && !memcmp(h->data + h->len - 4, "\r\n\r\n", 4)))
		return begin_part(m, err);
	return 0;
}

int multipart_feed(
	struct multipart *m, const char *bytes, size_t len, struct error *err)
{
	const char *end = bytes + len;
	int fed = 0;

	while (bytes < end && !fed) {
		switch (m->state) {
		case MULTIPART_PREAMBLE:
		case MULTIPART_BODY:
			fed = feed_data(m, &bytes, end, err);
			break;
		case MULTIPART_DELIMITED:
			fed = feed_delimited(m, &bytes, err);
			break;
		case MULTIPART_HEADERS:
			fed = feed_headers(m, &bytes, err);
			break;
		case MULTIPART_DONE:
			return 0;
		}
	}
	return fed;
}

int multipart_finish(struct multipart *m, struct error *err)
{
	if (m->state == MULTIPART_DONE)
		return 0;
	return malformed("it ends before its last boundary", err);
}
