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
	const void *data; /* [bytes]; of a reader: not aligned */
	size_t bytes;
};

struct safetensors {
	struct file_map map;
	size_t n_entries;
	struct safetensors_entry *entries; /* owned; in order of offset */
	json_t *metadata;		   /* owned object of strings */
};

/* Every check that needs no knowledge of what the tensors mean. Unknown dtypes
 * are ERROR_UNSUPPORTED naming the tensor, other faults ERROR_CORRUPT; all name
 * the file. Data stays mapped until close. */
int safetensors_open(
	struct safetensors *s, const char *path, struct error *err);
void safetensors_close(struct safetensors *s);
const struct safetensors_entry *safetensors_find(
	const struct safetensors *s, const char *name);

const char *safetensors_dtype_name(enum safetensors_dtype dtype); /* "BF16" */
size_t safetensors_dtype_size(enum safetensors_dtype dtype);
/* Product of the shape: 1 for a scalar. */
size_t safetensors_count(const struct safetensors_entry *e);
/* "[1024,256]", cut to size. */
void safetensors_shape_text(
	const struct safetensors_entry *e, char *out, size_t size);

/* Convert an F32, BF16, F16 or F64 entry to floats [safetensors_count]; -1
 * with the tensor and the first index named when a value is NaN or infinite,
 * or becomes so. */
int safetensors_floats(
	const struct safetensors_entry *e, float *out, struct error *err);

/* Convert floats [n] of the tensor `name` to F32, BF16 or F16, rounding to
 * nearest even. NaN, infinities and what would become infinite are refused
 * with the index and the value. Denormals are kept. */
int safetensors_from_floats(const char *name, enum safetensors_dtype dtype,
	const float *in, size_t n, void *out, struct error *err);

/* Atomic, mode 0644; metadata (an object of strings) may be NULL. The file's
 * order is that of the entries, those of wider dtypes first so that all are
 * aligned. */
int safetensors_write(const char *path, const json_t *metadata,
	const struct safetensors_entry *entries, size_t n, struct error *err);

/*
 * The same without holding all tensors at once: the entries' data pointers are
 * ignored, then `put` takes the bytes of each in turn. Wider dtypes must come
 * first. Entries are borrowed until commit or abort; commit aborts by itself
 * when it fails. The old file is intact until commit returns 0.
 */
struct safetensors_writer {
	struct file_writer file;
	const struct safetensors_entry *entries;
	size_t n, next;
};
int safetensors_writer_open(struct safetensors_writer *w, const char *path,
	const json_t *metadata, const struct safetensors_entry *entries,
	size_t n, struct error *err);
int safetensors_writer_put(
	struct safetensors_writer *w, const void *data, struct error *err);
int safetensors_writer_commit(struct safetensors_writer *w, struct error *err);
void safetensors_writer_abort(struct safetensors_writer *w);

#endif
