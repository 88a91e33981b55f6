/* Evaluation is the mean of the losses that feeding the text token by token
 * gives: the state carried, whatever the chunk, the rows and the threads. */
#include "nn/fixture.h"

#include "math/kernels.h"
#include "nn/model.h"

#define TOKENS 700 /* more than one of its chunks */

static const struct form form = { "embedding", 11, 24, 2, 9, false };
static uint32_t ids[TOKENS];

/* Losses of predicting tokens [begin + 1, end) from a zero state. */
static double by_steps(const struct parameters *p, size_t begin, size_t end,
	size_t skip, size_t *n)
{
	struct model_scratch *scratch;
	struct model *m;
	struct error err;
	real *state, *logits;
	double sum = 0;

	assert_int_equal(model_open(&m, p, WEIGHTS_F32, &err), 0);
	assert_int_equal(model_scratch_open(&scratch, m, 1, &err), 0);
	state = kernels_alloc(model_state_floats(m));
	logits = kernels_alloc(p->arch.vocab);
	for (size_t i = begin; i + 1 < end; i++) {
		model_step(m, scratch, 1, &ids[i], &state, &logits);
		kernels()->log_softmax(logits, p->arch.vocab);
		if (i - begin < skip)
			continue;
		sum -= (double)logits[ids[i + 1]];
		++*n;
	}
	free(state);
	free(logits);
	model_scratch_close(scratch);
	model_unref(m);
	return sum;
}

static void check(const struct parameters *p, const struct streams *s,
	size_t skip, unsigned threads)
{
	struct team *team = team_of(threads);
	struct error err;
	double nats, sum = 0;
	uint64_t tokens;
	size_t n = 0;

	for (size_t b = 0; b < s->batch; b++)
		sum += by_steps(p, b * s->stride + s->begin,
			b * s->stride + s->end, skip, &n);
	assert_int_equal(
		trainer_evaluate(p, s, skip, team, &nats, &tokens, &err), 0);
	assert_int_equal(tokens, n);
	assert_true(fabs(nats - sum / (double)n) < 1e-6);
	team_close(team);
}

static void it_is_the_mean_of_the_losses(void **unused)
{
	static const struct streams cases[] = {
		{ { ids, 4, TOKENS }, 1, TOKENS, 0, TOKENS },
		{ { ids, 4, TOKENS }, 1, TOKENS, 0, 257 },
		{ { ids, 4, TOKENS }, 1, TOKENS, 0, 2 },
		{ { ids, 4, TOKENS }, 3, 233, 0, 233 },
		{ { ids, 4, TOKENS }, 7, 100, 90, 100 },
	};
	struct parameters p;

	form_open(&p, &form, "lstm", BIAS_DOUBLE);
	fill_tokens(ids, TOKENS, form.vocab, 2);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (unsigned threads = 1; threads <= 2; threads++)
			check(&p, &cases[i], 0, threads);
	parameters_release(&p);
}

static void what_is_skipped_only_warms_the_state(void **unused)
{
	static const size_t skips[] = { 1, 100, 255, 256, 257, 600, 698 };
	const struct streams s = { { ids, 4, TOKENS }, 1, TOKENS, 0, TOKENS };
	const struct streams rows = { { ids, 4, TOKENS }, 2, 340, 10, 340 };
	struct parameters p;

	form_open(&p, &form, "gru", BIAS_DOUBLE);
	fill_tokens(ids, TOKENS, form.vocab, 2);
	for (size_t i = 0; i < sizeof(skips) / sizeof(skips[0]); i++) {
		check(&p, &s, skips[i], 1);
		if (skips[i] < 329)
			check(&p, &rows, skips[i], 2);
	}
	parameters_release(&p);
}

