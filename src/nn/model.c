#include "nn/model_private.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* Add values of all gates [G * H] to those in the order of packed gates. */
static void gates_add(const struct model *m, real *out, const real *data)
{
	const size_t h = m->arch.hidden;

	for (size_t g = 0; g < m->cell->gates; g++)
		for (size_t u = 0; u < h; u++)
			out[packed_column(m->cell->gates, g, u)] +=
				data[g * h + u];
}

static real *gates_bias(struct model *m, const real *data)
{
	real *out = kernels_alloc(m->width);

	if (out)
		gates_add(m, out, data);
	m->bytes += m->width * sizeof(real);
	return out;
}

static int pack_gates(struct model *m, struct packed *w, const real *data,
	size_t k, struct error *err)
{
	if (packed_open_gates(
		    w, m->type, k, m->cell->gates, m->arch.hidden, err) < 0)
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
	struct model_layer *layer = &m->layers[l];
	const real *b_hh = tensor(p, "bias_hh", l);
	bool gathered = l == 0 && folds(m);

	layer->bias = gates_bias(m, tensor(p, "bias_ih", l));
	if (m->cell->separate)
		layer->hidden_bias = gates_bias(m, b_hh);
	if (!layer->bias || (m->cell->separate && !layer->hidden_bias))
		return error_set_memory(
			err, "model biases", m->width * sizeof(real));
	if (!m->cell->separate)
		gates_add(m, layer->bias, b_hh);
	if (!gathered && pack_gates(m, &layer->input, tensor(p, "weight_ih", l),
				 architecture_input(&m->arch, l), err) < 0)
		return -1;
	return pack_gates(m, &layer->hidden, tensor(p, "weight_hh", l),
		m->arch.hidden, err);
}

/* table = embedding x W_ih + bias, in full precision whatever the type. */
static int fold(struct model *m, const real *w_ih, const real *embedding,
	struct error *err)
{
	const size_t e = m->arch.embedding;
	struct packed w;

	if (packed_open_gates(&w, WEIGHTS_F32, e, m->cell->gates,
		    m->arch.hidden, err) < 0)
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
	const size_t gates = m->cell->gates * a->hidden;
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

		for (size_t i = 0; i < v; i++) {
			memcpy(m->table + i * n, first->bias, n * sizeof(real));
			gates_add(m, m->table + i * n, w + i * gates);
		}
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
	if (packed_open(&m->output, m->type, a->hidden, a->vocab, err) < 0)
		return -1;
	packed_fill(
		&m->output, p->data + parameters_find(p, name)->offset, true);
	m->bytes += m->output.bytes;
	return 0;
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
	m->width = packed_width(m->cell->gates, p->arch.hidden);
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

size_t model_step_bytes(const struct model *m)
{
	const size_t rows = m->arch.vocab - 1;

	return m->bytes - (m->table ? rows * m->width : 0) * sizeof(real) -
	       (m->embedding ? rows * m->arch.embedding : 0) * sizeof(real);
}

bool model_outgrows_cache(const struct model *m)
{
	long l2 = sysconf(_SC_LEVEL2_CACHE_SIZE);

	return model_step_bytes(m) > (l2 > 0 ? (size_t)l2 : 1u << 20);
}

size_t model_state_floats(const struct model *m)
{
	return m->arch.layers * m->cell->states * m->arch.hidden;
}

size_t model_width(const struct model *m)
{
	return m->width;
}
