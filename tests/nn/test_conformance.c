/*
 * Every cell of the table, on every instruction set, in every form of input
 * and output: inference equals training's forward, chunks join without a
 * seam, and a sequence's numbers do not depend on its company.
 */
#include "nn/fixture.h"

#include "each_isa.h"
#include "math/kernels.h"
#include "nn/cell.h"
#include "nn/model.h"
#include "nn/model_watch.h"

#define STEPS 8
#define ROWS 3

static const struct form forms[] = {
	{ "one-hot", 11, 37, 2, 0, false },
	{ "embedding", 11, 24, 3, 9, false },
	{ "tied", 13, 20, 2, 20, true },
	/* More words than rows of a chunk: no table of products in training. */
	{ "large vocabulary", 300, 16, 1, 20, false },
	{ "two words, eight layers", 2, 5, 8, 3, false },
	{ "more units than a panel", 7, 67, 1, 0, false },
};
#define N_FORMS (sizeof(forms) / sizeof(forms[0]))

typedef void check(const char *cell, const struct form *f);

static void over_the_tables(check *f)
{
	const struct cell_ops *cell;

	for (size_t i = 0; (cell = cell_at(i)); i++)
		for (size_t j = 0; j < N_FORMS; j++)
			f(cell->name, &forms[j]);
}

struct pass {
	struct network *network;
	struct network_chunk chunk;
};

static void member(void *arg, unsigned i)
{
	struct pass *p = arg;

	network_forward(p->network, &p->chunk, i);
	network_carry(p->network, &p->chunk, i);
}

/* `steps` steps from position `at` of [STEPS, batch] ids; losses to out. */
static void forward(struct network *n, struct team *team, const uint32_t *ids,
	size_t batch, size_t at, size_t steps, double *losses)
{
	struct pass p = { n, { .inputs = ids + at * batch,
				     .targets = ids + (at + 1) * batch,
				     .steps = steps,
				     .loss_scale = 1,
				     .losses = losses + at * batch } };

	team_run(team, member, &p);
}

static struct network *open_forward(
	const struct parameters *p, size_t batch, struct team *team)
{
	const struct network_options o = { .batch = batch,
		.seq_length = STEPS };
	struct network *n;
	struct error err;

	assert_int_equal(network_open(&n, p, &o, team, &err), 0);
	return n;
}

struct inference {
	struct model *model;
	struct model_scratch *scratch;
};

static void inference_open(struct inference *i, const struct parameters *p,
	enum weight_type type, size_t rows)
{
	struct error err;

	assert_int_equal(model_open(&i->model, p, type, &err), 0);
	assert_int_equal(
		model_scratch_open(&i->scratch, i->model, rows, &err), 0);
}

static void inference_close(struct inference *i)
{
	model_scratch_close(i->scratch);
	model_unref(i->model);
}

static void check_inference(const char *cell, const struct form *f)
{
	uint32_t ids[(STEPS + 1) * ROWS];
	double losses[STEPS * ROWS];
	struct team *team = team_of(2);
	struct parameters p;
	struct network *n;
	struct inference in;
	size_t count, per_row;
	real *trained, *states, *logits;

	form_open(&p, f, cell, BIAS_DOUBLE);
	fill_tokens(ids, sizeof(ids) / sizeof(*ids), f->vocab, 1);
	n = open_forward(&p, ROWS, team);
	forward(n, team, ids, ROWS, 0, STEPS, losses);
	inference_open(&in, &p, WEIGHTS_F32, ROWS);
	per_row = model_state_floats(in.model);
	count = network_state_count(n);
	assert_int_equal(count, per_row * ROWS);
	trained = kernels_alloc(count);
	states = kernels_alloc(count);
	logits = kernels_alloc(ROWS * f->vocab);
	for (size_t t = 0; t < STEPS; t++) {
		real *s[ROWS], *y[ROWS];

		for (size_t b = 0; b < ROWS; b++) {
			s[b] = states + b * per_row;
			y[b] = logits + b * f->vocab;
		}
		model_step(in.model, in.scratch, ROWS, ids + t * ROWS, s, y);
		for (size_t b = 0; b < ROWS; b++) {
			uint32_t target = ids[(t + 1) * ROWS + b];

			kernels()->log_softmax(y[b], f->vocab);
			if (!(fabs(losses[t * ROWS + b] +
				      (double)y[b][target]) <= 1e-5))
				fail_msg("%s %s: step %zu row %zu: loss %.9g, "
					 "expected %.9g",
					cell, f->name, t, b,
					-(double)y[b][target],
					losses[t * ROWS + b]);
		}
	}
	network_get_state(n, trained);
	for (size_t i = 0; i < count; i++) {
		size_t plane = i / f->hidden, row = plane % ROWS;
		real got = states[row * per_row + plane / ROWS * f->hidden +
				  i % f->hidden];

		assert_true(fabs((double)(got - trained[i])) <= 1e-5);
	}
	inference_close(&in);
	network_close(n);
	parameters_release(&p);
	team_close(team);
	free(trained);
	free(states);
	free(logits);
}

