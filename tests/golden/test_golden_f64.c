/* In double, all that PyTorch and the lecture computed, to 1e-7. */
#include "golden/golden.h"

#define TOLERANCE 1e-7

static void logits_are_pytorchs(void **unused)
{
	for (size_t i = 0; i < KINDS; i++)
		check_logits(&kinds[i], TOLERANCE);
}

static void losses_are_pytorchs(void **unused)
{
	for (size_t i = 0; i < KINDS; i++)
		for (size_t o = 0; o < OPTIMIZERS; o++)
			for (size_t b = 0; b < BOUNDS; b++)
				check_curve(&kinds[i], o, b, STEPS, TOLERANCE);
}

static void losses_are_the_lectures(void **unused)
{
	check_lecture(STEPS, TOLERANCE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(logits_are_pytorchs),
		cmocka_unit_test(losses_are_pytorchs),
		cmocka_unit_test(losses_are_the_lectures),
	};

	return cmocka_run_group_tests(tests, open_goldens, close_goldens);
}
