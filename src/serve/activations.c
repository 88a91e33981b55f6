/* Everything belongs to the calling thread but the model, which is shared. */
#include "serve/activations.h"
#include "base/team.h"
#include "nn/model_watch.h"
#include "serve/sequence.h"

#include <fenv.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *cell, *series;
} letters[] = { { "lstm", "hcifgo" }, { "gru", "hrzn" }, { "rnn", "h" } };

const char *activations_series_of(const struct registry_entry *model)
{
	const char *cell = model_architecture(model->model)->cell;

	for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++)
		if (!strcmp(letters[i].cell, cell))
			return letters[i].series;
	return "h";
}

/* One reading: what is stepped, and where each series' vector lies. */
struct reading {
	const struct activations_options *o;
	struct activations *a;
	size_t hidden, state_floats, layer_floats;
	struct model_scratch *scratch;
	struct model_watch *watch;
	real *state, *logits;
	float *rows; /* [n_series][count][n_cells] */
};

static int check_series(const struct activations_options *o, struct error *err)
{
	const char *known = activations_series_of(o->model);
	size_t n = strlen(o->series);

	for (size_t i = 0; i < n; i++)
		if (!strchr(known, o->series[i]) ||
			strchr(o->series + i + 1, o->series[i]))
			return error_set_param(err, ERROR_INVALID, "series",
				"series is '%.40s', expected some of '%s', "
				"each once",
				o->series, known);
	if (n)
		return 0;
	return error_set_param(err, ERROR_INVALID, "series",
		"series is '', expected some of '%s'", known);
}

static int check(const struct activations_options *o, size_t count,
	size_t n_cells, struct error *err)
{
	const struct architecture *arch = model_architecture(o->model->model);
	size_t values = count * n_cells * strlen(o->series);

	if (o->layer >= arch->layers)
		return error_set_param(err, ERROR_INVALID, "layer",
			"layer is %zu, expected 0 to %zu", o->layer,
			(size_t)arch->layers - 1);
	for (size_t i = 0; o->cells && i < o->n_cells; i++)
		if (o->cells[i] >= arch->hidden)
			return error_set_param(err, ERROR_INVALID, "cells",
				"cells[%zu] is %u, expected 0 to %zu", i,
				o->cells[i], (size_t)arch->hidden - 1);
	if (check_series(o, err) < 0)
		return -1;
	if (values <= ACTIVATIONS_MAX_VALUES)
		return 0;
	return error_set_param(err, ERROR_INVALID, "limit",
		"%zu tokens, %zu cells and %zu series are %zu values, expected "
		"at most %u: ask for fewer tokens at a time",
		count, n_cells, strlen(o->series), values,
		ACTIVATIONS_MAX_VALUES);
}

static void close_reading(struct reading *r)
{
	model_scratch_close(r->scratch);
	model_watch_close(r->watch);
	free(r->state);
	free(r->logits);
	free(r->rows);
}

static int open_reading(struct reading *r, struct error *err)
{
	const struct activations_options *o = r->o;
	const struct model *m = o->model->model;
	const struct architecture *arch = model_architecture(m);
	const size_t values = r->a->count * r->a->n_cells * r->a->n_series;

	r->hidden = arch->hidden;
	r->state_floats = model_state_floats(m);
	r->layer_floats = r->state_floats / arch->layers;
	if (model_scratch_open(&r->scratch, m, 1, err) < 0 ||
		model_watch_open(&r->watch, m, o->layer, err) < 0)
		return -1;
	r->state = kernels_alloc(r->state_floats);
	r->logits = kernels_alloc(o->model->vocab);
	r->rows = calloc(values + 1, sizeof(*r->rows));
	if (!r->state || !r->logits || !r->rows)
		return error_set_memory(
			err, "activations", values * sizeof(float));
	return 0;
}

