/* What the weights write by now: a look for people, which nothing of the run
 * depends on. */
#include "serve/finetune_private.h"

#include "math/kernels.h"
#include "nn/model.h"
#include "nn/sampler.h"
#include "text/decoder.h"

#include <stdlib.h>

#define TOKENS 200
#define TEMPERATURE 0.8

struct writer {
	struct model *model;
	struct model_scratch *scratch;
	struct sampler *sampler;
	real *state, *logits;
};

static int open_writer(
	struct writer *w, const struct parameters *p, struct error *err)
{
	if (model_open(&w->model, p, WEIGHTS_BF16, err) < 0 ||
		model_scratch_open(&w->scratch, w->model, 1, err) < 0 ||
		sampler_open(&w->sampler, p->arch.vocab, err) < 0)
		return -1;
	w->state = kernels_alloc(model_state_floats(w->model));
	w->logits = kernels_alloc(p->arch.vocab);
	return w->state && w->logits
		       ? 0
		       : error_set_memory(err, "sample", p->arch.vocab);
}

static void close_writer(struct writer *w)
{
	sampler_close(w->sampler);
	model_scratch_close(w->scratch);
	model_unref(w->model);
	free(w->state);
	free(w->logits);
}

static int run(const struct finetune *f, struct writer *w, struct buf *out,
	struct error *err)
{
	struct tokenizer *t = f->corpus.tokenizer;
	uint32_t token = tokenizer_start(t);
	struct sampler_options o;
	struct decoder decoder = { 0 };
	const char *bytes;
	size_t len;

	sampler_defaults(&o);
	o.temperature = TEMPERATURE;
	o.never = tokenizer_unknown(t);
	o.has_never = o.never != TOKENIZER_NONE;
	for (uint64_t i = 0; i < TOKENS; i++) {
		model_step(
			w->model, w->scratch, 1, &token, &w->state, &w->logits);
		token = sampler_draw(w->sampler, &o, w->logits, NULL, 0,
			f->request.seed, 0, i)
				.token;
		bytes = tokenizer_bytes(t, token, &len);
		if (decoder_feed(&decoder, bytes, len, out) < 0)
			return error_set_memory(err, "sample", len);
	}
	return decoder_finish(&decoder, out) < 0
		       ? error_set_memory(err, "sample", sizeof(decoder))
		       : 0;
}

int finetune_sample(
	const struct finetune *f, struct buf *out, struct error *err)
{
	struct writer w = { 0 };
	int rc = open_writer(&w, trainer_weights(f->trainer), err);

	if (rc == 0)
		rc = run(f, &w, out, err);
	close_writer(&w);
	return rc;
}
