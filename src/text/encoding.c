/*
 * bytes -> [iconv] -> checked UTF-8 -> [byte-order mark dropped, newlines
 * normalised] -> out. Each stage carries what a call's end cut into the next.
 */
#include "text/encoding.h"

#include "base/utf8.h"

#include <ctype.h>
#include <errno.h>
#include <iconv.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HELD_MAX 32 /* no charset has longer sequences */

enum charset_kind { CHARSET_UTF8, CHARSET_ICONV, CHARSET_BYTES };

struct encoding {
	enum charset_kind kind;
	char charset[32];
	iconv_t iconv;
	size_t unit;	 /* bytes of its smallest sequence */
	uint64_t offset; /* of the next input byte that is not held */
	enum encoding_faults faults;
	uint64_t n_faults;
	char held[HELD_MAX];
	size_t n_held;

	bool normalise;
	bool started;  /* what could be a byte-order mark has passed */
	bool after_cr; /* an LF now belongs to the CR before it */
};

/* Everything but letters and digits is noise in "UTF-8", "utf8", "Utf_8". */
static bool same_charset(const char *a, const char *b)
{
	for (;; a++, b++) {
		while (*a == '-' || *a == '_')
			a++;
		while (*b == '-' || *b == '_')
			b++;
		if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
			return false;
		if (!*a)
			return true;
	}
}

/* A suffix such as //TRANSLIT would loosen the checks. */
static bool plain_name(const char *charset)
{
	size_t n = 0;

	for (; charset[n]; n++)
		if (!isalnum((unsigned char)charset[n]) &&
			!strchr("-_.:+()", charset[n]))
			return false;
	return n && n < sizeof(((struct encoding *)0)->charset);
}

static int unknown_charset(const char *charset, struct error *err)
{
	return error_set_param(err, ERROR_INVALID, "encoding",
		"encoding: unknown charset \"%.64s\", expected utf-8, bytes, "
		"auto or a name that `iconv -l` lists, such as latin1, "
		"windows-1252, "
		"gbk, gb18030, shift_jis, utf-16",
		charset);
}

/* How many bytes it takes before iconv has seen all of a sequence: 2 of
 * UTF-16, 4 of UTF-32, else 1. */
static size_t unit_of(iconv_t converter)
{
	char letters[] = "AAAA", utf8[64];

	for (size_t n = 1; n < 4; n++) {
		char *from = letters, *to = utf8;
		size_t from_left = n, to_left = sizeof(utf8);
		size_t result =
			iconv(converter, &from, &from_left, &to, &to_left);

		if (result != (size_t)-1 || errno != EINVAL)
			return n;
		iconv(converter, NULL, NULL, NULL, NULL);
	}
	return 4;
}

static size_t charset_unit(const char *charset)
{
	iconv_t converter = iconv_open("UTF-8", charset);
	size_t unit = 1;

	if (converter != (iconv_t)-1) {
		unit = unit_of(converter);
		iconv_close(converter);
	}
	return unit;
}

int encoding_open(struct encoding **e, const char *charset,
	bool normalise_newlines, enum encoding_faults faults, struct error *err)
{
	enum charset_kind kind = CHARSET_ICONV;
	iconv_t converter = (iconv_t)-1;

	*e = NULL;
	if (same_charset(charset, "utf8"))
		kind = CHARSET_UTF8;
	else if (same_charset(charset, "bytes"))
		kind = CHARSET_BYTES;
	else if (plain_name(charset))
		converter = iconv_open("UTF-8", charset);
	if (kind == CHARSET_ICONV && converter == (iconv_t)-1)
		return unknown_charset(charset, err);
	*e = calloc(1, sizeof(**e));
	if (!*e) {
		if (kind == CHARSET_ICONV)
			iconv_close(converter);
		return error_set_memory(err, "encoding", sizeof(**e));
	}
	(*e)->kind = kind;
	(*e)->iconv = converter;
	(*e)->normalise = normalise_newlines;
	(*e)->faults = faults;
	(*e)->unit = kind == CHARSET_ICONV ? charset_unit(charset) : 1;
	snprintf((*e)->charset, sizeof((*e)->charset), "%s",
		kind == CHARSET_UTF8 ? "UTF-8" : charset);
	return 0;
}

void encoding_close(struct encoding *e)
{
	if (!e)
		return;
	if (e->kind == CHARSET_ICONV)
		iconv_close(e->iconv);
	free(e);
}

static int append(struct buf *out, const char *s, size_t len, struct error *err)
{
	if (!buf_append(out, s, len))
		return 0;
	if (len > out->max - out->len)
		return error_set(err, ERROR_TOO_LARGE,
			"text of more than %zu bytes", out->max);
	return error_set_memory(err, "text", out->len + len);
}

/* The last stage; s holds whole code points. */
static int emit(struct encoding *e, const char *s, size_t len, struct buf *out,
	struct error *err)
{
	const char *end = s + len, *cr;

	if (!len)
		return 0;
	if (!e->started && len >= 3 && !memcmp(s, "\xef\xbb\xbf", 3))
		s += 3;
	e->started = true;
	if (!e->normalise)
		return append(out, s, (size_t)(end - s), err);
	while (s < end) {
		if (e->after_cr && *s == '\n')
			s++;
		e->after_cr = false;
		cr = memchr(s, '\r', (size_t)(end - s));
		if (!cr)
			return append(out, s, (size_t)(end - s), err);
		if (append(out, s, (size_t)(cr - s), err) < 0 ||
			append(out, "\n", 1, err) < 0)
			return -1;
		e->after_cr = true;
		s = cr + 1;
	}
	return 0;
}

