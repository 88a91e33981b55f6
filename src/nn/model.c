#include "nn/model.h"

#include "math/kernels.h"
#include "nn/cell.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* A table of layer 0's input product for each token is kept up to this. */
#define FOLD_MAX_BYTES (64u << 20)

struct layer {
	struct packed input;  /* [in, G * H]; unused where layer 0 is a table */
	struct packed hidden; /* [H, G * H] */
	real *bias;           /* [G * H]: b_ih, plus b_hh for additive cells */
	real *hidden_bias;    /* [G * H]: b_hh for separate cells, else NULL */
};

struct model {
	struct architecture arch;
	enum weight_type type;
	const struct cell_ops *cell;
	size_t width; /* G * H */
	real *table;  /* [V, G * H] layer 0's input product and bias, or NULL */
	real *embedding; /* [V, E] where there is no table, or NULL */
	struct layer layers[ARCHITECTURE_MAX_LAYERS];
	struct packed output; /* [H, V] */
	real *output_bias;    /* [V] */
	size_t bytes;
	atomic_size_t references;
};

struct model_scratch {
	size_t max_rows;
	real *x;       /* [max_rows, max(E, H)] */
	real *gates;   /* [max_rows, G * H] */
	real *product; /* [max_rows, G * H] */
	real *before;  /* [S][max_rows, H] */
	real *after;   /* [S][max_rows, H] */
	real *logits;  /* [max_rows, V] */
	uint8_t *x8;    /* int8: [max_rows, quantised max(E, H)] */
	float *x_scale; /* int8: [max_rows] */
};

/* What a layer's input may be worth: h is in (-1, 1), an embedding anything. */
#define SCALE_OF_H (1.0f / 127)
#define SCALE_BY_ROW 0.0f

