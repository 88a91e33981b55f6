#include "base/rng.h"

#include <math.h>
#include <string.h>
#include "test.h"

/* Random123's kat_vectors, philox4x32 of 10 rounds. */
static void test_known_answers(void **state)
{
	static const struct {
		uint32_t counter[4], key[2], out[4];
	} kat[] = {
		{ { 0, 0, 0, 0 }, { 0, 0 },
			{ 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
		{ { ~0u, ~0u, ~0u, ~0u }, { ~0u, ~0u },
			{ 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
		{ { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
			{ 0xa4093822, 0x299f31d0 },
			{ 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
	};

	for (size_t i = 0; i < sizeof(kat) / sizeof(kat[0]); i++) {
		struct philox c, out;

		memcpy(c.v, kat[i].counter, sizeof(c.v));
		out = philox4x32(c, kat[i].key);
		assert_memory_equal(out.v, kat[i].out, sizeof(out.v));
	}
}

/* Each part of the address gives other numbers, and the same ones again. */
static void test_blocks_are_a_function_of_their_address(void **state)
{
	const struct philox base = rng_block(1, RNG_SAMPLE, 2, 3);
	const struct philox other[] = {
		rng_block(2, RNG_SAMPLE, 2, 3),
		rng_block(1 | 1ull << 40, RNG_SAMPLE, 2, 3),
		rng_block(1, RNG_INIT, 2, 3),
		rng_block(1, RNG_SAMPLE, 3, 3),
		rng_block(1, RNG_SAMPLE, 2, 4),
		rng_block(1, RNG_SAMPLE, 2, 3 | 1ull << 40),
	};
	const struct philox again = rng_block(1, RNG_SAMPLE, 2, 3);

	assert_memory_equal(&base, &again, sizeof(base));
	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
		assert_memory_not_equal(&base, &other[i], sizeof(base));
}

static void test_uniform_range(void **state)
{
	double sum = 0;

	assert_true(rng_double(0, 0) == 0);
	assert_true(rng_double(~0u, ~0u) == 1 - 0x1p-53);
	assert_true(rng_double(1u << 31, 0) == 0.5);
	for (uint32_t i = 0; i < 20000; i++) {
		struct philox r = rng_block(7, RNG_SEED, 0, i);

		sum += rng_double(r.v[0], r.v[1]);
	}
	/* Standard error of the mean is 0.002. */
	assert_true(fabs(sum / 20000 - 0.5) < 0.01);
}

static void test_normals_have_their_moments(void **state)
{
	const int n = 50000;
	double m1 = 0, m2 = 0, m4 = 0, cross = 0;

	for (int i = 0; i < n; i++) {
		struct philox r = rng_block(11, RNG_INIT, 0, (uint64_t)i);
		double z[2];

		rng_normal(&r, z);
		assert_true(isfinite(z[0]) && isfinite(z[1]));
		m1 += (z[0] + z[1]) / 2;
		m2 += (z[0] * z[0] + z[1] * z[1]) / 2;
		m4 += (pow(z[0], 4) + pow(z[1], 4)) / 2;
		cross += z[0] * z[1];
	}
	assert_true(fabs(m1 / n) < 0.02);
	assert_true(fabs(m2 / n - 1) < 0.03);
	assert_true(fabs(m4 / n - 3) < 0.2);
	assert_true(fabs(cross / n) < 0.02);
}

static void test_extreme_words_are_finite(void **state)
{
	const struct philox words[] = { { { 0, 0, 0, 0 } },
		{ { ~0u, ~0u, ~0u, ~0u } } };
	double z[2];

	for (int i = 0; i < 2; i++) {
		rng_normal(&words[i], z);
		assert_true(isfinite(z[0]) && isfinite(z[1]));
	}
}

static void test_entropy_differs(void **state)
{
	assert_true(rng_entropy() != rng_entropy());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_answers),
		cmocka_unit_test(test_blocks_are_a_function_of_their_address),
		cmocka_unit_test(test_uniform_range),
		cmocka_unit_test(test_normals_have_their_moments),
		cmocka_unit_test(test_extreme_words_are_finite),
		cmocka_unit_test(test_entropy_differs),
	};

	return cmocka_run_group_tests_name("rng", tests, NULL, NULL);
}
