#include "app/text_sampler.h"

#include "base/buf.h"
#include "math/kernels.h"
#include "text/decoder.h"

#include <stdlib.h>
#include <string.h>

/* Recent tokens that the penalties count, as in a session. */
#define WINDOW 256
#define MAX_PENDING (1u << 20)

struct text_sampler {
	struct model *model;
	struct tokenizer *tokenizer;
	struct model_scratch *scratch;
	struct sampler *sampler;
	real *state;  /* [model_state_floats] */
	real *logits; /* [vocab] */
	uint32_t waiting;
	uint64_t position;
	uint32_t window[WINDOW];
	size_t n_window;
};

int text_sampler_open(struct text_sampler **out, struct model *m,
	struct tokenizer *t, struct error *err)
{
	const size_t vocab = model_architecture(m)->vocab;
	struct text_sampler *s = calloc(1, sizeof(*s));

	*out = NULL;
	if (!s)
		return error_set_memory(err, "sampler", sizeof(*s));
	s->model = model_ref(m);
	s->tokenizer = tokenizer_ref(t);
	s->state = kernels_alloc(model_state_floats(m));
	s->logits = kernels_alloc(vocab);
	s->waiting = tokenizer_start(t);
	if (!s->state || !s->logits)
		error_set_memory(
			err, "state", model_state_floats(m) * sizeof(real));
	else if (model_scratch_open(&s->scratch, m, 1, err) == 0 &&
		 sampler_open(&s->sampler, vocab, err) == 0) {
		*out = s;
		return 0;
	}
	text_sampler_close(s);
	return -1;
}

void text_sampler_close(struct text_sampler *s)
{
	if (!s)
		return;
	sampler_close(s->sampler);
	model_scratch_close(s->scratch);
	free(s->state);
	free(s->logits);
	tokenizer_unref(s->tokenizer);
	model_unref(s->model);
	free(s);
}

void text_sampler_set(
	struct text_sampler *s, const real *state, uint32_t waiting)
{
	memcpy(s->state, state, model_state_floats(s->model) * sizeof(real));
	s->waiting = waiting;
}

static void feed(struct text_sampler *s, uint32_t token, real *logits)
{
	model_step(s->model, s->scratch, 1, &token, &s->state, &logits);
}

static void remember(struct text_sampler *s, uint32_t token)
{
	if (s->n_window == WINDOW)
		memmove(s->window, s->window + 1,
			--s->n_window * sizeof(*s->window));
	s->window[s->n_window++] = token;
}

int text_sampler_prime(struct text_sampler *s, const char *text, size_t len,
	enum unknown_policy unknown, size_t *skipped, struct error *err)
{
	struct token_buf tokens;
	int rc;

	token_buf_init(&tokens, len + 1);
	rc = tokenizer_encode(
		s->tokenizer, text, len, unknown, &tokens, skipped, err);
	for (size_t i = 0; rc == 0 && i < tokens.len; i++) {
		feed(s, s->waiting, NULL);
		s->waiting = tokens.ids[i];
		s->position++;
		remember(s, tokens.ids[i]);
	}
	token_buf_release(&tokens);
	return rc;
}

/* Where a stop text begins in `held`, or its length; *keep is how much of the
 * end may still grow into one. */
static size_t find_stop(const struct buf *held,
	const struct text_sampler_request *r, size_t *keep, bool *found)
{
	size_t first = held->len;

	*keep = 0;
	*found = false;
	for (size_t i = 0; i < r->n_stop; i++) {
		size_t n = strlen(r->stop[i]);
		const char *at =
			n ? memmem(held->data, held->len, r->stop[i], n) : NULL;

		if (at && (size_t)(at - held->data) < first) {
			first = (size_t)(at - held->data);
			*found = true;
		}
		for (size_t k = n ? n - 1 : 0; k > *keep; k--)
			if (k <= held->len &&
				!memcmp(held->data + held->len - k, r->stop[i],
					k))
				*keep = k;
	}
	return first;
}

/* Emit what can no longer become a stop text; true ends the generation. */
static bool flush(
	struct buf *held, const struct text_sampler_request *r, bool last)
{
	size_t keep, len;
	bool found;

	if (!held->len)
		return false;
	len = find_stop(held, r, &keep, &found);
	if (!found && !last)
		len -= keep;
	if (len && r->emit(r->arg, held->data, len) < 0)
		return true;
	buf_consume(held, len);
	return found;
}

int text_sampler_run(struct text_sampler *s,
	const struct text_sampler_request *r, struct error *err)
{
	struct sampler_options options = *r->options;
	struct decoder decoder = { 0 };
	struct buf held;
	bool ended = false;
	int rc = 0;

	options.never = tokenizer_unknown(s->tokenizer);
	options.has_never = options.never != TOKENIZER_NONE;
	buf_init(&held, MAX_PENDING);
	for (uint64_t i = 0; i < r->length && !ended && rc == 0; i++) {
		struct sampler_draw draw;
		const char *bytes;
		size_t n;

		feed(s, s->waiting, s->logits);
		draw = sampler_draw(s->sampler, &options, s->logits, s->window,
			s->n_window, r->seed, 0, s->position);
		s->waiting = draw.token;
		s->position++;
		remember(s, draw.token);
		bytes = tokenizer_bytes(s->tokenizer, draw.token, &n);
		rc = decoder_feed(&decoder, bytes, n, &held);
		ended = rc == 0 && flush(&held, r, false);
	}
	if (rc == 0 && !ended && (rc = decoder_finish(&decoder, &held)) == 0)
		flush(&held, r, true);
	if (rc < 0)
		error_set_memory(err, "text not yet emitted", held.len);
	buf_release(&held);
	return rc;
}
