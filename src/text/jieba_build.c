#include "text/jieba_build.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/utf8.h"
#include "text/jieba.h"
#include "text/jieba_file.h"
#include "text/jieba_model.h"
#include "text/jieba_trie.h"
#include "text/jieba_words.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define CODE_POINTS 0x110000u

struct build {
	struct jieba_words words;
	struct jieba_model model;
	uint32_t *letter_of; /* [CODE_POINTS] owned; 0: none */
	uint32_t *letters;   /* [n_letters] owned: code points */
	uint32_t n_letters;
	uint64_t *frequencies; /* [n_frequencies] owned, ascending from 0 */
	size_t n_frequencies;
	struct jieba_trie trie;
	uint64_t *units; /* [n_units] owned */
	size_t n_units;
};

static uint32_t code_point(const char *s, size_t len, size_t *i)
{
	uint32_t cp = 0;
	int n = utf8_next(s + *i, len - *i, &cp);

	*i += n > 0 ? (size_t)n : len - *i;
	return cp;
}

struct use {
	uint32_t cp, count;
};

static int most_used_first(const void *a, const void *b)
{
	const struct use *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return (x->cp > y->cp) - (x->cp < y->cp);
}

/* letter_of counts uses, plus one. */
static void count_uses(struct build *b)
{
	for (size_t k = 0; k < b->model.n; k++)
		b->letter_of[b->model.emissions[k].cp] = 1;
	for (size_t k = 0; k < b->words.n; k++) {
		const struct jieba_entry *e = &b->words.entries[k];

		for (size_t i = 0; i < e->len;) {
			uint32_t cp = code_point(e->word, e->len, &i);

			b->letter_of[cp] += b->letter_of[cp] ? 1 : 2;
		}
	}
}

/* Letters are numbered by how often words use them: children of a node are
 * then close to each other. */
static int number_letters(struct build *b, struct error *err)
{
	struct use *uses = NULL;
	size_t n = 0;

	b->letter_of = calloc(CODE_POINTS, sizeof(*b->letter_of));
	if (!b->letter_of)
		return error_set_memory(
			err, "letters", CODE_POINTS * sizeof(*b->letter_of));
	count_uses(b);
	for (uint32_t cp = 0; cp < CODE_POINTS; cp++)
		n += b->letter_of[cp] != 0;
	if (n > JIEBA_LETTERS_MAX)
		return error_set(err, ERROR_TOO_LARGE,
			"%zu different characters, expected at most %u", n,
			JIEBA_LETTERS_MAX);
	uses = malloc(n * sizeof(*uses));
	b->letters = malloc(n * sizeof(*b->letters));
	if (!uses || !b->letters) {
		free(uses);
		return error_set_memory(err, "letters", n * sizeof(*uses));
	}
	for (uint32_t cp = 0; cp < CODE_POINTS; cp++)
		if (b->letter_of[cp])
			uses[b->n_letters++] =
				(struct use){ cp, b->letter_of[cp] };
	qsort(uses, n, sizeof(*uses), most_used_first);
	for (uint32_t i = 0; i < n; i++) {
		b->letters[i] = uses[i].cp;
		b->letter_of[uses[i].cp] = i + 1;
	}
	free(uses);
	return 0;
}

