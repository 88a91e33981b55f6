/* Against a plain reference: sort, add up in doubles, cut. */
#include "nn/sampler.h"

#include "base/rng.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX 4096

static real logits[MAX];
static double wanted[MAX]; /* probabilities by the reference */
static uint32_t seen[MAX];

static double uniform(uint64_t seed, uint64_t i)
{
	struct philox p = rng_block(seed, RNG_SEED, 3, i);

	return rng_double(p.v[0], p.v[1]);
}

static void random_logits(uint64_t seed, size_t n, double spread)
{
	for (size_t i = 0; i < n; i++) {
		struct philox p = rng_block(seed, RNG_INIT, 1, i);
		double pair[2];

		rng_normal(&p, pair);
		logits[i] = (real)(pair[0] * spread);
	}
}

struct ranked {
	double x;
	uint32_t id;
};

static int by_rank(const void *a, const void *b)
{
	const struct ranked *p = a, *q = b;

	if (p->x != q->x)
		return p->x > q->x ? -1 : 1;
	return p->id < q->id ? -1 : 1;
}

/* Fills wanted; false when a cut is too close to call in doubles. */
static bool reference(const struct sampler_options *o, size_t n,
	const uint32_t *window, size_t n_window)
{
	static struct ranked r[MAX];
	double sum = 0, part = 0, mass = 0;
	size_t keep = n;
	bool clear = true;

	for (size_t i = 0; i < n; i++) {
		uint32_t count = 0;
		double x = (double)logits[i];

		for (size_t w = 0; w < n_window; w++)
			count += window[w] == i;
		if (count)
			x = x > 0 ? x / o->repetition_penalty
				  : x * o->repetition_penalty;
		x -= o->presence_penalty * (count > 0) +
		     o->frequency_penalty * count;
		for (size_t b = 0; b < o->n_bias; b++)
			if (o->bias[b].token == i)
				x += (double)o->bias[b].bias;
		r[i] = (struct ranked){ x / o->temperature, (uint32_t)i };
	}
	qsort(r, n, sizeof(*r), by_rank);
	if (o->top_k && o->top_k < n)
		keep = o->top_k;
	for (size_t i = 0; i < keep; i++)
		sum += exp(r[i].x - r[0].x);
	for (size_t i = 0; i < keep; i++) {
		part += exp(r[i].x - r[0].x);
		clear &= fabs(part / sum - o->top_p) > 1e-9;
		if (o->top_p < 1 && part / sum >= o->top_p) {
			keep = i + 1;
			clear &= fabs(part / sum - o->top_p) > 1e-9;
		}
	}
	while (keep > 1 && exp(r[keep - 1].x - r[0].x) < o->min_p)
		keep--;
	memset(wanted, 0, sizeof(wanted));
	for (size_t i = 0; i < keep; i++)
		mass += exp(r[i].x - r[0].x);
	for (size_t i = 0; i < keep; i++)
		wanted[r[i].id] = exp(r[i].x - r[0].x) / mass;
	return clear || o->top_p == 1;
}

static void draw_many(const struct sampler_options *o, size_t n,
	const uint32_t *window, size_t n_window, size_t draws, uint64_t seed)
{
	struct sampler *s;

	assert_int_equal(sampler_check(o, NULL), 0);
	assert_int_equal(sampler_open(&s, n, NULL), 0);
	memset(seen, 0, sizeof(seen));
	for (size_t i = 0; i < draws; i++) {
		struct sampler_draw d = sampler_draw(
			s, o, logits, window, n_window, seed, 0, i);

		assert_true(d.token < n);
		seen[d.token]++;
	}
	sampler_close(s);
}

/* Pearson's statistic over cells of at least 5 expected, against its mean and
 * deviation: 6 sigma is one failure in 10^9 of random seeds, and these are
 * fixed. */
