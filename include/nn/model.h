/*
 * A model that is served: immutable, packed once, shared by reference count.
 * Callers know its architecture, the size of a sequence's state, and one verb:
 * step. A sequence's logits are the same bits whatever else is in its batch.
 */
#ifndef NN_MODEL_H
#define NN_MODEL_H

#include "base/error.h"
#include "math/kernels.h"
#include "nn/architecture.h"
#include "nn/parameters.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct crew;
struct model;
struct model_scratch;
struct streams;

/* Packs p's weights as `type`; p may be released afterwards. Reference count
 * 1. int8 rounds each output's weights, and every h to 1/127: |h| <= 1, so it
 * needs no calibration; an embedding is rounded by its own greatest value. */
int model_open(struct model **m, const struct parameters *p,
	enum weight_type type, struct error *err);
struct model *model_ref(struct model *m); /* any thread */
void model_unref(struct model *m);	  /* any thread; frees at zero */

const struct architecture *model_architecture(const struct model *m);
enum weight_type model_weight_type(const struct model *m);
/* Bytes the packed weights occupy. */
size_t model_bytes(const struct model *m);
/* Of these, what a step of one sequence reads: of a table or an embedding one
 * row. */
size_t model_step_bytes(const struct model *m);
/* Whether they outgrow a core's own cache, so that a crew helps. */
bool model_outgrows_cache(const struct model *m);
/* Floats in one sequence's state: [layers][states of the cell][hidden], h
 * first. The initial state is all zeros. */
size_t model_state_floats(const struct model *m);

/* Per-thread working memory for batches of up to max_rows sequences. */
int model_scratch_open(struct model_scratch **s, const struct model *m,
	size_t max_rows, struct error *err);
void model_scratch_close(struct model_scratch *s);
/* From now on the owner of this scratch, being `member` of the crew, lets idle
 * members help with small batches of a model that outgrows one core's cache.
 * Before the model is let go: crew_settle. */
void model_scratch_share(struct model_scratch *s, const struct model *m,
	struct crew *crew, unsigned member);

/*
 * Feed one token to each of n sequences (n <= max_rows): tokens[i] < vocab
 * advances states[i] ([model_state_floats], in place, 64-byte alignment not
 * required); where logits[i] is not NULL it receives [vocab] logits. States
 * must be distinct. Any thread, one scratch per thread.
 */
void model_step(const struct model *m, struct model_scratch *s, size_t n,
	const uint32_t *tokens, real *const *states, real *const *logits);

/* The same, with conditions[i] (NULL: none) added to sequence i's
 * pre-activations of layer 0: [model_width], in the order of packed gates
 * (math/kernels.h). Only of an additive cell, after model_scratch_condition. */
size_t model_width(const struct model *m);
int model_scratch_condition(
	struct model_scratch *s, const struct model *m, struct error *err);
void model_step_conditioned(const struct model *m, struct model_scratch *s,
	size_t n, const uint32_t *tokens, real *const *states,
	real *const *logits, const real *const *conditions);

/* Mean nats per token over streams (nn/streams.h), each from the initial state
 * and carried through; *tokens counts what was scored. */
int model_evaluate(const struct model *m, const struct streams *s, double *nats,
	uint64_t *tokens, struct error *err);

#endif
