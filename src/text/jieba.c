/* The dictionary and what is added to it; jieba_cut.c cuts. */
#include "text/jieba_private.h"

#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *default_path, *default_why;

void jieba_set_default(const char *path, const char *why)
{
	default_path = path;
	default_why = why;
}

int jieba_open_default(struct jieba **j, struct error *err)
{
	*j = NULL;
	if (default_path)
		return jieba_open(j, default_path, err);
	return error_set_param(err, ERROR_NOT_FOUND, "tokenizer",
		"the jieba tokenizer needs its compiled dictionary, "
		"jieba.dict: "
		"%s",
		default_why ? default_why : "nobody said where it is");
}

/* cp's letter is the next one. */
static int add_letter(struct jieba *j, uint32_t cp, struct error *err)
{
	uint16_t *page = &j->page[cp >> 8];
	uint16_t(*pages)[256];

	if (!*page) {
		pages = realloc(j->pages, (j->n_pages + 1) * sizeof(*pages));
		if (!pages)
			return error_set_memory(err, "letters", sizeof(*pages));
		memset(pages[j->n_pages], 0, sizeof(*pages));
		j->pages = pages;
		*page = (uint16_t)j->n_pages++;
	}
	j->pages[*page][cp & 0xff] = (uint16_t)++j->n_letters;
	return 0;
}

static int add_letters(struct jieba *j, const char *path, struct error *err)
{
	j->pages = calloc(1, sizeof(*j->pages));
	if (!j->pages)
		return error_set_memory(err, "letters", sizeof(*j->pages));
	j->n_pages = 1;
	for (uint32_t i = 0; i < j->file.header->n_letters; i++) {
		uint32_t cp = j->file.letters[i];

		if (jieba_letter(j, cp))
			return error_set(err, ERROR_CORRUPT,
				"%s: letter %u, U+%04X, is there twice", path,
				i, cp);
		if (add_letter(j, cp, err) < 0)
			return -1;
	}
	return 0;
}

static void set_total(struct jieba *j, uint64_t total)
{
	j->total = total;
	j->log_total = log((double)total);
}

static int take_logs(struct jieba *j, struct error *err)
{
	size_t n = j->file.header->n_frequencies;

	j->logs = malloc(n * sizeof(*j->logs));
	if (!j->logs)
		return error_set_memory(
			err, "logarithms", n * sizeof(*j->logs));
	j->logs[0] = 0;
	for (size_t i = 1; i < n; i++)
		j->logs[i] = log((double)j->file.frequencies[i]);
	set_total(j, j->file.header->total);
	return 0;
}

int jieba_open(struct jieba **j, const char *path, struct error *err)
{
	struct jieba *new = calloc(1, sizeof(*new));

	*j = NULL;
	if (!new)
		return error_set_memory(err, "jieba", sizeof(*new));
	jieba_user_init(&new->user);
	new->path = strdup(path);
	if (!new->path) {
		jieba_close(new);
		return error_set_memory(err, "path", strlen(path));
	}
	if (jieba_file_open(&new->file, path, err) < 0 ||
		add_letters(new, path, err) < 0 || take_logs(new, err) < 0) {
		jieba_close(new);
		return -1;
	}
	*j = new;
	return 0;
}

void jieba_close(struct jieba *j)
{
	if (!j)
		return;
	jieba_file_close(&j->file);
	jieba_user_release(&j->user);
	free(j->path);
	free(j->logs);
	free(j->pages);
	free(j);
}

const char *jieba_path(const struct jieba *j)
{
	return j->path;
}

uint64_t jieba_hash(const struct jieba *j)
{
	return j->file.header->content;
}

/* The unit of a word, or 0 (the root's). */
static uint32_t unit_of(
	const struct jieba *j, const uint16_t *letters, size_t n)
{
	uint32_t at = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t to = jieba_unit_base(j->file.units[at]) + letters[i];

		if (letters[i] > j->file.header->n_letters ||
			jieba_unit_parent(j->file.units[to]) != at)
			return 0;
		at = to;
	}
	return at;
}