static void assert_distribution(size_t n, size_t draws)
{
	double statistic = 0, rest = 0, rest_seen = 0;
	size_t cells = 0;

	for (size_t i = 0; i < n; i++) {
		double expected = wanted[i] * (double)draws;

		if (wanted[i] == 0)
			assert_int_equal(seen[i], 0);
		if (expected < 5) {
			rest += expected;
			rest_seen += seen[i];
			continue;
		}
		statistic +=
			(seen[i] - expected) * (seen[i] - expected) / expected;
		cells++;
	}
	if (rest > 5) {
		statistic += (rest_seen - rest) * (rest_seen - rest) / rest;
		cells++;
	}
	assert_true(
		statistic < (double)cells + 6 * sqrt(2 * (double)cells) + 10);
	assert_true(cells < 4 ||
		    statistic > (double)cells - 6 * sqrt(2 * (double)cells));
}

static void test_softmax(void **state)
{
	static const size_t sizes[] = { 2, 3, 65, 256, 1000 };
	static const double temperatures[] = { 0.3, 1, 2.5 };
	struct sampler_options o;

	sampler_defaults(&o);
	for (size_t i = 0; i < 5; i++) {
		for (size_t k = 0; k < 3; k++) {
			o.temperature = temperatures[k];
			random_logits(i, sizes[i], 2);
			assert_true(reference(&o, sizes[i], NULL, 0));
			draw_many(&o, sizes[i], NULL, 0, 40000, 7 * i + k);
			assert_distribution(sizes[i], 40000);
		}
	}
}

/* Random combinations of all options. */
static void test_filters(void **state)
{
	uint32_t window[32];
	struct sampler_bias bias[3];
	struct sampler_options o;
	size_t clear = 0;

	for (uint64_t seed = 0; seed < 60; seed++) {
		size_t n = 2 + (size_t)(uniform(seed, 0) * 300);

		sampler_defaults(&o);
		random_logits(seed, n, 3);
		if (seed % 3 == 0) /* equal logits, to be cut by id */
			for (size_t i = 0; i < n; i++)
				logits[i] = (real)(int)logits[i];
		o.temperature = 0.2 + 2 * uniform(seed, 1);
		if (uniform(seed, 2) < 0.5)
			o.top_k = 1 + (uint32_t)(uniform(seed, 3) * 40);
		if (uniform(seed, 4) < 0.5)
			o.top_p = 0.05 + 0.95 * uniform(seed, 5);
		if (uniform(seed, 6) < 0.5)
			o.min_p = 0.3 * uniform(seed, 7);
		if (uniform(seed, 8) < 0.5) {
			o.repetition_penalty = 0.5 + 1.5 * uniform(seed, 9);
			o.presence_penalty = 4 * uniform(seed, 10) - 2;
			o.frequency_penalty = 4 * uniform(seed, 11) - 2;
		}
		for (size_t i = 0; i < 32; i++)
			window[i] = (uint32_t)(uniform(seed, 20 + i) * 40);
		for (size_t i = 0; i < 3; i++)
			bias[i] = (struct sampler_bias){
				(uint32_t)(uniform(seed, 60 + i) * (double)n),
				i ? (float)(6 * uniform(seed, 70 + i))
				  : -INFINITY
			};
		o.bias = bias;
		o.n_bias = n > 3 && uniform(seed, 12) < 0.5 ? 3 : 0;
		if (!reference(&o, n, window, 32))
			continue;
		clear++;
		draw_many(&o, n, window, 32, 4000, seed);
		assert_distribution(n, 4000);
	}
	assert_true(clear > 50);
}

static void assert_support(
	const struct sampler_options *o, size_t n, const char *tokens)
{
	draw_many(o, n, NULL, 0, 2000, 1);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(
			seen[i] > 0, strchr(tokens, '0' + (int)i) != NULL);
}

