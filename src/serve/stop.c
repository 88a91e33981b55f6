#include "serve/stop.h"

#include <stdlib.h>
#include <string.h>

int stop_strings_init(
	struct stop_strings *s, const char *const *strings, size_t n)
{
	size_t total = 0, at = 0;

	*s = (struct stop_strings){ .n = n };
	if (!n)
		return 0;
	for (size_t i = 0; i < n; i++)
		total += strlen(strings[i]);
	s->text = malloc(total + 1);
	s->lengths = malloc(n * sizeof(*s->lengths));
	if (!s->text || !s->lengths) {
		stop_strings_release(s);
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		s->lengths[i] = strlen(strings[i]);
		memcpy(s->text + at, strings[i], s->lengths[i]);
		at += s->lengths[i];
		if (s->lengths[i] > s->longest)
			s->longest = s->lengths[i];
	}
	return 0;
}

void stop_strings_release(struct stop_strings *s)
{
	free(s->text);
	free(s->lengths);
	*s = (struct stop_strings){ 0 };
}

/* The first place where `stop` stands whole in text, or begins at its end;
 * *whole tells which. len when there is neither. */
static size_t find(const char *text, size_t len, const char *stop,
	size_t stop_len, bool *whole)
{
	for (size_t i = 0; i < len; i++) {
		size_t n = len - i < stop_len ? len - i : stop_len;

		if (memcmp(text + i, stop, n) != 0)
			continue;
		*whole = n == stop_len;
		return i;
	}
	*whole = false;
	return len;
}

size_t stop_scan(
	const struct stop_strings *s, const struct buf *held, bool *found)
{
	const char *stop = s->text;
	size_t first = held->len, first_whole = held->len;
	bool whole;

	*found = false;
	for (size_t i = 0; i < s->n; stop += s->lengths[i++]) {
		size_t at = find(
			held->data, held->len, stop, s->lengths[i], &whole);

		if (whole && at < first_whole)
			first_whole = at;
		if (at < first)
			first = at;
	}
	/* One that is whole ends the text now, even where a longer one had
	 * begun before it. */
	*found = first_whole < held->len;
	return *found ? first_whole : first;
}
