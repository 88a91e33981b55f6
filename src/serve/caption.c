#include "serve/caption.h"

#include "base/priority.h"
#include "base/team.h"
#include "math/kernels.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* --- words ------------------------------------------------------------ */

static char *spaced(const char *caption, size_t *len, struct error *err)
{
	const size_t n = strlen(caption);
	char *text = malloc(n + 2);

	if (!text) {
		error_set_memory(err, "caption", n + 2);
		return NULL;
	}
	/* Its first word is the same word as within it. */
	text[0] = ' ';
	memcpy(text + 1, caption, n + 1);
	*len = n + 1;
	return text;
}

int caption_learn_words(struct tokenizer **t, const char *const *captions,
	size_t n, uint64_t min_count, size_t max_vocab, struct error *err)
{
	const struct tokenizer_options o = { .min_count = min_count,
		.max_vocab = max_vocab };
	struct tokenizer_builder *b;

	if (tokenizer_builder_open(&b, "word", &o, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		size_t len;
		char *text = spaced(captions[i], &len, err);
		int rc = text ? tokenizer_builder_feed(b, text, len, err) : -1;

		free(text);
		if (rc < 0) {
			tokenizer_builder_abort(b);
			return error_prefix(err, "caption %zu", i);
		}
	}
	return tokenizer_builder_finish(b, t, err);
}

int caption_encode(const struct tokenizer *t, const char *caption,
	struct token_buf *out, struct error *err)
{
	const size_t before = out->len;
	size_t len;
	char *text = spaced(caption, &len, err);
	int rc;

	if (!text)
		return -1;
	rc = tokenizer_encode(t, text, len, UNKNOWN_AUTO, out, NULL, err);
	free(text);
	for (size_t i = before; i < out->len; i++)
		out->ids[i]++;
	return rc;
}

char *caption_decode(
	const struct tokenizer *t, const uint32_t *tokens, size_t n)
{
	struct buf text;

	buf_init(&text, SIZE_MAX);
	if (buf_puts(&text, "") < 0)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t len;
		const char *word = tokenizer_bytes(t, tokens[i] - 1, &len);

		if (buf_append(&text, word, len) < 0) {
			buf_release(&text);
			return NULL;
		}
	}
	if (text.len && text.data[0] == ' ')
		memmove(text.data, text.data + 1, text.len);
	return text.data;
}

/* --- a captioner that is served -------------------------------------- */

struct caption_model {
	struct captioner_weights weights; /* its CNN's are in use */
	struct captioner *captioner;
	struct team *team;
	pthread_mutex_t turn;
	real *v; /* [CAPTION_BATCH, features] */
	struct caption_model_info info;
};

static int check_vocabulary(
	const struct caption_model *m, const char *path, struct error *err)
{
	const size_t words = tokenizer_vocab(m->info.tokenizer);
	const size_t vocab = m->weights.decoder.parameters.arch.vocab;

	if (vocab == words + 1)
		return 0;
	return error_set(err, ERROR_CORRUPT,
		"%s: the vocabulary has %zu words and the decoder %zu "
		"tokens%s, "
		"expected %zu: the words and END",
		path, words, vocab, vocab == words ? ", none of them END" : "",
		words + 1);
}

static void stand_back(void *arg, unsigned member)
{
	const int *nice = arg;

	if (member && *nice)
		priority_lower(*nice);
}

static int open_parts(struct caption_model *m, const char *path,
	unsigned threads, int nice, struct error *err)
{
	if (captioner_weights_load(&m->weights, path, err) < 0)
		return -1;
	if (tokenizer_load(
		    &m->info.tokenizer, m->weights.decoder.tokenizer, err) < 0)
		return error_prefix(err, "%s", path);
	if (check_vocabulary(m, path, err) < 0 ||
		team_open(&m->team, threads, err) < 0)
		return -1;
	team_run(m->team, stand_back, &nice);
	if (captioner_open(&m->captioner, &m->weights, CAPTION_BATCH, m->team,
		    err) < 0)
		return -1;
	m->info.weights = &m->weights;
	m->info.fingerprint = captioner_fingerprint(&m->weights);
	m->info.parameters = captioner_parameters(&m->weights);
	m->v = kernels_alloc(CAPTION_BATCH * m->weights.features);
	if (m->v)
		return 0;
	return error_set_memory(err, "features",
		CAPTION_BATCH * m->weights.features * sizeof(real));
}