static void an_inference_step_equals_the_training_forward(void **unused)
{
	over_the_tables(check_inference);
}

/* Whatever the cut: steps of every length up to the chunk's. */
static void check_chunks(const char *cell, const struct form *f)
{
	uint32_t ids[(STEPS + 1) * ROWS];
	double whole[STEPS * ROWS], parts[STEPS * ROWS];
	struct team *team = team_of(1);
	struct parameters p;
	struct network *n;
	size_t bytes;
	real *a, *b;

	form_open(&p, f, cell, BIAS_DOUBLE);
	fill_tokens(ids, sizeof(ids) / sizeof(*ids), f->vocab, 2);
	n = open_forward(&p, ROWS, team);
	bytes = network_state_count(n) * sizeof(real);
	a = kernels_alloc(network_state_count(n));
	b = kernels_alloc(network_state_count(n));
	forward(n, team, ids, ROWS, 0, STEPS, whole);
	network_get_state(n, a);
	for (size_t steps = 1; steps < STEPS; steps++) {
		network_reset(n);
		for (size_t at = 0; at < STEPS; at += steps)
			forward(n, team, ids, ROWS, at,
				STEPS - at < steps ? STEPS - at : steps, parts);
		network_get_state(n, b);
		assert_memory_equal(whole, parts, sizeof(whole));
		assert_memory_equal(a, b, bytes);
	}
	network_close(n);
	parameters_release(&p);
	team_close(team);
	free(a);
	free(b);
}

static void chunks_with_carried_state_equal_one_forward(void **unused)
{
	over_the_tables(check_chunks);
}

/* Row b of a batch is the same text as all others', shifted. */
static void check_rows(const char *cell, const struct form *f)
{
	enum { MANY = 17 };
	static uint32_t ids[(STEPS + 1) * MANY];
	uint32_t one[STEPS + 1];
	double many[STEPS * MANY], alone[STEPS];
	struct team *team = team_of(3), *single = team_of(1);
	struct parameters p;
	struct network *n;

	form_open(&p, f, cell, BIAS_DOUBLE);
	fill_tokens(ids, sizeof(ids) / sizeof(*ids), f->vocab, 3);
	n = open_forward(&p, MANY, team);
	forward(n, team, ids, MANY, 0, STEPS, many);
	network_close(n);
	/* By table in both, or in neither. */
	if (!f->embedding || f->vocab > STEPS * MANY) {
		for (size_t b = 0; b < MANY; b++) {
			for (size_t t = 0; t <= STEPS; t++)
				one[t] = ids[t * MANY + b];
			n = open_forward(&p, 1, single);
			forward(n, single, one, 1, 0, STEPS, alone);
			for (size_t t = 0; t < STEPS; t++)
				assert_true(alone[t] == many[t * MANY + b]);
			network_close(n);
		}
	}
	parameters_release(&p);
	team_close(team);
	team_close(single);
}

static void a_row_is_the_same_bits_in_any_batch(void **unused)
{
	over_the_tables(check_rows);
}

#define SLOTS 201

/* One sequence of STEPS tokens alone: its logits, step by step. */
static void alone(
	const struct inference *in, const uint32_t *tokens, real *logits)
{
	const size_t v = model_architecture(in->model)->vocab;
	real *state = kernels_alloc(model_state_floats(in->model));

	for (size_t t = 0; t < STEPS; t++) {
		real *y = logits + t * v;

		model_step(in->model, in->scratch, 1, tokens + t, &state, &y);
	}
	free(state);
}

