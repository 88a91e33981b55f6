/*
 * All tensors of a model in one block of `real`, in PyTorch's order and names:
 * embedding.weight, rnn.weight_ih_l{k}, rnn.weight_hh_l{k}, rnn.bias_ih_l{k},
 * rnn.bias_hh_l{k} for each layer, output.weight, output.bias. Optimizer
 * moments and gradients are blocks of the same layout.
 */
#ifndef NN_PARAMETERS_H
#define NN_PARAMETERS_H

#include "base/error.h"
#include "math/real.h"
#include "nn/architecture.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tensor {
	char name[64];
	size_t rows, cols; /* PyTorch's shape; cols = 0 for a vector [rows] */
	size_t offset;	   /* reals from the block's start */
	bool transposed;   /* held [cols, rows]: the one-hot weight_ih_l0, whose
			    * columns are gathered by token */
};

struct parameters {
	struct architecture arch;
	size_t n_tensors;
	struct tensor *tensors; /* [n_tensors] owned */
	size_t count;		/* reals in the block */
	real *data;		/* [count] owned, 64-byte aligned, zeroed */
};

int parameters_open(
	struct parameters *p, const struct architecture *a, struct error *err);
/* The same without the block (data = NULL): names and shapes alone, for a file
 * that must be compared with them before it is worth the memory. */
int parameters_layout(
	struct parameters *p, const struct architecture *a, struct error *err);
/* The block of a layout, zeroed. */
int parameters_allocate(struct parameters *p, struct error *err);
void parameters_release(struct parameters *p);

/* A copy of p for a vocabulary of `vocab` tokens, p's own or more: what knows
 * of the new ones (rows of the embedding or columns of the one-hot input, rows
 * and biases of the output) starts at the mean of those there are. */
int parameters_extend(struct parameters *out, const struct parameters *p,
	size_t vocab, struct error *err);

/* NULL when there is no such tensor. */
const struct tensor *parameters_find(
	const struct parameters *p, const char *name);
/* `rnn.KIND_l{layer}`: weight_ih, weight_hh, bias_ih or bias_hh. */
const struct tensor *parameters_layer(
	const struct parameters *p, const char *kind, size_t layer);
static inline size_t tensor_size(const struct tensor *t)
{
	return t->rows * (t->cols ? t->cols : 1);
}

/* Copy a tensor to or from PyTorch's row-major order (floats, tensor_size). */
void parameters_get(
	const struct parameters *p, const struct tensor *t, float *row_major);
void parameters_set(
	struct parameters *p, const struct tensor *t, const float *row_major);

#endif
