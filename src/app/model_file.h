/* A checkpoint with its tokenizer, which must fit each other: what every
 * command that reads a model begins with. */
#ifndef APP_MODEL_FILE_H
#define APP_MODEL_FILE_H

#include "nn/checkpoint.h"
#include "text/tokenizer.h"

struct model_file {
	struct checkpoint checkpoint; /* owned */
	struct tokenizer *tokenizer;  /* owned reference */
};

/* Errors name the file. On failure nothing needs release. */
int model_file_open(struct model_file *m, const char *path, struct error *err);
void model_file_release(struct model_file *m);

/* The same in two steps: the tokenizer of a checkpoint that came from path. */
int model_file_tokenizer(struct tokenizer **t, const struct checkpoint *c,
	const char *path, struct error *err);

/* Values of all tensors, without padding. */
size_t model_file_parameters(const struct parameters *p);

#endif
