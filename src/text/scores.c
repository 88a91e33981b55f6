#include "text/scores.h"

#include "text/vocabulary.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ORDERS 4
#define SIGMA 6.0
#define BETA 1.2
/* What COCO's code adds to BLEU's counts. */
#define TINY 1e-15
#define SMALL 1e-9

/* One to four words: ids from 1 on, then zeros. */
struct gram {
	uint32_t words[ORDERS];
	double count; /* in its sentence, or sentences that have it */
};

struct sentence {
	uint32_t *words; /* [n] owned */
	size_t n;
	struct gram *grams; /* [n_grams] owned, sorted, each once */
	size_t n_grams;
};

/* A candidate and its references. */
struct item {
	struct sentence candidate, *references;
	size_t n;
};

struct measure {
	struct item *items;
	size_t n;
	struct string_table words;
	struct gram *frequency; /* sorted: in how many items' references */
	size_t n_frequency;
};

static int compare(const void *a, const void *b)
{
	const struct gram *x = a, *y = b;

	for (size_t i = 0; i < ORDERS; i++)
		if (x->words[i] != y->words[i])
			return x->words[i] < y->words[i] ? -1 : 1;
	return 0;
}

static size_t order_of(const struct gram *g)
{
	size_t n = 0;

	while (n < ORDERS && g->words[n])
		n++;
	return n;
}

/* Equal ones become one, their counts added. */
static size_t merge(struct gram *grams, size_t n)
{
	size_t kept = 0;

	qsort(grams, n, sizeof(*grams), compare);
	for (size_t i = 0; i < n; i++)
		if (kept && !compare(&grams[kept - 1], &grams[i]))
			grams[kept - 1].count += grams[i].count;
		else
			grams[kept++] = grams[i];
	return kept;
}

static const struct gram *find(
	const struct gram *grams, size_t n, const struct gram *g)
{
	return n ? bsearch(g, grams, n, sizeof(*grams), compare) : NULL;
}

/* The next word, cleaned, into out; its length, 0 at the end. */
static size_t next_word(const char **text, char *out)
{
	size_t n = 0;

	for (; **text; ++*text) {
		unsigned char c = (unsigned char)**text;

		if (isspace(c) && n)
			break;
		if (!isspace(c) && !ispunct(c))
			out[n++] = (char)tolower(c);
	}
	return n;
}

static int read_words(struct measure *m, struct sentence *s, const char *text,
	struct error *err)
{
	const size_t len = strlen(text);
	char *word = malloc(len + 1);
	size_t n;

	s->words = calloc(len / 2 + 2, sizeof(*s->words));
	if (!s->words || !word) {
		free(word);
		return error_set_memory(err, "words", len);
	}
	while ((n = next_word(&text, word))) {
		uint32_t id = string_table_add(
			&m->words, word, n, VOCABULARY_MAX_COUNTED, err);

		if (id == VOCABULARY_NONE) {
			free(word);
			return -1;
		}
		s->words[s->n++] = id + 1;
	}
	free(word);
	return 0;
}

static int sentence_open(struct measure *m, struct sentence *s,
	const char *text, struct error *err)
{
	if (read_words(m, s, text, err) < 0)
		return -1;
	s->grams = calloc(ORDERS * s->n + 1, sizeof(*s->grams));
	if (!s->grams)
		return error_set_memory(
			err, "n-grams", ORDERS * s->n * sizeof(*s->grams));
	for (size_t order = 1; order <= ORDERS; order++)
		for (size_t i = 0; i + order <= s->n; i++) {
			struct gram *g = &s->grams[s->n_grams++];

			memcpy(g->words, s->words + i,
				order * sizeof(*g->words));
			g->count = 1;
		}
	s->n_grams = merge(s->grams, s->n_grams);
	return 0;
}

static void sentence_release(struct sentence *s)
{
	free(s->words);
	free(s->grams);
}

static void measure_release(struct measure *m)
{
	for (size_t i = 0; m->items && i < m->n; i++) {
		struct item *item = &m->items[i];

		sentence_release(&item->candidate);
		for (size_t r = 0; item->references && r < item->n; r++)
			sentence_release(&item->references[r]);
		free(item->references);
	}
	free(m->items);
	free(m->frequency);
	string_table_release(&m->words);
}

