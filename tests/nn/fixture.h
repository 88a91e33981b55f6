/* What the tests of networks and trainers share: small models, made text. */
#ifndef TESTS_NN_FIXTURE_H
#define TESTS_NN_FIXTURE_H

#include "test.h"

#include "base/rng.h"
#include "nn/network.h"
#include "nn/trainer.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define UNUSED __attribute__((unused))

struct form {
	const char *name;
	size_t vocab, hidden, layers, embedding;
	bool tied;
};

UNUSED static void form_open(struct parameters *p, const struct form *f,
	const char *cell, enum bias_mode bias)
{
	struct architecture a = { .vocab = f->vocab,
		.hidden = f->hidden,
		.layers = f->layers,
		.embedding = f->embedding,
		.tied = f->tied,
		.bias = bias };
	struct error err;

	snprintf(a.cell, sizeof(a.cell), "%s", cell);
	assert_int_equal(parameters_open(p, &a, &err), 0);
	trainer_initialise(p, INIT_UNIFORM, 0.4, 1, 5);
}

UNUSED static struct team *team_of(unsigned size)
{
	struct team *team;
	struct error err;

	assert_int_equal(team_open(&team, size, &err), 0);
	return team;
}

/* Ids below vocab with some structure, so that there is something to learn:
 * each follows from the last, now and then not. */
UNUSED static void fill_tokens(
	uint32_t *ids, size_t n, size_t vocab, uint64_t seed)
{
	uint32_t last = 0;

	for (size_t i = 0; i < n; i++) {
		struct philox v = rng_block(seed, RNG_SEED, 1, i);

		last = v.v[0] % 4 ? (last * 7 + 3) % (uint32_t)vocab
				  : v.v[1] % (uint32_t)vocab;
		ids[i] = last;
	}
}

UNUSED static struct streams rows_of(
	const uint32_t *ids, size_t n, size_t batch)
{
	return (struct streams){ .tokens = { ids, sizeof(*ids), n },
		.batch = batch,
		.stride = n / batch,
		.end = n / batch };
}

UNUSED static struct trainer_options plain_options(const char *optimizer)
{
	return (struct trainer_options){ .seq_length = 5,
		.optimizer = optimizer,
		.learning_rate = 0.01,
		.decay = (double)NAN,
		.decay2 = (double)NAN,
		.epsilon = (double)NAN,
		.loss_scale = LOSS_MEAN,
		.accumulate = 1,
		.seed = 17 };
}

#endif
