/*
 * The output layer of large vocabularies, in double: tiles of rows change
 * nothing, sampled softmax over all tokens is the full one, and over a few its
 * gradients match central differences.
 */
#include "base/rng.h"
#include "math/kernels.h"
#include "nn/network.h"
#include "nn/trainer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define STEPS 4
#define ROWS 5
#define VOCAB 40
#define HIDDEN 6
#define STEP_SIZE 1e-5

struct form {
	size_t embedding;
	bool tied;
	double dropout;
	unsigned threads;
};

static const struct form forms[] = {
	{ 0, false, 0, 1 },
	{ HIDDEN, true, 0, 2 },
	{ 3, false, 0.3, 3 },
};
#define N_FORMS (sizeof(forms) / sizeof(forms[0]))

struct run {
	struct parameters p, g;
	struct network *network;
	struct network_chunk chunk;
	struct team *team;
	uint32_t inputs[STEPS * ROWS], targets[STEPS * ROWS];
	double losses[STEPS * ROWS];
	bool training;
};

static void open_run(struct run *r, const struct form *f, bool training,
	size_t logits_max, size_t sampled)
{
	struct architecture a = { .cell = "lstm",
		.vocab = VOCAB,
		.hidden = HIDDEN,
		.layers = 2,
		.embedding = f->embedding,
		.tied = f->tied };
	struct network_options o = { .batch = ROWS,
		.seq_length = STEPS,
		.training = training,
		.dropout_output = f->dropout,
		.seed = 3,
		.sampled_softmax = sampled,
		.logits_max = logits_max };

	memset(r, 0, sizeof(*r));
	assert_int_equal(team_open(&r->team, f->threads, NULL), 0);
	assert_int_equal(parameters_open(&r->p, &a, NULL), 0);
	assert_int_equal(parameters_open(&r->g, &a, NULL), 0);
	trainer_initialise(&r->p, INIT_UNIFORM, 0.6, 1, 7);
	for (uint32_t i = 0; i < STEPS * ROWS; i++) {
		struct philox v = rng_block(1, RNG_SEED, i, 0);

		r->inputs[i] = v.v[0] % VOCAB;
		r->targets[i] = v.v[1] % VOCAB;
	}
	assert_int_equal(
		network_open(&r->network, &r->p, &o, r->team, NULL), 0);
	r->training = training;
	r->chunk = (struct network_chunk){ .inputs = r->inputs,
		.targets = r->targets,
		.steps = STEPS,
		.loss_scale = 1.0 / ROWS,
		.step = 5,
		.losses = r->losses };
}

static void close_run(struct run *r)
{
	network_close(r->network);
	parameters_release(&r->p);
	parameters_release(&r->g);
	team_close(r->team);
}

static void member(void *arg, unsigned i)
{
	struct run *r = arg;

	network_refresh(r->network, 2, i);
	network_forward(r->network, &r->chunk, i);
	if (r->training)
		network_backward(r->network, &r->chunk, &r->g, false, i);
}

static double loss(struct run *r)
{
	network_reset(r->network);
	team_run(r->team, member, r);
	return network_loss(r->network, &r->chunk) *
	       (double)r->chunk.loss_scale;
}

static void assert_close(
	const struct run *a, const struct run *b, double tolerance)
{
	for (size_t i = 0; i < STEPS * ROWS; i++)
		assert_true(fabs(a->losses[i] - b->losses[i]) <= tolerance);
	for (size_t i = 0; a->training && i < a->g.count; i++)
		if (fabs((double)(a->g.data[i] - b->g.data[i])) > tolerance)
			fail_msg("gradient %zu is %.17g, not %.17g", i,
				(double)a->g.data[i], (double)b->g.data[i]);
}

static void test_tiles_change_nothing(void **state)
{
	static const size_t limits[] = { 1, 7 * VOCAB, 19 * VOCAB };

	for (size_t f = 0; f < N_FORMS; f++)
		for (size_t i = 0; i < 2 * 3; i++) {
			struct run whole, tiled;

			open_run(&whole, &forms[f], i % 2, 0, 0);
			open_run(&tiled, &forms[f], i % 2, limits[i / 2], 0);
			loss(&whole);
			loss(&tiled);
			/* Losses to the bit; sums of gradients may be
			 * grouped another way. */
			for (size_t k = 0; k < STEPS * ROWS; k++)
				assert_true(whole.losses[k] == tiled.losses[k]);
			assert_close(&whole, &tiled, 1e-14);
			close_run(&whole);
			close_run(&tiled);
		}
}

static void test_all_sampled_is_all(void **state)
{
	for (size_t f = 0; f < N_FORMS; f++)
		for (size_t limit = 0; limit < 2; limit++) {
			struct run full, sampled;

			open_run(&full, &forms[f], true, 0, 0);
			open_run(&sampled, &forms[f], true, limit * 300, VOCAB);
			loss(&full);
			loss(&sampled);
			assert_close(&full, &sampled, 1e-12);
			close_run(&full);
			close_run(&sampled);
		}
}

static void test_sampled_gradients(void **state)
{
	for (size_t f = 0; f < N_FORMS; f++) {
		struct run r;
		real *analytic;

		open_run(&r, &forms[f], true, 200, 9);
		loss(&r);
		analytic = malloc(r.g.count * sizeof(*analytic));
		assert_non_null(analytic);
		memcpy(analytic, r.g.data, r.g.count * sizeof(*analytic));
		for (size_t i = 0; i < r.p.count; i++) {
			double keep = r.p.data[i], up, down, numeric;

			r.p.data[i] = keep + STEP_SIZE;
			up = loss(&r);
			r.p.data[i] = keep - STEP_SIZE;
			down = loss(&r);
			r.p.data[i] = keep;
			numeric = (up - down) / (2 * STEP_SIZE);
			if (fabs(numeric - analytic[i]) > 1e-8)
				fail_msg("[%zu]: %.12g, expected %.12g", i,
					(double)analytic[i], numeric);
		}
		free(analytic);
		close_run(&r);
	}
}

/* Each step draws others, the same on any number of threads. */
static void test_draws(void **state)
{
	struct form one = { 0, false, 0, 1 }, three = { 0, false, 0, 3 };
	struct run a, b;
	double first;

	open_run(&a, &one, true, 0, 5);
	open_run(&b, &three, true, 0, 5);
	first = loss(&a);
	assert_true(first == loss(&b));
	for (size_t i = 0; i < a.g.count; i++)
		assert_true(a.g.data[i] == b.g.data[i]);
	a.chunk.step = 6;
	assert_true(first != loss(&a));
	close_run(&a);
	close_run(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tiles_change_nothing),
		cmocka_unit_test(test_all_sampled_is_all),
		cmocka_unit_test(test_sampled_gradients),
		cmocka_unit_test(test_draws),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