static void nothing_to_score_is_an_error(void **unused)
{
	const struct streams one = { { ids, 4, TOKENS }, 1, TOKENS, 0, 1 };
	const struct streams none = { { ids, 4, TOKENS }, 1, TOKENS, 5, 5 };
	const struct streams ten = { { ids, 4, TOKENS }, 2, 10, 0, 10 };
	struct team *team = team_of(1);
	struct parameters p;
	struct error err;
	double nats;

	form_open(&p, &form, "rnn", BIAS_DOUBLE);
	assert_int_equal(
		trainer_evaluate(&p, &one, 0, team, &nats, NULL, &err), -1);
	assert_error(err, ERROR_INVALID,
		"nothing to evaluate: 1 tokens for each of 1 rows, expected 2 "
		"or more");
	assert_int_equal(
		trainer_evaluate(&p, &none, 0, team, &nats, NULL, &err), -1);
	assert_int_equal(
		trainer_evaluate(&p, &ten, 9, team, &nats, NULL, &err), -1);
	assert_int_equal(
		trainer_evaluate(&p, &ten, 8, team, &nats, NULL, &err), 0);
	parameters_release(&p);
	team_close(team);
}

/* Evaluating in the midst of training leaves training as it was. */
static void training_does_not_notice(void **unused)
{
	struct trainer_options o = plain_options("adam");
	struct parameters p[2];
	struct streams s;
	struct team *team = team_of(2);
	struct error err;
	double nats;

	fill_tokens(ids, TOKENS, form.vocab, 2);
	s = rows_of(ids, TOKENS, 3);
	for (int i = 0; i < 2; i++) {
		struct trainer_report report;
		struct trainer *t;

		form_open(&p[i], &form, "lstm", BIAS_DOUBLE);
		assert_int_equal(
			trainer_open(&t, &p[i], &s, &o, team, &err), 0);
		for (int step = 0; step < 10; step++) {
			if (i)
				assert_int_equal(
					trainer_evaluate(&p[i], &s, 0, team,
						&nats, NULL, &err),
					0);
			assert_int_equal(
				trainer_step(t, false, &report, &err), 0);
		}
		trainer_close(t);
	}
	assert_memory_equal(p[0].data, p[1].data, p[0].count * sizeof(real));
	parameters_release(&p[0]);
	parameters_release(&p[1]);
	team_close(team);
}

/* A vocabulary that grew: what was known is as it was, each new token's numbers
 * are the mean of the others'. */
static void an_extended_model_keeps_what_it_knew(void **unused)
{
	static const struct form forms[] = { { "", 5, 8, 2, 0, false },
		{ "", 5, 8, 1, 6, false }, { "", 5, 8, 1, 8, true } };

	for (size_t f = 0; f < 3; f++) {
		struct parameters p, more;
		float old[8 * 4 * 8], grown[8 * 4 * 8];
		struct error err;

		form_open(&p, &forms[f], "lstm", BIAS_DOUBLE);
		assert_int_equal(parameters_extend(&more, &p, 7, &err), 0);
		assert_int_equal(more.arch.vocab, 7);
		for (size_t i = 0; i < p.n_tensors; i++) {
			const struct tensor *t = &p.tensors[i];
			const struct tensor *u = &more.tensors[i];
			bool columns = t->cols != u->cols;
			size_t n = t->cols ? t->cols : 1;
			size_t m = u->cols ? u->cols : 1;
			double mean = 0;

			parameters_get(&p, t, old);
			parameters_get(&more, u, grown);
			for (size_t r = 0; r < t->rows; r++)
				assert_memory_equal(old + r * n, grown + r * m,
					n * sizeof(float));
			if (columns) {
				for (size_t c = 0; c < n; c++)
					mean += (double)old[c] / (double)n;
				assert_float_equal(grown[n], mean, 1e-6);
				assert_float_equal(grown[n + 1], mean, 1e-6);
			} else if (t->rows != u->rows) {
				for (size_t r = 0; r < t->rows; r++)
					mean += (double)old[r * n] /
						(double)t->rows;
				assert_float_equal(
					grown[t->rows * m], mean, 1e-6);
			}
		}
		parameters_release(&more);
		assert_int_equal(parameters_extend(&more, &p, 4, &err), -1);
		parameters_release(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_the_mean_of_the_losses),
		cmocka_unit_test(what_is_skipped_only_warms_the_state),
		cmocka_unit_test(nothing_to_score_is_an_error),
		cmocka_unit_test(training_does_not_notice),
		cmocka_unit_test(an_extended_model_keeps_what_it_knew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
