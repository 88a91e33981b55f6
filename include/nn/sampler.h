/*
 * From logits to a token. A draw is Philox(seed, choice, position) and nothing
 * else, so the same request gives the same text on any thread at any load.
 */
#ifndef NN_SAMPLER_H
#define NN_SAMPLER_H

#include "base/error.h"
#include "math/real.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sampler_bias {
	uint32_t token;
	float bias; /* added to the logit; -INFINITY bans the token */
};

struct sampler_options {
	double temperature;	   /* [0, 100]; divides the logits; below
				    * 1e-6: greedy */
	uint32_t top_k;		   /* 0 = off */
	double top_p;		   /* (0, 1]; 1 = off */
	double min_p;		   /* [0, 1]; 0 = off; relative to the best */
	double repetition_penalty; /* [0.01, 100]; 1 = off (Keskar et al.
				    * 2019): divides what is positive,
				    * multiplies what is negative */
	double presence_penalty;   /* [-2, 2]; 0 = off; subtracted once
				    * (OpenAI) */
	double frequency_penalty;  /* [-2, 2]; 0 = off; subtracted per
				    * occurrence (OpenAI) */
	const struct sampler_bias *bias; /* [n_bias] borrowed */
	size_t n_bias;
	bool has_never;
	uint32_t never; /* a token that is not drawn, whatever is banned
			 * besides: "<unk>" */
};

struct sampler_draw {
	uint32_t token;
	double logprob; /* of the token under the unmodified softmax, nats;
			 * -INFINITY when no logit is finite */
};

/* temperature 1, everything else off. */
void sampler_defaults(struct sampler_options *o);
/* ERROR_INVALID with the field as param, the value and the range. */
int sampler_check(const struct sampler_options *o, struct error *err);
/* The same for what depends on the model: tokens of bias below vocab. */
int sampler_check_vocab(
	const struct sampler_options *o, size_t vocab, struct error *err);

struct sampler; /* per-thread scratch for one vocabulary size */
int sampler_open(struct sampler **s, size_t vocab, struct error *err);
void sampler_close(struct sampler *s);

/*
 * Draw from logits [vocab] by checked options. `window` [n_window] holds the
 * recent tokens that penalties count; ids not below vocab are ignored, there
 * and in bias. Filters apply in the order penalties, bias, temperature, top-k,
 * top-p, min-p; each works on what the one before left, of equals the lower
 * ids come first, and the best token always stays. Greedy ties go to the
 * lowest id. Bans that leave nothing are ignored. NaN counts as -infinity.
 * O(vocab) in time.
 */
struct sampler_draw sampler_draw(struct sampler *s,
	const struct sampler_options *o, const real *logits,
	const uint32_t *window, size_t n_window, uint64_t seed, uint32_t choice,
	uint64_t position);

#endif
