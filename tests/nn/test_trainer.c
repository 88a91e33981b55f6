/*
 * Training gives the same bits at any number of threads and wherever it is
 * stopped and resumed; it goes through its text as the lecture does; and a run
 * that diverges says so and keeps what it had.
 */
#include "nn/fixture.h"

#include "math/kernels.h"
#include "nn/cell.h"
#include "nn/optimizer.h"
#include "nn/safetensors.h"

#include <unistd.h>

#define TOKENS 2000
#define STEPS 20

static const struct form form = { "embedding", 11, 24, 2, 9, false };
static uint32_t ids[TOKENS];
static char path[] = "/tmp/unrolld-trainer-XXXXXX";

/* A training run and what it works on. */
struct run {
	struct parameters p;
	struct team *team;
	struct trainer *trainer;
	double losses[STEPS];
};

static void run_open(struct run *r, const struct form *f, const char *cell,
	const struct trainer_options *o, size_t batch, unsigned threads)
{
	struct streams s;
	struct error err;

	fill_tokens(ids, TOKENS, f->vocab, 9);
	s = rows_of(ids, TOKENS, batch);
	form_open(&r->p, f, cell, BIAS_DOUBLE);
	r->team = team_of(threads);
	assert_int_equal(
		trainer_open(&r->trainer, &r->p, &s, o, r->team, &err), 0);
}

static void run_close(struct run *r)
{
	trainer_close(r->trainer);
	parameters_release(&r->p);
	team_close(r->team);
}

static void run_steps(struct run *r, size_t from, size_t to)
{
	struct trainer_report report;
	struct error err;

	for (size_t i = from; i < to; i++) {
		if (trainer_step(r->trainer, false, &report, &err) < 0)
			fail_msg("%s", err.message);
		assert_int_equal(report.step, i + 1);
		r->losses[i] = report.loss;
	}
}

/* The weights as they train and as they ship. */
static void assert_same_weights(const struct run *a, const struct run *b)
{
	assert_memory_equal(a->p.data, b->p.data, a->p.count * sizeof(real));
	assert_memory_equal(trainer_weights(a->trainer)->data,
		trainer_weights(b->trainer)->data, a->p.count * sizeof(real));
}

struct recipe {
	const char *cell;
	struct form form;
	double dropout, dropout_input, dropout_hidden;
	enum clip_mode clip;
	uint64_t accumulate;
	double averaging;
};

static const struct recipe recipes[] = {
	{ "rnn", { "", 11, 40, 1, 0, false }, 0, 0, 0, CLIP_VALUE, 1, 0 },
	{ "lstm", { "", 11, 33, 2, 9, false }, 0.3, 0.2, 0, CLIP_NORM, 1, 0.9 },
	{ "gru", { "", 13, 20, 3, 20, true }, 0.5, 0, 0.2, CLIP_NORM, 2, 0 },
	{ "gru", { "", 90, 50, 2, 0, false }, 0.1, 0, 0, CLIP_NONE, 1, 0 },
	/* A batch's rows are fewer than the words: no table of products. */
	{ "lstm", { "", 90, 16, 1, 16, true }, 0.2, 0.1, 0.3, CLIP_NORM, 3,
		0.99 },
};
#define RECIPES (sizeof(recipes) / sizeof(recipes[0]))

static struct trainer_options recipe_options(
	const struct recipe *r, const char *optimizer)
{
	struct trainer_options o = plain_options(optimizer);

	o.clip = r->clip;
	o.clip_threshold = 0.1;
	o.dropout_input = r->dropout_input;
	o.dropout_layers = o.dropout_output = r->dropout;
	o.dropout_hidden = r->dropout_hidden;
	o.accumulate = r->accumulate;
	o.averaging = r->averaging;
	return o;
}

static void check_threads(const struct recipe *recipe, size_t batch)
{
	struct trainer_options o = recipe_options(recipe, "adamw");
	struct run one, more;

	run_open(&one, &recipe->form, recipe->cell, &o, batch, 1);
	run_steps(&one, 0, STEPS);
	for (unsigned threads = 2; threads <= 3; threads++) {
		run_open(
			&more, &recipe->form, recipe->cell, &o, batch, threads);
		run_steps(&more, 0, STEPS);
		assert_memory_equal(
			one.losses, more.losses, sizeof(one.losses));
		assert_same_weights(&one, &more);
		run_close(&more);
	}
	run_close(&one);
}