static int open_item(struct measure *m, struct item *item,
	const struct scored *from, struct error *err)
{
	item->references = calloc(from->n_references, sizeof(struct sentence));
	if (!item->references)
		return error_set_memory(err, "references", from->n_references);
	item->n = from->n_references;
	if (sentence_open(m, &item->candidate, from->candidate, err) < 0)
		return -1;
	for (size_t r = 0; r < item->n; r++)
		if (sentence_open(m, &item->references[r], from->references[r],
			    err) < 0)
			return -1;
	return 0;
}

/* Every n-gram of an item's references, each once, with count 1. */
static size_t list_item(const struct item *item, struct gram *out)
{
	size_t n = 0;

	for (size_t r = 0; r < item->n; r++) {
		memcpy(out + n, item->references[r].grams,
			item->references[r].n_grams * sizeof(*out));
		n += item->references[r].n_grams;
	}
	n = merge(out, n);
	for (size_t i = 0; i < n; i++)
		out[i].count = 1;
	return n;
}

static int count_frequencies(struct measure *m, struct error *err)
{
	size_t all = 0;

	for (size_t i = 0; i < m->n; i++)
		for (size_t r = 0; r < m->items[i].n; r++)
			all += m->items[i].references[r].n_grams;
	m->frequency = calloc(all + 1, sizeof(*m->frequency));
	if (!m->frequency)
		return error_set_memory(
			err, "n-grams", all * sizeof(*m->frequency));
	for (size_t i = 0; i < m->n; i++)
		m->n_frequency +=
			list_item(&m->items[i], m->frequency + m->n_frequency);
	m->n_frequency = merge(m->frequency, m->n_frequency);
	return 0;
}

/* --- BLEU ------------------------------------------------------------- */

static size_t distance(size_t a, size_t b)
{
	return a > b ? a - b : b - a;
}

static size_t closest_length(const struct item *item)
{
	size_t best = item->references[0].n;
	const size_t n = item->candidate.n;

	for (size_t r = 1; r < item->n; r++) {
		size_t l = item->references[r].n;

		if (distance(l, n) < distance(best, n) ||
			(distance(l, n) == distance(best, n) && l < best))
			best = l;
	}
	return best;
}

/* Times that a reference has it, at most as often as the candidate. */
static double clipped(const struct item *item, const struct gram *g)
{
	double most = 0;

	for (size_t r = 0; r < item->n; r++) {
		const struct sentence *s = &item->references[r];
		const struct gram *found = find(s->grams, s->n_grams, g);

		if (found && found->count > most)
			most = found->count;
	}
	return fmin(most, g->count);
}

static void bleu(const struct measure *m, struct scores *out)
{
	double right[ORDERS] = { 0 }, all[ORDERS] = { 0 };
	double length = 0, reference = 0, product = 1, ratio;

	for (size_t i = 0; i < m->n; i++) {
		const struct sentence *c = &m->items[i].candidate;

		length += (double)c->n;
		reference += (double)closest_length(&m->items[i]);
		for (size_t k = 0; k < c->n_grams; k++) {
			size_t order = order_of(&c->grams[k]) - 1;

			right[order] += clipped(&m->items[i], &c->grams[k]);
			all[order] += c->grams[k].count;
		}
	}
	ratio = (length + TINY) / (reference + SMALL);
	for (size_t k = 0; k < ORDERS; k++) {
		product *= (right[k] + TINY) / (all[k] + SMALL);
		out->bleu[k] = pow(product, 1.0 / (double)(k + 1));
		if (ratio < 1)
			out->bleu[k] *= exp(1 - 1 / ratio);
	}
}

/* --- ROUGE-L ---------------------------------------------------------- */

/* Length of the longest common subsequence; row holds b->n + 1. */
static size_t common(
	const struct sentence *a, const struct sentence *b, size_t *row)
{
	memset(row, 0, (b->n + 1) * sizeof(*row));
	for (size_t i = 0; i < a->n; i++) {
		size_t diagonal = 0;

		for (size_t j = 0; j < b->n; j++) {
			size_t above = row[j + 1];

			if (a->words[i] == b->words[j])
				row[j + 1] = diagonal + 1;
			else if (row[j] > above)
				row[j + 1] = row[j];
			diagonal = above;
		}
	}
	return row[b->n];
}

