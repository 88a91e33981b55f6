#include "base/log_private.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define VALUE_MAX 1024 /* bytes of a text before it is escaped */
#define TAIL 32	       /* kept free for the end of the line */

/* A line under way; what doesn't fit sets full and is taken back. */
struct line {
	char *text;
	size_t len;
	size_t max;
	bool full;
};

static void put(struct line *l, const char *bytes, size_t len)
{
	if (l->full || len > l->max - l->len) {
		l->full = true;
		return;
	}
	memcpy(l->text + l->len, bytes, len);
	l->len += len;
}

static void puts_line(struct line *l, const char *text)
{
	put(l, text, strlen(text));
}

/* What may move a cursor, break a line or reorder it on the screen. */
static bool unprintable(uint32_t c)
{
	return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x2028 ||
	       c == 0x2029 || c == 0x200E || c == 0x200F ||
	       (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) ||
	       c == 0xFEFF;
}

static void put_code(struct line *l, const char *bytes, int n, uint32_t c)
{
	char escape[16];

	if (c == '"' || c == '\\')
		snprintf(escape, sizeof(escape), "\\%c", (char)c);
	else if (c == '\n' || c == '\t' || c == '\r')
		snprintf(escape, sizeof(escape), "\\%c",
			c == '\n'   ? 'n'
			: c == '\t' ? 't'
				    : 'r');
	else if (unprintable(c))
		snprintf(escape, sizeof(escape), "\\u%04x", (unsigned)c);
	else
		return put(l, bytes, (size_t)n);
	puts_line(l, escape);
}

static void put_quoted(struct line *l, const char *text, size_t len)
{
	bool cut = len > VALUE_MAX;
	uint32_t c;
	int n;

	if (cut)
		len = VALUE_MAX;
	puts_line(l, "\"");
	for (size_t i = 0; i < len; i += (size_t)n) {
		n = utf8_next(text + i, len - i, &c);
		if (n > 0) {
			put_code(l, text + i, n, c);
		} else {
			n = (int)utf8_bad_length(text + i, len - i);
			puts_line(l, "\xEF\xBF\xBD");
		}
	}
	puts_line(l, cut ? "\xE2\x80\xA6\"" : "\"");
}

static bool is_plain(const char *text, size_t len)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789-_./:@+,%[]*~";

	if (len < 1 || len > VALUE_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!text[i] || !strchr(plain, text[i]))
			return false;
	return true;
}

static void put_number(struct line *l, const struct log_field *f, bool json)
{
	char text[40];

	if (f->type == LOG_INT)
		snprintf(text, sizeof(text), "%" PRId64, f->i);
	else if (f->type == LOG_UINT)
		snprintf(text, sizeof(text), "%" PRIu64, f->u);
	else if (f->type == LOG_BOOL)
		snprintf(text, sizeof(text), "%s", f->b ? "true" : "false");
	else if (json && !isfinite(f->real))
		snprintf(text, sizeof(text), "null");
	else
		snprintf(text, sizeof(text), "%.6g", f->real);
	puts_line(l, text);
}

static void put_field(struct line *l, const struct log_field *f, bool json)
{
	size_t before = l->len;

	puts_line(l, json ? ",\"" : " ");
	puts_line(l, f->key);
	puts_line(l, json ? "\":" : "=");
	if (f->type != LOG_TEXT)
		put_number(l, f, json);
	else if (!json && is_plain(f->text, f->len))
		put(l, f->text, f->len);
	else
		put_quoted(l, f->text, f->len);
	if (l->full)
		l->len = before;
}

static void put_time(struct line *l, struct timespec when)
{
	char text[40];
	struct tm tm;
	size_t n;

	gmtime_r(&when.tv_sec, &tm);
	n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%03dZ",
		(int)(when.tv_nsec / 1000000));
	puts_line(l, text);
}

static void put_head(struct line *l, enum log_format format,
	struct timespec when, enum log_level level)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	static const char *const priorities[] = { "<3>", "<4>", "<6>", "<7>" };

	if (format == LOG_FORMAT_JSON) {
		puts_line(l, "{\"time\":\"");
		put_time(l, when);
		puts_line(l, "\",\"level\":\"");
		puts_line(l, names[level]);
		puts_line(l, "\"");
		return;
	}
	if (format == LOG_FORMAT_JOURNALD) {
		puts_line(l, priorities[level]);
	} else {
		put_time(l, when);
		puts_line(l, " ");
	}
	puts_line(l, "level=");
	puts_line(l, names[level]);
}

size_t log_line(char *line, enum log_format format, struct timespec when,
	enum log_level level, const char *message,
	const struct log_field *fields, size_t n)
{
	struct line l = { .text = line, .max = LOG_LINE_MAX - TAIL };
	const struct log_field msg = log_text("msg", message);
	bool json = format == LOG_FORMAT_JSON;

	put_head(&l, format, when, level);
	put_field(&l, &msg, json);
	for (size_t i = 0; i < n && !l.full; i++)
		put_field(&l, &fields[i], json);
	l.max = LOG_LINE_MAX;
	if (l.full) {
		l.full = false;
		puts_line(&l, json ? ",\"cut\":true" : " cut=true");
	}
	puts_line(&l, json ? "}\n" : "\n");
	return l.len;
}
