/* What trainer_state.c and caption_trainer_state.c share: a trainer's blocks,
 * stored flat, as they lie in memory. The file goes with its checkpoint and is
 * read by nobody else. */
#ifndef NN_STATE_ENTRIES_H
#define NN_STATE_ENTRIES_H

#include "math/real.h"
#include "nn/safetensors.h"

#define STATE_REAL \
	(sizeof(real) == sizeof(double) ? SAFETENSORS_F64 : SAFETENSORS_F32)

/* One more, of `count` values at data: to be written from, or read into. */
void state_entry(struct safetensors_entry *entries, size_t *n, const char *name,
	enum safetensors_dtype dtype, const void *data, size_t count);
/* All of them from the file, or none: ERROR_CORRUPT names what is missing or of
 * another size; `hint` says what may be different where one is missing. */
int state_restore(const struct safetensors *file, const char *path,
	const struct safetensors_entry *entries, size_t n, const char *hint,
	struct error *err);

#endif
