/*
 * Weights are whole numbers: exp((logit - best) / temperature) scaled so that
 * the sum over the vocabulary fits in 63 bits. Their sums are exact in any
 * order, so filters may select without sorting, and a draw is the same on
 * every machine.
 */
#include "nn/sampler.h"

#include "base/rng.h"
#include "nn/architecture.h"
#include "nn/sampler_exp.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define GREEDY_BELOW 1e-6

struct sampler {
	size_t vocab;
	size_t padded;	     /* vocab, up to whole groups of lanes */
	unsigned bits;	     /* the best token's weight is 2^bits */
	double *logits;	     /* [padded] modified; -INFINITY above vocab */
	double *exps;	     /* [padded] */
	uint64_t *weights;   /* [padded] 0 above vocab */
	uint64_t *selection; /* [vocab] scratch of select_cut */
	uint32_t *counts;    /* [vocab] all 0 between draws */
};

void sampler_defaults(struct sampler_options *o)
{
	*o = (struct sampler_options){
		.temperature = 1,
		.top_p = 1,
		.repetition_penalty = 1,
	};
}

static int out_of_range(
	const char *field, double value, const char *range, struct error *err)
{
	return error_set_param(err, ERROR_INVALID, field,
		"%s is %g, expected %s", field, value, range);
}

int sampler_check(const struct sampler_options *o, struct error *err)
{
	const struct {
		const char *field;
		double value, min, max;
		const char *range;
	} rows[] = {
		{ "temperature", o->temperature, 0, 100, "0 to 100" },
		{ "top_p", o->top_p, 0, 1, "above 0, at most 1" },
		{ "min_p", o->min_p, 0, 1, "0 to 1" },
		{ "repetition_penalty", o->repetition_penalty, 0.01, 100,
			"0.01 to 100" },
		{ "presence_penalty", o->presence_penalty, -2, 2, "-2 to 2" },
		{ "frequency_penalty", o->frequency_penalty, -2, 2, "-2 to 2" },
	};

	/* Written so that NaN fails. */
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (!(rows[i].value >= rows[i].min &&
			    rows[i].value <= rows[i].max))
			return out_of_range(rows[i].field, rows[i].value,
				rows[i].range, err);
	if (o->top_p <= 0)
		return out_of_range(
			"top_p", o->top_p, "above 0, at most 1", err);
	for (size_t i = 0; i < o->n_bias; i++)
		if (isnan(o->bias[i].bias) || o->bias[i].bias == INFINITY)
			return out_of_range("logit_bias",
				(double)o->bias[i].bias,
				"a finite number or -infinity", err);
	return 0;
}

int sampler_check_vocab(
	const struct sampler_options *o, size_t vocab, struct error *err)
{
	for (size_t i = 0; i < o->n_bias; i++)
		if (o->bias[i].token >= vocab)
			return error_set_param(err, ERROR_INVALID, "logit_bias",
				"logit_bias names token %u, expected 0 to %zu",
				o->bias[i].token, vocab - 1);
	return 0;
}

static void *vector(size_t n, size_t size)
{
	void *v = aligned_alloc(64, (n * size + 63) / 64 * 64);

	if (v)
		memset(v, 0, n * size);
	return v;
}

int sampler_open(struct sampler **out, size_t vocab, struct error *err)
{
	struct sampler *s;
	size_t n;

	*out = NULL;
	if (!vocab || vocab > ARCHITECTURE_MAX_VOCAB)
		return error_set_param(err, ERROR_INVALID, "vocab",
			"vocab is %zu, expected 1 to %u", vocab,
			ARCHITECTURE_MAX_VOCAB);
	n = (vocab + SAMPLER_LANES - 1) / SAMPLER_LANES * SAMPLER_LANES;
	s = calloc(1, sizeof(*s));
	if (s) {
		s->vocab = vocab;
		s->padded = n;
		s->logits = vector(n, sizeof(*s->logits));
		s->exps = vector(n, sizeof(*s->exps));
		s->weights = vector(n, sizeof(*s->weights));
		s->selection = vector(n, sizeof(*s->selection));
		s->counts = vector(n, sizeof(*s->counts));
	}
	if (!s || !s->logits || !s->exps || !s->weights || !s->selection ||
		!s->counts) {
		sampler_close(s);
		return error_set_memory(err, "sampler", n * 36);
	}
	for (size_t i = vocab; i < n; i++)
		s->logits[i] = -INFINITY;
	/* vocab * 2^bits <= 2^62 */
	for (s->bits = 62; vocab > 1; vocab = (vocab + 1) / 2)
		s->bits--;
	*out = s;
	return 0;
}