/* Each filter alone, on probabilities that can be checked by eye. */
static void test_each_filter(void **state)
{
	static const double p[] = { 0.1, 0.4, 0.05, 0.3, 0.15 };
	struct sampler_options o;

	for (size_t i = 0; i < 5; i++)
		logits[i] = (real)log(p[i]);
	sampler_defaults(&o);
	assert_support(&o, 5, "01234");
	o.top_k = 2;
	assert_support(&o, 5, "13");
	o.top_k = 5;
	assert_support(&o, 5, "01234");
	o.top_k = UINT32_MAX;
	assert_support(&o, 5, "01234");
	o.top_k = 0;
	o.top_p = 0.69; /* the one that crosses it is in */
	assert_support(&o, 5, "13");
	o.top_p = 0.71;
	assert_support(&o, 5, "134");
	o.top_p = 1e-12;
	assert_support(&o, 5, "1");
	o.top_k = 2; /* renormalised: 4/7 and 3/7 */
	o.top_p = 0.56;
	assert_support(&o, 5, "1");
	o.top_k = 0;
	o.top_p = 1;
	o.min_p = 0.37;
	assert_support(&o, 5, "134");
	o.min_p = 0.38;
	assert_support(&o, 5, "13");
	o.min_p = 1;
	assert_support(&o, 5, "1");
	/* Of equals the lower ids stay. */
	for (size_t i = 0; i < 5; i++)
		logits[i] = 0;
	o.min_p = 0;
	o.top_k = 3;
	assert_support(&o, 5, "012");
	o.top_k = 0;
	o.top_p = 0.35;
	assert_support(&o, 5, "01");
}

static uint32_t draw_one(const struct sampler_options *o, size_t n,
	const uint32_t *window, size_t n_window)
{
	struct sampler *s;
	struct sampler_draw d;

	assert_int_equal(sampler_open(&s, n, NULL), 0);
	d = sampler_draw(s, o, logits, window, n_window, 1, 2, 3);
	sampler_close(s);
	return d.token;
}

static void test_greedy(void **state)
{
	const uint32_t window[] = { 1, 1, 900000 };
	const struct sampler_bias ban[] = { { 1, -INFINITY }, { 3, 1 },
		{ 900000, 5 } };
	struct sampler_options o;

	sampler_defaults(&o);
	o.temperature = 0;
	for (size_t i = 0; i < 5; i++)
		logits[i] = (real)(i == 1 || i == 3 ? 2 : i == 4 ? 1.5 : 0);
	assert_int_equal(draw_one(&o, 5, NULL, 0), 1);
	o.repetition_penalty = 1.1;
	assert_int_equal(draw_one(&o, 5, window, 3), 3);
	o.repetition_penalty = 1;
	o.frequency_penalty = 0.1;
	assert_int_equal(draw_one(&o, 5, window, 3), 3);
	o.frequency_penalty = -0.1;
	assert_int_equal(draw_one(&o, 5, window, 3), 1);
	o.bias = ban;
	o.n_bias = 3;
	assert_int_equal(draw_one(&o, 5, window, 3), 3);
	o.bias = NULL;
	o.n_bias = 0;
	o.top_k = 1;
	o.temperature = 1;
	assert_int_equal(draw_one(&o, 5, NULL, 0), 1);
	/* So cold that it is greedy but for ties. */
	o.top_k = 0;
	o.temperature = 1e-5;
	logits[3] = (real)2.1;
	assert_int_equal(draw_one(&o, 5, NULL, 0), 3);
}

static void test_degenerate_logits(void **state)
{
	static struct sampler_bias bans[4];
	struct sampler_options o;
	struct sampler *s;
	struct sampler_draw d;

	sampler_defaults(&o);
	assert_int_equal(sampler_open(&s, 4, NULL), 0);
	for (double temperature = 0; temperature < 2; temperature++) {
		o.temperature = temperature;
		for (size_t i = 0; i < 4; i++) {
			logits[i] = (real)-INFINITY;
			bans[i] =
				(struct sampler_bias){ (uint32_t)i, -INFINITY };
		}
		d = sampler_draw(s, &o, logits, NULL, 0, 1, 2, 3);
		assert_int_equal(d.token, 0);
		assert_true(d.logprob == -INFINITY);
		logits[2] = -1000;
		d = sampler_draw(s, &o, logits, NULL, 0, 1, 2, 3);
		assert_int_equal(d.token, 2);
		assert_true(d.logprob == 0);
		/* Where all is banned, bans are void. */
		o.bias = bans;
		o.n_bias = 4;
		d = sampler_draw(s, &o, logits, NULL, 0, 1, 2, 3);
		assert_int_equal(d.token, 2);
		o.n_bias = 0;
		logits[1] = (real)NAN;
		d = sampler_draw(s, &o, logits, NULL, 0, 1, 2, 3);
		assert_int_equal(d.token, 2);
		logits[3] = (real)INFINITY;
		d = sampler_draw(s, &o, logits, NULL, 0, 1, 2, 3);
		assert_int_equal(d.token, 3);
		assert_true(d.logprob == 0);
	}
	sampler_close(s);
}

