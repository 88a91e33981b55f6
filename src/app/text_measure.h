/* What a loss of nats per token is worth: how many characters the predicted
 * tokens stand for, and how many of them are only "<unk>". */
#ifndef APP_TEXT_MEASURE_H
#define APP_TEXT_MEASURE_H

#include "nn/streams.h"
#include "text/corpus.h"

struct text_measure {
	uint64_t tokens;  /* predicted: each row's but its first */
	uint64_t unknown; /* of them, "<unk>" */
	/* Code points that begin in them; "<unk>" counts as long as what it
	 * stands for is in the whole corpus on average. */
	uint64_t characters;
};

void text_measure(struct text_measure *m, const struct corpus *c,
	const struct streams *s);
double text_measure_per_character(const struct text_measure *m, double nats);
/* Share of the tokens that are out of the vocabulary, 0 to 1. */
double text_measure_unknown_rate(const struct text_measure *m);

#endif
