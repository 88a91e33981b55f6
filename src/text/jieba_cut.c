/*
 * cut(): the text in blocks of what words are made of and what lies between
 * them; a block by the most probable way through its words, of which each
 * character knows the best one that starts there. Sums go from the end of the
 * block to its start, in python-jieba's order: ties are decided by their last
 * bits.
 */
#include "text/jieba_private.h"

#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RING 512u /* routes that a word may end at: more than WORD_MAX */

struct block {
	const char *text;
	size_t len;
	size_t n;	   /* characters */
	uint16_t *letters; /* [cap] owned, as the two below */
	uint8_t *words;	   /* [cap] characters of the best word from here */
	uint8_t *states;   /* [cap] of the hidden Markov model */
	size_t cap;
};

struct cutter {
	const struct jieba *j;
	const char *text; /* [len] all of it */
	size_t len;
	struct block block;
	bool hmm;
	jieba_sink *sink;
	void *arg;
};

/* ASCII of re_han_default, [a-zA-Z0-9+#&._%-]. */
static const bool block_ascii[128] = { ['+'] = true,
	['#'] = true,
	['&'] = true,
	['.'] = true,
	['_'] = true,
	['%'] = true,
	['-'] = true,
	['0' ... '9'] = true,
	['A' ... 'Z'] = true,
	['a' ... 'z'] = true };

/* Bytes of a character of a block at s, 0 for any other: ASCII, or U+4E00 to
 * U+9FD5, E4 B8 80 to E9 BF 95. */
static size_t block_char(const char *text, size_t len, uint32_t *cp)
{
	const uint8_t *s = (const uint8_t *)text;

	if (!len)
		return 0;
	*cp = s[0];
	if (s[0] < 0x80)
		return block_ascii[s[0]];
	if (s[0] < 0xe4 || s[0] > 0xe9 || len < 3 || (s[1] & 0xc0) != 0x80 ||
		(s[2] & 0xc0) != 0x80)
		return 0;
	*cp = (s[0] & 15u) << 12 | (s[1] & 63u) << 6 | (s[2] & 63u);
	return *cp >= 0x4e00 && *cp <= 0x9fd5 ? 3 : 0;
}

static int grow(struct block *b, struct error *err)
{
	size_t cap = b->cap ? 4 * b->cap : 1024;
	uint16_t *letters = realloc(b->letters, cap * sizeof(*letters));
	uint8_t *words, *states;

	if (letters)
		b->letters = letters;
	words = realloc(b->words, cap);
	if (words)
		b->words = words;
	states = realloc(b->states, cap);
	if (states)
		b->states = states;
	if (!letters || !words || !states)
		return error_set_memory(err, "block of text", 4 * cap);
	b->cap = cap;
	return 0;
}

/* The block that begins at text. */
static int read_block(
	struct cutter *c, const char *text, size_t len, struct error *err)
{
	struct block *b = &c->block;
	uint32_t cp;
	size_t n;

	b->text = text;
	b->len = b->n = 0;
	while (b->n < JIEBA_BLOCK_MAX &&
		(n = block_char(text + b->len, len - b->len, &cp))) {
		if (b->n == b->cap && grow(b, err) < 0)
			return -1;
		b->letters[b->n++] = (uint16_t)jieba_letter(c->j, cp);
		b->len += n;
	}
	return 0;
}

struct best {
	double route; /* log-probability from here to the end of the block */
	uint8_t n;    /* characters of the word */
};

/* As max() of (route, end): on a tie the longer word. */
static void offer(struct best *best, double route, size_t n)
{
	if (route >= best->route || !best->n)
		*best = (struct best){ route, (uint8_t)n };
}

static struct best best_word(const struct jieba *j, const uint16_t *letters,
	size_t n, const double *routes, size_t at)
{
	const uint64_t *units = j->file.units;
	const double log_total = j->log_total;
	struct best best = { 0 };
	uint64_t unit = units[0];
	uint32_t from = 0, to;

	for (size_t i = 0; i < n && jieba_unit_base(unit); i++) {
		to = jieba_unit_base(unit) + letters[i];
		unit = units[to];
		if (jieba_unit_parent(unit) != from)
			break;
		from = to;
		if (jieba_unit_frequency(unit))
			offer(&best,
				j->logs[jieba_unit_frequency(unit)] -
					log_total + routes[(at + i + 1) % RING],
				i + 1);
	}
	if (!best.n)
		best = (struct best){ 0.0 - log_total + routes[(at + 1) % RING],
			1 };
	return best;
}

/* The same where a user's words lie over the dictionary's. */
static struct best best_word_of_both(const struct jieba *j,
	const uint16_t *letters, size_t n, const double *routes, size_t at)
{
	const uint64_t *units = j->file.units;
	struct best best = { 0 };
	uint32_t unit = 0, node = 0, to;
	bool in_units = true;

	for (size_t i = 0; i < n; i++) {
		const struct jieba_user_node *own = NULL;
		uint32_t index = 0;

		to = jieba_unit_base(units[unit]) + letters[i];
		in_units = in_units &&
			   letters[i] <= j->file.header->n_letters &&
			   jieba_unit_parent(units[to]) == unit;
		if (in_units) {
			unit = to;
			index = jieba_unit_frequency(units[unit]);
		}
		if (node != JIEBA_USER_NONE)
			node = jieba_user_child(&j->user, node, letters[i]);
		if (node != JIEBA_USER_NONE)
			own = &j->user.nodes[node];
		else if (!in_units)
			break;
		if (own && own->word ? own->frequency : index)
			offer(&best,
				(own && own->word ? own->log : j->logs[index]) -
					j->log_total +
					routes[(at + i + 1) % RING],
				i + 1);
	}
	if (!best.n)
		best = (struct best){
			0.0 - j->log_total + routes[(at + 1) % RING], 1
		};
	return best;
}

