/*
 * Every update rule of the table, on every instruction set, against a plain
 * loop in double: scaling, clipping, weight decay, many steps, odd lengths.
 */
#include "test.h"

#include "base/rng.h"
#include "each_isa.h"
#include "math/kernels.h"
#include "nn/optimizer.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define N 77
#define STEPS 30

static double number(uint32_t a, uint64_t b)
{
	struct philox v = rng_block(3, RNG_SEED, a, b);
	double pair[2];

	rng_normal(&v, pair);
	return pair[0];
}

struct reference {
	double w[N], first[N], second[N];
};

/* One element's rule: the textbook's, with PyTorch's place of epsilon. */
static void reference_element(const char *name, const struct optimizer_step *s,
	struct reference *r, size_t i, double g)
{
	const double a = (double)s->decay, b = (double)s->decay2;
	const double lr = (double)s->learning_rate;
	const double decay = (double)s->weight_decay;
	const double eps = (double)s->epsilon, t = (double)s->t;
	double *w = &r->w[i], *m = &r->first[i], *v = &r->second[i];

	g *= (double)s->gradient_scale;
	if (s->clip > 0)
		g = fmin(fmax(g, -(double)s->clip), (double)s->clip);
	if (!strcmp(name, "adamw"))
		*w *= 1 - lr * decay;
	else
		g += decay * *w;
	if (!strcmp(name, "sgd")) {
		*m = a * *m + g;
		*w -= lr * *m;
	} else if (!strcmp(name, "rmsprop")) {
		*m = a * *m + (1 - a) * g * g;
		*w -= lr * g / (sqrt(*m) + eps);
	} else if (!strcmp(name, "adagrad")) {
		*m += g * g;
		*w -= lr * g / sqrt(*m + eps);
	} else {
		*m = a * *m + (1 - a) * g;
		*v = b * *v + (1 - b) * g * g;
		*w -= lr / (1 - pow(a, t)) * *m /
		      (sqrt(*v / (1 - pow(b, t))) + eps);
	}
}

static bool is_known(const char *name)
{
	static const char *const known[] = { "sgd", "rmsprop", "adagrad",
		"adam", "adamw" };

	for (size_t i = 0; i < 5; i++)
		if (!strcmp(name, known[i]))
			return true;
	return false;
}

static void check(const struct optimizer_ops *ops, size_t n, real scale,
	real clip, real weight_decay)
{
	struct optimizer_step s = { .learning_rate = (real)ops->learning_rate,
		.gradient_scale = scale,
		.clip = clip,
		.weight_decay = weight_decay,
		.decay = (real)ops->decay,
		.decay2 = (real)ops->decay2,
		.epsilon = (real)ops->epsilon };
	real w[N + 1], g[N], block[2][N] = { { 0 } };
	real *moments[2] = { block[0], block[1] };
	struct reference r = { .w = { 0 } };

	for (size_t i = 0; i < n; i++)
		r.w[i] = w[i] = (real)number(1, i);
	w[n] = 12345;
	for (s.t = 1; s.t <= STEPS; s.t++) {
		for (size_t i = 0; i < n; i++) {
			/* Some stay 0, as rows of unseen tokens do. */
			g[i] = i % 5 ? (real)number((uint32_t)s.t + 1, i) : 0;
			reference_element(ops->name, &s, &r, i, (double)g[i]);
		}
		ops->update(&s, n, w, g, moments);
	}
	for (size_t i = 0; i < n; i++)
		if (!(fabs((double)w[i] - r.w[i]) <= 1e-5 * (1 + fabs(r.w[i]))))
			fail_msg("%s [%zu]: %.9g, expected %.9g", ops->name, i,
				(double)w[i], r.w[i]);
	assert_true(w[n] == 12345);
}

static void every_rule_is_the_textbooks(void **unused)
{
	const struct optimizer_ops *ops;
	size_t i;

	for (i = 0; (ops = optimizer_at(i)); i++) {
		assert_true(is_known(ops->name));
		assert_ptr_equal(optimizer_find(ops->name), ops);
		for (size_t n = 1; n <= N; n += 4) {
			check(ops, n, 1, 0, 0);
			check(ops, n, 0.5f, 0.7f, 0);
			check(ops, n, 1, 0.3f, 0.05f);
		}
	}
	assert_int_equal(i, 5);
	assert_null(optimizer_find("adamax"));
}

/* A share of the elements is updated as in one call. */
static void a_share_is_the_same_bits(void **unused)
{
	const struct optimizer_ops *ops;

	for (size_t i = 0; (ops = optimizer_at(i)); i++) {
		struct optimizer_step s = { .learning_rate = 0.1f,
			.gradient_scale = 1,
			.decay = 0.9f,
			.decay2 = 0.99f,
			.epsilon = 1e-8f,
			.t = 1 };
		real a[N], b[N], g[N], m[2][N] = { { 0 } };
		real k[2][N] = { { 0 } };

		for (size_t j = 0; j < N; j++) {
			a[j] = b[j] = (real)number(1, j);
			g[j] = (real)number(2, j);
		}
		ops->update(&s, N, a, g, (real *[]){ m[0], m[1] });
		for (size_t at = 0; at < N; at += 13)
			ops->update(&s, N - at < 13 ? N - at : 13, b + at,
				g + at, (real *[]){ k[0] + at, k[1] + at });
		assert_memory_equal(a, b, sizeof(a));
		assert_memory_equal(m, k, sizeof(m));
	}
}

static void nan_gradients_are_not_hidden_by_the_clip(void **unused)
{
	const struct optimizer_ops *ops;

	for (size_t i = 0; (ops = optimizer_at(i)); i++)
		for (size_t at = 0; at < 20; at++) {
			struct optimizer_step s = { .learning_rate = 0.1f,
				.gradient_scale = 1,
				.clip = 5,
				.decay = 0.9f,
				.decay2 = 0.99f,
				.epsilon = 1e-8f,
				.t = 1 };
			real w[20] = { 0 }, g[20] = { 0 }, m[2][20] = { { 0 } };

			g[at] = (real)NAN;
			ops->update(&s, 20, w, g, (real *[]){ m[0], m[1] });
			for (size_t j = 0; j < 20; j++)
				assert_true(isnan(w[j]) == (j == at));
		}
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_rule_is_the_textbooks),
		cmocka_unit_test(a_share_is_the_same_bits),
		cmocka_unit_test(nan_gradients_are_not_hidden_by_the_clip),
	};

	return cmocka_run_group_tests_name(kernels_name(), tests, NULL, NULL);
}

int main(void)
{
	return each_isa(run);
}
