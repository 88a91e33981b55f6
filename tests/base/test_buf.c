#include "base/buf.h"

#include <string.h>
#include "test.h"

static void test_grows_to_its_limit_only(void **state)
{
	struct buf b;

	buf_init(&b, 10);
	assert_int_equal(buf_puts(&b, "12345"), 0);
	assert_int_equal(buf_puts(&b, "67890"), 0);
	assert_int_equal(buf_puts(&b, "x"), -1);
	assert_int_equal(buf_printf(&b, "%d", 1), -1);
	assert_int_equal(b.len, 10);
	assert_string_equal(b.data, "1234567890");
	buf_release(&b);
	assert_null(b.data);
	assert_int_equal(buf_puts(&b, "again"), 0);
	buf_release(&b);
}

static void test_any_bytes(void **state)
{
	struct buf b;

	buf_init(&b, 100);
	assert_int_equal(buf_append(&b, "a\0b", 3), 0);
	assert_int_equal(buf_append(&b, NULL, 0), 0);
	assert_int_equal(b.len, 3);
	assert_memory_equal(b.data, "a\0b", 4);
	buf_release(&b);
}

static void test_printf_and_consume(void **state)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(buf_printf(&b, "%03d ", i), 0);
	assert_int_equal(b.len, 4000);
	buf_consume(&b, 0);
	buf_consume(&b, 3996);
	assert_string_equal(b.data, "999 ");
	buf_clear(&b);
	assert_int_equal(b.len, 0);
	assert_string_equal(b.data, "");
	buf_release(&b);
}

static void test_no_limit_overflows(void **state)
{
	struct buf b;

	buf_init(&b, SIZE_MAX / 2);
	assert_int_equal(buf_puts(&b, "x"), 0);
	assert_int_equal(buf_reserve(&b, SIZE_MAX), -1);
	assert_int_equal(buf_reserve(&b, SIZE_MAX / 2), -1);
	assert_string_equal(b.data, "x");
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grows_to_its_limit_only),
		cmocka_unit_test(test_any_bytes),
		cmocka_unit_test(test_printf_and_consume),
		cmocka_unit_test(test_no_limit_overflows),
	};

	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