/* The same in `slot` of `n`, among others, of which only some want logits. */
static void among(const struct inference *in, const uint32_t *tokens, size_t n,
	size_t slot, real *logits)
{
	const size_t v = model_architecture(in->model)->vocab;
	const size_t floats = model_state_floats(in->model);
	real *block = kernels_alloc(n * floats);
	real *rest = kernels_alloc(v < 1000 ? n * v : 1);
	real *states[SLOTS], *out[SLOTS];
	uint32_t ids[SLOTS];

	for (size_t i = 0; i < n; i++)
		states[i] = block + i * floats;
	for (size_t t = 0; t < STEPS; t++) {
		for (size_t i = 0; i < n; i++) {
			ids[i] = (uint32_t)((i * 5 + t) % v);
			out[i] = (i + t) % 3 && v < 1000 ? rest + i * v : NULL;
		}
		ids[slot] = tokens[t];
		out[slot] = logits + t * v;
		model_step(in->model, in->scratch, n, ids, states, out);
	}
	free(block);
	free(rest);
}

/* Where all slots take the better part of an hour. */
static bool is_slow(void)
{
	const char *variant = getenv("VARIANT");

	return getenv("TEST_EMULATOR") || (variant && !strcmp(variant, "tsan"));
}

static void check_slots(
	const char *cell, const struct form *f, enum weight_type type)
{
	uint32_t tokens[STEPS];
	struct parameters p;
	struct inference in;
	size_t bytes = STEPS * f->vocab * sizeof(real);
	/* Some on either side of every tile's edge; in one form all of them,
	 * where there is time. */
	const bool all = type == WEIGHTS_F32 && !strcmp(f->name, "one-hot") &&
			 !is_slow();
	size_t stride = all ? 1 : 23;
	real *expected, *got;

	form_open(&p, f, cell, BIAS_DOUBLE);
	fill_tokens(tokens, STEPS, f->vocab, 4);
	inference_open(&in, &p, type, SLOTS);
	expected = kernels_alloc(STEPS * f->vocab);
	got = kernels_alloc(STEPS * f->vocab);
	alone(&in, tokens, expected);
	if (f->vocab > 1000)
		stride = 67;
	for (size_t slot = 0; slot < SLOTS; slot += stride) {
		among(&in, tokens, SLOTS, slot, got);
		assert_memory_equal(expected, got, bytes);
	}
	for (size_t n = 2; n < SLOTS; n += stride) {
		among(&in, tokens, n, n / 2, got);
		assert_memory_equal(expected, got, bytes);
	}
	inference_close(&in);
	parameters_release(&p);
	free(expected);
	free(got);
}

static void check_types(const char *cell, const struct form *f)
{
	check_slots(cell, f, WEIGHTS_F32);
	check_slots(cell, f, WEIGHTS_BF16);
	check_slots(cell, f, WEIGHTS_INT8);
}

static void logits_are_the_same_bits_in_any_slot(void **unused)
{
	over_the_tables(check_types);
}

/* An input table over 64 MB is not made: the other path, the same promise. */
static void so_they_are_without_an_input_table(void **unused)
{
	const struct form f = { "vast vocabulary", 100000, 64, 1, 3, false };

	check_types("lstm", &f);
}

/* Rounded weights are the same model but for the rounding. */
static void check_rounding(const char *cell, const struct form *f)
{
	static const double bounds[] = {
		[WEIGHTS_F32] = 0, [WEIGHTS_BF16] = 0.05, [WEIGHTS_INT8] = 0.1
	};
	const size_t n = STEPS * f->vocab;
	uint32_t tokens[STEPS];
	struct parameters p;
	real *y[3];

	form_open(&p, f, cell, BIAS_DOUBLE);
	fill_tokens(tokens, STEPS, f->vocab, 4);
	for (int type = WEIGHTS_F32; type <= WEIGHTS_INT8; type++) {
		struct inference in;

		inference_open(&in, &p, (enum weight_type)type, 1);
		assert_int_equal(model_weight_type(in.model), type);
		y[type] = kernels_alloc(n);
		alone(&in, tokens, y[type]);
		inference_close(&in);
		for (size_t i = 0; i < n; i++)
			assert_true(fabs((double)(y[type][i] - y[0][i])) <=
				    bounds[type]);
		assert_int_equal(!memcmp(y[type], y[0], n * sizeof(real)),
			type == WEIGHTS_F32);
	}
	parameters_release(&p);
	free(y[0]);
	free(y[1]);
	free(y[2]);
}

static void rounded_weights_stay_close(void **unused)
{
	over_the_tables(check_rounding);
}