static void training_is_the_same_bits_at_any_thread_count(void **unused)
{
	for (size_t i = 0; i < RECIPES; i++) {
		check_threads(&recipes[i], 1);
		check_threads(&recipes[i], 7);
	}
}

/* Stopped at `half`, resumed on another number of threads. */
static void check_resume(const struct recipe *recipe, const char *optimizer,
	size_t half, unsigned before, unsigned after)
{
	struct trainer_options o = recipe_options(recipe, optimizer);
	struct run straight, first, second;
	struct error err;

	run_open(&straight, &recipe->form, recipe->cell, &o, 3, before);
	run_steps(&straight, 0, STEPS);
	run_open(&first, &recipe->form, recipe->cell, &o, 3, before);
	run_steps(&first, 0, half);
	assert_int_equal(trainer_save(first.trainer, path, NULL, &err), 0);
	run_close(&first);
	run_open(&second, &recipe->form, recipe->cell, &o, 3, after);
	if (trainer_load(second.trainer, path, &err) < 0)
		fail_msg("%s", err.message);
	run_steps(&second, half, STEPS);
	assert_memory_equal(straight.losses + half, second.losses + half,
		(STEPS - half) * sizeof(double));
	assert_same_weights(&straight, &second);
	run_close(&second);
	run_close(&straight);
}

static void resuming_changes_no_bit(void **unused)
{
	const struct optimizer_ops *ops;

	for (size_t i = 0; (ops = optimizer_at(i)); i++)
		for (size_t j = 0; j < RECIPES; j++) {
			check_resume(&recipes[j], ops->name, 10, 1, 1);
			check_resume(&recipes[j], ops->name, 7, 2, 1);
			check_resume(&recipes[j], ops->name, 1, 1, 2);
		}
}

/* In the third pass over a short text, states carried or reset. */
static void resuming_after_the_data_began_again_changes_no_bit(void **unused)
{
	for (int reset = 0; reset < 2; reset++) {
		struct trainer_options o = plain_options("adagrad");
		struct run straight, first, second;
		struct error err;

		o.reset_at_end = reset;
		o.seq_length = 25;
		o.schedule = SCHEDULE_EPOCH_DECAY;
		o.schedule_decay = 0.5;
		o.schedule_after = 1;
		run_open(&straight, &form, "rnn", &o, 10, 1);
		run_steps(&straight, 0, STEPS);
		run_open(&first, &form, "rnn", &o, 10, 1);
		run_steps(&first, 0, 17);
		assert_int_equal(
			trainer_save(first.trainer, path, NULL, &err), 0);
		run_open(&second, &form, "rnn", &o, 10, 2);
		assert_int_equal(trainer_load(second.trainer, path, &err), 0);
		run_steps(&second, 17, STEPS);
		assert_same_weights(&straight, &second);
		run_close(&straight);
		run_close(&first);
		run_close(&second);
	}
}

