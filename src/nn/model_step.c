/*
 * One token for each sequence of a batch. The hidden products of all layers
 * depend on the last step alone, so they come first, together: that is one
 * meeting with the crew for all of them.
 */
#include "nn/model_private.h"

#include "math/crew.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What of a layer one step computes. */
struct layer_scratch {
	real *gates;	/* [max_rows, G * H] */
	real *product;	/* [max_rows, G * H] of separate cells */
	real *before;	/* [S][max_rows, H] */
	real *after;	/* [S][max_rows, H] */
	uint8_t *x8;	/* int8: [max_rows, quantised H] of before[0] */
	float *x_scale; /* int8: [max_rows] */
};

struct model_scratch {
	size_t max_rows;
	struct crew *crew; /* borrowed, or NULL */
	unsigned member;
	struct layer_scratch layers[ARCHITECTURE_MAX_LAYERS];
	real *x;	/* [max_rows, max(E, H)] */
	uint8_t *x8;	/* int8: [max_rows, quantised max(E, H)] */
	float *x_scale; /* int8: [max_rows] */
	real *logits;	/* [max_rows, V] */
};

/* What a layer's input may be worth: h is in (-1, 1), an embedding anything. */
#define SCALE_OF_H (1.0f / 127)
#define SCALE_BY_ROW 0.0f

/* Rows that are worth a crew: more are bound by arithmetic, and busy threads
 * have sequences of their own then. */
#define CREW_ROWS 8

static bool open_layer(
	struct layer_scratch *l, const struct model *m, size_t rows)
{
	const size_t h = m->arch.hidden, s = m->cell->states;

	l->gates = kernels_alloc(rows * m->width);
	l->product = m->cell->separate ? kernels_alloc(rows * m->width) : NULL;
	l->before = kernels_alloc(rows * s * h);
	l->after = kernels_alloc(rows * s * h);
	l->x8 = malloc(rows * kernels_quantised(h));
	l->x_scale = calloc(rows, sizeof(*l->x_scale));
	return l->gates && (l->product || !m->cell->separate) && l->before &&
	       l->after && l->x8 && l->x_scale;
}