int64_t jieba_frequency(
	const struct jieba *j, const uint16_t *letters, size_t n)
{
	uint32_t unit = unit_of(j, letters, n), node = 0;

	for (size_t i = 0; i < n && node != JIEBA_USER_NONE; i++)
		node = jieba_user_child(&j->user, node, letters[i]);
	if (node != JIEBA_USER_NONE && node && j->user.nodes[node].word)
		return (int64_t)j->user.nodes[node].frequency;
	if (unit)
		return (int64_t)j->file
			.frequencies[jieba_unit_frequency(j->file.units[unit])];
	return node && node != JIEBA_USER_NONE ? 0 : -1;
}

/* Letters of a word; with `add`, new ones too. *n is the count. */
static int spell(struct jieba *j, const char *word, size_t len, bool add,
	uint16_t letters[JIEBA_WORD_MAX], size_t *n, struct error *err)
{
	uint32_t cp;
	int next;

	for (*n = 0; len; word += next, len -= (size_t)next) {
		next = utf8_next(word, len, &cp);
		if (next <= 0)
			return error_set(err, ERROR_UNPROCESSABLE,
				"the word is not UTF-8");
		if (*n == JIEBA_WORD_MAX)
			return error_set(err, ERROR_TOO_LARGE,
				"a word of more than %u characters",
				JIEBA_WORD_MAX);
		if (!cp)
			return error_set(
				err, ERROR_INVALID, "a word with a NUL");
		if (add && !jieba_letter(j, cp)) {
			if (j->n_letters == JIEBA_LETTERS_MAX)
				return error_set(err, ERROR_TOO_LARGE,
					"more than %u different characters",
					JIEBA_LETTERS_MAX);
			if (add_letter(j, cp, err) < 0)
				return -1;
		}
		letters[(*n)++] = (uint16_t)jieba_letter(j, cp);
	}
	return *n ? 0 : error_set(err, ERROR_INVALID, "the word is empty");
}

struct suggestion {
	struct jieba *j;
	double frequency;
};

static int multiply(void *arg, const char *word, size_t len, struct error *err)
{
	struct suggestion *s = arg;
	uint16_t letters[JIEBA_WORD_MAX];
	int64_t frequency;
	size_t n;

	if (spell(s->j, word, len, false, letters, &n, err) < 0)
		return -1;
	frequency = jieba_frequency(s->j, letters, n);
	s->frequency *=
		(double)(frequency < 0 ? 1 : frequency) / (double)s->j->total;
	return 0;
}

/* suggest_freq(): enough for the word to win over its pieces. */
static int suggest(struct jieba *j, const char *word, size_t len,
	const uint16_t *letters, size_t n, uint64_t *frequency,
	struct error *err)
{
	struct suggestion s = { j, 1 };
	int64_t own = jieba_frequency(j, letters, n);

	if (jieba_cut(j, word, len, false, multiply, &s, err) < 0)
		return -1;
	*frequency = (uint64_t)(s.frequency * (double)j->total) + 1;
	if (own < 0)
		own = 1;
	if (*frequency < (uint64_t)own)
		*frequency = (uint64_t)own;
	return 0;
}

int jieba_add_word(struct jieba *j, const char *word, size_t len,
	uint64_t frequency, struct error *err)
{
	uint16_t letters[JIEBA_WORD_MAX];
	size_t n;

	if (spell(j, word, len, true, letters, &n, err) < 0)
		return -1;
	if (frequency == JIEBA_SUGGEST &&
		suggest(j, word, len, letters, n, &frequency, err) < 0)
		return -1;
	if (frequency > JIEBA_TOTAL_MAX - j->total)
		return error_set(err, ERROR_INVALID,
			"frequency %llu, expected 0 to %llu",
			(unsigned long long)frequency,
			(unsigned long long)(JIEBA_TOTAL_MAX - j->total));
	if (jieba_user_add(&j->user, letters, n, word, len, frequency, err) < 0)
		return -1;
	set_total(j, j->total + frequency);
	return 0;
}

size_t jieba_n_added(const struct jieba *j)
{
	return j->user.n_added;
}

struct jieba_added jieba_added(const struct jieba *j, size_t i)
{
	const struct jieba_user_word *w = &j->user.added[i];
	size_t start = i ? w[-1].end : 0;

	return (struct jieba_added){ j->user.words.data + start, w->end - start,
		w->frequency };
}