static int open_answer(struct activations *a, size_t count, size_t n_cells,
	const struct activations_options *o, struct error *err)
{
	a->count = count;
	a->n_cells = n_cells;
	a->n_top =
		o->top < o->model->vocab ? o->top : (unsigned)o->model->vocab;
	a->n_series = strlen(o->series);
	a->top = calloc(count * a->n_top + 1, sizeof(*a->top));
	for (size_t i = 0; i < a->n_series; i++) {
		struct activations_series *s = &a->series[i];

		s->name[0] = o->series[i];
		s->scale = calloc(n_cells + 1, sizeof(*s->scale));
		s->values = malloc(count * n_cells + 1);
		if (!s->scale || !s->values)
			a->n_top = 0;
	}
	for (size_t i = 0; i < a->n_series; i++)
		if (!a->series[i].scale || !a->series[i].values || !a->top)
			return error_set_memory(
				err, "activations", count * n_cells);
	return 0;
}

/* The series' vector as it is now, [hidden]. */
static const real *vector_of(const struct reading *r, char name)
{
	const char *known = activations_series_of(r->o->model);
	const real *layer = r->state + r->o->layer * r->layer_floats;
	const size_t states = r->layer_floats / r->hidden;
	const size_t at = (size_t)(strchr(known, name) - known);

	return at < states ? layer + at * r->hidden
			   : model_watch_gates(r->watch) +
				     (at - states) * r->hidden;
}

static void keep(const struct reading *r, size_t row)
{
	const struct activations *a = r->a;
	const uint32_t *cells = r->o->cells;

	for (size_t s = 0; s < a->n_series; s++) {
		const real *v = vector_of(r, a->series[s].name[0]);
		float *out = r->rows + (s * a->count + row) * a->n_cells;

		for (size_t j = 0; j < a->n_cells; j++)
			out[j] = (float)v[cells ? cells[j] : j];
	}
	if (a->n_top)
		sequence_top(r->logits, r->o->model->vocab,
			a->top + row * a->n_top, a->n_top);
}

/* Each cell by its own greatest value: c has no bound. */
static void quantise(const struct activations *a, const float *rows,
	const struct activations_series *s)
{
	for (size_t j = 0; j < a->n_cells; j++) {
		float max = 0;

		for (size_t t = 0; t < a->count; t++)
			max = fmaxf(max, fabsf(rows[t * a->n_cells + j]));
		s->scale[j] = max / 127;
		for (size_t t = 0; t < a->count; t++) {
			size_t i = t * a->n_cells + j;
			float v = max > 0 ? rows[i] * 127 / max : 0;

			s->values[i] = (signed char)lrintf(v);
		}
	}
}

/* The token an empty timeline starts from goes first, as in a generation. */
static void step_all(const struct reading *r)
{
	const struct activations_options *o = r->o;
	const struct model *m = o->model->model;
	const size_t end = o->from + r->a->count;

	model_step_watched(m, r->scratch, r->watch,
		tokenizer_start(o->model->tokenizer), r->state, NULL);
	for (size_t t = 0; t < end; t++) {
		bool told = t >= o->from;

		model_step_watched(m, r->scratch, r->watch, o->tokens[t],
			r->state, told && r->a->n_top ? r->logits : NULL);
		if (told)
			keep(r, t - o->from);
	}
}

static void run(const struct reading *r)
{
	const struct activations *a = r->a;
	fenv_t environment;

	/* As in engine threads: denormals would differ in their bits. */
	fegetenv(&environment);
	team_flush_denormals();
	step_all(r);
	fesetenv(&environment);
	for (size_t s = 0; s < a->n_series; s++)
		quantise(a, r->rows + s * a->count * a->n_cells, &a->series[s]);
}

int activations_read(struct activations *a, const struct activations_options *o,
	struct error *err)
{
	const size_t hidden = model_architecture(o->model->model)->hidden;
	const size_t n_cells = o->cells ? o->n_cells : hidden;
	const size_t left = o->from < o->n ? o->n - o->from : 0;
	const size_t count = left < o->count ? left : o->count;
	struct reading r = { .o = o, .a = a };
	int result;

	memset(a, 0, sizeof(*a));
	if (check(o, count, n_cells, err) < 0 ||
		open_answer(a, count, n_cells, o, err) < 0)
		return -1;
	result = open_reading(&r, err);
	if (!result && count)
		run(&r);
	close_reading(&r);
	return result;
}

void activations_release(struct activations *a)
{
	for (size_t i = 0; i < a->n_series; i++) {
		free(a->series[i].scale);
		free(a->series[i].values);
	}
	free(a->top);
	memset(a, 0, sizeof(*a));
}