static void assert_load_fails(struct run *r, const char *text)
{
	struct error err;

	assert_int_equal(trainer_load(r->trainer, path, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	if (!strstr(err.message, text))
		fail_msg("'%s' does not say '%s'", err.message, text);
	assert_non_null(strstr(err.message, path));
}

static void a_state_of_another_run_is_refused(void **unused)
{
	const struct form wider = { "", 11, 25, 2, 9, false };
	struct trainer_options o = plain_options("adam");
	struct run saved, r;
	struct error err;

	run_open(&saved, &form, "lstm", &o, 3, 1);
	run_steps(&saved, 0, 10);
	assert_int_equal(trainer_save(saved.trainer, path, NULL, &err), 0);
	run_close(&saved);

	run_open(&r, &wider, "lstm", &o, 3, 1);
	assert_load_fails(&r, "tensor parameters: F32 of");
	run_close(&r);
	run_open(&r, &form, "lstm", &o, 4, 1);
	assert_load_fails(&r, "tensor states: F32 of");
	run_close(&r);
	o.averaging = 0.9;
	run_open(&r, &form, "lstm", &o, 3, 1);
	assert_load_fails(&r, "tensor average is missing");
	run_close(&r);
	o = plain_options("sgd");
	run_open(&r, &form, "lstm", &o, 3, 1);
	run_steps(&r, 0, 2);
	assert_int_equal(trainer_load(r.trainer, path, &err), 0);
	run_close(&r);
	o = plain_options("adam");
	o.seq_length = 660;
	run_open(&r, &form, "lstm", &o, 3, 1);
	assert_load_fails(&r, "position 50 of the streams");
	run_close(&r);
}

/* A refused file leaves the trainer as it was. */
static void a_refused_state_changes_nothing(void **unused)
{
	struct trainer_options o = plain_options("adam");
	struct run saved, r, untouched;
	struct error err;

	run_open(&saved, &form, "gru", &o, 4, 1);
	run_steps(&saved, 0, 5);
	assert_int_equal(trainer_save(saved.trainer, path, NULL, &err), 0);
	run_close(&saved);
	run_open(&r, &form, "gru", &o, 3, 1);
	run_open(&untouched, &form, "gru", &o, 3, 1);
	assert_load_fails(&r, "states");
	run_steps(&r, 0, STEPS);
	run_steps(&untouched, 0, STEPS);
	assert_same_weights(&r, &untouched);
	run_close(&r);
	run_close(&untouched);
}

/* Bytes of the saved counters replaced: position is the fourth. */
static void poke_position(uint64_t value)
{
	struct safetensors file;
	struct error err;
	long at;
	FILE *f;

	assert_int_equal(safetensors_open(&file, path, &err), 0);
	at = (const char *)safetensors_find(&file, "counters")->data -
	     (const char *)file.map.data;
	safetensors_close(&file);
	f = fopen(path, "r+b");
	assert_non_null(f);
	assert_int_equal(fseek(f, at + 24, SEEK_SET), 0);
	assert_int_equal(fwrite(&value, sizeof(value), 1, f), 1);
	assert_int_equal(fclose(f), 0);
}

static void a_position_outside_the_text_is_refused(void **unused)
{
	static const uint64_t bad[] = { 661, 666, 1 << 20, UINT64_MAX,
		UINT64_MAX - 5, 1ull << 63 };
	struct trainer_options o = plain_options("sgd");
	struct run r;
	struct error err;

	run_open(&r, &form, "rnn", &o, 3, 1);
	run_steps(&r, 0, 3);
	assert_int_equal(trainer_save(r.trainer, path, NULL, &err), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		poke_position(bad[i]);
		assert_load_fails(&r, "of the streams");
	}
	poke_position(660);
	assert_int_equal(trainer_load(r.trainer, path, &err), 0);
	run_steps(&r, 3, 4);
	run_close(&r);
}

/* 2000 tokens in 10 rows of 200, chunks of 25: the lecture stops a pass when
 * p + seq_length + 1 >= the row's length. */
static void the_text_is_passed_as_in_the_lecture(void **unused)
{
	struct trainer_options o = plain_options("sgd");
	struct trainer_report report;
	struct error err;
	struct run r;
	size_t p = 0;

	o.seq_length = 25;
	run_open(&r, &form, "rnn", &o, 10, 1);
	for (size_t step = 1; step <= STEPS; step++) {
		assert_int_equal(trainer_next_token(r.trainer), ids[p]);
		assert_int_equal(
			trainer_step(r.trainer, false, &report, &err), 0);
		p += 25;
		assert_int_equal(report.wrapped, p + 25 + 1 >= 200);
		if (p + 25 + 1 >= 200)
			p = 0;
		assert_int_equal(report.tokens, step * 250);
		assert_true(report.epoch >= (double)((step - 1) / 7));
		assert_true(report.epoch <= (double)(step / 7) + 1);
	}
	run_close(&r);
}

static bool is_zero(const struct run *r)
{
	real state[2 * 24];
	struct error err;
	bool zero = true;

	assert_int_equal(trainer_row_state(r->trainer, state, &err), 0);
	for (size_t i = 0; i < 48; i++)
		zero = zero && state[i] == 0;
	return zero;
}

static void states_are_reset_at_the_end_or_never(void **unused)
{
	for (int reset = 0; reset < 2; reset++) {
		struct trainer_options o = plain_options("sgd");
		struct trainer_report report = { 0 };
		struct error err;
		struct run r;

		o.seq_length = 25;
		o.reset_at_end = reset;
		run_open(&r, &form, "gru", &o, 10, 1);
		assert_true(is_zero(&r));
		while (!report.wrapped) {
			assert_int_equal(
				trainer_step(r.trainer, false, &report, &err),
				0);
			assert_int_equal(is_zero(&r), report.wrapped && reset);
		}
		run_close(&r);
	}
}

static void smooth_loss_is_the_lectures(void **unused)
{
	struct trainer_options o = plain_options("sgd");
	struct trainer_report report;
	struct error err;
	struct run r;
	double smooth = log(11);

	run_open(&r, &form, "rnn", &o, 3, 1);
	trainer_position(r.trainer, &report);
	assert_true(fabs(report.smooth_loss - smooth) < 1e-12);
	for (int i = 0; i < STEPS; i++) {
		assert_int_equal(
			trainer_step(r.trainer, true, &report, &err), 0);
		smooth = 0.999 * smooth + 0.001 * report.loss;
		assert_true(fabs(report.smooth_loss - smooth) < 1e-12);
		assert_true(report.gradient_norm > 0);
	}
	run_close(&r);
}

static double rate_at(struct run *r, size_t step)
{
	struct trainer_report report = { 0 };
	struct error err;

	while (report.step < step)
		assert_int_equal(
			trainer_step(r->trainer, false, &report, &err), 0);
	return report.learning_rate;
}

static void assert_near(double got, double want)
{
	if (!(fabs(got - want) <= 1e-12 + 1e-9 * fabs(want)))
		fail_msg("%.12g, expected %.12g", got, want);
}

static void schedules_are_followed(void **unused)
{
	struct trainer_options o = plain_options("sgd");
	struct run r;

	o.seq_length = 25;
	o.learning_rate = 0.1;
	o.schedule = SCHEDULE_EPOCH_DECAY;
	o.schedule_decay = 0.5;
	o.schedule_after = 2;
	run_open(&r, &form, "rnn", &o, 10, 1); /* 7 chunks to an epoch */
	assert_near(rate_at(&r, 1), 0.1);
	assert_near(rate_at(&r, 14), 0.1);
	assert_near(rate_at(&r, 15), 0.05);
	assert_near(rate_at(&r, 22), 0.025);
	run_close(&r);

	o.schedule = SCHEDULE_COSINE;
	o.warmup_steps = 4;
	o.total_steps = 12;
	o.final_rate = 0.1;
	run_open(&r, &form, "rnn", &o, 10, 1);
	assert_near(rate_at(&r, 1), 0.025);
	assert_near(rate_at(&r, 4), 0.1);
	assert_near(rate_at(&r, 5), 0.1);
	assert_near(rate_at(&r, 9), 0.1 * (0.1 + 0.9 * 0.5));
	assert_near(rate_at(&r, 13), 0.01);
	assert_near(rate_at(&r, 20), 0.01);
	run_close(&r);
}

/* Without an end there is nothing to fall towards. */
static void a_cosine_without_an_end_stays_at_its_rate(void **unused)
{
	struct trainer_options o = plain_options("sgd");
	struct run r;

	o.learning_rate = 0.1;
	o.schedule = SCHEDULE_COSINE;
	o.warmup_steps = 4;
	o.final_rate = 0.02;
	run_open(&r, &form, "rnn", &o, 3, 1);
	assert_near(rate_at(&r, 2), 0.05);
	assert_near(rate_at(&r, 9), 0.1);
	run_close(&r);
}

/* Two chunks of accumulation are one update of their mean gradient. */
static void accumulated_gradients_are_averaged(void **unused)
{
	struct trainer_options o = plain_options("sgd");
	struct run r, g[2];
	real *start;
	struct error err;

	o.decay = 0;
	o.learning_rate = 1;
	o.accumulate = 2;
	run_open(&r, &form, "lstm", &o, 3, 1);
	start = kernels_alloc(r.p.count);
	memcpy(start, r.p.data, r.p.count * sizeof(real));
	run_steps(&r, 0, 1);
	assert_memory_equal(r.p.data, start, r.p.count * sizeof(real));
	/* Each chunk's own gradient, from the state that it starts from. */
	assert_int_equal(trainer_save(r.trainer, path, NULL, &err), 0);
	run_steps(&r, 1, 2);
	o.accumulate = 1;
	for (size_t i = 0; i < 2; i++) {
		run_open(&g[i], &form, "lstm", &o, 3, 1);
		if (i)
			assert_int_equal(
				trainer_load(g[i].trainer, path, &err), 0);
		run_steps(&g[i], i, i + 1);
	}
	for (size_t i = 0; i < r.p.count; i++) {
		double mean = ((double)(g[0].p.data[i] - start[i]) +
				      (double)(g[1].p.data[i] - start[i])) /
			      2;

		assert_true(
			fabs((double)(r.p.data[i] - start[i]) - mean) < 1e-6);
	}
	run_close(&r);
	run_close(&g[0]);
	run_close(&g[1]);
	free(start);
}

/* a = d a + (1 - d) w with d rising from 2/11 to what was asked. */
static void the_average_is_exponential_with_a_warm_up(void **unused)
{
	struct trainer_options o = plain_options("adam");
	struct run r;
	double *a;

	o.averaging = 0.3;
	run_open(&r, &form, "gru", &o, 3, 2);
	a = calloc(r.p.count, sizeof(*a));
	assert_non_null(a);
	for (size_t i = 0; i < r.p.count; i++)
		a[i] = r.p.data[i];
	for (size_t step = 1; step <= STEPS; step++) {
		double d = fmin(0.3, (1 + (double)step) / (10 + (double)step));

		run_steps(&r, step - 1, step);
		for (size_t i = 0; i < r.p.count; i++) {
			a[i] += (1 - d) * ((double)r.p.data[i] - a[i]);
			assert_true(fabs(trainer_weights(r.trainer)->data[i] -
					    a[i]) < 1e-5);
		}
	}
	free(a);
	run_close(&r);
}

/* One bias of a pair stays 0, as in the lecture. */
static void single_bias_leaves_the_second_alone(void **unused)
{
	const struct cell_ops *cell;

	for (size_t c = 0; (cell = cell_at(c)); c++) {
		struct trainer_options o = plain_options("adam");
		struct streams s;
		struct error err;
		struct run r;

		o.weight_decay = 0.1;
		fill_tokens(ids, TOKENS, form.vocab, 9);
		s = rows_of(ids, TOKENS, 3);
		form_open(&r.p, &form, cell->name, BIAS_SINGLE);
		r.team = team_of(1);
		assert_int_equal(
			trainer_open(&r.trainer, &r.p, &s, &o, r.team, &err),
			0);
		run_steps(&r, 0, STEPS);
		for (size_t l = 0; l < form.layers; l++) {
			const struct tensor *hh =
				parameters_layer(&r.p, "bias_hh", l);
			const struct tensor *ih =
				parameters_layer(&r.p, "bias_ih", l);

			for (size_t i = 0; i < tensor_size(hh); i++) {
				assert_true(r.p.data[hh->offset + i] == 0);
				assert_true(r.p.data[ih->offset + i] != 0);
			}
		}
		run_close(&r);
	}
}

/* Inputs that a row's masks must not share: dropout off is another result. */
static void dropout_is_seeded_and_differs_by_step(void **unused)
{
	struct trainer_options o = plain_options("sgd");
	struct run a, b, c;

	o.dropout_layers = o.dropout_output = 0.5;
	run_open(&a, &form, "lstm", &o, 3, 1);
	run_open(&b, &form, "lstm", &o, 3, 1);
	run_steps(&a, 0, STEPS);
	run_steps(&b, 0, STEPS);
	assert_same_weights(&a, &b);
	o.seed++;
	run_open(&c, &form, "lstm", &o, 3, 1);
	run_steps(&c, 0, STEPS);
	assert_memory_not_equal(a.losses, c.losses, sizeof(a.losses));
	run_close(&a);
	run_close(&b);
	run_close(&c);
}

/* A rate that blows the weights up: the step and the tensor are named. */
static void divergence_is_reported_by_step_and_tensor(void **unused)
{
	const struct optimizer_ops *ops;

	for (size_t i = 0; (ops = optimizer_at(i)); i++) {
		struct trainer_options o = plain_options(ops->name);
		struct trainer_report report = { 0 };
		struct error err = { 0 };
		char step[32];
		struct run r;

		o.learning_rate = 3e38;
		o.loss_scale = LOSS_SUM;
		run_open(&r, &form, "lstm", &o, 3, 2);
		while (report.step < 50 &&
			trainer_step(r.trainer, false, &report, &err) == 0)
			;
		assert_int_equal(err.code, ERROR_DIVERGED);
		snprintf(step, sizeof(step),
			"at step %llu:", (unsigned long long)report.step + 1);
		assert_non_null(strstr(err.message, step));
		if (*err.param) {
			assert_non_null(parameters_find(&r.p, err.param));
			assert_non_null(strstr(err.message, err.param));
		}
		run_close(&r);
	}
}

/* Gradients that overflow with a norm to be clipped leave the weights. */
static void weights_survive_an_infinite_gradient(void **unused)
{
	struct trainer_options o = plain_options("sgd");
	struct trainer_report report;
	struct error err;
	struct run r;
	real *before;

	o.clip = CLIP_NORM;
	o.clip_threshold = 1;
	run_open(&r, &form, "rnn", &o, 3, 1);
	for (size_t i = 0; i < r.p.n_tensors; i++)
		if (strstr(r.p.tensors[i].name, "output.weight"))
			for (size_t j = 0; j < tensor_size(&r.p.tensors[i]);
				j++)
				r.p.data[r.p.tensors[i].offset + j] =
					j % 2 ? 3e38f : -3e38f;
	trainer_close(r.trainer);
	fill_tokens(ids, TOKENS, form.vocab, 9);
	before = kernels_alloc(r.p.count);
	memcpy(before, r.p.data, r.p.count * sizeof(real));
	assert_int_equal(
		trainer_open(&r.trainer, &r.p,
			&(struct streams){ .tokens = { ids, 4, TOKENS },
				.batch = 3,
				.stride = 600,
				.end = 600 },
			&o, r.team, &err),
		0);
	assert_int_equal(trainer_step(r.trainer, false, &report, &err), -1);
	assert_int_equal(err.code, ERROR_DIVERGED);
	assert_memory_equal(before, r.p.data, r.p.count * sizeof(real));
	free(before);
	run_close(&r);
}

static void wrong_options_are_named(void **unused)
{
	static const struct {
		const char *param;
		struct trainer_options o;
	} bad[] = {
		{ "optimizer", { .seq_length = 5,
				       .optimizer = "adamax",
				       .learning_rate = 1,
				       .accumulate = 1 } },
		{ "learning-rate", { .seq_length = 5,
					   .optimizer = "sgd",
					   .learning_rate = 0,
					   .accumulate = 1 } },
		{ "learning-rate", { .seq_length = 5,
					   .optimizer = "sgd",
					   .learning_rate = (double)NAN,
					   .accumulate = 1 } },
		{ "clip-threshold", { .seq_length = 5,
					    .optimizer = "sgd",
					    .learning_rate = 1,
					    .clip = CLIP_NORM,
					    .accumulate = 1 } },
		{ "accumulate", { .seq_length = 5,
					.optimizer = "sgd",
					.learning_rate = 1 } },
	};
	struct streams s = rows_of(ids, TOKENS, 3);
	struct team *team = team_of(1);
	struct trainer *t;
	struct parameters p;
	struct error err;

	form_open(&p, &form, "rnn", BIAS_DOUBLE);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(
			trainer_open(&t, &p, &s, &bad[i].o, team, &err), -1);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_string_equal(err.param, bad[i].param);
		assert_null(t);
	}
	parameters_release(&p);
	team_close(team);
}

static int make_path(void **unused)
{
	int fd = mkstemp(path);

	return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **unused)
{
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(training_is_the_same_bits_at_any_thread_count),
		cmocka_unit_test(resuming_changes_no_bit),
		cmocka_unit_test(
			resuming_after_the_data_began_again_changes_no_bit),
		cmocka_unit_test(a_state_of_another_run_is_refused),
		cmocka_unit_test(a_refused_state_changes_nothing),
		cmocka_unit_test(a_position_outside_the_text_is_refused),
		cmocka_unit_test(the_text_is_passed_as_in_the_lecture),
		cmocka_unit_test(states_are_reset_at_the_end_or_never),
		cmocka_unit_test(smooth_loss_is_the_lectures),
		cmocka_unit_test(schedules_are_followed),
		cmocka_unit_test(a_cosine_without_an_end_stays_at_its_rate),
		cmocka_unit_test(accumulated_gradients_are_averaged),
		cmocka_unit_test(the_average_is_exponential_with_a_warm_up),
		cmocka_unit_test(single_bias_leaves_the_second_alone),
		cmocka_unit_test(dropout_is_seeded_and_differs_by_step),
		cmocka_unit_test(divergence_is_reported_by_step_and_tensor),
		cmocka_unit_test(weights_survive_an_infinite_gradient),
		cmocka_unit_test(wrong_options_are_named),
	};

	return cmocka_run_group_tests(tests, make_path, remove_path);
}
