/* A captioner that is ready to run, and how it looks at a picture. */
#include "nn/captioner_private.h"

#include "nn/cell.h"

#include <stdlib.h>
#include <string.h>

static int open_memory(struct captioner *c, struct error *err)
{
	const size_t vocab = model_architecture(c->decoder)->vocab;
	const size_t rows = CAPTION_MAX_BEAM, side = c->form.crop;

	c->from_v = kernels_alloc(model_width(c->decoder));
	c->states[0] = kernels_alloc(rows * c->state);
	c->states[1] = kernels_alloc(rows * c->state);
	c->logits = kernels_alloc(rows * vocab);
	c->input = kernels_alloc(c->batch * side * side * 3);
	if (c->from_v && c->states[0] && c->states[1] && c->logits && c->input)
		return 0;
	return error_set_memory(err, "captioner",
		(rows * (2 * c->state + vocab) + c->batch * side * side * 3) *
			sizeof(real));
}

static int open_parts(struct captioner *c, const struct captioner_weights *w,
	struct error *err)
{
	const struct architecture *a = &w->decoder.parameters.arch;

	if (model_open(&c->decoder, &w->decoder.parameters,
		    checkpoint_weights(&w->decoder), err) < 0 ||
		model_scratch_open(
			&c->scratch, c->decoder, CAPTION_MAX_BEAM, err) < 0 ||
		model_scratch_condition(c->scratch, c->decoder, err) < 0 ||
		sampler_open(&c->sampler, a->vocab, err) < 0 ||
		packed_open_gates(&c->condition, WEIGHTS_F32, w->features,
			cell_find(a->cell)->gates, a->hidden, err) < 0)
		return -1;
	packed_fill(&c->condition, w->condition, true);
	c->state = model_state_floats(c->decoder);
	if (w->sees &&
		cnn_open(&c->cnn, &w->cnn, c->batch, false, c->team, err) < 0)
		return -1;
	return open_memory(c, err);
}

int captioner_open(struct captioner **out, const struct captioner_weights *w,
	size_t batch, struct team *team, struct error *err)
{
	struct captioner *c = calloc(1, sizeof(*c));

	*out = NULL;
	if (!c)
		return error_set_memory(err, "captioner", sizeof(*c));
	c->team = team;
	c->batch = batch;
	c->always = w->always;
	c->features = w->features;
	c->form = w->form;
	if (open_parts(c, w, err) < 0) {
		captioner_close(c);
		return -1;
	}
	*out = c;
	return 0;
}

void captioner_close(struct captioner *c)
{
	if (!c)
		return;
	model_scratch_close(c->scratch);
	model_unref(c->decoder);
	sampler_close(c->sampler);
	packed_release(&c->condition);
	cnn_close(c->cnn);
	free(c->input);
	free(c->from_v);
	free(c->states[0]);
	free(c->states[1]);
	free(c->logits);
	free(c);
}

size_t captioner_features(const struct captioner *c)
{
	return c->features;
}

int captioner_read(const struct captioner *c, const void *bytes, size_t len,
	struct image *fitted, struct error *err)
{
	if (!c->cnn)
		return error_set(err, ERROR_UNSUPPORTED,
			"this captioner has no CNN: it takes features, no "
			"images");
	return image_read(fitted, bytes, len, IMAGE_MAX_PIXELS, &c->form, err);
}

struct look {
	struct captioner *c;
	size_t n;
	real *v;
};

static void look(void *arg, unsigned member)
{
	struct look *l = arg;

	cnn_forward(l->c->cnn, l->c->input, l->n, l->v, NULL, member);
}

void captioner_look(struct captioner *c, const struct image *const *fitted,
	size_t n, real *v)
{
	const size_t size = c->form.crop * c->form.crop * 3;

	for (size_t i = 0; i < n; i++)
		image_normalise(fitted[i], &c->form, c->input + i * size);
	team_run(c->team, look, &(struct look){ c, n, v });
}
