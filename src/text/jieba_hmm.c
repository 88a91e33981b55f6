/* finalseg: a run of characters that are words by themselves is cut anew, by
 * the most probable sequence of states: begin, middle, end of a word, single.
 */
#include "text/jieba_private.h"

#include <string.h>

/* The two states that may come before one, by their letters: on a tie the
 * later wins. */
static const uint8_t before[JIEBA_STATES][2] = {
	[JIEBA_B] = { JIEBA_E, JIEBA_S },
	[JIEBA_E] = { JIEBA_B, JIEBA_M },
	[JIEBA_M] = { JIEBA_B, JIEBA_M },
	[JIEBA_S] = { JIEBA_E, JIEBA_S },
};

static const double *emissions(const struct jieba *j, uint16_t letter)
{
	return j->file
		.emissions[letter <= j->file.header->n_letters ? letter : 0];
}

/* One more letter; bit y of the result: the second of before[y] it was. */
static uint8_t step(
	const struct jieba *j, double v[JIEBA_STATES], const double *emission)
{
	const double(*t)[JIEBA_STATES] = j->file.transitions;
	double next[JIEBA_STATES];
	uint8_t second = 0;

	for (unsigned y = 0; y < JIEBA_STATES; y++) {
		const unsigned a = before[y][0], b = before[y][1];
		const double pa = v[a] + t[a][y] + emission[y];
		const double pb = v[b] + t[b][y] + emission[y];

		next[y] = pb >= pa ? pb : pa;
		second |= (uint8_t)((pb >= pa) << y);
	}
	memcpy(v, next, sizeof(next));
	return second;
}

/* states[i] becomes the state of letter i. */
static void viterbi(const struct jieba *j, const uint16_t *letters, size_t n,
	uint8_t *states)
{
	const double *emission = emissions(j, letters[0]);
	double v[JIEBA_STATES];
	uint8_t state, second;

	for (unsigned y = 0; y < JIEBA_STATES; y++)
		v[y] = j->file.start[y] + emission[y];
	for (size_t i = 1; i < n; i++)
		states[i] = step(j, v, emissions(j, letters[i]));
	state = v[JIEBA_S] >= v[JIEBA_E] ? JIEBA_S : JIEBA_E;
	for (size_t i = n - 1; i; i--) {
		second = states[i] >> state & 1;
		states[i] = state;
		state = before[state][second];
	}
	states[0] = state;
}

/* A word of n ideographs; what was forbidden once is given one by one. */
static int give(const struct jieba *j, const struct jieba_run *r, size_t begin,
	size_t n, jieba_sink *sink, void *arg, struct error *err)
{
	uint32_t node = 0;

	for (size_t i = 0; i < n && node != JIEBA_USER_NONE; i++)
		node = jieba_user_child(&j->user, node, r->letters[begin + i]);
	if (!j->user.n_nodes || node == JIEBA_USER_NONE ||
		!j->user.nodes[node].divided)
		return sink(arg, r->text + 3 * begin, 3 * n, err);
	for (size_t i = 0; i < n; i++)
		if (sink(arg, r->text + 3 * (begin + i), 3, err) < 0)
			return -1;
	return 0;
}

/* All of r are ideographs. */
static int cut_ideographs(const struct jieba *j, const struct jieba_run *r,
	jieba_sink *sink, void *arg, struct error *err)
{
	size_t begin = 0, next = 0;

	viterbi(j, r->letters, r->n, r->states);
	for (size_t i = 0; i < r->n; i++) {
		if (r->states[i] == JIEBA_B)
			begin = i;
		if (r->states[i] == JIEBA_S)
			begin = i;
		else if (r->states[i] != JIEBA_E)
			continue;
		if (give(j, r, begin, i + 1 - begin, sink, arg, err) < 0)
			return -1;
		next = i + 1;
	}
	return next < r->n ? give(j, r, next, r->n - next, sink, arg, err) : 0;
}

static size_t digits(const char *s, size_t len)
{
	size_t n = 0;

	while (n < len && s[n] >= '0' && s[n] <= '9')
		n++;
	return n;
}

/* Bytes of [a-zA-Z0-9]+(?:\.\d+)?%? at s, 0 where it doesn't match. */
static size_t ascii_word(const char *s, size_t len)
{
	size_t n = 0, fraction;

	while (n < len && jieba_is_alnum(s[n]))
		n++;
	if (n && n < len && s[n] == '.') {
		fraction = digits(s + n + 1, len - n - 1);
		n += fraction ? 1 + fraction : 0;
	}
	return n && n < len && s[n] == '%' ? n + 1 : n;
}

/* All of s is ASCII: words, and what is between them, each in one piece. */
static int cut_ascii(const char *s, size_t len, jieba_sink *sink, void *arg,
	struct error *err)
{
	size_t begin = 0, n;

	for (size_t i = 0; i < len; i = begin) {
		while (i < len && !jieba_is_alnum(s[i]))
			i++;
		if (i > begin && sink(arg, s + begin, i - begin, err) < 0)
			return -1;
		n = ascii_word(s + i, len - i);
		if (n && sink(arg, s + i, n, err) < 0)
			return -1;
		begin = i + n;
	}
	return 0;
}

int jieba_recognise(const struct jieba *j, const struct jieba_run *r,
	jieba_sink *sink, void *arg, struct error *err)
{
	struct jieba_run part = *r;
	const char *end = r->text + r->len;

	for (size_t i = 0; i < r->n; i += part.n, part.text += part.len) {
		size_t bytes = jieba_char_bytes(*part.text);

		part.letters = r->letters + i;
		part.n = 1;
		part.len = bytes;
		while (part.text + part.len < end &&
			jieba_char_bytes(part.text[part.len]) == bytes) {
			part.n++;
			part.len += bytes;
		}
		if ((bytes == 1 ? cut_ascii(part.text, part.len, sink, arg, err)
				: cut_ideographs(j, &part, sink, arg, err)) < 0)
			return -1;
	}
	return 0;
}
