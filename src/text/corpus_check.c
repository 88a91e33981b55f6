/* A corpus is read through without being kept, to say early what is wrong. */
#include "text/corpus_source.h"

#include <strings.h>

/* Of a text's characters: more control characters make it rubbish. */
#define CONTROLS_PER_MILLE 10

struct check {
	bool any_bytes; /* no charset: nothing is said of what they are */
	uint64_t bytes, characters, controls;
	uint64_t first; /* the control character that came first */
};

static bool is_control(unsigned char c)
{
	return (c < 0x20 && (c < '\a' || c > '\r') && c != 0x1b) || c == 0x7f;
}

static int take(void *arg, size_t input, const char *text, size_t len,
	struct error *err)
{
	struct check *c = arg;

	(void)input;
	c->bytes += len;
	for (size_t i = 0; i < len && !c->any_bytes; i++) {
		unsigned char byte = (unsigned char)text[i];

		/* Not what goes on with a code point. */
		c->characters += (byte & 0xc0) != 0x80;
		if (!is_control(byte))
			continue;
		if (!byte)
			return error_set_param(err, ERROR_UNPROCESSABLE, "text",
				"character %llu is a NUL: this is no text, or "
				"not in this encoding",
				(unsigned long long)c->characters);
		if (!c->controls++)
			c->first = c->characters;
	}
	return 0;
}

static int judge(const struct check *c, struct error *err)
{
	if (!c->bytes)
		return error_set_param(
			err, ERROR_INVALID, "text", "there is no text in it");
	if (c->controls * 1000 > c->characters * CONTROLS_PER_MILLE)
		return error_set_param(err, ERROR_UNPROCESSABLE, "text",
			"%llu of %llu characters are control characters, the "
			"first is number %llu: this is no text, or not in "
			"this encoding",
			(unsigned long long)c->controls,
			(unsigned long long)c->characters,
			(unsigned long long)c->first);
	return 0;
}

int corpus_check(const struct corpus_options *o, struct error *err)
{
	struct check c = { .any_bytes = o->encoding &&
					!strcasecmp(o->encoding, "bytes") };
	struct corpus_source s;
	int checked;

	if (corpus_source_open(&s, o, false, err) < 0)
		return -1;
	checked = corpus_source_read(&s, take, &c, err);
	corpus_source_close(&s);
	return checked < 0 ? -1 : judge(&c, err);
}
