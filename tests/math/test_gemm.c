/* OpenBLAS behind math/gemm.h: on the right core, and against plain loops. */
#include "test.h"

#include "base/rng.h"
#include "math/gemm.h"

#include <float.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

#define ROUNDS 60
#define THREADS 4

static uint32_t draw(uint64_t seed, uint64_t at, uint32_t below)
{
	return rng_block(seed, RNG_INIT, 0, at).v[0] % below;
}

static float *numbers(uint64_t seed, size_t n)
{
	float *x = malloc(n * sizeof(*x));

	assert_non_null(x);
	for (size_t i = 0; i < n; i++)
		x[i] = (float)draw(seed, 100 + i, 2001) / 1000 - 1;
	return x;
}

static void check(uint64_t seed)
{
	const size_t m = 1 + draw(seed, 0, 40), n = 1 + draw(seed, 1, 40);
	const size_t k = 1 + draw(seed, 2, 70);
	const bool ta = draw(seed, 3, 2), tb = draw(seed, 4, 2);
	const size_t lda = (ta ? m : k) + draw(seed, 5, 3);
	const size_t ldb = (tb ? k : n) + draw(seed, 6, 3);
	const size_t ldc = n + draw(seed, 7, 3);
	float *a = numbers(seed, (ta ? k : m) * lda);
	float *b = numbers(seed + 1, (tb ? n : k) * ldb);
	float *c = numbers(seed + 2, m * ldc),
	      *got = numbers(seed + 2, m * ldc);

	gemm(&(struct gemm){
		ta, tb, m, n, k, 0.5f, 2, a, b, got, lda, ldb, ldc });
	for (size_t i = 0; i < m * ldc; i++) {
		double sum = 0;

		for (size_t l = 0; l < k && i % ldc < n; l++) {
			size_t row = i / ldc, column = i % ldc;

			sum += (double)a[ta ? l * lda + row : row * lda + l] *
			       (double)b[tb ? column * ldb + l
					    : l * ldb + column];
		}
		if (i % ldc < n)
			sum = 0.5 * sum + 2 * (double)c[i];
		else
			sum = (double)c[i]; /* beyond the row: untouched */
		assert_true(fabs(sum - (double)got[i]) <=
			    (double)(k + 4) * FLT_EPSILON * 2);
	}
	free(a);
	free(b);
	free(c);
	free(got);
}

static void open_or_skip(void)
{
	struct error err;

	if (gemm_open(&err) == 0)
		return;
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	assert_non_null(strstr(err.message, "libopenblas"));
	skip();
}

static void products_are_right(void **unused)
{
	open_or_skip();
	for (uint64_t i = 0; i < ROUNDS; i++)
		check(i * 10);
}

static void *check_many(void *arg)
{
	for (uint64_t i = 0; i < ROUNDS; i++)
		check(*(uint64_t *)arg * 1000 + i * 10);
	return NULL;
}

static void threads_may_call_at_once(void **unused)
{
	pthread_t threads[THREADS];
	uint64_t seeds[THREADS];

	open_or_skip();
	for (uint64_t i = 0; i < THREADS; i++) {
		seeds[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, check_many,
					 &seeds[i]),
			0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

/* A processor with AVX is never taken for one without. */
static void it_runs_on_the_core_that_was_named(void **unused)
{
	const char *name;

	open_or_skip();
	name = strchr(gemm_version(), ' ');
	assert_non_null(name);
	assert_true(gemm_version()[0] >= '0' && gemm_version()[0] <= '9');
	if (*gemm_core())
		assert_string_equal(name + 1, gemm_core());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(products_are_right),
		cmocka_unit_test(threads_may_call_at_once),
		cmocka_unit_test(it_runs_on_the_core_that_was_named),
	};

	unsetenv("OPENBLAS_CORETYPE");
	unsetenv("OPENBLAS_NUM_THREADS");
	gemm_prepare();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
