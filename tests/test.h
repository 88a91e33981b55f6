/* What every cmocka program includes: the library and what it stands on. */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* `err` holds the code and exactly this message. */
#define assert_error(err, expected_code, text)               \
	do {                                                 \
		assert_string_equal((err).message, text);    \
		assert_int_equal((err).code, expected_code); \
	} while (0)

#endif
