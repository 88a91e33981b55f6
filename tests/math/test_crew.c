/* Products shared with idle threads: the same bits, whoever comes and goes. */
#include "math/crew.h"

#include "base/rng.h"
#include "math/kernels.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MEMBERS 3
#define ROUNDS 300
#define MAX_M 4
#define MAX_K 300
#define MAX_N 700

struct helper {
	struct crew *crew;
	unsigned member;
	atomic_bool *stop;
	pthread_t thread;
};

static atomic_uint woken;

static void wake(void *arg, unsigned member)
{
	(void)arg;
	assert_true(member < MEMBERS);
	atomic_fetch_add(&woken, 1);
}

static bool is_stopped(void *arg)
{
	return atomic_load((atomic_bool *)arg);
}

/* Comes and goes: short visits, so that owners meet every state of a share. */
static void *help(void *arg)
{
	struct helper *h = arg;

	while (!atomic_load(h->stop)) {
		crew_help(h->crew, h->member, 50000, is_stopped, h->stop);
		crew_set_idle(h->crew, h->member, true);
		crew_set_idle(h->crew, h->member, false);
	}
	return NULL;
}

static uint32_t draw(uint64_t at, uint32_t below)
{
	return rng_block(11, RNG_SEED, 0, at).v[0] % below;
}

static void fill(real *x, size_t n, uint32_t stream)
{
	for (size_t i = 0; i < n; i++) {
		struct philox v = rng_block(5, RNG_INIT, stream, i);

		x[i] = (real)(2 * rng_double(v.v[0], v.v[1]) - 1);
	}
}

struct operands {
	struct packed w[2];
	real *x, *bias, *alone, *shared;
	uint8_t *rounded;
	float *x_scale;
	const real *rows[MAX_M];
};

static void products(const struct operands *o, size_t m, enum product_init init,
	real *y, struct product p[2])
{
	for (int i = 0; i < 2; i++)
		p[i] = (struct product){ .w = &o->w[i],
			.m = m,
			.x = o->x,
			.ldx = o->w[i].k,
			.y = y + (size_t)i * MAX_M * MAX_N,
			.ldy = o->w[i].n,
			.bias = o->bias,
			.init = init,
			.rounded = o->rounded,
			.rows = o->rows,
			.x_scale = o->x_scale };
}

static void one_round(struct crew *crew, uint64_t round)
{
	const enum weight_type type = (enum weight_type)draw(round * 8, 3);
	const size_t m = 1 + draw(round * 8 + 1, MAX_M);
	const size_t k = 1 + draw(round * 8 + 2, MAX_K);
	const enum product_init init =
		(enum product_init)draw(round * 8 + 3, 4);
	const size_t count = 2 * MAX_M * MAX_N;
	struct operands o = { 0 };
	struct product p[2];
	struct error err;
	real *weights = kernels_alloc(MAX_K * MAX_N);

	o.x = kernels_alloc(MAX_M * MAX_K);
	o.bias = kernels_alloc(MAX_N);
	o.alone = kernels_alloc(count);
	o.shared = kernels_alloc(count);
	o.rounded = malloc(MAX_M * MAX_K * sizeof(real));
	for (size_t r = 0; r < MAX_M; r++)
		o.rows[r] = o.bias;
	o.x_scale = calloc(MAX_M, sizeof(float));
	fill(o.x, m * k, 1);
	fill(o.bias, MAX_N, 2);
	fill(o.alone, count, 3);
	memcpy(o.shared, o.alone, count * sizeof(real));
	for (int i = 0; i < 2; i++) {
		size_t n = 1 + draw(round * 8 + 4 + (uint64_t)i, MAX_N);

		fill(weights, k * n, 4);
		assert_int_equal(packed_open(&o.w[i], type, k, n, &err), 0);
		packed_fill(&o.w[i], weights, true);
	}
	for (size_t r = 0; r < m; r++)
		o.x_scale[r] = kernels_round(type, o.x + r * k, k, 0,
			o.rounded + r * kernels_rounded(type, k));
	products(&o, m, init, o.alone, p);
	kernels_product(&p[0]);
	kernels_product(&p[1]);
	products(&o, m, init, o.shared, p);
	crew_products(crew, 0, p, 2);
	/* Weights may go once nobody reads them. */
	crew_settle(crew, 0);
	assert_memory_equal(o.alone, o.shared, count * sizeof(real));
	packed_release(&o.w[0]);
	packed_release(&o.w[1]);
	free(weights);
	free(o.x);
	free(o.bias);
	free(o.alone);
	free(o.shared);
	free(o.rounded);
	free(o.x_scale);
}

static void shared_products_are_the_same_bits(void **unused)
{
	struct helper helpers[MEMBERS - 1];
	atomic_bool stop = false;
	struct error err;
	struct crew *crew;

	(void)unused;
	assert_int_equal(
		crew_open(&crew, MEMBERS, 1 << 16, wake, NULL, &err), 0);
	for (unsigned i = 0; i + 1 < MEMBERS; i++) {
		helpers[i] = (struct helper){ crew, i + 1, &stop, 0 };
		assert_int_equal(pthread_create(&helpers[i].thread, NULL, help,
					 &helpers[i]),
			0);
	}
	for (uint64_t i = 0; i < ROUNDS; i++)
		one_round(crew, i);
	atomic_store(&stop, true);
	for (unsigned i = 0; i + 1 < MEMBERS; i++)
		pthread_join(helpers[i].thread, NULL);
	crew_close(crew);
}

static void an_idle_member_is_roused_once(void **unused)
{
	struct error err;
	struct crew *crew;
	unsigned before = atomic_load(&woken);

	(void)unused;
	assert_int_equal(
		crew_open(&crew, MEMBERS, 1 << 16, wake, NULL, &err), 0);
	one_round(crew, 0);
	assert_int_equal(atomic_load(&woken), before);
	crew_set_idle(crew, 2, true);
	one_round(crew, 1);
	one_round(crew, 2);
	assert_int_equal(atomic_load(&woken), before + 1);
	crew_close(crew);
}

static void what_does_not_fit_is_computed_alone(void **unused)
{
	struct helper helper;
	atomic_bool stop = false;
	struct error err;
	struct crew *crew;

	(void)unused;
	assert_int_equal(crew_open(&crew, 2, 16, wake, NULL, &err), 0);
	helper = (struct helper){ crew, 1, &stop, 0 };
	assert_int_equal(
		pthread_create(&helper.thread, NULL, help, &helper), 0);
	for (uint64_t i = 0; i < 20; i++)
		one_round(crew, i);
	atomic_store(&stop, true);
	pthread_join(helper.thread, NULL);
	crew_close(crew);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shared_products_are_the_same_bits),
		cmocka_unit_test(an_idle_member_is_roused_once),
		cmocka_unit_test(what_does_not_fit_is_computed_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
