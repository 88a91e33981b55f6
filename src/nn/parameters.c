#include "nn/parameters.h"

#include "math/kernels.h"
#include "nn/cell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Give the next tensor its name, shape and place. */
static struct tensor *place(struct parameters *p, size_t rows, size_t cols)
{
	struct tensor *t = &p->tensors[p->n_tensors++];

	*t = (struct tensor){ .rows = rows, .cols = cols, .offset = p->count };
	/* Each starts on a cache line: threads write neighbours. */
	p->count += (tensor_size(t) + 15) / 16 * 16;
	return t;
}

static void place_layer(struct parameters *p, size_t l, size_t gates)
{
	const struct architecture *a = &p->arch;
	size_t rows = gates * a->hidden;
	struct tensor *t;

	t = place(p, rows, architecture_input(a, l));
	snprintf(t->name, sizeof(t->name), "rnn.weight_ih_l%zu", l);
	t->transposed = l == 0 && !a->embedding;
	t = place(p, rows, a->hidden);
	snprintf(t->name, sizeof(t->name), "rnn.weight_hh_l%zu", l);
	t = place(p, rows, 0);
	snprintf(t->name, sizeof(t->name), "rnn.bias_ih_l%zu", l);
	t = place(p, rows, 0);
	snprintf(t->name, sizeof(t->name), "rnn.bias_hh_l%zu", l);
}

int parameters_layout(
	struct parameters *p, const struct architecture *a, struct error *err)
{
	size_t gates;

	*p = (struct parameters){ .arch = *a };
	if (architecture_check(a, err) < 0)
		return -1;
	gates = cell_find(a->cell)->gates;
	p->tensors = calloc(4 * a->layers + 3, sizeof(*p->tensors));
	if (!p->tensors)
		return error_set_memory(err, "tensor table",
			(4 * a->layers + 3) * sizeof(*p->tensors));
	if (a->embedding)
		strcpy(place(p, a->vocab, a->embedding)->name,
			"embedding.weight");
	for (size_t l = 0; l < a->layers; l++)
		place_layer(p, l, gates);
	if (!a->tied)
		strcpy(place(p, a->vocab, a->hidden)->name, "output.weight");
	strcpy(place(p, a->vocab, 0)->name, "output.bias");
	return 0;
}

int parameters_allocate(struct parameters *p, struct error *err)
{
	p->data = kernels_alloc(p->count);
	if (!p->data)
		return error_set_memory(
			err, "parameters", p->count * sizeof(real));
	return 0;
}

int parameters_open(
	struct parameters *p, const struct architecture *a, struct error *err)
{
	if (parameters_layout(p, a, err) < 0)
		return -1;
	if (parameters_allocate(p, err) == 0)
		return 0;
	parameters_release(p);
	return -1;
}

void parameters_release(struct parameters *p)
{
	free(p->tensors);
	free(p->data);
	*p = (struct parameters){ 0 };
}

const struct tensor *parameters_find(
	const struct parameters *p, const char *name)
{
	for (size_t i = 0; i < p->n_tensors; i++)
		if (!strcmp(p->tensors[i].name, name))
			return &p->tensors[i];
	return NULL;
}

const struct tensor *parameters_layer(
	const struct parameters *p, const char *kind, size_t layer)
{
	char name[sizeof(p->tensors->name)];

	snprintf(name, sizeof(name), "rnn.%s_l%zu", kind, layer);
	return parameters_find(p, name);
}

void parameters_get(
	const struct parameters *p, const struct tensor *t, float *row_major)
{
	const real *data = p->data + t->offset;
	size_t n = tensor_size(t);

	if (!t->transposed) {
		for (size_t i = 0; i < n; i++)
			row_major[i] = (float)data[i];
		return;
	}
	for (size_t r = 0; r < t->rows; r++)
		for (size_t c = 0; c < t->cols; c++)
			row_major[r * t->cols + c] =
				(float)data[c * t->rows + r];
}

void parameters_set(
	struct parameters *p, const struct tensor *t, const float *row_major)
{
	real *data = p->data + t->offset;
	size_t n = tensor_size(t);

	if (!t->transposed) {
		for (size_t i = 0; i < n; i++)
			data[i] = (real)row_major[i];
		return;
	}
	for (size_t r = 0; r < t->rows; r++)
		for (size_t c = 0; c < t->cols; c++)
			data[c * t->rows + r] =
				(real)row_major[r * t->cols + c];
}