void sampler_close(struct sampler *s)
{
	if (!s)
		return;
	free(s->logits);
	free(s->exps);
	free(s->weights);
	free(s->selection);
	free(s->counts);
	free(s);
}

/* What a draw works on: finite values and -infinity. Returns the greatest. */
static double load(struct sampler *s, const real *logits)
{
	for (size_t i = 0; i < s->vocab; i++) {
		double x = (double)logits[i];

		x = x == x ? x : -INFINITY;
		s->logits[i] = x > 1e300 ? 1e300 : x;
	}
	return sampler_maximum(s->logits, s->padded);
}

static bool has_penalties(const struct sampler_options *o)
{
	return o->repetition_penalty != 1 || o->presence_penalty != 0 ||
	       o->frequency_penalty != 0;
}

static void apply_penalties(struct sampler *s, const struct sampler_options *o,
	const uint32_t *window, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (window[i] < s->vocab)
			s->counts[window[i]]++;
	for (size_t i = 0; i < n; i++) {
		uint32_t token = window[i], count;
		double *x;

		if (token >= s->vocab || !s->counts[token])
			continue;
		x = &s->logits[token];
		count = s->counts[token];
		s->counts[token] = 0;
		*x = *x > 0 ? *x / o->repetition_penalty
			    : *x * o->repetition_penalty;
		*x -= o->presence_penalty +
		      o->frequency_penalty * (double)count;
	}
}

/* Returns the greatest of the others. */
static double ban_never(struct sampler *s, const struct sampler_options *o)
{
	if (o->has_never && o->never < s->vocab)
		s->logits[o->never] = -INFINITY;
	return sampler_maximum(s->logits, s->padded);
}

/* Penalties and bias; *best is the greatest before and after. */
static void modify(struct sampler *s, const struct sampler_options *o,
	const real *logits, const uint32_t *window, size_t n_window,
	double *best)
{
	double after;

	if (has_penalties(o))
		apply_penalties(s, o, window, n_window);
	for (size_t i = 0; i < o->n_bias; i++)
		if (o->bias[i].token < s->vocab)
			s->logits[o->bias[i].token] += (double)o->bias[i].bias;
	after = ban_never(s, o);
	/* Something must be said, even if all was banned. */
	if (after == -INFINITY) {
		load(s, logits);
		after = ban_never(s, o);
	}
	*best = after > -INFINITY ? after : load(s, logits);
}

/* Where a filter cuts: what is heavier stays, and of what weighs the same the
 * first `ties`. */
struct cut {
	uint64_t weight;
	uint64_t ties;
};

/*
 * The cut after the heaviest tokens whose sum first reaches `target`: the sum
 * of 1 per token (by_mass false) or of their weights. Radix selection from the
 * top bits: each round keeps only the candidates of one bucket of 256.
 */
static struct cut select_cut(struct sampler *s, uint64_t target, bool by_mass)
{
	uint64_t *left = s->selection, sums[256], w = 0;
	size_t n = s->vocab, kept;
	unsigned shift = s->bits + 1, bucket;

