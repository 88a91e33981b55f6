/*
 * One token for each sequence of a batch. A layer is computed by groups of
 * panels: the input's and the hidden state's product of all gates of a few
 * units, then their cell, while the gates are still in the core's own cache.
 *
 * A small batch on weights that outgrow that cache is bound by memory, and idle
 * threads help: then whole layers' products are handed to the crew, the hidden
 * ones of all layers together, for they depend on the last step alone. Sums
 * take their terms in the same order on both ways, so the bits are the same.
 */
#include "nn/model_private.h"

#include "math/crew.h"

#include <stdlib.h>
#include <string.h>

/* Rows as products take them: reals, or rounded to the weights' type. */
struct operand {
	real *x;	/* [max_rows, k] */
	uint8_t *bytes; /* [max_rows, kernels_rounded(type, k)], or NULL */
	float *scale;	/* [max_rows] */
};

struct model_scratch {
	size_t max_rows;
	struct crew *crew; /* borrowed, or NULL */
	unsigned member;
	struct operand hidden[ARCHITECTURE_MAX_LAYERS]; /* old h; [0] alone
							 * without a crew */
	struct operand input; /* of the layer, k = max(E, H) */
	real *above[2]; /* [max_rows, H] new h of a layer and the one below */
	real *gates;	/* of a group of panels, or of the crew's layers */
	real *product;	/* likewise, of separate cells; else NULL */
	const real **rows; /* [max_rows] of the table */
	real *logits;	   /* [max_rows, V] */
	real *conditioned; /* [max_rows, width], or NULL */
};

/* What a layer's input may be worth: h is in (-1, 1), an embedding anything. */
#define SCALE_OF_H (1.0f / 127)
#define SCALE_BY_ROW 0.0f

/* Pre-activations of a group of panels, if it has more than one of a gate:
 * half of a first-level cache. */
#define GROUP_REALS 4096

static size_t rounded(const struct model *m, size_t k)
{
	return kernels_rounded(m->type, k);
}

static bool operand_open(
	struct operand *o, const struct model *m, size_t rows, size_t k)
{
	o->x = kernels_alloc(rows * k);
	o->bytes = malloc(rows * rounded(m, k) + 1);
	o->scale = calloc(rows, sizeof(*o->scale));
	return o->x && o->bytes && o->scale;
}

static void operand_release(struct operand *o)
{
	free(o->x);
	free(o->bytes);
	free(o->scale);
}