static const real *tensor(const struct parameters *p, const char *kind,
	size_t layer)
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
	struct layer *layer = &m->layers[l];
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
	if (!gathered &&
		pack(m, &layer->input, tensor(p, "weight_ih", l),
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
static int open_table(struct model *m, const struct parameters *p,
	struct error *err)
{
	const struct architecture *a = &m->arch;
	const size_t n = m->width, v = a->vocab;
	const real *embedding = a->embedding ?
		p->data + parameters_find(p, "embedding.weight")->offset :
		NULL;
	struct layer *first = &m->layers[0];

	if (!folds(m)) {
		m->embedding = copy(m, embedding, v * a->embedding);
		return m->embedding ? 0 :
				      error_set_memory(err, "embedding",
					      v * a->embedding * sizeof(real));
	}
	m->table = kernels_alloc(v * n);
	if (!m->table)
		return error_set_memory(err, "input table",
			v * n * sizeof(real));
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

static int open_output(struct model *m, const struct parameters *p,
	struct error *err)
{
	const struct architecture *a = &m->arch;
	const char *name = a->tied ? "embedding.weight" : "output.weight";

	m->output_bias = copy(m,
		p->data + parameters_find(p, "output.bias")->offset, a->vocab);
	if (!m->output_bias)
		return error_set_memory(err, "output bias",
			a->vocab * sizeof(real));
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
	if (!m ||
		atomic_fetch_sub_explicit(&m->references, 1,
			memory_order_acq_rel) != 1)
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

int model_scratch_open(struct model_scratch **out, const struct model *m,
	size_t max_rows, struct error *err)
{
	const size_t h = m->arch.hidden, s = m->cell->states;
	const size_t in = m->arch.embedding > h ? m->arch.embedding : h;
	struct model_scratch *k = calloc(1, sizeof(*k));

	*out = NULL;
	if (!k)
		return error_set_memory(err, "scratch", sizeof(*k));
	k->max_rows = max_rows;
	k->x = kernels_alloc(max_rows * in);
	k->gates = kernels_alloc(max_rows * m->width);
	k->product = kernels_alloc(max_rows * m->width);
	k->before = kernels_alloc(max_rows * s * h);
	k->after = kernels_alloc(max_rows * s * h);
	k->logits = kernels_alloc(max_rows * m->arch.vocab);
	k->x8 = malloc(max_rows * kernels_quantised(in));
	k->x_scale = calloc(max_rows, sizeof(*k->x_scale));
	if (!k->x || !k->gates || !k->product || !k->before || !k->after ||
		!k->logits || !k->x8 || !k->x_scale) {
		model_scratch_close(k);
		return error_set_memory(err, "scratch",
			max_rows * (m->arch.vocab + 2 * m->width) *
				sizeof(real));
	}
	*out = k;
	return 0;
}

void model_scratch_close(struct model_scratch *s)
{
	if (!s)
		return;
	free(s->x);
	free(s->gates);
	free(s->product);
	free(s->before);
	free(s->after);
	free(s->logits);
	free(s->x8);
	free(s->x_scale);
	free(s);
}

/* A product on weights of the model's type. */
static void multiply(const struct model *m, struct model_scratch *s,
	struct product *p, float scale)
{
	const size_t k = p->w->k, stride = kernels_quantised(k);

	if (m->type == WEIGHTS_INT8) {
		for (size_t i = 0; i < p->m; i++)
			s->x_scale[i] = kernels()->quantise(p->x + i * p->ldx,
				k, scale, s->x8 + i * stride);
		p->x8 = s->x8;
		p->x_scale = s->x_scale;
	}
	kernels_product(p);
}

/* gates = bias + input product, of layer 0 by token. */
static void first_input(const struct model *m, struct model_scratch *s,
	size_t n, const uint32_t *tokens)
{
	const size_t e = m->arch.embedding, width = m->width;

	for (size_t i = 0; i < n; i++) {
		if (m->table)
			memcpy(s->gates + i * width,
				m->table + tokens[i] * width,
				width * sizeof(real));
		else
			memcpy(s->x + i * e, m->embedding + tokens[i] * e,
				e * sizeof(real));
	}
	if (m->table)
		return;
	multiply(m, s,
		&(struct product){ .w = &m->layers[0].input,
			.m = n,
			.x = s->x,
			.ldx = e,
			.y = s->gates,
			.ldy = width,
			.bias = m->layers[0].bias,
			.init = PRODUCT_BIAS },
		SCALE_BY_ROW);
}

/* One layer over the batch: states to `before`, step, back to states; h is
 * left in after[0] for the layer above. */
static void step_layer(const struct model *m, struct model_scratch *s,
	size_t l, size_t n, real *const *states)
{
	const size_t h = m->arch.hidden, k = m->cell->states;
	const size_t plane = s->max_rows * h;
	const struct layer *layer = &m->layers[l];
	struct product product = { .w = &layer->hidden,
		.m = n,
		.x = s->before,
		.ldx = h,
		.y = m->cell->separate ? s->product : s->gates,
		.ldy = m->width,
		.bias = layer->hidden_bias,
		.init = m->cell->separate ? PRODUCT_BIAS : PRODUCT_ADD };
	struct cell_step step = { .m = n,
		.hidden = h,
		.gates = s->gates,
		.product = s->product,
		.ld_gates = m->width,
		.ld_state = h };

	for (size_t j = 0; j < k; j++) {
		step.before[j] = s->before + j * plane;
		step.after[j] = s->after + j * plane;
		for (size_t i = 0; i < n; i++)
			memcpy(s->before + j * plane + i * h,
				states[i] + (l * k + j) * h, h * sizeof(real));
	}
	multiply(m, s, &product, SCALE_OF_H);
	m->cell->forward(&step);
	for (size_t j = 0; j < k; j++)
		for (size_t i = 0; i < n; i++)
			memcpy(states[i] + (l * k + j) * h,
				s->after + j * plane + i * h,
				h * sizeof(real));
}

/* Logits only for the rows that want them, gathered side by side. */
static void output(const struct model *m, struct model_scratch *s, size_t n,
	real *const *logits)
{
	const size_t h = m->arch.hidden, v = m->arch.vocab;
	size_t rows = 0;

	for (size_t i = 0; i < n; i++)
		if (logits[i])
			memcpy(s->x + rows++ * h, s->after + i * h,
				h * sizeof(real));
	if (!rows)
		return;
	multiply(m, s,
		&(struct product){ .w = &m->output,
			.m = rows,
			.x = s->x,
			.ldx = h,
			.y = s->logits,
			.ldy = v,
			.bias = m->output_bias,
			.init = PRODUCT_BIAS },
		SCALE_OF_H);
	rows = 0;
	for (size_t i = 0; i < n; i++)
		if (logits[i])
			memcpy(logits[i], s->logits + rows++ * v,
				v * sizeof(real));
}

void model_step(const struct model *m, struct model_scratch *s, size_t n,
	const uint32_t *tokens, real *const *states, real *const *logits)
{
	const size_t h = m->arch.hidden;

	first_input(m, s, n, tokens);
	for (size_t l = 0; l < m->arch.layers; l++) {
		if (l)
			multiply(m, s,
				&(struct product){ .w = &m->layers[l].input,
					.m = n,
					.x = s->after,
					.ldx = h,
					.y = s->gates,
					.ldy = m->width,
					.bias = m->layers[l].bias,
					.init = PRODUCT_BIAS },
				SCALE_OF_H);
		step_layer(m, s, l, n, states);
	}
	output(m, s, n, logits);
}
