#include "text/decoder.h"

#include "text/utf8_step.h"

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

bool decoder_valid(const struct decoder *d)
{
	uint32_t cp;

	return d->n_held < sizeof(d->held) &&
	       utf8_step(d->held, d->n_held, &cp) == 0;
}

/* Complete the held bytes from the input; how many of its bytes that took, or
 * -1 when out is full. */
static int feed_held(
	struct decoder *d, const uint8_t *s, size_t len, struct buf *out)
{
	uint8_t joined[sizeof(d->held)];
	uint32_t cp;
	size_t n = d->n_held;
	int step, failed;

	memcpy(joined, d->held, n);
	for (size_t taken = 0; taken < len;) {
		joined[n++] = s[taken++];
		step = utf8_step(joined, n, &cp);
		if (!step)
			continue;
		/* A byte that can't follow starts something of its own. */
		failed = step > 0 ? buf_append(out, joined, n)
				  : buf_puts(out, replacement);
		if (failed)
			return -1;
		d->n_held = 0;
		return (int)(step > 0 ? taken : taken - 1);
	}
	memcpy(d->held, joined, n);
	d->n_held = (uint8_t)n;
	return (int)len;
}

int decoder_feed(
	struct decoder *d, const char *bytes, size_t len, struct buf *out)
{
	const uint8_t *s = (const uint8_t *)bytes;
	size_t i = 0, valid = 0;
	uint32_t cp;
	int step;

	if (d->n_held && len) {
		step = feed_held(d, s, len, out);
		if (step < 0)
			return -1;
		i = valid = (size_t)step;
	}
	while (i < len) {
		i += utf8_ascii_run(s + i, len - i);
		step = utf8_step(s + i, len - i, &cp);
		if (!step)
			break;
		if (step > 0) {
			i += (size_t)step;
			continue;
		}
		if (buf_append(out, s + valid, i - valid) < 0 ||
			buf_puts(out, replacement) < 0)
			return -1;
		i += (size_t)-step;
		valid = i;
	}
	if (i > valid && buf_append(out, s + valid, i - valid) < 0)
		return -1;
	if (i < len) {
		d->n_held = (uint8_t)(len - i);
		memcpy(d->held, s + i, len - i);
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
