#include "app/text_measure.h"

#include "base/utf8.h"

static void add(struct text_measure *m, const struct tokenizer *t, uint32_t id,
	uint32_t unknown)
{
	size_t n;
	const char *bytes = tokenizer_bytes(t, id, &n);

	m->tokens++;
	if (id == unknown)
		m->unknown++;
	else
		m->characters += utf8_count(bytes, n);
}

void text_measure(
	struct text_measure *m, const struct corpus *c, const struct streams *s)
{
	const uint32_t unknown = tokenizer_unknown(c->tokenizer);
	double mean =
		c->unknown ? (double)c->unknown_characters / (double)c->unknown
			   : 0;

	*m = (struct text_measure){ 0 };
	for (size_t row = 0; row < s->batch; row++)
		for (size_t i = s->begin + 1; i < s->end; i++)
			add(m, c->tokenizer,
				tokens_at(&s->tokens, row * s->stride + i),
				unknown);
	m->characters += (uint64_t)(mean * (double)m->unknown + 0.5);
}

double text_measure_per_character(const struct text_measure *m, double nats)
{
	return nats * (double)m->tokens /
	       (double)(m->characters ? m->characters : 1);
}

double text_measure_unknown_rate(const struct text_measure *m)
{
	return m->tokens ? (double)m->unknown / (double)m->tokens : 0;
}
