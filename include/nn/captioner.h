/*
 * Pictures to sentences (CS231n's lecture 10; Vinyals et al. 2015; Karpathy &
 * Li 2015): a picture's vector v, from a CNN or given, is added through
 * condition.weight to the pre-activations of a recurrent decoder, at the first
 * step or at every one:
 *	h = tanh(W_xh x + W_hh h + W_ih v + b)
 * and the same of an LSTM's gates. Token 0 is START where it is read and END
 * where it is written; token i is word i - 1 of the vocabulary.
 */
#ifndef NN_CAPTIONER_H
#define NN_CAPTIONER_H

#include "nn/checkpoint.h"
#include "nn/cnn.h"
#include "nn/image.h"

#include <stdbool.h>
#include <stdint.h>

#define CAPTION_END 0u /* and START */
#define CAPTION_MAX_LENGTH 1000
#define CAPTION_MAX_BEAM 64

/* Both parts and the vocabulary: what a checkpoint holds. */
struct captioner_weights {
	struct checkpoint decoder; /* its captioner is made by save */
	bool always;		   /* v at every step, else at the first */
	size_t features;	   /* width of v */
	real *condition;	   /* [gates * hidden, features] owned */
	bool sees;		   /* has a CNN; else v is given */
	struct cnn_weights cnn;
	struct image_form form; /* what the CNN is given; crop = its side */
};

/* Condition and decoder, zeroed; `a`'s vocab counts END. The CNN's are opened
 * and set by the caller. ERROR_INVALID for a cell that is neither rnn nor lstm.
 */
int captioner_weights_open(struct captioner_weights *w,
	const struct architecture *a, size_t features, struct error *err);
void captioner_weights_release(struct captioner_weights *w);
/* As checkpoint_load and checkpoint_save; tensors cnn.*, condition.weight and
 * the decoder's. */
int captioner_weights_load(
	struct captioner_weights *w, const char *path, struct error *err);
int captioner_weights_save(
	struct captioner_weights *w, const char *path, struct error *err);

/* XXH3-64 of all that the file holds: as checkpoint_fingerprint, of both parts.
 */
uint64_t captioner_fingerprint(const struct captioner_weights *w);
/* Values of all tensors. */
size_t captioner_parameters(const struct captioner_weights *w);

/* Weights packed, and working memory: one caller at a time. */
struct captioner;
/* For up to `batch` images at once. Weights may be released afterwards, but not
 * their CNN's: it is borrowed. */
int captioner_open(struct captioner **c, const struct captioner_weights *w,
	size_t batch, struct team *team, struct error *err);
void captioner_close(struct captioner *c);
size_t captioner_features(const struct captioner *c);

/* An image file's bytes as the CNN is given them, [crop, crop]. Errors as
 * image_decode, and ERROR_UNSUPPORTED without a CNN. Any thread. */
int captioner_read(const struct captioner *c, const void *bytes, size_t len,
	struct image *fitted, struct error *err);
/* v [n, features] of n such images, at most `batch`; there must be a CNN. An
 * image's v is the same bits in any batch. */
void captioner_look(struct captioner *c, const struct image *const *fitted,
	size_t n, real *v);

struct caption_options {
	size_t n;	     /* captions wanted, 1 or more */
	size_t beam;	     /* hypotheses kept at each step, >= n; 0: draw each
			      * caption by itself */
	double length_power; /* finished ones compare by log-probability /
			      * tokens^this; 0: as they are */
	size_t max_length;   /* words */
	double temperature;  /* of drawn ones; below 1e-6: the likeliest */
	uint64_t seed;
	uint32_t banned; /* a token never written (<unk>'s), or 0 */
};

/* One caption, a beam of 3, at most 50 words. */
void caption_defaults(struct caption_options *o);
/* ERROR_INVALID with the field, its value and the range. */
int caption_check(const struct caption_options *o, struct error *err);

struct caption {
	uint32_t *tokens; /* [n] owned, without END */
	size_t n;
	double logprob; /* nats, END's included where it ended */
	bool ended;	/* at END, not at max_length */
};

/* The best captions first, at most o->n into out: *n of them. The same v and
 * options give the same captions. */
int captioner_decode(struct captioner *c, const real *v,
	const struct caption_options *o, struct caption *out, size_t *n,
	struct error *err);
void captions_release(struct caption *captions, size_t n);

#endif
