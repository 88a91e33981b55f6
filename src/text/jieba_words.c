#include "text/jieba_words.h"

#include "base/file.h"
#include "base/utf8.h"
#include "text/jieba.h"
#include "text/jieba_file.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (256u << 20)

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static int wrong(
	const char *path, uint32_t line, const char *what, struct error *err)
{
	return error_set(err, ERROR_INVALID,
		"%s:%u: %s, expected a word, a space and a frequency", path,
		line, what);
}

/* The number at s, which a space or the end of the line follows. */
static int read_frequency(const char *s, const char *end, uint64_t *frequency)
{
	if (s == end || *s == ' ')
		return -1;
	for (*frequency = 0; s < end && *s != ' '; s++) {
		if (*s < '0' || *s > '9')
			return -1;
		*frequency = *frequency * 10 + (uint64_t)(*s - '0');
		if (*frequency > JIEBA_TOTAL_MAX)
			return -1;
	}
	return 0;
}

static int read_line(struct jieba_entry *e, const char *s, const char *end,
	const char *path, struct error *err)
{
	const char *space;

	while (s < end && is_space(*s))
		s++;
	while (s < end && is_space(end[-1]))
		end--;
	space = memchr(s, ' ', (size_t)(end - s));
	if (!space || space == s)
		return wrong(path, e->line, "no word or no frequency", err);
	e->word = s;
	e->len = (uint32_t)(space - s);
	if (utf8_valid_prefix(s, e->len, NULL) < e->len ||
		memchr(s, '\0', e->len))
		return wrong(path, e->line, "not UTF-8, or a NUL", err);
	if (utf8_count(s, e->len) > JIEBA_WORD_MAX)
		return error_set(err, ERROR_TOO_LARGE,
			"%s:%u: a word of %zu characters, expected at most %u",
			path, e->line, utf8_count(s, e->len), JIEBA_WORD_MAX);
	if (read_frequency(space + 1, end, &e->frequency) < 0)
		return wrong(path, e->line, "no such frequency", err);
	return 0;
}

static int add_entry(struct jieba_words *w, size_t *cap,
	const struct jieba_entry *e, struct error *err)
{
	struct jieba_entry *more;

	if (w->n == *cap) {
		*cap = *cap ? 2 * *cap : 1u << 16;
		more = realloc(w->entries, *cap * sizeof(*more));
		if (!more)
			return error_set_memory(
				err, "words", *cap * sizeof(*more));
		w->entries = more;
	}
	w->entries[w->n++] = *e;
	return 0;
}

static int read_lines(
	struct jieba_words *w, size_t len, const char *path, struct error *err)
{
	const char *end = w->text + len, *eol;
	struct jieba_entry e = { 0 };
	size_t cap = 0;

	for (const char *s = w->text; s < end; s = eol + 1) {
		eol = memchr(s, '\n', (size_t)(end - s));
		if (!eol)
			eol = end;
		e.line++;
		if (read_line(&e, s, eol, path, err) < 0 ||
			add_entry(w, &cap, &e, err) < 0)
			return -1;
		w->total += e.frequency;
		if (w->total > JIEBA_TOTAL_MAX)
			return wrong(path, e.line,
				"the frequencies' sum is over 2^53", err);
	}
	if (!w->total)
		return error_set(err, ERROR_INVALID,
			"%s: no word with a frequency", path);
	return 0;
}

static int by_word(const void *a, const void *b)
{
	const struct jieba_entry *x = a, *y = b;
	size_t n = x->len < y->len ? x->len : y->len;
	int order = memcmp(x->word, y->word, n);

	if (!order)
		order = (x->len > y->len) - (x->len < y->len);
	return order ? order : (x->line > y->line) - (x->line < y->line);
}

/* Of a word that is there twice the last frequency counts. */
static void keep_last(struct jieba_words *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++) {
		const struct jieba_entry *e = &w->entries[i], *next = e + 1;

		if (i + 1 == w->n || next->len != e->len ||
			memcmp(next->word, e->word, e->len) != 0)
			w->entries[n++] = *e;
	}
	w->n = n;
}

int jieba_words_read(struct jieba_words *w, const char *path, struct error *err)
{
	size_t len;

	*w = (struct jieba_words){ 0 };
	if (file_read(path, FILE_MAX, &w->text, &len, err) < 0)
		return -1;
	if (read_lines(w, len, path, err) < 0) {
		jieba_words_release(w);
		return -1;
	}
	qsort(w->entries, w->n, sizeof(*w->entries), by_word);
	keep_last(w);
	return 0;
}

void jieba_words_release(struct jieba_words *w)
{
	free(w->text);
	free(w->entries);
	*w = (struct jieba_words){ 0 };
}
