#include "nn/streams.h"

#define ROW_PER_WARM 4 /* a row's length at least, to what it is warmed by */

static int too_short(const struct tokens_view *tokens, size_t batch,
	size_t seq_length, size_t per_row, struct error *err)
{
	return error_set(err, ERROR_INVALID,
		"the text has %zu tokens: %zu for each of %zu rows to train "
		"on, expected more than seq-length %zu; use a longer text, or "
		"a smaller batch or seq-length",
		tokens->count, per_row, batch, seq_length);
}

int streams_split(const struct tokens_view *tokens, size_t batch,
	size_t seq_length, enum validation_split split, double fraction,
	struct streams *training, struct streams *validation, struct error *err)
{
	const size_t n = tokens->count;
	size_t held = (size_t)((double)n * fraction);
	size_t stride, cut;

	if (split == SPLIT_TAIL) {
		*training = (struct streams){
			.tokens = tokens_slice(tokens, 0, n - held),
			.batch = batch,
			.stride = (n - held) / batch,
			.end = (n - held) / batch,
		};
		*validation = (struct streams){
			.tokens = tokens_slice(tokens, n - held, n),
			.batch = 1,
			.stride = held,
			.end = held,
		};
		if (training->end < seq_length + 1)
			return too_short(
				tokens, batch, seq_length, training->end, err);
		return 0;
	}
	stride = n / batch;
	cut = stride - (size_t)((double)stride * fraction);
	*training = (struct streams){ *tokens, batch, stride, 0, cut };
	*validation = (struct streams){ *tokens, batch, stride, cut, stride };
	if (cut < seq_length + 1)
		return too_short(tokens, batch, seq_length, cut, err);
	return 0;
}

struct streams streams_parallel(
	const struct streams *one, size_t rows, size_t *warm)
{
	const size_t n = one->end - one->begin;
	struct streams s = *one;

	while (rows > 1 && n < rows * ROW_PER_WARM * *warm)
		rows /= 2;
	if (one->batch != 1 || rows <= 1) {
		*warm = 0;
		return s;
	}
	s.tokens = tokens_slice(&one->tokens, one->begin, one->end);
	s.batch = rows;
	s.stride = (n - *warm) / rows;
	s.begin = 0;
	s.end = s.stride + *warm;
	return s;
}

void streams_gather(const struct streams *s, size_t p, size_t steps,
	uint32_t *inputs, uint32_t *targets)
{
	for (size_t t = 0; t < steps; t++)
		for (size_t b = 0; b < s->batch; b++) {
			size_t at = b * s->stride + p + t;

			inputs[t * s->batch + b] = tokens_at(&s->tokens, at);
			targets[t * s->batch + b] =
				tokens_at(&s->tokens, at + 1);
		}
}
