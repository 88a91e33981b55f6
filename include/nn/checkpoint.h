/*
 * A model on disk: one .safetensors file with F32, BF16 or F16 tensors under
 * PyTorch's names and, in __metadata__, `unrolld` = a JSON text: format
 * version, architecture, tokenizer, training summary. Nothing of a file is
 * believed before it is checked.
 */
#ifndef NN_CHECKPOINT_H
#define NN_CHECKPOINT_H

#include "base/error.h"
#include "nn/parameters.h"

#include <jansson.h>
#include <stdint.h>

#define CHECKPOINT_FORMAT 1

enum checkpoint_dtype { CHECKPOINT_F32, CHECKPOINT_BF16, CHECKPOINT_F16 };

struct checkpoint {
	struct parameters parameters; /* owned */
	json_t *tokenizer;            /* owned; as text/tokenizer.h wrote it */
	json_t *training;             /* owned; the summary, or NULL */
	enum checkpoint_dtype dtype;  /* of the tensors on disk */
};

/* Maps, checks wholly (header length, offsets, overlaps, gaps, shapes x dtype
 * against byte size, names against the architecture, NaN/Inf), converts,
 * unmaps. Errors name the file, the tensor and both values. */
int checkpoint_load(struct checkpoint *c, const char *path, struct error *err);

/* Written atomically (base/file.h); BF16 rounds to nearest even. */
int checkpoint_save(const struct checkpoint *c, const char *path,
	struct error *err);
void checkpoint_release(struct checkpoint *c);

/* Hash (XXH3-64) of architecture and tensors as float: the model fingerprint. */
uint64_t checkpoint_fingerprint(const struct parameters *p);

const char *checkpoint_dtype_name(enum checkpoint_dtype dtype);

#endif