static size_t max_size(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* Units of a group, in panels, for n rows. */
static size_t group_size(const struct model *m, size_t n)
{
	const size_t panels = m->width / kernels()->panel / m->cell->gates;
	size_t group = GROUP_REALS / (n * m->cell->gates * kernels()->panel);

	group = max_size(group, 1);
	return group < panels ? group : panels;
}

/* Reals of gates: one group of max_rows, or all layers of a crew's rows. */
static size_t gates_size(const struct model *m, size_t max_rows)
{
	size_t group = max_size(
		GROUP_REALS, max_rows * kernels()->panel * m->cell->gates);

	return max_size(group, m->arch.layers * CREW_MAX_ROWS * m->width);
}

int model_scratch_open(struct model_scratch **out, const struct model *m,
	size_t max_rows, struct error *err)
{
	const size_t h = m->arch.hidden, v = m->arch.vocab;
	const size_t gates = gates_size(m, max_rows);
	struct model_scratch *s = calloc(1, sizeof(*s));
	bool whole;

	*out = NULL;
	if (!s)
		return error_set_memory(err, "scratch", sizeof(*s));
	s->max_rows = max_rows;
	whole = operand_open(
		&s->input, m, max_rows, max_size(m->arch.embedding, h));
	for (size_t l = 0; whole && l < m->arch.layers; l++)
		whole = operand_open(&s->hidden[l], m,
			l ? CREW_MAX_ROWS : max_size(max_rows, CREW_MAX_ROWS),
			h);
	s->above[0] = kernels_alloc(max_rows * h);
	s->above[1] = kernels_alloc(max_rows * h);
	s->gates = kernels_alloc(gates);
	s->product = m->cell->separate ? kernels_alloc(gates) : NULL;
	s->rows = calloc(max_rows, sizeof(*s->rows));
	s->logits = kernels_alloc(max_rows * v);
	if (whole && s->above[0] && s->above[1] && s->gates && s->rows &&
		s->logits && (s->product || !m->cell->separate)) {
		*out = s;
		return 0;
	}
	model_scratch_close(s);
	return error_set_memory(err, "scratch",
		(max_rows * (4 * h + v) + gates) * sizeof(real));
}

void model_scratch_close(struct model_scratch *s)
{
	if (!s)
		return;
	for (size_t l = 0; l < ARCHITECTURE_MAX_LAYERS; l++)
		operand_release(&s->hidden[l]);
	operand_release(&s->input);
	free(s->above[0]);
	free(s->above[1]);
	free(s->gates);
	free(s->product);
	free(s->rows);
	free(s->logits);
	free(s->conditioned);
	free(s);
}

int model_scratch_condition(
	struct model_scratch *s, const struct model *m, struct error *err)
{
	s->conditioned = kernels_alloc(s->max_rows * m->width);
	if (s->conditioned)
		return 0;
	return error_set_memory(
		err, "scratch", s->max_rows * m->width * sizeof(real));
}

void model_scratch_share(struct model_scratch *s, const struct model *m,
	struct crew *crew, unsigned member)
{
	/* Weights that fit it are faster there than shared out. */
	s->crew = model_outgrows_cache(m) ? crew : NULL;
	s->member = member;
}

/* A batch on its way through a step. */
struct batch {
	const struct model *m;
	struct model_scratch *s;
	size_t n;
	const uint32_t *tokens;
	real *const *states; /* [n] */
	bool shared;	     /* by the crew */
	bool by_rows;	     /* layer 0's sums begin with scratch's rows */
	struct model_watch *watch; /* or NULL; then n is 1 */
};

static size_t state_at(const struct model *m, size_t layer)
{
	return layer * m->cell->states * m->arch.hidden;
}

/* Row i of o, in the form that the weights take. */
static void take_row(const struct batch *b, const struct operand *o, size_t i,
	const real *row, size_t k, float scale)
{
	const size_t bytes = rounded(b->m, k);

	if (bytes)
		o->scale[i] = kernels_round(
			b->m->type, row, k, scale, o->bytes + i * bytes);
	else
		memcpy(o->x + i * k, row, k * sizeof(real));
}

static struct product product_of(const struct batch *b, const struct packed *w,
	const struct operand *o, const real *x)
{
	return (struct product){ .w = w,
		.m = b->n,
		.x = x ? x : o->x,
		.ldx = w->k,
		.rounded = rounded(b->m, w->k) ? o->bytes : NULL,
		.x_scale = o->scale };
}

/* Old h of a layer, before anything overwrites it, times W_hh. An additive
 * cell's sum begins with all else; a separate one keeps h W_hh + b_hh apart. */
static struct product hidden_product(const struct batch *b, size_t l)
{
	const struct model *m = b->m;
	const struct model_layer *layer = &m->layers[l];
	struct operand *o = &b->s->hidden[b->shared ? l : 0];
	struct product p = product_of(b, &layer->hidden, o, NULL);

	for (size_t i = 0; i < b->n; i++)
		take_row(b, o, i, b->states[i] + state_at(m, l), m->arch.hidden,
			SCALE_OF_H);
	p.init = PRODUCT_BIAS;
	p.bias = m->cell->separate ? layer->hidden_bias : layer->bias;
	if (!l && !m->cell->separate && b->by_rows) {
		p.init = PRODUCT_ROWS;
		p.rows = b->s->rows;
	}
	return p;
}

/* What comes from below, times W_ih: new h of the layer there, or embeddings.
 */
static struct product input_product(const struct batch *b, size_t l)
{
	const struct model *m = b->m;
	const struct operand *o = &b->s->input;
	const real *below = l ? b->s->above[(l - 1) % 2] : NULL;
	const size_t k = m->layers[l].input.k;
	struct product p = product_of(b, &m->layers[l].input, o, below);

	for (size_t i = 0; i < b->n && (!l || p.rounded); i++)
		take_row(b, o, i,
			l ? below + i * k : m->embedding + b->tokens[i] * k, k,
			l ? SCALE_OF_H : SCALE_BY_ROW);
	p.init = m->cell->separate ? PRODUCT_BIAS : PRODUCT_ADD;
	p.bias = m->layers[l].bias;
	return p;
}

/* The cell, for units of `panels` panels from `first` on whose gates lie side
 * by side. */
static void infer(const struct batch *b, size_t l, size_t first, size_t panels,
	const real *gates, const real *product)
{
	const struct model *m = b->m;
	const size_t panel = kernels()->panel, h = m->arch.hidden;
	const size_t step = m->cell->gates * panel;

	for (size_t i = 0; i < panels; i++) {
		const size_t unit = (first + i) * panel;

		m->cell->infer(&(struct cell_panel){ .m = b->n,
			.units = h - unit < panel ? h - unit : panel,
			.gates = gates + i * step,
			.product = product ? product + i * step : NULL,
			.ld_gates = panels * step,
			.states = b->states,
			.at = state_at(m, l) + unit,
			.hidden = h,
			.h = b->s->above[l % 2] + unit,
			.ld_h = h });
	}
}

/* Gates of a separate cell's layer 0, where they come from the table. */
static void gather(
	const struct batch *b, size_t column, size_t count, real *gates)
{
	for (size_t i = 0; i < b->n; i++)
		memcpy(gates + i * count, b->s->rows[i] + column,
			count * sizeof(real));
}

static void run_group(struct product *p, real *y, size_t begin, size_t end)
{
	p->y = y;
	p->ldy = (end - begin) * kernels()->panel;
	p->y_column = begin * kernels()->panel;
	kernels()->product(p, begin, end);
}

/* One layer, group by group. */
static void step_layer(const struct batch *b, size_t l)
{
	const struct model *m = b->m;
	const bool by_table = !l && m->table, apart = m->cell->separate;
	const size_t gates = m->cell->gates, panel = kernels()->panel;
	const size_t panels = m->width / panel / gates;
	const size_t group = group_size(m, b->n);
	struct product hidden = hidden_product(b, l), input = { 0 };
	struct model_watch *w =
		b->watch && b->watch->layer == l ? b->watch : NULL;

	if (w)
		model_watch_begin(w, m, b->states[0] + state_at(m, l));
	if (!by_table)
		input = input_product(b, l);
	for (size_t at = 0; at < panels; at += group) {
		size_t count = panels - at < group ? panels - at : group;
		size_t begin = at * gates, end = (at + count) * gates;

		run_group(&hidden, apart ? b->s->product : b->s->gates, begin,
			end);
		if (!by_table)
			run_group(&input, b->s->gates, begin, end);
		else if (apart)
			gather(b, begin * panel, (end - begin) * panel,
				b->s->gates);
		if (w)
			model_watch_take(
				w, m, at, count, b->s->gates, b->s->product);
		infer(b, l, at, count, b->s->gates, b->s->product);
	}
	if (w)
		model_watch_end(w, m);
}

/* All layers, their products shared out. */
static void step_shared(const struct batch *b)
{
	const struct model *m = b->m;
	struct model_scratch *s = b->s;
	const bool apart = m->cell->separate;
	const size_t size = b->n * m->width;
	struct product p[ARCHITECTURE_MAX_LAYERS] = { 0 }, input;

	for (size_t l = 0; l < m->arch.layers; l++) {
		p[l] = hidden_product(b, l);
		p[l].y = (apart ? s->product : s->gates) + l * size;
		p[l].ldy = m->width;
	}
	crew_products(s->crew, s->member, p, m->arch.layers);
	for (size_t l = 0; l < m->arch.layers; l++) {
		real *gates = s->gates + l * size;

		if (l || !m->table) {
			input = input_product(b, l);
			input.y = gates;
			input.ldy = m->width;
			crew_products(s->crew, s->member, &input, 1);
		} else if (apart) {
			gather(b, 0, m->width, gates);
		}
		infer(b, l, 0, m->width / kernels()->panel / m->cell->gates,
			gates, apart ? s->product + l * size : NULL);
	}
}

/* Where the logits go: straight to their readers, if they lie side by side. */
static bool side_by_side(const struct batch *b, real *const *logits)
{
	for (size_t i = 0; i < b->n; i++)
		if (!logits[i] || logits[i] != logits[0] + i * b->m->arch.vocab)
			return false;
	return true;
}

/* Logits only for the rows that want them. */
static void output(const struct batch *b, real *const *logits)
{
	const struct model *m = b->m;
	struct model_scratch *s = b->s;
	const size_t h = m->arch.hidden, v = m->arch.vocab;
	const real *top = s->above[(m->arch.layers - 1) % 2];
	const bool direct = side_by_side(b, logits);
	struct product p =
		product_of(b, &m->output, &s->input, direct ? top : NULL);
	size_t wanted = 0;

	for (size_t i = 0; i < b->n; i++) {
		if (!logits[i])
			continue;
		/* Where all rows are wanted, reals are read where they lie. */
		if (!direct || p.rounded)
			take_row(b, &s->input, wanted, top + i * h, h,
				SCALE_OF_H);
		wanted++;
	}
	if (!wanted)
		return;
	p.m = wanted;
	p.y = direct ? logits[0] : s->logits;
	p.ldy = v;
	p.bias = m->output_bias;
	p.init = PRODUCT_BIAS;
	if (b->shared)
		crew_products(s->crew, s->member, &p, 1);
	else
		kernels_product(&p);
	for (size_t i = b->n; i-- > 0 && !direct;)
		if (logits[i])
			memcpy(logits[i], s->logits + --wanted * v,
				v * sizeof(real));
}

static void run_step(const struct batch *b, real *const *logits)
{
	if (b->shared)
		step_shared(b);
	else
		for (size_t l = 0; l < b->m->arch.layers; l++)
			step_layer(b, l);
	output(b, logits);
}

void model_step(const struct model *m, struct model_scratch *s, size_t n,
	const uint32_t *tokens, real *const *states, real *const *logits)
{
	const struct batch b = { .m = m,
		.s = s,
		.n = n,
		.tokens = tokens,
		.states = states,
		.shared = s->crew && n <= CREW_MAX_ROWS,
		.by_rows = m->table };

	if (!n)
		return;
	for (size_t i = 0; i < n && m->table; i++)
		s->rows[i] = m->table + tokens[i] * m->width;
	run_step(&b, logits);
}

void model_step_watched(const struct model *m, struct model_scratch *s,
	struct model_watch *w, uint32_t token, real *state, real *logits)
{
	const struct batch b = { .m = m,
		.s = s,
		.n = 1,
		.tokens = &token,
		.states = &state,
		.by_rows = m->table,
		.watch = w };

	if (m->table)
		s->rows[0] = m->table + token * m->width;
	run_step(&b, &logits);
}

void model_step_conditioned(const struct model *m, struct model_scratch *s,
	size_t n, const uint32_t *tokens, real *const *states,
	real *const *logits, const real *const *conditions)
{
	const struct batch b = { .m = m,
		.s = s,
		.n = n,
		.tokens = tokens,
		.states = states,
		.by_rows = true };

	if (!n)
		return;
	for (size_t i = 0; i < n; i++) {
		const real *start = m->table ? m->table + tokens[i] * m->width
					     : m->layers[0].bias;
		real *row = s->conditioned + i * m->width;

		s->rows[i] = start;
		if (!conditions[i])
			continue;
		memcpy(row, start, m->width * sizeof(real));
		kernels()->add(row, conditions[i], m->width);
		s->rows[i] = row;
	}
	run_step(&b, logits);
}