int caption_model_open(struct caption_model **out, const char *path,
	unsigned threads, int nice, struct error *err)
{
	struct caption_model *m = calloc(1, sizeof(*m));

	*out = NULL;
	if (!m)
		return error_set_memory(err, "captioner", sizeof(*m));
	pthread_mutex_init(&m->turn, NULL);
	if (open_parts(m, path, threads, nice, err) < 0) {
		caption_model_close(m);
		return -1;
	}
	*out = m;
	return 0;
}

void caption_model_close(struct caption_model *m)
{
	if (!m)
		return;
	captioner_close(m->captioner);
	captioner_weights_release(&m->weights);
	tokenizer_unref(m->info.tokenizer);
	if (m->team)
		team_close(m->team);
	pthread_mutex_destroy(&m->turn);
	free(m->v);
	free(m);
}

const struct caption_model_info *caption_model_info(
	const struct caption_model *m)
{
	return &m->info;
}

void caption_texts_release(struct caption_text *texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(texts[i].text);
}

static int to_text(const struct caption_model *m,
	const struct caption *captions, struct caption_text *out, size_t n,
	struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		const struct caption *c = &captions[i];

		out[i] = (struct caption_text){ .text = caption_decode(
							m->info.tokenizer,
							c->tokens, c->n),
			.logprob = c->logprob,
			.tokens = c->n,
			.ended = c->ended };
		if (out[i].text)
			continue;
		caption_texts_release(out, i);
		return error_set_memory(err, "caption", c->n);
	}
	return 0;
}

/* In its turn. */
static int caption(struct caption_model *m, const real *v,
	const struct caption_options *o, struct caption_text *out, size_t *n,
	struct error *err)
{
	const uint32_t unknown = tokenizer_unknown(m->info.tokenizer);
	struct caption captions[CAPTION_MAX_BEAM];
	struct caption_options options = *o;
	int rc;

	options.banned = unknown == TOKENIZER_NONE ? 0 : unknown + 1;
	if (captioner_decode(m->captioner, v, &options, captions, n, err) < 0)
		return -1;
	rc = to_text(m, captions, out, *n, err);
	captions_release(captions, *n);
	return rc;
}

int caption_model_read(const struct caption_model *m, const void *bytes,
	size_t len, struct image *fitted, struct error *err)
{
	return captioner_read(m->captioner, bytes, len, fitted, err);
}

void caption_model_run(struct caption_model *m,
	struct caption_work *const *work, size_t n, const struct pace *pace)
{
	const struct image *fitted[CAPTION_BATCH];

	for (size_t i = 0; i < n; i++)
		fitted[i] = work[i]->fitted;
	pthread_mutex_lock(&m->turn);
	team_set_pace(m->team, pace);
	captioner_look(m->captioner, fitted, n, m->v);
	pace_begin(pace);
	for (size_t i = 0; i < n; i++) {
		struct caption_work *w = work[i];

		w->err.code = ERROR_NONE;
		caption(m, m->v + i * m->weights.features, &w->options, w->out,
			&w->n, &w->err);
	}
	pace_end();
	pthread_mutex_unlock(&m->turn);
}

int caption_model_image(struct caption_model *m, const void *bytes, size_t len,
	const struct caption_options *o, struct caption_text *out, size_t *n,
	struct error *err)
{
	struct image fitted;
	struct caption_work work = {
		.fitted = &fitted, .options = *o, .out = out
	};

	if (caption_check(o, err) < 0 ||
		caption_model_read(m, bytes, len, &fitted, err) < 0)
		return -1;
	caption_model_run(m, &(struct caption_work *){ &work }, 1, NULL);
	image_release(&fitted);
	*n = work.n;
	if (!work.err.code)
		return 0;
	if (err)
		*err = work.err;
	return -1;
}

int caption_model_vector(struct caption_model *m, const float *v,
	const struct caption_options *o, struct caption_text *out, size_t *n,
	struct error *err)
{
	int rc;

	pthread_mutex_lock(&m->turn);
	for (size_t i = 0; i < m->weights.features; i++)
		m->v[i] = (real)v[i];
	rc = caption(m, m->v, o, out, n, err);
	pthread_mutex_unlock(&m->turn);
	return rc;
}