/* Not even greedily, nor when all else is banned; but what is never drawn has
 * its share of the softmax. */
static void test_never(void **state)
{
	static struct sampler_bias bans[2] = { { 0, -INFINITY },
		{ 2, -INFINITY } };
	struct sampler_options o;
	struct sampler *s;

	sampler_defaults(&o);
	o.has_never = true;
	o.never = 1;
	logits[0] = 0;
	logits[1] = 10;
	logits[2] = 0;
	assert_int_equal(sampler_open(&s, 3, NULL), 0);
	for (uint64_t i = 0; i < 200; i++) {
		struct sampler_draw d;

		o.temperature = i % 2 ? 1 : 0;
		o.n_bias = i % 4 < 2 ? 2 : 0;
		o.bias = bans;
		d = sampler_draw(s, &o, logits, NULL, 0, 9, 0, i);
		assert_int_not_equal(d.token, 1);
		assert_true(fabs(d.logprob + log(exp(10) + 2)) < 1e-12);
	}
	logits[0] = logits[2] = (real)-INFINITY;
	assert_int_equal(
		sampler_draw(s, &o, logits, NULL, 0, 9, 0, 0).token, 1);
	sampler_close(s);
}

static void test_logprob(void **state)
{
	struct sampler_options o;
	struct sampler *s;
	double sum = 0;

	/* Of the plain softmax, whatever the options are. */
	sampler_defaults(&o);
	o.temperature = 0.5;
	o.top_k = 30;
	random_logits(5, 101, 3);
	for (size_t i = 0; i < 101; i++)
		sum += exp((double)logits[i]);
	assert_int_equal(sampler_open(&s, 101, NULL), 0);
	for (uint64_t i = 0; i < 200; i++) {
		struct sampler_draw d =
			sampler_draw(s, &o, logits, NULL, 0, 9, 0, i);
		double want = (double)logits[d.token] - log(sum);

		assert_true(fabs(d.logprob - want) < 1e-13 * (1 - want));
	}
	sampler_close(s);
}

/* Nothing but the inputs counts: not the sampler, its past, or the thread. */
struct lone {
	uint32_t tokens[500];
};

static void *draw_alone(void *arg)
{
	struct lone *l = arg;
	struct sampler_options o;
	struct sampler *s;
	uint32_t window[8];

	sampler_defaults(&o);
	o.top_p = 0.9;
	o.repetition_penalty = 1.2;
	assert_int_equal(sampler_open(&s, 1000, NULL), 0);
	for (uint64_t i = 0; i < 500; i++) {
		for (uint32_t w = 0; w < 8; w++)
			window[w] = (uint32_t)(i * w % 1000);
		l->tokens[i] = sampler_draw(
			s, &o, logits, window, 8, 77, (uint32_t)i % 3, i / 3)
				       .token;
	}
	sampler_close(s);
	return NULL;
}

static void test_same_on_all_threads(void **state)
{
	static struct lone l[4];
	pthread_t threads[4];

	random_logits(6, 1000, 2);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, draw_alone, &l[i]),
			0);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 1; i < 4; i++)
		assert_memory_equal(&l[0], &l[i], sizeof(l[0]));
	/* Seed, choice and position each change the draw. */
	assert_memory_not_equal(l[0].tokens, l[0].tokens + 1, 400);
}

/* The very tokens: a change of these is a change of every user's texts. */
static void test_known_draws(void **state)
{
	static const uint32_t want[] = { 35, 63, 49, 42, 19, 19, 14, 21, 31, 14,
		28, 19, 21, 14, 14, 43 };
	struct sampler_options o;
	struct sampler *s;

	sampler_defaults(&o);
	o.temperature = 0.8;
	for (size_t i = 0; i < 65; i++)
		logits[i] = (real)((i * 37 % 65) / 16.0);
	assert_int_equal(sampler_open(&s, 65, NULL), 0);
	for (uint64_t i = 0; i < sizeof(want) / sizeof(*want); i++)
		assert_int_equal(
			sampler_draw(s, &o, logits, NULL, 0, 42, 0, i).token,
			want[i]);
	sampler_close(s);
}