static int rouge(const struct measure *m, struct scores *out, struct error *err)
{
	double sum = 0;

	for (size_t i = 0; i < m->n; i++) {
		const struct item *item = &m->items[i];
		double precision = 0, recall = 0;

		for (size_t r = 0; r < item->n && item->candidate.n; r++) {
			const struct sentence *s = &item->references[r];
			size_t *row = calloc(s->n + 1, sizeof(*row));
			double lcs;

			if (!row)
				return error_set_memory(err, "words", s->n);
			lcs = (double)common(&item->candidate, s, row);
			free(row);
			precision = fmax(
				precision, lcs / (double)item->candidate.n);
			if (s->n)
				recall = fmax(recall, lcs / (double)s->n);
		}
		if (precision > 0 && recall > 0)
			sum += (1 + BETA * BETA) * precision * recall /
			       (recall + BETA * BETA * precision);
	}
	out->rouge_l = sum / (double)m->n;
	return 0;
}

/* --- CIDEr-D ---------------------------------------------------------- */

static double weight(const struct measure *m, const struct gram *g)
{
	const struct gram *f = find(m->frequency, m->n_frequency, g);

	return g->count *
	       (log((double)m->n) - log(f && f->count > 1 ? f->count : 1));
}

static void norms(
	const struct measure *m, const struct sentence *s, double out[ORDERS])
{
	memset(out, 0, ORDERS * sizeof(*out));
	for (size_t i = 0; i < s->n_grams; i++)
		out[order_of(&s->grams[i]) - 1] +=
			pow(weight(m, &s->grams[i]), 2);
	for (size_t k = 0; k < ORDERS; k++)
		out[k] = sqrt(out[k]);
}

/* Likeness of a candidate to one reference, the mean over the orders. */
static double likeness(const struct measure *m, const struct sentence *c,
	const struct sentence *r)
{
	/* The code that COCO runs takes a sentence's pairs for its length. */
	const double pairs_c = c->n ? (double)c->n - 1 : 0;
	const double pairs_r = r->n ? (double)r->n - 1 : 0;
	const double delta = pairs_c - pairs_r;
	double dot[ORDERS] = { 0 }, norm_c[ORDERS], norm_r[ORDERS], sum = 0;

	norms(m, c, norm_c);
	norms(m, r, norm_r);
	for (size_t i = 0; i < c->n_grams; i++) {
		const struct gram *g = find(r->grams, r->n_grams, &c->grams[i]);
		double of_r = g ? weight(m, g) : 0;

		dot[order_of(&c->grams[i]) - 1] +=
			fmin(weight(m, &c->grams[i]), of_r) * of_r;
	}
	for (size_t k = 0; k < ORDERS; k++)
		if (norm_c[k] != 0 && norm_r[k] != 0)
			sum += dot[k] / (norm_c[k] * norm_r[k]);
	return sum / ORDERS * exp(-delta * delta / (2 * SIGMA * SIGMA));
}

static void cider(const struct measure *m, struct scores *out)
{
	double sum = 0;

	for (size_t i = 0; i < m->n; i++) {
		const struct item *item = &m->items[i];
		double like = 0;

		for (size_t r = 0; r < item->n; r++)
			like += likeness(
				m, &item->candidate, &item->references[r]);
		sum += 10 * like / (double)item->n;
	}
	out->cider_d = sum / (double)m->n;
}

/* ---------------------------------------------------------------------- */

static bool is_exact(const struct item *item)
{
	for (size_t r = 0; r < item->n; r++)
		if (item->references[r].n == item->candidate.n &&
			!memcmp(item->references[r].words,
				item->candidate.words,
				item->candidate.n * sizeof(uint32_t)))
			return true;
	return false;
}

static int open_items(struct measure *m, const struct scored *items, size_t n,
	struct error *err)
{
	if (!n)
		return error_set(err, ERROR_INVALID, "no sentences to measure");
	m->items = calloc(n, sizeof(*m->items));
	if (!m->items)
		return error_set_memory(
			err, "sentences", n * sizeof(*m->items));
	m->n = n;
	for (size_t i = 0; i < n; i++) {
		if (!items[i].n_references)
			return error_set(err, ERROR_INVALID,
				"sentence %zu has no reference", i);
		if (open_item(m, &m->items[i], &items[i], err) < 0)
			return -1;
	}
	return count_frequencies(m, err);
}

int scores_measure(struct scores *out, const struct scored *items, size_t n,
	struct error *err)
{
	struct measure m = { 0 };
	size_t exact = 0;
	int rc;

	*out = (struct scores){ 0 };
	rc = open_items(&m, items, n, err);
	if (rc == 0)
		rc = rouge(&m, out, err);
	if (rc == 0) {
		bleu(&m, out);
		cider(&m, out);
		for (size_t i = 0; i < n; i++)
			exact += is_exact(&m.items[i]);
		out->exact = (double)exact / (double)n;
	}
	measure_release(&m);
	return rc;
}
