/*
 * The safetensors container (github.com/huggingface/safetensors): 8 bytes of
 * little-endian header length, a JSON header, then the tensors' bytes. Knows
 * nothing of models; checkpoints and training state are both written with it.
 */
#ifndef NN_SAFETENSORS_H
#define NN_SAFETENSORS_H

#include "base/error.h"
#include "base/file.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define SAFETENSORS_MAX_HEADER (100u << 20) /* the format's own limit */
#define SAFETENSORS_MAX_DIMS 8

enum safetensors_dtype {
	SAFETENSORS_F64,
	SAFETENSORS_F32,
	SAFETENSORS_F16,
	SAFETENSORS_BF16,
	SAFETENSORS_I64,
	SAFETENSORS_U64,
	SAFETENSORS_U32,
	SAFETENSORS_U8,
};

struct safetensors_entry {
	char *name; /* owned by the reader; borrowed by the writer */
	enum safetensors_dtype dtype;
	size_t n_dims;
	size_t shape[SAFETENSORS_MAX_DIMS];
	const void *data; /* [bytes] */
	size_t bytes;
};

struct safetensors {
	struct file_map map;
	size_t n_entries;
	struct safetensors_entry *entries; /* owned; in order of offset */
	json_t *metadata;                  /* owned object of strings */
};

/* Every check that needs no knowledge of what the tensors mean. Unknown dtypes
 * are ERROR_UNSUPPORTED naming the tensor. Data stays mapped until close. */
int safetensors_open(struct safetensors *s, const char *path,
	struct error *err);
void safetensors_close(struct safetensors *s);
const struct safetensors_entry *safetensors_find(const struct safetensors *s,
	const char *name);

/* Convert an F32, BF16, F16 or F64 entry to floats; -1 with the tensor and the
 * first index named when a value is NaN or infinite. */
int safetensors_floats(const struct safetensors_entry *e, float *out,
	struct error *err);

/* Atomic, mode 0644; metadata may be NULL. */
int safetensors_write(const char *path, const json_t *metadata,
	const struct safetensors_entry *entries, size_t n, struct error *err);

#endif
