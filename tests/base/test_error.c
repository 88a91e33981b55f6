#include "base/error.h"

#include <errno.h>
#include <string.h>
#include "test.h"

static void test_set(void **state)
{
	struct error err;

	assert_int_equal(error_set_param(&err, ERROR_INVALID, "top_p",
				 "top_p is %g, expected up to 1", 1.5),
		-1);
	assert_error(err, ERROR_INVALID, "top_p is 1.5, expected up to 1");
	assert_string_equal(err.param, "top_p");
	error_set(&err, ERROR_CONFLICT, "busy");
	assert_error(err, ERROR_CONFLICT, "busy");
	assert_string_equal(err.param, "");
}

static void test_nobody_listens(void **state)
{
	assert_int_equal(error_set(NULL, ERROR_INVALID, "x"), -1);
	assert_int_equal(error_set_errno(NULL, "x"), -1);
	assert_int_equal(error_set_memory(NULL, "x", 1), -1);
	assert_int_equal(error_prefix(NULL, "x"), -1);
}

static void test_errno_tells_full_disks_apart(void **state)
{
	struct error err;

	errno = ENOENT;
	error_set_errno(&err, "%s", "model");
	assert_error(err, ERROR_IO, "model: No such file or directory");
	errno = ENOSPC;
	error_set_errno(&err, "model");
	assert_error(err, ERROR_NO_SPACE, "model: No space left on device");
	errno = EDQUOT;
	error_set_errno(&err, "model");
	assert_int_equal(err.code, ERROR_NO_SPACE);
}

static void test_prefix_keeps_the_rest(void **state)
{
	struct error err;

	error_set_param(&err, ERROR_CORRUPT, "rnn.bias_hh_l0", "holds NaN");
	error_prefix(&err, "tensor %s", "rnn.bias_hh_l0");
	error_prefix(&err, "m.safetensors");
	assert_error(err, ERROR_CORRUPT,
		"m.safetensors: tensor rnn.bias_hh_l0: holds NaN");
	assert_string_equal(err.param, "rnn.bias_hh_l0");
}

static void test_long_texts_are_cut(void **state)
{
	char text[2000];
	struct error err;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	error_set_param(&err, ERROR_INVALID, text, "%s", text);
	assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
	assert_int_equal(strlen(err.param), sizeof(err.param) - 1);
	error_prefix(&err, "%s", text);
	assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
	errno = EIO;
	error_set_errno(&err, "%s", text);
	assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_nobody_listens),
		cmocka_unit_test(test_errno_tells_full_disks_apart),
		cmocka_unit_test(test_prefix_keeps_the_rest),
		cmocka_unit_test(test_long_texts_are_cut),
	};

	return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
