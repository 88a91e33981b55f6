/*
 * From v to sentences. A beam keeps the best unfinished hypotheses; whoever
 * writes END among the best leaves it for the finished ones. It ends when no
 * unfinished one can still beat what is finished.
 */
#include "nn/captioner_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct hypothesis {
	uint32_t *tokens; /* [max_length] */
	size_t n;
	double logprob;
	bool ended;
};

struct search {
	struct captioner *c;
	const struct caption_options *o;
	size_t vocab;
	uint32_t *memory;	    /* tokens of all below */
	struct hypothesis *live[2]; /* [beam] in turn */
	struct hypothesis *done;    /* [beam] the best first */
	size_t n_live, n_done, turn;
};

void caption_defaults(struct caption_options *o)
{
	*o = (struct caption_options){
		.n = 1, .beam = 3, .max_length = 50, .temperature = 1
	};
}

static int out_of_range(const char *field, double value, double min, double max,
	struct error *err)
{
	return error_set_param(err, ERROR_INVALID, field,
		"%s is %g, expected %g to %g", field, value, min, max);
}

int caption_check(const struct caption_options *o, struct error *err)
{
	if (o->n < 1 || o->n > CAPTION_MAX_BEAM)
		return out_of_range(
			"n", (double)o->n, 1, CAPTION_MAX_BEAM, err);
	if (o->beam && (o->beam < o->n || o->beam > CAPTION_MAX_BEAM))
		return out_of_range("beam", (double)o->beam, (double)o->n,
			CAPTION_MAX_BEAM, err);
	if (!(o->length_power >= 0 && o->length_power <= 5))
		return out_of_range("length_power", o->length_power, 0, 5, err);
	if (o->max_length < 1 || o->max_length > CAPTION_MAX_LENGTH)
		return out_of_range("max_length", (double)o->max_length, 1,
			CAPTION_MAX_LENGTH, err);
	if (!(o->temperature >= 0 && o->temperature <= 100))
		return out_of_range("temperature", o->temperature, 0, 100, err);
	return 0;
}

static size_t width_of(const struct caption_options *o)
{
	return o->beam ? o->beam : o->n;
}

static int search_open(struct search *s, struct captioner *c,
	const struct caption_options *o, struct error *err)
{
	const size_t k = width_of(o), rows = 3 * k;

	*s = (struct search){
		.c = c, .o = o, .vocab = model_architecture(c->decoder)->vocab
	};
	s->memory = calloc(rows * o->max_length, sizeof(*s->memory));
	s->live[0] = calloc(rows, sizeof(*s->live[0]));
	if (!s->memory || !s->live[0]) {
		free(s->memory);
		free(s->live[0]);
		return error_set_memory(err, "hypotheses",
			rows * (o->max_length * sizeof(*s->memory) +
				       sizeof(*s->live[0])));
	}
	s->live[1] = s->live[0] + k;
	s->done = s->live[1] + k;
	for (size_t i = 0; i < rows; i++)
		s->live[0][i].tokens = s->memory + i * o->max_length;
	return 0;
}

static void search_close(struct search *s)
{
	free(s->memory);
	free(s->live[0]);
}

static void copy(struct hypothesis *to, const struct hypothesis *from)
{
	uint32_t *tokens = to->tokens;

	memcpy(tokens, from->tokens, from->n * sizeof(*tokens));
	*to = *from;
	to->tokens = tokens;
}

/* What finished hypotheses are compared by. */
static double score(const struct search *s, double logprob, size_t tokens)
{
	return logprob / pow((double)tokens, s->o->length_power);
}

static double score_of(const struct search *s, const struct hypothesis *h)
{
	return score(s, h->logprob, h->n + h->ended);
}

static void finish(struct search *s, const struct hypothesis *h)
{
	const size_t k = width_of(s->o);
	size_t at = s->n_done;
	struct hypothesis last;

	while (at && score_of(s, h) > score_of(s, &s->done[at - 1]))
		at--;
	if (at == k)
		return;
	/* The last one's memory goes to the new one. */
	last = s->done[s->n_done < k ? s->n_done++ : k - 1];
	memmove(&s->done[at + 1], &s->done[at],
		(s->n_done - 1 - at) * sizeof(*s->done));
	s->done[at].tokens = last.tokens;
	copy(&s->done[at], h);
}

/* Logits of all live hypotheses. */
static void advance(struct search *s)
{
	const real *conditions[CAPTION_MAX_BEAM];
	real *states[CAPTION_MAX_BEAM], *logits[CAPTION_MAX_BEAM];
	uint32_t tokens[CAPTION_MAX_BEAM];
	struct captioner *c = s->c;

	for (size_t i = 0; i < s->n_live; i++) {
		const struct hypothesis *h = &s->live[s->turn][i];

		tokens[i] = h->n ? h->tokens[h->n - 1] : CAPTION_END;
		conditions[i] = !h->n || c->always ? c->from_v : NULL;
		states[i] = c->states[s->turn] + i * c->state;
		logits[i] = c->logits + i * s->vocab;
	}
	model_step_conditioned(c->decoder, c->scratch, s->n_live, tokens,
		states, logits, conditions);
}

struct candidate {
	double logprob;
	size_t parent;
	uint32_t token;
};

