/* Initial weights: the distribution that each name promises. */
#include "nn/fixture.h"

#include "nn/cell.h"

static const struct form form = { "embedding", 40, 64, 2, 48, false };

static void draw(struct parameters *p, const char *cell,
	enum initialisation how, double scale, double forget, uint64_t seed)
{
	form_open(p, &form, cell, BIAS_DOUBLE);
	trainer_initialise(p, how, scale, forget, seed);
}

struct moments {
	double mean, deviation, greatest;
};

static struct moments moments_of(const struct parameters *p, const char *name)
{
	const struct tensor *t = parameters_find(p, name);
	const size_t n = tensor_size(t);
	struct moments m = { 0 };

	for (size_t i = 0; i < n; i++) {
		double x = p->data[t->offset + i];

		m.mean += x / (double)n;
		m.deviation += x * x / (double)n;
		m.greatest = fmax(m.greatest, fabs(x));
	}
	m.deviation = sqrt(m.deviation - m.mean * m.mean);
	return m;
}

/* Within five standard errors of what was promised. */
static void assert_spread(
	const struct parameters *p, const char *name, double deviation)
{
	const struct moments m = moments_of(p, name);
	double n = (double)tensor_size(parameters_find(p, name));

	assert_true(fabs(m.mean) < 5 * deviation / sqrt(n));
	assert_true(fabs(m.deviation / deviation - 1) < 5 / sqrt(2 * n));
}

static void assert_uniform(
	const struct parameters *p, const char *name, double bound)
{
	assert_true(moments_of(p, name).greatest <= bound * (1 + 1e-6));
	assert_spread(p, name, bound / sqrt(3));
}

static void assert_zero(const struct parameters *p, const char *name)
{
	assert_true(moments_of(p, name).greatest == 0);
}

static void normal_is_the_lectures(void **unused)
{
	struct parameters p;

	draw(&p, "rnn", INIT_NORMAL, 0.01, 0, 1);
	assert_spread(&p, "embedding.weight", 0.01);
	assert_spread(&p, "rnn.weight_ih_l0", 0.01);
	assert_spread(&p, "rnn.weight_hh_l1", 0.01);
	assert_spread(&p, "output.weight", 0.01);
	assert_true(moments_of(&p, "rnn.weight_hh_l0").greatest > 0.03);
	assert_zero(&p, "rnn.bias_ih_l0");
	assert_zero(&p, "rnn.bias_hh_l1");
	assert_zero(&p, "output.bias");
	parameters_release(&p);
}

static void uniform_is_char_rnns(void **unused)
{
	struct parameters p;

	draw(&p, "gru", INIT_UNIFORM, 0.08, 1, 1);
	for (size_t i = 0; i < p.n_tensors; i++)
		assert_uniform(&p, p.tensors[i].name, 0.08);
	parameters_release(&p);
}

static void pytorch_is_pytorchs(void **unused)
{
	struct parameters p;

	draw(&p, "gru", INIT_PYTORCH, 0, 0, 1);
	assert_spread(&p, "embedding.weight", 1);
	assert_uniform(&p, "rnn.weight_ih_l1", 1 / 8.0);
	assert_uniform(&p, "rnn.bias_hh_l0", 1 / 8.0);
	assert_uniform(&p, "output.weight", 1 / 8.0);
	assert_uniform(&p, "output.bias", 1 / 8.0);
	parameters_release(&p);
}

static void xavier_has_orthogonal_gates(void **unused)
{
	struct parameters p;
	const struct tensor *t;

	draw(&p, "lstm", INIT_XAVIER, 0, 0, 1);
	assert_uniform(&p, "rnn.weight_ih_l0", sqrt(6.0 / (48 + 64)));
	assert_uniform(&p, "output.weight", sqrt(6.0 / (64 + 40)));
	assert_zero(&p, "rnn.bias_ih_l0");
	t = parameters_find(&p, "rnn.weight_hh_l1");
	for (size_t gate = 0; gate < 4; gate++) {
		const real *w = p.data + t->offset + gate * 64 * 64;

		for (size_t i = 0; i < 64; i++)
			for (size_t j = 0; j <= i; j++) {
				double dot = 0;

				for (size_t k = 0; k < 64; k++)
					dot += (double)w[i * 64 + k] *
					       (double)w[j * 64 + k];
				assert_true(fabs(dot - (i == j)) < 1e-4);
			}
	}
	parameters_release(&p);
}

/* 1 in an LSTM's forget gate's first bias, and nowhere else. */
static void the_forget_bias_goes_into_one_bias(void **unused)
{
	const struct cell_ops *cell;

	for (size_t i = 0; (cell = cell_at(i)); i++)
		for (size_t l = 0; l < 2; l++) {
			struct parameters p;
			const struct tensor *ih, *hh;

			draw(&p, cell->name, INIT_NORMAL, 0.01, 1, 1);
			ih = parameters_layer(&p, "bias_ih", l);
			hh = parameters_layer(&p, "bias_hh", l);
			for (size_t j = 0; j < tensor_size(ih); j++) {
				bool forget = !strcmp(cell->name, "lstm") &&
					      j / 64 == 1;

				assert_true(p.data[ih->offset + j] == forget);
				assert_true(p.data[hh->offset + j] == 0);
			}
			parameters_release(&p);
		}
}

static void a_seed_gives_one_draw(void **unused)
{
	struct parameters a, b, c;

	for (int how = INIT_NORMAL; how <= INIT_XAVIER; how++) {
		draw(&a, "lstm", (enum initialisation)how, 0.1, 1, 3);
		draw(&b, "lstm", (enum initialisation)how, 0.1, 1, 3);
		draw(&c, "lstm", (enum initialisation)how, 0.1, 1, 4);
		assert_memory_equal(a.data, b.data, a.count * sizeof(real));
		assert_memory_not_equal(a.data, c.data, a.count * sizeof(real));
		parameters_release(&a);
		parameters_release(&b);
		parameters_release(&c);
	}
}

static void tensors_share_no_draws(void **unused)
{
	struct parameters p;
	const real *a, *b;

	draw(&p, "lstm", INIT_UNIFORM, 0.1, 0, 3);
	a = p.data + parameters_find(&p, "rnn.weight_hh_l0")->offset;
	b = p.data + parameters_find(&p, "rnn.weight_hh_l1")->offset;
	for (size_t i = 0; i < 1000; i++)
		assert_true(a[i] != b[i]);
	parameters_release(&p);
}

static void single_bias_has_no_second(void **unused)
{
	struct parameters p;

	form_open(&p, &form, "gru", BIAS_SINGLE);
	trainer_initialise(&p, INIT_UNIFORM, 0.1, 0, 1);
	assert_zero(&p, "rnn.bias_hh_l0");
	assert_zero(&p, "rnn.bias_hh_l1");
	assert_true(moments_of(&p, "rnn.bias_ih_l0").greatest > 0);
	parameters_release(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(normal_is_the_lectures),
		cmocka_unit_test(uniform_is_char_rnns),
		cmocka_unit_test(pytorch_is_pytorchs),
		cmocka_unit_test(xavier_has_orthogonal_gates),
		cmocka_unit_test(the_forget_bias_goes_into_one_bias),
		cmocka_unit_test(a_seed_gives_one_draw),
		cmocka_unit_test(tensors_share_no_draws),
		cmocka_unit_test(single_bias_has_no_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