static int invalid(const struct encoding *e, const char *s, size_t len,
	uint64_t offset, struct error *err)
{
	char hex[4 * 5 + 1] = "";

	for (size_t i = 0; i < len && i < 4; i++)
		snprintf(hex + i * 5, sizeof(hex) - i * 5, " 0x%02x",
			(unsigned char)s[i]);
	return error_set_param(err, ERROR_UNPROCESSABLE, "encoding",
		"invalid %s at byte %llu:%s", e->charset,
		(unsigned long long)offset, hex);
}

/* A fault of n bytes at s, of which `shown` are named. */
static int fault(struct encoding *e, const char *s, size_t n, size_t shown,
	struct buf *out, struct error *err)
{
	if (e->faults == FAULTS_STRICT)
		return invalid(e, s, shown, e->offset, err);
	e->n_faults++;
	e->offset += n;
	return e->faults == FAULTS_SKIP ? 0
					: emit(e, "\xef\xbf\xbd", 3, out, err);
}

static int hold(
	struct encoding *e, const char *s, size_t len, struct error *err)
{
	if (len > HELD_MAX)
		return invalid(e, s, len, e->offset, err);
	memmove(e->held, s, len);
	e->n_held = len;
	return 0;
}

/* s: whole input of a call, held bytes joined before it. */
static int convert_utf8(struct encoding *e, const char *s, size_t len,
	struct buf *out, struct error *err)
{
	uint32_t code;
	size_t n;

	for (;;) {
		n = utf8_valid_prefix(s, len, NULL);
		if (emit(e, s, n, out, err) < 0)
			return -1;
		e->offset += n;
		s += n;
		len -= n;
		if (utf8_next(s, len, &code) != UTF8_INVALID)
			return hold(e, s, len, err);
		/* Shown: the bytes that can't be, and the one after them. */
		n = utf8_bad_length(s, len);
		if (fault(e, s, n, n < len ? n + 1 : n, out, err) < 0)
			return -1;
		s += n;
		len -= n;
	}
}

/* iconv may give what is no Unicode, from UCS-4 for one. */
static int emit_checked(struct encoding *e, const char *s, size_t len,
	const char *in, size_t n_in, struct buf *out, struct error *err)
{
	size_t n;

	for (;;) {
		n = utf8_valid_prefix(s, len, NULL);
		if (emit(e, s, n, out, err) < 0)
			return -1;
		s += n;
		len -= n;
		if (!len)
			return 0;
		if (fault(e, in, 0, n_in, out, err) < 0)
			return -1;
		n = utf8_bad_length(s, len);
		s += n;
		len -= n;
	}
}

static int convert_iconv(struct encoding *e, const char *s, size_t len,
	struct buf *out, struct error *err)
{
	char utf8[4096], *from, *to;
	size_t from_left, to_left, result = 0;
	int saved = 0;

	do {
		from = (char *)s;
		from_left = len;
		to = utf8;
		to_left = sizeof(utf8);
		errno = 0;
		result = iconv(e->iconv, &from, &from_left, &to, &to_left);
		saved = errno;
		if (emit_checked(
			    e, utf8, (size_t)(to - utf8), s, len, out, err) < 0)
			return -1;
		e->offset += len - from_left;
		s += len - from_left;
		len = from_left;
		if (result != (size_t)-1 || saved != EILSEQ)
			continue;
		/* What follows is read anew, one unit on. */
		from_left = e->unit < len ? e->unit : len;
		if (fault(e, s, from_left, len, out, err) < 0)
			return -1;
		s += from_left;
		len -= from_left;
	} while (result == (size_t)-1 && saved != EINVAL);
	return hold(e, s, len, err);
}

static int convert(struct encoding *e, const char *s, size_t len,
	struct buf *out, struct error *err)
{
	switch (e->kind) {
	case CHARSET_UTF8:
		return convert_utf8(e, s, len, out, err);
	case CHARSET_ICONV:
		return convert_iconv(e, s, len, out, err);
	case CHARSET_BYTES:
		break;
	}
	e->offset += len;
	return append(out, s, len, err);
}

int encoding_feed(struct encoding *e, const char *bytes, size_t len,
	struct buf *out, struct error *err)
{
	char joined[2 * HELD_MAX];
	size_t n_held = e->n_held, n, used;
	uint64_t start = e->offset;

	if (n_held && len) {
		n = len < HELD_MAX ? len : HELD_MAX;
		memcpy(joined, e->held, n_held);
		memcpy(joined + n_held, bytes, n);
		e->n_held = 0;
		if (convert(e, joined, n_held + n, out, err) < 0)
			return -1;
		used = (size_t)(e->offset - start);
		if (used + e->n_held == n_held + len)
			return 0;
		/* What is held again is read again, from the input. */
		e->n_held = 0;
		bytes += used - n_held;
		len -= used - n_held;
	}
	return len ? convert(e, bytes, len, out, err) : 0;
}

int encoding_finish(struct encoding *e, struct buf *out, struct error *err)
{
	char utf8[64], *to = utf8;
	size_t to_left = sizeof(utf8);

	if (e->n_held && e->faults != FAULTS_STRICT) {
		if (fault(e, e->held, e->n_held, 0, out, err) < 0)
			return -1;
		e->n_held = 0;
	}
	if (e->n_held)
		return error_set_param(err, ERROR_UNPROCESSABLE, "encoding",
			"%s is cut at its end: byte %llu starts a character "
			"that is not complete",
			e->charset, (unsigned long long)e->offset);
	if (e->kind != CHARSET_ICONV)
		return 0;
	/* Stateful charsets may still hold a character of their own. */
	iconv(e->iconv, NULL, NULL, &to, &to_left);
	return emit_checked(e, utf8, (size_t)(to - utf8), "", 0, out, err);
}

uint64_t encoding_faults(const struct encoding *e)
{
	return e->n_faults;
}
