/* What `unrolld train-caption` can be told: a table. */
#ifndef APP_TRAIN_CAPTION_OPTIONS_H
#define APP_TRAIN_CAPTION_OPTIONS_H

#include "app/run_state.h"

#include <stdbool.h>
#include <stdint.h>

struct train_caption_options {
	bool help, resume, freeze, json;
	char *output, *images, *features, *cnn, *cnn_weights, *until;
	char *optimizer, *log;
	int cell, condition, dtype;
	uint64_t hidden, embedding, layers, batch, epochs, max_steps, warmup;
	uint64_t seed, min_count, max_vocab, threads, report_every;
	double learning_rate, weight_decay, clip_norm;
	double dropout_input, dropout_output, word_dropout;
	/* No options; set and released by the command. */
	char *state_path;
	json_t *resumed; /* what the state file says, or NULL */
};

/* The table, and what a run saves of it. */
extern const struct run_options train_caption_run_options;

#endif
