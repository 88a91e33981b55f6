/*
 * A model on disk: one .safetensors file with F32, BF16 or F16 tensors under
 * PyTorch's names and, in __metadata__, `unrolld` = a JSON text: format
 * version, architecture, tokenizer, training summary. Nothing of a file is
 * believed before it is checked.
 */
#ifndef NN_CHECKPOINT_H
#define NN_CHECKPOINT_H

#include "base/error.h"
#include "math/kernels.h"
#include "nn/parameters.h"
#include "nn/safetensors.h"

#include <jansson.h>
#include <stdint.h>

#define CHECKPOINT_FORMAT 1

enum checkpoint_dtype { CHECKPOINT_F32, CHECKPOINT_BF16, CHECKPOINT_F16 };

struct checkpoint {
	struct parameters parameters; /* owned */
	json_t *tokenizer;	      /* owned; as text/tokenizer.h wrote it */
	json_t *training;	      /* owned; the summary, or NULL */
	json_t *captioner; /* owned; of a captioner's decoder what else the file
			    * holds (nn/captioner.h), or NULL */
	enum checkpoint_dtype dtype; /* of the tensors on disk */
};

/* Maps, checks wholly (header length, offsets, overlaps, gaps, shapes x dtype
 * against byte size, names against the architecture, NaN/Inf), converts,
 * unmaps. Errors name the file, the tensor and both values: ERROR_CORRUPT for
 * what is wrong, ERROR_UNSUPPORTED for a newer format or another dtype. On
 * failure nothing needs release. */
int checkpoint_load(struct checkpoint *c, const char *path, struct error *err);

/* The same of a file that must hold a captioner: c is its decoder, and `rest`
 * reads the tensors that begin with "cnn." or "condition." while it is open. */
int checkpoint_load_captioner(struct checkpoint *c, const char *path,
	int (*rest)(void *arg, const struct checkpoint *c,
		const struct safetensors *file, struct error *err),
	void *arg, struct error *err);

/* Which of the two a file is to be loaded with; of a text model or a captioner.
 */
int checkpoint_holds_captioner(
	const char *path, bool *captioner, struct error *err);

/* Written atomically (base/file.h); BF16 and F16 round to nearest even. What
 * isn't finite (ERROR_DIVERGED) or too large for F16 (ERROR_INVALID) is
 * refused, and the old file stays. */
int checkpoint_save(
	const struct checkpoint *c, const char *path, struct error *err);
void checkpoint_release(struct checkpoint *c);

/* Hash (XXH3-64) of architecture and tensors as floats in the file's order:
 * the model fingerprint. The same for a model whatever dtype it was stored in,
 * if no value was rounded. */
uint64_t checkpoint_fingerprint(const struct parameters *p);

/* "f32", "bf16", "f16": as options and JSON name them. */
/* The weight type that loses nothing of the tensors as stored: bf16 of BF16,
 * else f32. */
enum weight_type checkpoint_weights(const struct checkpoint *c);
const char *checkpoint_dtype_name(enum checkpoint_dtype dtype);
enum safetensors_dtype checkpoint_tensor_dtype(enum checkpoint_dtype dtype);

/* The architecture as the file has it: {"cell","vocab","hidden","layers",
 * "embedding","tied","bias"}. A new reference, NULL when memory ran out. */
json_t *checkpoint_architecture_json(const struct architecture *a);

/* A tensor as a safetensors entry without data; its name is borrowed. */
struct safetensors_entry checkpoint_entry(
	const struct tensor *t, enum checkpoint_dtype dtype);

#endif
