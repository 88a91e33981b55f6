/* Initial weights: every draw is Philox(seed, tensor, element). */
#include "base/rng.h"
#include "nn/cell.h"
#include "nn/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double uniform(
	uint64_t seed, uint32_t tensor, uint64_t element, double bound)
{
	struct philox block = rng_block(seed, RNG_INIT, tensor, element / 2);
	const uint32_t *v = block.v + element % 2 * 2;

	return (2 * rng_double(v[0], v[1]) - 1) * bound;
}

static double normal(uint64_t seed, uint32_t tensor, uint64_t element)
{
	struct philox block = rng_block(seed, RNG_INIT, tensor, element / 2);
	double pair[2];

	rng_normal(&block, pair);
	return pair[element % 2];
}

/* Rows [H, H] of one gate made orthonormal by modified Gram-Schmidt. */
static void orthogonalise(real *w, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		real *row = w + i * n;
		double norm = 0;

		for (size_t j = 0; j < i; j++) {
			double dot = 0;

			for (size_t k = 0; k < n; k++)
				dot += (double)row[k] * (double)w[j * n + k];
			for (size_t k = 0; k < n; k++)
				row[k] -= (real)dot * w[j * n + k];
		}
		for (size_t k = 0; k < n; k++)
			norm += (double)row[k] * (double)row[k];
		norm = sqrt(norm);
		for (size_t k = 0; norm > 0 && k < n; k++)
			row[k] = (real)((double)row[k] / norm);
	}
}

struct draw {
	enum initialisation how;
	double scale;
	uint64_t seed;
	size_t hidden;
};

static double value(const struct draw *d, const struct tensor *t,
	uint32_t index, uint64_t element)
{
	bool embedding = !strncmp(t->name, "embedding", 9);
	bool recurrent = !strncmp(t->name, "rnn.weight_hh", 13);
	double fan_out = embedding || !strncmp(t->name, "output", 6)
				 ? (double)t->rows
				 : (double)d->hidden;

	switch (d->how) {
	case INIT_NORMAL:
		return t->cols ? normal(d->seed, index, element) * d->scale : 0;
	case INIT_UNIFORM:
		return uniform(d->seed, index, element, d->scale);
	case INIT_PYTORCH:
		return embedding ? normal(d->seed, index, element)
				 : uniform(d->seed, index, element,
					   1 / sqrt((double)d->hidden));
	case INIT_XAVIER:
		break;
	}
	if (!t->cols)
		return 0;
	if (recurrent)
		return normal(d->seed, index, element);
	if (embedding)
		return uniform(d->seed, index, element, 0.1);
	return uniform(
		d->seed, index, element, sqrt(6 / ((double)t->cols + fan_out)));
}

void trainer_initialise(struct parameters *p, enum initialisation how,
	double scale, double forget_bias, uint64_t seed)
{
	const struct cell_ops *cell = cell_find(p->arch.cell);
	const size_t h = p->arch.hidden;
	const struct draw draw = { how, scale, seed, h };

	for (uint32_t i = 0; i < p->n_tensors; i++) {
		const struct tensor *t = &p->tensors[i];
		real *data = p->data + t->offset;
		bool recurrent = !strncmp(t->name, "rnn.weight_hh", 13);
		bool second = !strncmp(t->name, "rnn.bias_hh", 11);

		for (size_t j = 0; j < tensor_size(t); j++)
			data[j] = (real)value(&draw, t, i, j);
		if (how == INIT_XAVIER && recurrent)
			for (size_t g = 0; g < cell->gates; g++)
				orthogonalise(data + g * h * h, h);
		if (second && p->arch.bias == BIAS_SINGLE)
			memset(data, 0, tensor_size(t) * sizeof(real));
		if (!strncmp(t->name, "rnn.bias_ih", 11) &&
			cell->forget_gate < cell->gates && forget_bias != 0)
			for (size_t j = 0; j < h; j++)
				data[cell->forget_gate * h + j] +=
					(real)forget_bias;
	}
}
