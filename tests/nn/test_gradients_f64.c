/*
 * Every cell's gradients against central differences, in double: over the
 * cell table, inputs by table and by embedding, tied output, dropout, layers.
 */
#include "base/rng.h"
#include "math/kernels.h"
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
#define STEP_SIZE 1e-5
#define TOLERANCE 1e-6

struct form {
	size_t vocab, hidden, layers, embedding;
	bool tied;
	enum bias_mode bias;
	double dropout;
	double dropout_input, dropout_hidden;
	unsigned threads;
};

static const struct form forms[] = {
	{ 5, 7, 1, 0, false, BIAS_DOUBLE, 0, 0, 0, 1 },
	{ 5, 6, 2, 0, false, BIAS_SINGLE, 0, 0, 0, 2 },
	{ 6, 5, 3, 4, false, BIAS_DOUBLE, 0, 0, 0.5, 2 },
	{ 7, 6, 2, 6, true, BIAS_DOUBLE, 0.4, 0, 0.3, 1 },
	/* More words than rows of the chunk: no table of products. */
	{ 40, 5, 2, 5, true, BIAS_DOUBLE, 0.3, 0, 0, 2 },
	{ 40, 4, 1, 9, false, BIAS_DOUBLE, 0, 0.5, 0, 1 },
};

struct run {
	struct network *network;
	struct network_chunk chunk;
	struct parameters *gradients; /* NULL: forward only */
};

static void member(void *arg, unsigned i)
{
	struct run *r = arg;

	network_refresh(r->network, 2, i);
	network_forward(r->network, &r->chunk, i);
	if (r->gradients)
		network_backward(r->network, &r->chunk, r->gradients, false, i);
}

/* The loss from a carried state that isn't zero. */
static double loss(struct run *r, struct team *team, const real *state)
{
	network_set_state(r->network, state);
	team_run(team, member, r);
	return network_loss(r->network, &r->chunk) *
	       (double)r->chunk.loss_scale;
}

static void check_form(const char *cell, const struct form *f)
{
	struct architecture a = { .vocab = f->vocab,
		.hidden = f->hidden,
		.layers = f->layers,
		.embedding = f->embedding,
		.tied = f->tied,
		.bias = f->bias };
	struct network_options o = { .batch = ROWS,
		.seq_length = STEPS,
		.training = true,
		.dropout_input = f->dropout_input,
		.dropout_layers = f->dropout,
		.dropout_output = f->dropout,
		.dropout_hidden = f->dropout_hidden,
		.seed = 3 };
	uint32_t inputs[STEPS * ROWS], targets[STEPS * ROWS];
	struct parameters p, g;
	struct run r = { 0 };
	struct team *team;
	struct error err;
	real state[1024];

	strcpy(a.cell, cell);
	assert_int_equal(team_open(&team, f->threads, &err), 0);
	assert_int_equal(parameters_open(&p, &a, &err), 0);
	assert_int_equal(parameters_open(&g, &a, &err), 0);
	trainer_initialise(&p, INIT_UNIFORM, 0.6, 1, 7);
	for (uint32_t i = 0; i < STEPS * ROWS; i++) {
		struct philox v = rng_block(1, RNG_SEED, i, 0);

		inputs[i] = v.v[0] % (uint32_t)f->vocab;
		targets[i] = v.v[1] % (uint32_t)f->vocab;
	}
	assert_int_equal(network_open(&r.network, &p, &o, team, &err), 0);
	assert_true(network_state_count(r.network) <= 1024);
	for (size_t i = 0; i < network_state_count(r.network); i++)
		state[i] = sin((double)i);
	r.chunk = (struct network_chunk){ .inputs = inputs,
		.targets = targets,
		.steps = STEPS,
		.loss_scale = 1.0 / ROWS,
		.step = 5 };
	r.gradients = &g;
	loss(&r, team, state);
	r.gradients = NULL;
	for (size_t t = 0; t < p.n_tensors; t++) {
		const struct tensor *at = &p.tensors[t];

		if (f->bias == BIAS_SINGLE && strstr(at->name, "bias_hh"))
			continue;
		for (size_t i = 0; i < tensor_size(at); i++) {
			real *w = &p.data[at->offset + i];
			double analytic = g.data[at->offset + i];
			double keep = *w, up, down, numeric, scale;

			*w = keep + STEP_SIZE;
			up = loss(&r, team, state);
			*w = keep - STEP_SIZE;
			down = loss(&r, team, state);
			*w = keep;
			numeric = (up - down) / (2 * STEP_SIZE);
			scale = fmax(1e-3, fmax(fabs(analytic), fabs(numeric)));
			if (fabs(analytic - numeric) > TOLERANCE * scale)
				fail_msg("%s %s[%zu]: %.12g, expected %.12g",
					cell, at->name, i, analytic, numeric);
		}
	}
	network_close(r.network);
	parameters_release(&p);
	parameters_release(&g);
	team_close(team);
}

static void every_cell_matches_finite_differences(void **unused)
{
	const struct cell_ops *cell;

	for (size_t i = 0; (cell = cell_at(i)); i++)
		for (size_t f = 0; f < sizeof(forms) / sizeof(forms[0]); f++)
			check_form(cell->name, &forms[f]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cell_matches_finite_differences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
