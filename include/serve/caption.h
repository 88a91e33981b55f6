/*
 * Captions as text: a captioner with its vocabulary. A caption is words as the
 * `word` tokenizer cuts them, each with the space before it; token i of the
 * decoder is the tokenizer's i - 1, for 0 is START and END.
 */
#ifndef SERVE_CAPTION_H
#define SERVE_CAPTION_H

#include "base/pace.h"
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

#define CAPTION_BATCH 8 /* images that go through the CNN together, at most */

/* Any thread; callers take turns where they must. */
struct caption_model;

/* ERROR_CORRUPT when the vocabulary and the decoder don't fit, END included.
 * Of `threads` the first is the caller's; the others stand back by `nice`. */
int caption_model_open(struct caption_model **m, const char *path,
	unsigned threads, int nice, struct error *err);
void caption_model_close(struct caption_model *m);

/* Read-only, and the model's own. */
struct caption_model_info {
	const struct captioner_weights *weights;
	struct tokenizer *tokenizer; /* of words; END is not among them */
	uint64_t fingerprint;
	size_t parameters;
};
const struct caption_model_info *caption_model_info(
	const struct caption_model *m);

struct caption_text {
	char *text; /* owned */
	double logprob;
	size_t tokens; /* words */
	bool ended;    /* at END, not at max_length */
};
void caption_texts_release(struct caption_text *texts, size_t n);

/* An image file's bytes, as the model looks at it: what needs no turn. */
int caption_model_read(const struct caption_model *m, const void *bytes,
	size_t len, struct image *fitted, struct error *err);

/* One image of a batch. */
struct caption_work {
	const struct image *fitted;	/* by caption_model_read */
	struct caption_options options; /* checked; `banned` is set here */
	struct caption_text *out;	/* [options.n], the best first */
	size_t n;			/* of them */
	struct error err;		/* code ERROR_NONE: it went well */
};
/* n, at most CAPTION_BATCH, at this pace or, NULL, as fast as it goes. */
void caption_model_run(struct caption_model *m,
	struct caption_work *const *work, size_t n, const struct pace *pace);

/* At most o->n captions into out, the best first: of an image file's bytes, or
 * of v [features]. */
int caption_model_image(struct caption_model *m, const void *bytes, size_t len,
	const struct caption_options *o, struct caption_text *out, size_t *n,
	struct error *err);
int caption_model_vector(struct caption_model *m, const float *v,
	const struct caption_options *o, struct caption_text *out, size_t *n,
	struct error *err);

#endif
