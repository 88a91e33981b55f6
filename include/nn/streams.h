/*
 * A text as B contiguous streams: row b reads the tokens of its own stretch in
 * order, a chunk at a time, so that its hidden state means something. The
 * validation part is cut off the text's tail, or off each stream.
 */
#ifndef NN_STREAMS_H
#define NN_STREAMS_H

#include "base/error.h"
#include "base/tokens.h"

#include <stddef.h>
#include <stdint.h>

enum validation_split {
	SPLIT_TAIL,   /* the last fraction of the text */
	SPLIT_STREAM, /* the last fraction of each stream (char-rnn) */
};

/* Token p of row b is tokens[b * stride + p], for begin <= p < end. */
struct streams {
	struct tokens_view tokens;
	size_t batch, stride, begin, end;
};

/* Cut a text into training and validation streams. `validation` may have
 * end == begin: nothing held out. A text too short for a chunk of seq_length
 * in every row is ERROR_INVALID with both numbers. */
int streams_split(const struct tokens_view *tokens, size_t batch,
	size_t seq_length, enum validation_split split, double fraction,
	struct streams *training, struct streams *validation,
	struct error *err);

/* One stream cut into rows that are evaluated side by side; each begins `warm`
 * tokens early, so that its state has forgotten the cut. `rows` is a power of
 * two, halved until a row is long enough for that; at one row *warm is 0. */
struct streams streams_parallel(
	const struct streams *one, size_t rows, size_t *warm);

/* Tokens of one row that can be predicted. */
static inline size_t streams_steps(const struct streams *s)
{
	return s->end > s->begin ? s->end - s->begin - 1 : 0;
}

/* Gather `steps` inputs and targets from position p, time-major [steps, B]. */
void streams_gather(const struct streams *s, size_t p, size_t steps,
	uint32_t *inputs, uint32_t *targets);

#endif
