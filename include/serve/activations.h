/*
 * What a layer's cells do while a model reads a text: h, c and gates per token,
 * rounded to 8 bits, and which tokens the model expects next. It reads from the
 * initial state, as a request without a session does, in the caller's thread: a
 * worker's, for it takes a step per token.
 */
#ifndef SERVE_ACTIVATIONS_H
#define SERVE_ACTIVATIONS_H

#include "serve/generate.h"

#define ACTIVATIONS_MAX_TOKENS 20000
#define ACTIVATIONS_MAX_VALUES (4u << 20) /* of one answer, all series */
#define ACTIVATIONS_MAX_SERIES 6

struct activations_options {
	struct registry_entry *model;
	const uint32_t *tokens; /* [n] <= ACTIVATIONS_MAX_TOKENS */
	size_t n;
	size_t layer;
	size_t from, count;    /* which tokens to tell of; may go past n */
	const uint32_t *cells; /* [n_cells] units of the layer; NULL: all */
	size_t n_cells;
	const char *series; /* letters: h, c, and the cell's gates: i f g o of
			     * lstm, r z n of gru */
	unsigned top;	    /* most probable next tokens, 0..20 */
};

struct activations {
	size_t count, n_cells; /* that there are */
	struct activations_series {
		char name[2];
		float *scale; /* [n_cells] what 127 stands for, over 127 */
		signed char *values; /* [count][n_cells] */
	} series[ACTIVATIONS_MAX_SERIES];
	size_t n_series;
	unsigned n_top;
	struct generate_top *top; /* [count][n_top], best first */
};

/* The letters that a model's layers have, in order: "hcifgo". */
const char *activations_series_of(const struct registry_entry *model);

/* ERROR_INVALID with `layer`, `cells`, `series` or `limit` as param. The
 * caller releases *a, also after an error. */
int activations_read(struct activations *a, const struct activations_options *o,
	struct error *err);
void activations_release(struct activations *a);

#endif
