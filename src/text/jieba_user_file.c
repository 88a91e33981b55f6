/* A user's dictionary, as load_userdict() reads it: lines that match
 * ^(.+?)( [0-9]+)?( [a-z]+)?$ */
#include "text/jieba.h"

#include "base/file.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

#define FILE_MAX (64u << 20)

/* The end of line that is a space and then characters of low to high: where
 * the space is, or end. One character at least is left to the word. */
static const char *suffix(
	const char *line, const char *end, char low, char high)
{
	const char *s = end;

	while (s > line && s[-1] >= low && s[-1] <= high)
		s--;
	return s < end && s - 1 > line && s[-1] == ' ' ? s - 1 : end;
}

static int number(
	const char *s, const char *end, uint64_t *value, struct error *err)
{
	for (*value = 0; s < end; s++) {
		*value = *value * 10 + (uint64_t)(*s - '0');
		if (*value > 1ull << 53)
			return error_set(
				err, ERROR_INVALID, "frequency over 2^53");
	}
	return 0;
}

static int add_line(
	struct jieba *j, const char *line, const char *end, struct error *err)
{
	const char *tag = suffix(line, end, 'a', 'z');
	const char *word_end = suffix(line, tag, '0', '9');
	uint64_t frequency = JIEBA_SUGGEST;

	if (word_end < tag && number(word_end + 1, tag, &frequency, err) < 0)
		return -1;
	return jieba_add_word(
		j, line, (size_t)(word_end - line), frequency, err);
}

static int read_line(
	struct jieba *j, const char *line, const char *end, struct error *err)
{
	static const char space[] = " \t\n\v\f\r";

	while (line < end && memchr(space, *line, sizeof(space) - 1))
		line++;
	while (line < end && memchr(space, end[-1], sizeof(space) - 1))
		end--;
	if (utf8_valid_prefix(line, (size_t)(end - line), NULL) <
		(size_t)(end - line))
		return error_set(err, ERROR_INVALID, "not UTF-8");
	while (end - line >= 3 && !memcmp(line, "\xef\xbb\xbf", 3))
		line += 3;
	return line < end ? add_line(j, line, end, err) : 0;
}

int jieba_load_user_dictionary(
	struct jieba *j, const char *path, struct error *err)
{
	const char *end, *eol;
	unsigned number_of_line = 1;
	char *text;
	size_t len;
	int rc = 0;

	if (file_read(path, FILE_MAX, &text, &len, err) < 0)
		return -1;
	end = text + len;
	for (const char *s = text; s < end && rc == 0; s = eol + 1) {
		eol = memchr(s, '\n', (size_t)(end - s));
		if (!eol)
			eol = end;
		rc = read_line(j, s, eol, err);
		if (rc < 0)
			error_prefix(err, "%s:%u", path, number_of_line);
		number_of_line++;
	}
	free(text);
	return rc;
}