int model_scratch_open(struct model_scratch **out, const struct model *m,
	size_t max_rows, struct error *err)
{
	const size_t h = m->arch.hidden;
	const size_t in = m->arch.embedding > h ? m->arch.embedding : h;
	struct model_scratch *k = calloc(1, sizeof(*k));
	bool whole;

	*out = NULL;
	if (!k)
		return error_set_memory(err, "scratch", sizeof(*k));
	k->max_rows = max_rows;
	k->x = kernels_alloc(max_rows * in);
	k->x8 = malloc(max_rows * kernels_quantised(in));
	k->x_scale = calloc(max_rows, sizeof(*k->x_scale));
	k->logits = kernels_alloc(max_rows * m->arch.vocab);
	whole = k->x && k->x8 && k->x_scale && k->logits;
	for (size_t l = 0; whole && l < m->arch.layers; l++)
		whole = open_layer(&k->layers[l], m, max_rows);
	if (!whole) {
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
	for (size_t l = 0; l < ARCHITECTURE_MAX_LAYERS; l++) {
		free(s->layers[l].gates);
		free(s->layers[l].product);
		free(s->layers[l].before);
		free(s->layers[l].after);
		free(s->layers[l].x8);
		free(s->layers[l].x_scale);
	}
	free(s->x);
	free(s->x8);
	free(s->x_scale);
	free(s->logits);
	free(s);
}

/* Weights that fit a core's own cache are faster there than shared out. */
static bool outgrows_cache(const struct model *m)
{
	long l2 = sysconf(_SC_LEVEL2_CACHE_SIZE);

	return m->bytes > (l2 > 0 ? (size_t)l2 : 1u << 20);
}

void model_scratch_share(struct model_scratch *s, const struct model *m,
	struct crew *crew, unsigned member)
{
	s->crew = outgrows_cache(m) ? crew : NULL;
	s->member = member;
}

/* int8: p's x as bytes, in x8 and x_scale. */
static void quantise(const struct model *m, struct product *p, float scale,
	uint8_t *x8, float *x_scale)
{
	const size_t k = p->w->k, stride = kernels_quantised(k);

	if (m->type != WEIGHTS_INT8)
		return;
	for (size_t i = 0; i < p->m; i++)
		x_scale[i] = kernels()->quantise(
			p->x + i * p->ldx, k, scale, x8 + i * stride);
	p->x8 = x8;
	p->x_scale = x_scale;
}

static void multiply(struct model_scratch *s, const struct product *p, size_t n)
{
	if (s->crew && p->m <= CREW_ROWS) {
		crew_products(s->crew, s->member, p, n);
		return;
	}
	for (size_t i = 0; i < n; i++)
		kernels_product(&p[i]);
}

/* gates = bias + input product of layer 0, by token. */
static void first_input(const struct model *m, struct model_scratch *s,
	size_t n, const uint32_t *tokens)
{
	const size_t e = m->arch.embedding, width = m->width;
	struct product p = { .w = &m->layers[0].input,
		.m = n,
		.x = s->x,
		.ldx = e,
		.y = s->layers[0].gates,
		.ldy = width,
		.bias = m->layers[0].bias,
		.init = PRODUCT_BIAS };

	for (size_t i = 0; i < n; i++) {
		if (m->table)
			memcpy(p.y + i * width, m->table + tokens[i] * width,
				width * sizeof(real));
		else
			memcpy(s->x + i * e, m->embedding + tokens[i] * e,
				e * sizeof(real));
	}
	if (m->table)
		return;
	quantise(m, &p, SCALE_BY_ROW, s->x8, s->x_scale);
	multiply(s, &p, 1);
}

/* From the sequences to `before` of every layer, or from `after` back. */
static void load_states(const struct model *m, struct model_scratch *s,
	size_t n, real *const *states)
{
	const size_t h = m->arch.hidden, k = m->cell->states;

	for (size_t l = 0; l < m->arch.layers; l++)
		for (size_t j = 0; j < k; j++)
			for (size_t i = 0; i < n; i++)
				memcpy(s->layers[l].before +
						(j * s->max_rows + i) * h,
					states[i] + (l * k + j) * h,
					h * sizeof(real));
}

static void store_states(const struct model *m, const struct model_scratch *s,
	size_t n, real *const *states)
{
	const size_t h = m->arch.hidden, k = m->cell->states;

	for (size_t l = 0; l < m->arch.layers; l++)
		for (size_t j = 0; j < k; j++)
			for (size_t i = 0; i < n; i++)
				memcpy(states[i] + (l * k + j) * h,
					s->layers[l].after +
						(j * s->max_rows + i) * h,
					h * sizeof(real));
}

/* Additive cells: gates = bias + h W_hh, on layer 0 added to the input's;
 * separate ones keep h W_hh + b_hh apart. */
static void hidden_products(
	const struct model *m, struct model_scratch *s, size_t n)
{
	const bool apart = m->cell->separate;
	struct product p[ARCHITECTURE_MAX_LAYERS] = { 0 };

	for (size_t l = 0; l < m->arch.layers; l++) {
		const struct model_layer *layer = &m->layers[l];
		struct layer_scratch *ls = &s->layers[l];

		p[l] = (struct product){ .w = &layer->hidden,
			.m = n,
			.x = ls->before,
			.ldx = m->arch.hidden,
			.y = apart ? ls->product : ls->gates,
			.ldy = m->width,
			.bias = apart ? layer->hidden_bias : layer->bias,
			.init = apart || l ? PRODUCT_BIAS : PRODUCT_ADD };
		quantise(m, &p[l], SCALE_OF_H, ls->x8, ls->x_scale);
	}
	multiply(s, p, m->arch.layers);
}

static void step_cell(
	const struct model *m, struct model_scratch *s, size_t l, size_t n)
{
	const size_t h = m->arch.hidden;
	struct layer_scratch *ls = &s->layers[l];
	struct cell_step step = { .m = n,
		.hidden = h,
		.gates = ls->gates,
		.product = ls->product,
		.ld_gates = m->width,
		.ld_state = h };

	for (size_t j = 0; j < m->cell->states; j++) {
		step.before[j] = ls->before + j * s->max_rows * h;
		step.after[j] = ls->after + j * s->max_rows * h;
	}
	m->cell->forward(&step);
}

/* What the layer below sends up. */
static void input_product(
	const struct model *m, struct model_scratch *s, size_t l, size_t n)
{
	struct product p = { .w = &m->layers[l].input,
		.m = n,
		.x = s->layers[l - 1].after,
		.ldx = m->arch.hidden,
		.y = s->layers[l].gates,
		.ldy = m->width,
		.bias = m->layers[l].bias,
		.init = m->cell->separate ? PRODUCT_BIAS : PRODUCT_ADD };

	quantise(m, &p, SCALE_OF_H, s->x8, s->x_scale);
	multiply(s, &p, 1);
}

/* Logits only for the rows that want them, gathered side by side. */
static void output(const struct model *m, struct model_scratch *s, size_t n,
	real *const *logits)
{
	const size_t h = m->arch.hidden, v = m->arch.vocab;
	const real *top = s->layers[m->arch.layers - 1].after;
	struct product p = { .w = &m->output,
		.x = s->x,
		.ldx = h,
		.y = s->logits,
		.ldy = v,
		.bias = m->output_bias,
		.init = PRODUCT_BIAS };

	for (size_t i = 0; i < n; i++)
		if (logits[i])
			memcpy(s->x + p.m++ * h, top + i * h, h * sizeof(real));
	if (!p.m)
		return;
	quantise(m, &p, SCALE_OF_H, s->x8, s->x_scale);
	kernels_product(&p);
	p.m = 0;
	for (size_t i = 0; i < n; i++)
		if (logits[i])
			memcpy(logits[i], s->logits + p.m++ * v,
				v * sizeof(real));
}

void model_step(const struct model *m, struct model_scratch *s, size_t n,
	const uint32_t *tokens, real *const *states, real *const *logits)
{
	load_states(m, s, n, states);
	first_input(m, s, n, tokens);
	hidden_products(m, s, n);
	for (size_t l = 0; l < m->arch.layers; l++) {
		if (l)
			input_product(m, s, l, n);
		step_cell(m, s, l, n);
	}
	store_states(m, s, n, states);
	output(m, s, n, logits);
}
