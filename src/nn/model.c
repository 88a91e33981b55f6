#include "nn/model_private.h"

#include <stdlib.h>
#include <string.h>

/* A table of layer 0's input product for each token is kept up to this. */
#define FOLD_MAX_BYTES (64u << 20)

static const real *tensor(
	const struct parameters *p, const char *kind, size_t layer)
{
	return p->data + parameters_layer(p, kind, layer)->offset;
}

static real *copy(struct model *m, const real *data, size_t n)
{
	real *out = kernels_alloc(n);

	if (out)
		memcpy(out, data, n * sizeof(real));
	m->bytes += n * sizeof(real);
	return out;
}

static int pack(struct model *m, struct packed *w, const real *data, size_t k,
	size_t n, struct error *err)
{
	if (packed_open(w, m->type, k, n, err) < 0)
		return -1;
	packed_fill(w, data, true);
	m->bytes += w->bytes;
	return 0;
}

static bool folds(const struct model *m)
{
	return !m->arch.embedding ||
	       m->arch.vocab * m->width * sizeof(real) <= FOLD_MAX_BYTES;
}

static int open_layer(struct model *m, const struct parameters *p, size_t l,
	struct error *err)
{
	const size_t n = m->width, h = m->arch.hidden;
	struct model_layer *layer = &m->layers[l];
	const real *b_hh = tensor(p, "bias_hh", l);
	bool gathered = l == 0 && folds(m);

	layer->bias = copy(m, tensor(p, "bias_ih", l), n);
	if (m->cell->separate)
		layer->hidden_bias = copy(m, b_hh, n);
	if (!layer->bias || (m->cell->separate && !layer->hidden_bias))
		return error_set_memory(err, "model biases", n * sizeof(real));
	if (!m->cell->separate)
		for (size_t j = 0; j < n; j++)
			layer->bias[j] += b_hh[j];
	if (!gathered && pack(m, &layer->input, tensor(p, "weight_ih", l),
				 architecture_input(&m->arch, l), n, err) < 0)
		return -1;
	return pack(m, &layer->hidden, tensor(p, "weight_hh", l), h, n, err);
}

/* table = embedding x W_ih + bias, in full precision whatever the type. */
static int fold(struct model *m, const real *w_ih, const real *embedding,
	struct error *err)
{
	const size_t e = m->arch.embedding;
	struct packed w;

	if (packed_open(&w, WEIGHTS_F32, e, m->width, err) < 0)
		return -1;
	packed_fill(&w, w_ih, true);
	kernels_product(&(struct product){ .w = &w,
		.m = m->arch.vocab,
		.x = embedding,
		.ldx = e,
		.y = m->table,
		.ldy = m->width,
		.bias = m->layers[0].bias,
		.init = PRODUCT_BIAS });
	packed_release(&w);
	return 0;
}

/* Layer 0's input product, once for each token: a column of a one-hot
 * weight_ih_l0, or an embedding's row through it; bias included. */
static int open_table(
	struct model *m, const struct parameters *p, struct error *err)
{
	const struct architecture *a = &m->arch;
	const size_t n = m->width, v = a->vocab;
	const real *embedding =
		a->embedding
			? p->data +
				  parameters_find(p, "embedding.weight")->offset
			: NULL;
	struct model_layer *first = &m->layers[0];

	if (!folds(m)) {
		m->embedding = copy(m, embedding, v * a->embedding);
		return m->embedding ? 0
				    : error_set_memory(err, "embedding",
					      v * a->embedding * sizeof(real));
	}
	m->table = kernels_alloc(v * n);
	if (!m->table)
		return error_set_memory(
			err, "input table", v * n * sizeof(real));
	m->bytes += v * n * sizeof(real);
	if (!embedding) {
		const real *w = tensor(p, "weight_ih", 0);

		for (size_t i = 0; i < v; i++)
			for (size_t j = 0; j < n; j++)
				m->table[i * n + j] =
					first->bias[j] + w[i * n + j];
		return 0;
	}
	return fold(m, tensor(p, "weight_ih", 0), embedding, err);
}

static int open_output(
	struct model *m, const struct parameters *p, struct error *err)
{
	const struct architecture *a = &m->arch;
	const char *name = a->tied ? "embedding.weight" : "output.weight";

	m->output_bias = copy(m,
		p->data + parameters_find(p, "output.bias")->offset, a->vocab);
	if (!m->output_bias)
		return error_set_memory(
			err, "output bias", a->vocab * sizeof(real));
	return pack(m, &m->output, p->data + parameters_find(p, name)->offset,
		a->hidden, a->vocab, err);
}

int model_open(struct model **out, const struct parameters *p,
	enum weight_type type, struct error *err)
{
	struct model *m;

	*out = NULL;
	if (architecture_check(&p->arch, err) < 0)
		return -1;
	m = calloc(1, sizeof(*m));
	if (!m)
		return error_set_memory(err, "model", sizeof(*m));
	m->arch = p->arch;
	m->type = type;
	m->cell = cell_find(p->arch.cell);
	m->width = m->cell->gates * p->arch.hidden;
	atomic_init(&m->references, 1);
	for (size_t l = 0; l < p->arch.layers; l++)
		if (open_layer(m, p, l, err) < 0)
			goto fail;
	if (open_table(m, p, err) < 0 || open_output(m, p, err) < 0)
		goto fail;
	*out = m;
	return 0;
fail:
	model_unref(m);
	return -1;
}

struct model *model_ref(struct model *m)
{
	atomic_fetch_add_explicit(&m->references, 1, memory_order_relaxed);
	return m;
}

void model_unref(struct model *m)
{
	if (!m || atomic_fetch_sub_explicit(
			  &m->references, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t l = 0; l < m->arch.layers; l++) {
		packed_release(&m->layers[l].input);
		packed_release(&m->layers[l].hidden);
		free(m->layers[l].bias);
		free(m->layers[l].hidden_bias);
	}
	packed_release(&m->output);
	free(m->output_bias);
	free(m->table);
	free(m->embedding);
	free(m);
}

const struct architecture *model_architecture(const struct model *m)
{
	return &m->arch;
}

enum weight_type model_weight_type(const struct model *m)
{
	return m->type;
}

size_t model_bytes(const struct model *m)
{
	return m->bytes;
}

size_t model_state_floats(const struct model *m)
{
	return m->arch.layers * m->cell->states * m->arch.hidden;
}