/* A state fed elsewhere is a state: steps depend on nothing else. */
static void sequences_do_not_leak_into_each_other(void **unused)
{
	uint32_t token = 3;
	struct parameters p;
	struct inference in;
	struct cell_ops const *cell;

	for (size_t i = 0; (cell = cell_at(i)); i++) {
		real *fresh, *used, *a, *b;
		size_t bytes;

		form_open(&p, &forms[1], cell->name, BIAS_DOUBLE);
		inference_open(&in, &p, WEIGHTS_F32, 2);
		bytes = model_state_floats(in.model) * sizeof(real);
		fresh = kernels_alloc(model_state_floats(in.model));
		used = kernels_alloc(model_state_floats(in.model));
		a = kernels_alloc(p.arch.vocab);
		b = kernels_alloc(p.arch.vocab);
		model_step(in.model, in.scratch, 1, &token, &fresh, &a);
		for (int t = 0; t < 5; t++)
			model_step(in.model, in.scratch, 1, &token, &used, &b);
		assert_memory_not_equal(a, b, p.arch.vocab * sizeof(real));
		memset(used, 0, bytes);
		model_step(in.model, in.scratch, 1, &token, &used, &b);
		assert_memory_equal(a, b, p.arch.vocab * sizeof(real));
		assert_memory_equal(fresh, used, bytes);
		inference_close(&in);
		parameters_release(&p);
		free(fresh);
		free(used);
		free(a);
		free(b);
	}
}

/* A watched step has the bits of any other, and its gates give the state. */
static void check_watch(const char *cell, const struct form *f)
{
	const size_t h = f->hidden;
	struct model_watch *w;
	struct inference in;
	struct parameters p;
	struct error err;
	real *a, *b, *y, *z;

	form_open(&p, f, cell, BIAS_DOUBLE);
	inference_open(&in, &p, WEIGHTS_F32, 1);
	a = kernels_alloc(model_state_floats(in.model));
	b = kernels_alloc(model_state_floats(in.model));
	y = kernels_alloc(f->vocab);
	z = kernels_alloc(f->vocab);
	for (size_t l = 0; l < f->layers; l++) {
		const size_t states = model_state_floats(in.model) / h;
		const size_t n = states / f->layers;
		real *layer = a + l * n * h;

		assert_int_equal(model_watch_open(&w, in.model, l, &err), 0);
		for (uint32_t t = 0; t < STEPS; t++) {
			uint32_t token = t * 5 % (uint32_t)f->vocab;
			const real *g = model_watch_gates(w);
			real *before = kernels_alloc(n * h);

			memcpy(before, layer, n * h * sizeof(real));
			model_step_watched(
				in.model, in.scratch, w, token, a, y);
			model_step(in.model, in.scratch, 1, &token, &b, &z);
			assert_memory_equal(a, b, states * h * sizeof(real));
			assert_memory_equal(y, z, f->vocab * sizeof(real));
			for (size_t j = 0; j < h; j++) {
				real want = tanhf(g[j]); /* of rnn */

				if (!strcmp(cell, "lstm"))
					want = g[3 * h + j] *
					       tanhf(g[h + j] * before[h + j] +
						       g[j] * g[2 * h + j]);
				if (!strcmp(cell, "gru"))
					want = (1 - g[h + j]) * g[2 * h + j] +
					       g[h + j] * before[j];
				assert_true(fabsf(want - layer[j]) < 1e-5f);
			}
			free(before);
		}
		model_watch_close(w);
	}
	inference_close(&in);
	parameters_release(&p);
	free(a);
	free(b);
	free(y);
	free(z);
}

static void a_watched_step_is_the_same_and_shows_its_gates(void **unused)
{
	over_the_tables(check_watch);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_inference_step_equals_the_training_forward),
		cmocka_unit_test(chunks_with_carried_state_equal_one_forward),
		cmocka_unit_test(a_row_is_the_same_bits_in_any_batch),
		cmocka_unit_test(logits_are_the_same_bits_in_any_slot),
		cmocka_unit_test(so_they_are_without_an_input_table),
		cmocka_unit_test(rounded_weights_stay_close),
		cmocka_unit_test(sequences_do_not_leak_into_each_other),
		cmocka_unit_test(
			a_watched_step_is_the_same_and_shows_its_gates),
	};

	return cmocka_run_group_tests_name(kernels_name(), tests, NULL, NULL);
}

int main(void)
{
	return each_isa(run);
}
