/* Buckets: what a minute holds, what comes back, and who shares nothing. */
#include "test.h"

#include "http/quota.h"

static struct quota *open_quota(
	uint64_t requests, uint64_t tokens, uint64_t generations)
{
	struct quota_options o = { requests, tokens, generations };
	struct quota *q = NULL;

	assert_int_equal(quota_open(&q, &o, NULL), 0);
	return q;
}

static void test_requests_come_back_steadily(void **state)
{
	struct quota *q = open_quota(60, 0, 0);

	(void)state;
	for (int i = 0; i < 60; i++)
		assert_int_equal(quota_request(q, 7, 1000), 0);
	assert_int_equal(quota_request(q, 7, 1000), 1);
	assert_int_equal(quota_request(q, 8, 1000), 0);
	assert_int_equal(quota_request(q, 7, 1999), 1);
	assert_int_equal(quota_request(q, 7, 2001), 0);
	assert_int_equal(quota_request(q, 7, 2001), 1);
	/* A long rest fills it, and no more. */
	for (int i = 0; i < 60; i++)
		assert_int_equal(quota_request(q, 7, 9000000), 0);
	assert_int_equal(quota_request(q, 7, 9000000), 1);
	quota_close(q);
}

static void test_tokens_are_paid_back(void **state)
{
	enum quota_limit limit;
	struct quota *q = open_quota(0, 600, 0);

	(void)state;
	assert_int_equal(quota_generation(q, 1, 1000, &limit), 0);
	quota_spend(q, 1, 1000, 1200);
	/* 600 of debt at 10 a second. */
	assert_int_equal(quota_generation(q, 1, 1000, &limit), 61);
	assert_int_equal(limit, QUOTA_TOKENS);
	assert_int_equal(quota_generation(q, 1, 31000, &limit), 31);
	assert_int_equal(quota_generation(q, 1, 61200, &limit), 0);
	assert_int_equal(quota_generation(q, 2, 1000, &limit), 0);
	quota_close(q);
}

static void test_generations_at_once(void **state)
{
	enum quota_limit limit;
	struct quota *q = open_quota(0, 0, 2);

	(void)state;
	quota_begin(q, 1, 1000);
	assert_int_equal(quota_generation(q, 1, 1000, &limit), 0);
	quota_begin(q, 1, 1000);
	assert_int_equal(quota_generation(q, 1, 1000, &limit), 1);
	assert_int_equal(limit, QUOTA_GENERATIONS);
	/* However many others come by. */
	for (uint64_t c = 10; c < 100000; c++)
		quota_begin(q, c, 2000 + c), quota_end(q, c, 2000 + c);
	assert_int_equal(quota_generation(q, 1, 200000, &limit), 1);
	quota_end(q, 1, 200000);
	assert_int_equal(quota_generation(q, 1, 200000, &limit), 0);
	quota_close(q);
}

static void test_without_limits_all_pass(void **state)
{
	enum quota_limit limit;
	struct quota *q = open_quota(0, 0, 0);

	(void)state;
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(quota_request(q, 1, 1), 0);
		assert_int_equal(quota_generation(q, 1, 1, &limit), 0);
		quota_begin(q, 1, 1);
		quota_spend(q, 1, 1, 1000000);
	}
	quota_close(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_come_back_steadily),
		cmocka_unit_test(test_tokens_are_paid_back),
		cmocka_unit_test(test_generations_at_once),
		cmocka_unit_test(test_without_limits_all_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