static void find_words(const struct jieba *j, struct block *b)
{
	const bool plain =
		!j->user.n_nodes && j->n_letters == j->file.header->n_letters;
	double routes[RING];
	struct best best;
	size_t n;

	routes[b->n % RING] = 0;
	for (size_t i = b->n; i-- > 0;) {
		n = b->n - i < JIEBA_WORD_MAX ? b->n - i : JIEBA_WORD_MAX;
		best = plain ? best_word(j, b->letters + i, n, routes, i)
			     : best_word_of_both(
				       j, b->letters + i, n, routes, i);
		routes[i % RING] = best.route;
		b->words[i] = best.n;
	}
}

/* n characters from `text` on, each by itself. */
static int give_each(
	const struct cutter *c, const char *text, size_t n, struct error *err)
{
	for (size_t len; n--; text += len) {
		len = jieba_char_bytes(*text);
		if (c->sink(c->arg, text, len, err) < 0)
			return -1;
	}
	return 0;
}

/* Characters that were words by themselves, from letter `first` on. */
static int give_run(struct cutter *c, size_t first, size_t n, const char *text,
	size_t len, struct error *err)
{
	struct block *b = &c->block;
	struct jieba_run run = { text, len, b->letters + first, n,
		b->states + first };

	if (!n)
		return 0;
	if (!c->hmm || n == 1)
		return c->sink(c->arg, text, len, err);
	if (jieba_frequency(c->j, run.letters, n) > 0)
		return give_each(c, text, n, err);
	return jieba_recognise(c->j, &run, c->sink, c->arg, err);
}

/* With the model, single characters wait for what follows them; without, only
 * letters and digits do, and are one word. */
static bool joins(const struct cutter *c, size_t n, const char *text)
{
	return n == 1 && (c->hmm || jieba_is_alnum(*text));
}

static int give_block(struct cutter *c, struct error *err)
{
	const struct block *b = &c->block;
	const char *text = b->text, *run = text;
	size_t n_run = 0, n, len;

	for (size_t i = 0; i < b->n; i += n) {
		n = b->words[i];
		len = 0;
		for (size_t k = 0; k < n; k++)
			len += jieba_char_bytes(text[len]);
		if (joins(c, n, text)) {
			n_run++;
			text += len;
			continue;
		}
		if (give_run(c, i - n_run, n_run, run, (size_t)(text - run),
			    err) < 0 ||
			c->sink(c->arg, text, len, err) < 0)
			return -1;
		text += len;
		run = text;
		n_run = 0;
	}
	return give_run(c, b->n - n_run, n_run, run, (size_t)(text - run), err);
}

/* What is no block: each character a word, and CR LF together. */
static int give_other(struct cutter *c, const char *text, size_t len,
	size_t *taken, struct error *err)
{
	uint32_t cp;
	int n = utf8_next(text, len, &cp);

	if (n == UTF8_CUT || n == UTF8_INVALID)
		return utf8_check(c->text, c->len, err);
	if (len > 1 && text[0] == '\r' && text[1] == '\n')
		n = 2;
	*taken = (size_t)n;
	return c->sink(c->arg, text, (size_t)n, err);
}

static int cut(struct cutter *c, struct error *err)
{
	size_t taken;

	for (size_t i = 0; i < c->len; i += taken) {
		const char *text = c->text + i;
		size_t len = c->len - i;

		if (read_block(c, text, len, err) < 0)
			return -1;
		taken = c->block.len;
		if (taken) {
			find_words(c->j, &c->block);
			if (give_block(c, err) < 0)
				return -1;
		} else if (give_other(c, text, len, &taken, err) < 0) {
			return -1;
		}
	}
	return 0;
}

int jieba_cut(const struct jieba *j, const char *text, size_t len, bool hmm,
	jieba_sink *sink, void *arg, struct error *err)
{
	struct cutter c = { .j = j,
		.text = text,
		.len = len,
		.hmm = hmm,
		.sink = sink,
		.arg = arg };
	int rc = cut(&c, err);

	free(c.block.letters);
	free(c.block.words);
	free(c.block.states);
	return rc;
}

/* Bytes of the block's character that ends at len, or 0. */
static size_t block_char_before(const char *text, size_t len)
{
	uint32_t cp;

	if (len && (unsigned char)text[len - 1] < 0x80)
		return block_char(text + len - 1, 1, &cp);
	return len >= 3 && block_char(text + len - 3, 3, &cp) == 3 ? 3 : 0;
}

/* Without the bytes of a code point that is cut at the end. */
static size_t whole(const char *text, size_t len)
{
	uint32_t cp;

	for (size_t back = 1; back < UTF8_MAX && back <= len; back++)
		if ((uint8_t)text[len - back] >= 0xc0)
			return utf8_next(text + len - back, back, &cp) ==
					       UTF8_CUT
				       ? len - back
				       : len;
	return len;
}

size_t jieba_boundary(const char *text, size_t len)
{
	size_t begin, characters = 0, n;

	len = whole(text, len);
	if (len && text[len - 1] == '\r')
		return len - 1;
	for (begin = len; (n = block_char_before(text, begin)); begin -= n)
		characters++;
	/* Where a block that is too long is cut. */
	characters -= characters % JIEBA_BLOCK_MAX;
	while (characters--)
		begin += jieba_char_bytes(text[begin]);
	return begin;
}
