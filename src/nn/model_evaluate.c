/* The loss of a model as it is served: its packed weights, rounded as they
 * are, through the step that requests take. */
#include "nn/model.h"

#include "math/kernels.h"
#include "nn/streams.h"

#include <stdlib.h>

struct rows {
	struct model_scratch *scratch;
	uint32_t *inputs, *targets; /* [batch] */
	real **states, **logits;    /* [batch] */
	real *memory;
};

static int open_rows(
	struct rows *r, const struct model *m, size_t batch, struct error *err)
{
	const size_t state = model_state_floats(m);
	const size_t vocab = model_architecture(m)->vocab;

	r->inputs = calloc(batch, sizeof(*r->inputs));
	r->targets = calloc(batch, sizeof(*r->targets));
	r->states = calloc(batch, sizeof(*r->states));
	r->logits = calloc(batch, sizeof(*r->logits));
	r->memory = kernels_alloc(batch * (state + vocab));
	if (!r->inputs || !r->targets || !r->states || !r->logits || !r->memory)
		return error_set_memory(err, "sequences",
			batch * (state + vocab) * sizeof(real));
	for (size_t i = 0; i < batch; i++) {
		r->states[i] = r->memory + i * state;
		r->logits[i] = r->memory + batch * state + i * vocab;
	}
	return model_scratch_open(&r->scratch, m, batch, err);
}

static void release_rows(struct rows *r)
{
	model_scratch_close(r->scratch);
	free(r->inputs);
	free(r->targets);
	free(r->states);
	free(r->logits);
	free(r->memory);
}

int model_evaluate(const struct model *m, const struct streams *s, double *nats,
	uint64_t *tokens, struct error *err)
{
	const size_t steps = streams_steps(s), batch = s->batch;
	const size_t vocab = model_architecture(m)->vocab;
	struct rows r = { 0 };
	double sum = 0;

	if (!steps)
		return error_set(err, ERROR_INVALID,
			"nothing to evaluate: %zu tokens for each of %zu rows, "
			"expected 2 or more",
			s->end - s->begin, batch);
	if (open_rows(&r, m, batch, err) < 0) {
		release_rows(&r);
		return -1;
	}
	for (size_t t = 0; t < steps; t++) {
		streams_gather(s, s->begin + t, 1, r.inputs, r.targets);
		model_step(m, r.scratch, batch, r.inputs, r.states, r.logits);
		for (size_t i = 0; i < batch; i++)
			sum += kernels()->cross_entropy(
				r.logits[i], vocab, r.targets[i], 1);
	}
	release_rows(&r);
	*nats = sum / (double)(steps * batch);
	*tokens = steps * batch;
	return 0;
}