static void test_large_vocabularies(void **state)
{
	static const size_t sizes[] = { 2, 5387, 100000, 300001 };
	struct sampler_options o;

	for (size_t k = 0; k < 4; k++) {
		size_t n = sizes[k];
		real *large = malloc(n * sizeof(*large));
		struct sampler *s;

		for (size_t i = 0; i < n; i++)
			large[i] = (real)(i % 2 ? 10 : -10);
		large[n - 1] = 11;
		assert_int_equal(sampler_open(&s, n, NULL), 0);
		sampler_defaults(&o);
		for (uint64_t i = 0; i < 10; i++)
			assert_true(sampler_draw(s, &o, large, NULL, 0, 1, 0, i)
					    .token < n);
		o.top_k = 1;
		assert_int_equal(
			sampler_draw(s, &o, large, NULL, 0, 1, 0, 0).token,
			n - 1);
		o.top_k = 3;
		o.top_p = 0.999;
		o.min_p = 0.1;
		for (uint64_t i = 0; i < 10; i++) {
			uint32_t token =
				sampler_draw(s, &o, large, NULL, 0, 1, 0, i)
					.token;

			assert_true(token == n - 1 || token == 1 || token == 3);
		}
		sampler_close(s);
		free(large);
	}
}

static void test_check(void **state)
{
	static const struct sampler_bias bad[] = { { 3, 1 }, { 9, NAN } };
	struct sampler_options o;
	struct sampler *s;
	struct error err;

#define REFUSED(field, value, text)                            \
	do {                                                   \
		sampler_defaults(&o);                          \
		o.field = value;                               \
		assert_int_equal(sampler_check(&o, &err), -1); \
		assert_int_equal(err.code, ERROR_INVALID);     \
		assert_string_equal(err.param, #field);        \
		assert_string_equal(err.message, text);        \
	} while (0)
	REFUSED(temperature, -1, "temperature is -1, expected 0 to 100");
	REFUSED(temperature, 101, "temperature is 101, expected 0 to 100");
	REFUSED(temperature, NAN, "temperature is nan, expected 0 to 100");
	REFUSED(temperature, INFINITY, "temperature is inf, expected 0 to 100");
	REFUSED(top_p, 0, "top_p is 0, expected above 0, at most 1");
	REFUSED(top_p, 1.5, "top_p is 1.5, expected above 0, at most 1");
	REFUSED(top_p, NAN, "top_p is nan, expected above 0, at most 1");
	REFUSED(min_p, -0.1, "min_p is -0.1, expected 0 to 1");
	REFUSED(repetition_penalty, 0,
		"repetition_penalty is 0, expected 0.01 to 100");
	REFUSED(presence_penalty, 2.5,
		"presence_penalty is 2.5, expected -2 to 2");
	REFUSED(frequency_penalty, -3,
		"frequency_penalty is -3, expected -2 to 2");
	sampler_defaults(&o);
	assert_int_equal(sampler_check(&o, &err), 0);
	o.bias = bad;
	o.n_bias = 1;
	assert_int_equal(sampler_check(&o, &err), 0);
	assert_int_equal(sampler_check_vocab(&o, 4, &err), 0);
	assert_int_equal(sampler_check_vocab(&o, 3, &err), -1);
	assert_string_equal(
		err.message, "logit_bias names token 3, expected 0 to 2");
	o.n_bias = 2;
	assert_int_equal(sampler_check(&o, &err), -1);
	assert_string_equal(err.param, "logit_bias");
	assert_int_equal(sampler_open(&s, 0, &err), -1);
	assert_int_equal(sampler_open(&s, (size_t)1 << 40, &err), -1);
	assert_string_equal(err.param, "vocab");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_softmax),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_each_filter),
		cmocka_unit_test(test_greedy),
		cmocka_unit_test(test_degenerate_logits),
		cmocka_unit_test(test_never),
		cmocka_unit_test(test_logprob),
		cmocka_unit_test(test_same_on_all_threads),
		cmocka_unit_test(test_known_draws),
		cmocka_unit_test(test_large_vocabularies),
		cmocka_unit_test(test_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
