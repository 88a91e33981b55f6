/* The decoder's gradient with a condition and masked targets, against central
 * differences, in double; for every cell, at the first step and at all. */
#include "base/rng.h"
#include "nn/cell.h"
#include "nn/network.h"
#include "nn/trainer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define STEPS 4
#define ROWS 3
#define VOCAB 6
#define HIDDEN 5
#define STEP_SIZE 1e-5
#define TOLERANCE 1e-6

struct run {
	struct network *network;
	struct network_chunk chunk;
	struct parameters *gradients; /* NULL: forward only */
};

static void member(void *arg, unsigned i)
{
	struct run *r = arg;

	network_forward(r->network, &r->chunk, i);
	if (r->gradients)
		network_backward(r->network, &r->chunk, r->gradients, false, i);
}

static double loss(struct run *r, struct team *team)
{
	network_reset(r->network);
	team_run(team, member, r);
	return network_loss(r->network, &r->chunk) *
	       (double)r->chunk.loss_scale;
}

static void check(const struct cell_ops *cell, bool always, unsigned threads)
{
	static const uint32_t inputs[STEPS * ROWS] = { 0, 0, 0, 1, 2, 3, 4, 5,
		0, 2, 0, 0 };
	static const uint32_t targets[STEPS * ROWS] = { 1, 2, 3, 4, 5, 0, 2, 0,
		NETWORK_MASKED, 0, NETWORK_MASKED, NETWORK_MASKED };
	struct architecture a = {
		.vocab = VOCAB, .hidden = HIDDEN, .layers = 2, .embedding = 4
	};
	struct network_options o = {
		.batch = ROWS, .seq_length = STEPS, .training = true
	};
	const size_t width = cell->gates * HIDDEN;
	real condition[ROWS * 4 * HIDDEN], d[ROWS * 4 * HIDDEN];
	struct parameters p, g;
	struct run r = { 0 };
	struct team *team;

	strcpy(a.cell, cell->name);
	assert_int_equal(team_open(&team, threads, NULL), 0);
	assert_int_equal(parameters_open(&p, &a, NULL), 0);
	assert_int_equal(parameters_open(&g, &a, NULL), 0);
	trainer_initialise(&p, INIT_UNIFORM, 0.6, 1, 7);
	for (size_t i = 0; i < ROWS * width; i++)
		condition[i] = sin((double)i);
	assert_int_equal(network_open(&r.network, &p, &o, team, NULL), 0);
	r.chunk = (struct network_chunk){ .inputs = inputs,
		.targets = targets,
		.steps = STEPS,
		.loss_scale = 0.25,
		.condition = condition,
		.condition_always = always,
		.d_condition = d };
	r.gradients = &g;
	loss(&r, team);
	r.gradients = NULL;
	for (size_t i = 0; i < ROWS * width; i++) {
		double keep = condition[i], up, down, numeric;

		condition[i] = keep + STEP_SIZE;
		up = loss(&r, team);
		condition[i] = keep - STEP_SIZE;
		down = loss(&r, team);
		condition[i] = keep;
		numeric = (up - down) / (2 * STEP_SIZE);
		if (fabs(d[i] - numeric) > TOLERANCE * fmax(1e-3, fabs(d[i])))
			fail_msg("%s[%zu]: %.12g, expected %.12g", cell->name,
				i, d[i], numeric);
	}
	network_close(r.network);
	parameters_release(&p);
	parameters_release(&g);
	team_close(team);
}

static void conditions_match_finite_differences(void **unused)
{
	const struct cell_ops *cell;

	for (size_t i = 0; (cell = cell_at(i)); i++) {
		check(cell, false, 1);
		check(cell, true, 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conditions_match_finite_differences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
