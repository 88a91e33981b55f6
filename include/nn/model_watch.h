/*
 * Look into a layer while a sequence is stepped: what its gates came to, beside
 * the states that anyone can read. One watch per thread.
 */
#ifndef NN_MODEL_WATCH_H
#define NN_MODEL_WATCH_H

#include "nn/model.h"

struct model_watch;

/* Of layer < the architecture's layers. */
int model_watch_open(struct model_watch **w, const struct model *m,
	size_t layer, struct error *err);
void model_watch_close(struct model_watch *w);

/* model_step of one sequence, to the same bits; s must not be shared with a
 * crew. logits may be NULL. */
void model_step_watched(const struct model *m, struct model_scratch *s,
	struct model_watch *w, uint32_t token, real *state, real *logits);

/* Of the last step: [gates][hidden] activations, in the cell's order of gates
 * (nn/cell.h); of rnn, which has none to speak of, the pre-activation. Valid
 * until the next. */
const real *model_watch_gates(const struct model_watch *w);

#endif
