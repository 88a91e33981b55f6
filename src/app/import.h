/*
 * Weights from elsewhere: which tensor of a foreign file is which of ours, the
 * architecture that follows from their shapes, and the vocabulary from a file.
 * cmd_import.c puts these together.
 */
#ifndef APP_IMPORT_H
#define APP_IMPORT_H

#include "nn/parameters.h"
#include "nn/safetensors.h"

#include <jansson.h>

enum import_layout { IMPORT_PYTORCH, IMPORT_CHAR_RNN };

/* Foreign tensors by their role; NULL where the file has none. */
struct import_plan {
	enum import_layout layout;
	const struct safetensors *file; /* borrowed */
	const struct safetensors_entry *embedding, *output_weight, *output_bias;
	struct import_layer {
		const struct safetensors_entry *weight_ih, *weight_hh;
		const struct safetensors_entry *bias_ih, *bias_hh;
	} layers[ARCHITECTURE_MAX_LAYERS];
	size_t n_layers;
	bool tied;
};

/* Find every tensor's role; what has none is an error that names it. */
int import_plan_make(struct import_plan *p, enum import_layout layout,
	const struct safetensors *file, struct error *err);

/* The architecture by the shapes. `cell` NULL or "" takes the number of gates
 * as a hint. char-rnn's GRU is refused. Sets p->tied. */
int import_architecture(struct import_plan *p, const char *cell,
	struct architecture *a, struct error *err);

/* Fill opened parameters; biases that the file lacks stay zero. */
int import_tensors(
	const struct import_plan *p, struct parameters *to, struct error *err);

/* Tokenizer JSON of a kind, with the vocabulary of a file where it has one:
 * a JSON array of tokens, a JSON object of token: id, or a token a line; for
 * "bpe" a Hugging Face tokenizer.json. A new reference. */
json_t *import_vocabulary(
	const char *kind, const char *path, struct error *err);

#endif
