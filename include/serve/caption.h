/*
 * Captions as text: a captioner with its vocabulary. A caption is words as the
 * `word` tokenizer cuts them, each with the space before it; token i of the
 * decoder is the tokenizer's i - 1, for 0 is START and END.
 */
#ifndef SERVE_CAPTION_H
#define SERVE_CAPTION_H

#include "nn/captioner.h"
#include "text/tokenizer.h"

/* --- words ------------------------------------------------------------ */

/* The vocabulary of captions: words that come min_count times or more. */
int caption_learn_words(struct tokenizer **t, const char *const *captions,
	size_t n, uint64_t min_count, size_t max_vocab, struct error *err);
/* Append a caption's tokens; what the vocabulary lacks is its <unk>, or where
 * it has none ERROR_UNPROCESSABLE. */
int caption_encode(const struct tokenizer *t, const char *caption,
	struct token_buf *out, struct error *err);
/* The text of tokens, malloc'ed; NULL when memory ran out. */
char *caption_decode(
	const struct tokenizer *t, const uint32_t *tokens, size_t n);

/* --- a captioner that is served -------------------------------------- */

/* Any thread; callers take turns. */
struct caption_model;

/* ERROR_CORRUPT when the vocabulary and the decoder don't fit, END included. */
int caption_model_open(struct caption_model **m, const char *path,
	unsigned threads, struct error *err);
void caption_model_close(struct caption_model *m);
const char *caption_model_name(const struct caption_model *m);
size_t caption_model_features(const struct caption_model *m);

struct caption_text {
	char *text; /* owned */
	double logprob;
	size_t tokens; /* words */
	bool ended;    /* at END, not at max_length */
};
void caption_texts_release(struct caption_text *texts, size_t n);

/* At most o->n captions into out, the best first: of an image file's bytes, or
 * of v [features]. o->banned is set here. */
int caption_model_image(struct caption_model *m, const void *bytes, size_t len,
	const struct caption_options *o, struct caption_text *out, size_t *n,
	struct error *err);
int caption_model_vector(struct caption_model *m, const float *v,
	const struct caption_options *o, struct caption_text *out, size_t *n,
	struct error *err);

#endif