	memcpy(left, s->weights, n * sizeof(*left));
	while (shift) {
		shift = shift > 8 ? shift - 8 : 0;
		kept = 0;
		bucket = 255;

		memset(sums, 0, sizeof(sums));
		for (size_t i = 0; i < n; i++)
			sums[left[i] >> shift & 255] += by_mass ? left[i] : 1;
		while (bucket && sums[bucket] < target)
			target -= sums[bucket--];
		for (size_t i = 0; i < n; i++)
			if ((left[i] >> shift & 255) == bucket)
				left[kept++] = left[i];
		n = kept;
		w |= (uint64_t)bucket << shift;
	}
	if (by_mass && w)
		target = (target + w - 1) / w;
	return (struct cut){ w, target };
}

static void apply_cut(struct sampler *s, struct cut cut)
{
	for (size_t i = 0; i < s->vocab; i++) {
		if (s->weights[i] > cut.weight)
			continue;
		if (s->weights[i] == cut.weight && cut.ties)
			cut.ties--;
		else
			s->weights[i] = 0;
	}
}

static uint64_t sum_weights(const uint64_t *weights, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += weights[i];
	return sum;
}

static void filter(struct sampler *s, const struct sampler_options *o)
{
	uint64_t sum, target;

	if (o->top_k && o->top_k < s->vocab)
		apply_cut(s, select_cut(s, o->top_k, false));
	if (o->top_p < 1) {
		sum = sum_weights(s->weights, s->vocab);
		target = (uint64_t)ceil(o->top_p * (double)sum);
		target = target < sum ? target : sum;
		apply_cut(s, select_cut(s, target ? target : 1, true));
	}
	if (o->min_p > 0) {
		target = (uint64_t)ceil(ldexp(o->min_p, (int)s->bits));
		apply_cut(s, (struct cut){ target - 1, 0 });
	}
}

/* The token at a uniform point of the weights laid end to end. */
static uint32_t pick(const struct sampler *s, uint64_t seed, uint32_t choice,
	uint64_t position)
{
	struct philox block = rng_block(seed, RNG_SAMPLE, choice, position);
	uint64_t word = (uint64_t)block.v[0] << 32 | block.v[1];
	uint64_t sum = sum_weights(s->weights, s->vocab);
	/* Below the sum; each token's share is right to within 2^-64. */
	uint64_t at = (uint64_t)((unsigned __int128)word * sum >> 64);
	size_t i = 0;

	for (; s->vocab - i > 64; i += 64) {
		sum = sum_weights(s->weights + i, 64);
		if (at < sum)
			break;
		at -= sum;
	}
	while (at >= s->weights[i])
		at -= s->weights[i++];
	return (uint32_t)i;
}

static uint32_t choose(struct sampler *s, const struct sampler_options *o,
	double best, uint64_t seed, uint32_t choice, uint64_t position)
{
	double scale = ldexp(1, (int)s->bits);
	uint32_t token = 0;

	if (o->temperature < GREEDY_BELOW) {
		while (s->logits[token] != best)
			token++;
		return token;
	}
	sampler_exponentials(
		s->exps, s->logits, s->padded, best, o->temperature);
	for (size_t i = 0; i < s->vocab; i++)
		s->weights[i] = (uint64_t)(int64_t)(s->exps[i] * scale);
	filter(s, o);
	return pick(s, seed, choice, position);
}

struct sampler_draw sampler_draw(struct sampler *s,
	const struct sampler_options *o, const real *logits,
	const uint32_t *window, size_t n_window, uint64_t seed, uint32_t choice,
	uint64_t position)
{
	struct sampler_draw d = { 0, -INFINITY };
	double best = load(s, logits), first = best, sum;

	if (best == -INFINITY)
		return d;
	sampler_exponentials(s->exps, s->logits, s->padded, first, 1);
	sum = sampler_sum(s->exps, s->padded);
	if (has_penalties(o) || o->n_bias || o->has_never)
		modify(s, o, logits, window, n_window, &best);
	d.token = choose(s, o, best, seed, choice, position);
	d.logprob = fmin((double)logits[d.token], 1e300) - first - log(sum);
	return d;
}
