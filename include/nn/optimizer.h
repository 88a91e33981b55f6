/*
 * Update rules, element by element, as PyTorch defines them except Adagrad,
 * which is the lecture's: epsilon under the root. To add one: one file in
 * src/nn/optimizers and one line in src/nn/optimizer.c.
 */
#ifndef NN_OPTIMIZER_H
#define NN_OPTIMIZER_H

#include "math/real.h"

#include <stdbool.h>
#include <stddef.h>

#define OPTIMIZER_MAX_MOMENTS 2

/* One update's numbers, the same for all elements. */
struct optimizer_step {
	real learning_rate;
	real gradient_scale; /* multiplies g first: norm clip, accumulation */
	real clip;	     /* then |g| <= clip; 0 = off */
	real weight_decay;   /* added to g as L2, or decoupled by adamw */
	real decay;	     /* beta1 (adam), momentum (sgd), alpha (rmsprop) */
	real decay2;	     /* beta2 (adam) */
	real epsilon;
	size_t t; /* 1 for the first update: bias correction */
};

struct optimizer_ops {
	const char *name;
	size_t moments; /* blocks of state, zero at first */
	/* Defaults where the user names none; 0 = not used. */
	double learning_rate, decay, decay2, epsilon;
	/* Update w[n] from g[n]; moments[i][n] move along. */
	void (*update)(const struct optimizer_step *s, size_t n, real *w,
		const real *g, real *const *moments);
};

const struct optimizer_ops *optimizer_find(const char *name);
const struct optimizer_ops *optimizer_at(size_t i); /* NULL past the end */

#endif
