#include "text/decoder.h"

#include "base/utf8.h"

#include <string.h>

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

bool decoder_valid(const struct decoder *d)
{
	uint32_t code;

	return !d->n_held || (d->n_held < sizeof(d->held) &&
				     utf8_next((const char *)d->held, d->n_held,
					     &code) == UTF8_CUT);
}

/* Complete the held bytes from the input; how many of its bytes that took, or
 * -1 when out is full. */
static int feed_held(
	struct decoder *d, const char *s, size_t len, struct buf *out)
{
	char joined[sizeof(d->held)];
	uint32_t code;
	size_t n = d->n_held;
	int next, failed;

	memcpy(joined, d->held, n);
	for (size_t taken = 0; taken < len;) {
		joined[n++] = s[taken++];
		next = utf8_next(joined, n, &code);
		if (next == UTF8_CUT)
			continue;
		/* A byte that can't follow starts something of its own. */
		failed = next > 0 ? buf_append(out, joined, n)
				  : buf_puts(out, replacement);
		if (failed)
			return -1;
		d->n_held = 0;
		return (int)(next > 0 ? taken : taken - 1);
	}
	memcpy(d->held, joined, n);
	d->n_held = (uint8_t)n;
	return (int)len;
}

int decoder_feed(struct decoder *d, const char *s, size_t len, struct buf *out)
{
	uint32_t code;
	size_t n;
	int next;

	if (d->n_held && len) {
		next = feed_held(d, s, len, out);
		if (next < 0)
			return -1;
		s += next;
		len -= (size_t)next;
	}
	for (;;) {
		n = utf8_valid_prefix(s, len, NULL);
		if (n && buf_append(out, s, n) < 0)
			return -1;
		s += n;
		len -= n;
		next = utf8_next(s, len, &code);
		if (next != UTF8_INVALID)
			break;
		if (buf_puts(out, replacement) < 0)
			return -1;
		n = utf8_bad_length(s, len);
		s += n;
		len -= n;
	}
	/* What is left is cut: at most three bytes. */
	if (len) {
		d->n_held = (uint8_t)len;
		memcpy(d->held, s, len);
	}
	return 0;
}

int decoder_finish(struct decoder *d, struct buf *out)
{
	if (!d->n_held)
		return 0;
	d->n_held = 0;
	return buf_puts(out, replacement);
}