/* The best `want` continuations, the best first; of equals the earlier. */
static size_t choose(
	const struct search *s, struct candidate *best, size_t want)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_live; i++) {
		real *logits = s->c->logits + i * s->vocab;

		kernels()->log_softmax(logits, s->vocab);
		for (uint32_t t = 0; t < s->vocab; t++) {
			double logprob =
				s->live[s->turn][i].logprob + (double)logits[t];
			size_t at;

			if ((n == want && !(logprob > best[n - 1].logprob)) ||
				(t && t == s->o->banned))
				continue;
			at = n < want ? n++ : n - 1;
			for (; at && logprob > best[at - 1].logprob; at--)
				best[at] = best[at - 1];
			best[at] = (struct candidate){ logprob, i, t };
		}
	}
	return n;
}

static void extend(struct search *s, const struct candidate *from)
{
	const struct hypothesis *parent = &s->live[s->turn][from->parent];
	struct captioner *c = s->c;
	struct hypothesis *h = &s->live[!s->turn][s->n_live];

	copy(h, parent);
	h->tokens[h->n++] = from->token;
	h->logprob = from->logprob;
	memcpy(c->states[!s->turn] + s->n_live * c->state,
		c->states[s->turn] + from->parent * c->state,
		c->state * sizeof(real));
	s->n_live++;
}

static void end(struct search *s, const struct candidate *from)
{
	struct hypothesis h = s->live[s->turn][from->parent];

	h.logprob = from->logprob;
	h.ended = true;
	finish(s, &h);
}

static void step_beam(struct search *s)
{
	struct candidate best[2 * CAPTION_MAX_BEAM] = { 0 };
	const size_t k = s->o->beam, n = choose(s, best, 2 * k);

	s->n_live = 0;
	for (size_t i = 0; i < n; i++)
		if (best[i].token != CAPTION_END) {
			if (s->n_live < k)
				extend(s, &best[i]);
		} else if (i < k) {
			end(s, &best[i]);
		}
	s->turn = !s->turn;
}

/* Log-probabilities only fall, and none is longer than max_length. */
static bool is_decided(const struct search *s)
{
	const struct hypothesis *best = &s->live[s->turn][0];

	return s->n_done >= s->o->beam &&
	       score(s, best->logprob, s->o->max_length + 1) <=
		       score_of(s, &s->done[s->n_done - 1]);
}

static void search_beam(struct search *s)
{
	s->n_live = 1;
	for (size_t t = 0; s->n_live && t < s->o->max_length; t++) {
		advance(s);
		step_beam(s);
		if (s->n_live && is_decided(s))
			return;
	}
	for (size_t i = 0; i < s->n_live; i++)
		finish(s, &s->live[s->turn][i]);
}

static void search_draw(struct search *s, size_t position)
{
	const struct sampler_bias ban = { s->o->banned, -INFINITY };
	struct sampler_options o;
	size_t n = s->n_live;

	sampler_defaults(&o);
	o.temperature = s->o->temperature;
	o.bias = &ban;
	o.n_bias = s->o->banned ? 1 : 0;
	for (size_t i = 0; i < n; i++) {
		struct hypothesis *h = &s->live[s->turn][i];
		struct sampler_draw draw;

		if (h->ended)
			continue;
		draw = sampler_draw(s->c->sampler, &o,
			s->c->logits + i * s->vocab, NULL, 0, s->o->seed,
			(uint32_t)i, position);
		h->logprob += draw.logprob;
		h->ended = draw.token == CAPTION_END;
		if (!h->ended)
			h->tokens[h->n++] = draw.token;
	}
}

/* Chains that ended go along: few enough, and the others' bits don't care. */
static void search_chains(struct search *s)
{
	bool running = true;

	s->n_live = s->o->n;
	for (size_t t = 0; running && t < s->o->max_length; t++) {
		advance(s);
		search_draw(s, t);
		running = false;
		for (size_t i = 0; i < s->n_live; i++)
			running |= !s->live[s->turn][i].ended;
	}
	for (size_t i = 0; i < s->n_live; i++)
		finish(s, &s->live[s->turn][i]);
}

static int take(const struct search *s, struct caption *out, size_t *n,
	struct error *err)
{
	*n = 0;
	while (*n < s->n_done && *n < s->o->n) {
		const struct hypothesis *h = &s->done[*n];
		const size_t bytes = h->n * sizeof(*h->tokens);
		struct caption *c = &out[*n];

		*c = (struct caption){ .tokens = malloc(bytes + 1),
			.n = h->n,
			.logprob = h->logprob,
			.ended = h->ended };
		if (!c->tokens) {
			captions_release(out, *n);
			*n = 0;
			return error_set_memory(err, "caption", bytes);
		}
		memcpy(c->tokens, h->tokens, bytes);
		++*n;
	}
	return 0;
}

int captioner_decode(struct captioner *c, const real *v,
	const struct caption_options *o, struct caption *out, size_t *n,
	struct error *err)
{
	struct search s;
	int rc;

	if (caption_check(o, err) < 0 || search_open(&s, c, o, err) < 0)
		return -1;
	kernels_product(&(struct product){ .w = &c->condition,
		.m = 1,
		.x = v,
		.ldx = c->features,
		.y = c->from_v,
		.ldy = model_width(c->decoder),
		.init = PRODUCT_ZERO });
	memset(c->states[0], 0, CAPTION_MAX_BEAM * c->state * sizeof(real));
	if (o->beam)
		search_beam(&s);
	else
		search_chains(&s);
	rc = take(&s, out, n, err);
	search_close(&s);
	return rc;
}

void captions_release(struct caption *captions, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(captions[i].tokens);
}