static int ascending(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int list_frequencies(struct build *b, struct error *err)
{
	size_t n = 1;
	uint64_t *f = malloc((b->words.n + 1) * sizeof(*f));

	b->frequencies = f;
	if (!f)
		return error_set_memory(
			err, "frequencies", b->words.n * sizeof(*f));
	f[0] = 0;
	for (size_t i = 0; i < b->words.n; i++)
		f[i + 1] = b->words.entries[i].frequency;
	qsort(f, b->words.n + 1, sizeof(*f), ascending);
	for (size_t i = 1; i <= b->words.n; i++)
		if (f[i] != f[n - 1])
			f[n++] = f[i];
	b->n_frequencies = n;
	if (n > JIEBA_FREQUENCIES_MAX)
		return error_set(err, ERROR_TOO_LARGE,
			"%zu different frequencies, expected at most %u", n,
			JIEBA_FREQUENCIES_MAX);
	return 0;
}

static uint16_t index_of(const struct build *b, uint64_t frequency)
{
	const uint64_t *at = bsearch(&frequency, b->frequencies,
		b->n_frequencies, sizeof(frequency), ascending);

	return (uint16_t)(at - b->frequencies);
}

/* Words come sorted: what one shares with the one before it is there. */
static int grow_trie(struct build *b, struct error *err)
{
	uint32_t path[JIEBA_WORD_MAX + 1] = { 0 }, cps[JIEBA_WORD_MAX] = { 0 };
	size_t depth = 0, d;

	if (jieba_trie_add(&b->trie, 0, 0, &path[0], err) < 0)
		return -1;
	for (size_t k = 0; k < b->words.n; k++) {
		const struct jieba_entry *e = &b->words.entries[k];
		bool shared = true;

		d = 0;
		for (size_t i = 0; i < e->len; d++) {
			uint32_t cp = code_point(e->word, e->len, &i);

			shared = shared && d < depth && cps[d] == cp;
			if (!shared && jieba_trie_add(&b->trie, path[d],
					       b->letter_of[cp], &path[d + 1],
					       err) < 0)
				return -1;
			cps[d] = cp;
		}
		depth = d;
		b->trie.nodes[path[d]].frequency = index_of(b, e->frequency);
	}
	return 0;
}

/* The words and numbers, whatever way a file lays them out. */
static uint64_t hash_content(const struct build *b)
{
	XXH3_state_t *h = XXH3_createState();
	uint64_t hash;

	if (!h)
		return 0;
	XXH3_64bits_reset(h);
	for (size_t i = 0; i < b->words.n; i++) {
		const struct jieba_entry *e = &b->words.entries[i];

		XXH3_64bits_update(h, e->word, e->len);
		XXH3_64bits_update(h, "", 1);
		XXH3_64bits_update(h, &e->frequency, sizeof(e->frequency));
	}
	XXH3_64bits_update(h, &b->words.total, sizeof(b->words.total));
	XXH3_64bits_update(h, b->model.start, sizeof(b->model.start));
	XXH3_64bits_update(
		h, b->model.transitions, sizeof(b->model.transitions));
	for (size_t i = 0; i < b->model.n; i++) {
		const struct jieba_emission *e = &b->model.emissions[i];

		XXH3_64bits_update(h, &e->cp, sizeof(e->cp));
		XXH3_64bits_update(h, e->log, sizeof(e->log));
	}
	hash = XXH3_64bits_digest(h);
	XXH3_freeState(h);
	return hash;
}

static int append_emissions(const struct build *b, struct buf *out)
{
	static const double none[JIEBA_STATES] = { JIEBA_MIN_FLOAT,
		JIEBA_MIN_FLOAT, JIEBA_MIN_FLOAT, JIEBA_MIN_FLOAT };
	size_t at = out->len;
	const struct jieba_emission *e;

	for (uint32_t i = 0; i <= b->n_letters; i++)
		if (buf_append(out, none, sizeof(none)) < 0)
			return -1;
	for (size_t i = 0; i < b->model.n; i++) {
		e = &b->model.emissions[i];
		memcpy(out->data + at + b->letter_of[e->cp] * sizeof(e->log),
			e->log, sizeof(e->log));
	}
	return 0;
}

static int lay_out(const struct build *b, struct buf *out, struct error *err)
{
	struct jieba_header h = { .magic = JIEBA_MAGIC,
		.version = JIEBA_VERSION,
		.byte_order = JIEBA_BYTE_ORDER,
		.content = hash_content(b),
		.total = b->words.total,
		.n_letters = b->n_letters,
		.n_units = (uint32_t)b->n_units,
		.n_frequencies = (uint32_t)b->n_frequencies };

	h.bytes = jieba_file_bytes(&h);
	buf_init(out, h.bytes);
	if (!h.content || buf_append(out, &h, sizeof(h)) < 0 ||
		buf_append(out, b->units, 8 * b->n_units) < 0 ||
		buf_append(out, b->frequencies, 8 * b->n_frequencies) < 0 ||
		buf_append(out, b->model.start, sizeof(b->model.start)) < 0 ||
		buf_append(out, b->model.transitions,
			sizeof(b->model.transitions)) < 0 ||
		append_emissions(b, out) < 0 ||
		buf_append(out, b->letters, 4 * (size_t)b->n_letters) < 0)
		return error_set_memory(err, "dictionary", h.bytes);
	h.checksum = jieba_file_checksum(out->data, out->len);
	memcpy(out->data, &h, sizeof(h));
	return 0;
}

static int write_file(
	const struct buf *file, const char *path, struct error *err)
{
	struct file_writer w;

	if (file_writer_open(&w, path, 0644, err) < 0)
		return -1;
	if (file_writer_write(&w, file->data, file->len, err) < 0) {
		file_writer_abort(&w);
		return -1;
	}
	return file_writer_commit(&w, err);
}

static int build(struct build *b, const struct jieba_sources *from,
	struct buf *file, struct error *err)
{
	if (jieba_words_read(&b->words, from->words, err) < 0 ||
		jieba_model_read(&b->model, from->model, err) < 0)
		return -1;
	if (number_letters(b, err) < 0 || list_frequencies(b, err) < 0 ||
		grow_trie(b, err) < 0 ||
		jieba_trie_place(&b->trie, b->n_letters, &b->units, &b->n_units,
			err) < 0)
		return error_prefix(err, "%s", from->words);
	return lay_out(b, file, err);
}

int jieba_build(const struct jieba_sources *from, const char *path,
	struct jieba_built *built, struct error *err)
{
	struct build b = { 0 };
	struct buf file = { 0 };
	int rc = build(&b, from, &file, err);

	if (rc == 0)
		rc = write_file(&file, path, err);
	if (rc == 0)
		*built = (struct jieba_built){ b.words.n, b.n_letters,
			b.n_units, file.len,
			((const struct jieba_header *)file.data)->content };
	buf_release(&file);
	jieba_words_release(&b.words);
	jieba_model_release(&b.model);
	jieba_trie_release(&b.trie);
	free(b.letter_of);
	free(b.letters);
	free(b.frequencies);
	free(b.units);
	return rc;
}
