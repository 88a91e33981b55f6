/* In float, on every instruction set, to 1e-5: all but Adagrad's later losses
 * (it divides by the root of a sum that is small at first, which amplifies
 * rounding). */
#include "golden/golden.h"

#include "each_isa.h"

#define TOLERANCE 1e-5
#define ADAGRAD_STEPS 3

static void logits_are_pytorchs(void **unused)
{
	for (size_t i = 0; i < KINDS; i++)
		check_logits(&kinds[i], TOLERANCE);
}

static void losses_are_pytorchs(void **unused)
{
	for (size_t i = 0; i < KINDS; i++)
		for (size_t o = 0; o < OPTIMIZERS; o++)
			for (size_t b = 0; b < BOUNDS; b++) {
				bool adagrad =
					!strcmp(optimizers[o].name, "adagrad");

				check_curve(&kinds[i], o, b,
					adagrad ? ADAGRAD_STEPS : STEPS,
					TOLERANCE);
			}
}

static void losses_are_the_lectures(void **unused)
{
	check_lecture(ADAGRAD_STEPS, TOLERANCE);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(logits_are_pytorchs),
		cmocka_unit_test(losses_are_pytorchs),
		cmocka_unit_test(losses_are_the_lectures),
	};

	return cmocka_run_group_tests_name(
		kernels_name(), tests, open_goldens, close_goldens);
}

int main(void)
{
	return each_isa(run);
}
