/*
 * Blueprint of a recurrent language model: what fixes the names and shapes of
 * its tensors, and nothing else. Weights, state and scratch are elsewhere.
 */
#ifndef NN_ARCHITECTURE_H
#define NN_ARCHITECTURE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

#define ARCHITECTURE_MAX_LAYERS 8
#define ARCHITECTURE_MAX_HIDDEN 16384
#define ARCHITECTURE_MAX_VOCAB (1u << 24)

enum bias_mode {
	BIAS_DOUBLE, /* bias_ih and bias_hh both train (PyTorch, char-rnn) */
	BIAS_SINGLE, /* bias_hh stays 0 (the lecture) */
};

struct architecture {
	char cell[16];	  /* a name of the cell table: rnn, lstm, gru */
	size_t vocab;	  /* V */
	size_t hidden;	  /* H */
	size_t layers;	  /* L, 1..8 */
	size_t embedding; /* E; 0 means one-hot input: weight_ih_l0 is [gH, V]
			   */
	bool tied;	  /* output.weight is embedding.weight: E = H */
	enum bias_mode bias;
};

/* ERROR_INVALID naming the field, its value and what was expected. */
int architecture_check(const struct architecture *a, struct error *err);

/* Width of layer l's input: V or E for layer 0, H above. */
size_t architecture_input(const struct architecture *a, size_t layer);

#endif
