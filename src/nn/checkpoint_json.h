/* The JSON text under `unrolld` in a checkpoint's metadata. Private to the
 * checkpoint files. */
#ifndef NN_CHECKPOINT_JSON_H
#define NN_CHECKPOINT_JSON_H

#include "nn/checkpoint.h"

/* From metadata: fills *a, c->tokenizer and c->training. On failure the caller
 * still releases c. */
int checkpoint_parse(struct checkpoint *c, struct architecture *a,
	const json_t *metadata, struct error *err);

/* The whole metadata object, or NULL when memory ran out. */
json_t *checkpoint_metadata(const struct checkpoint *c);

#endif
