#include "math/isa.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define VARIABLE "UNROLLD_KERNELS"

static const char *const names[ISA_COUNT] = { "generic", "avx2", "avx512",
	"avx512vnni", "avx512bf16" };
static enum isa chosen;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static enum isa best(void)
{
#if defined(__x86_64__) && !defined(REAL_IS_DOUBLE)
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx512f") &&
		__builtin_cpu_supports("avx512dq") &&
		__builtin_cpu_supports("avx512bw") &&
		__builtin_cpu_supports("avx512vl")) {
		if (!__builtin_cpu_supports("avx512vnni"))
			return ISA_AVX512;
		return __builtin_cpu_supports("avx512bf16") ? ISA_AVX512BF16
							    : ISA_AVX512VNNI;
	}
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		return ISA_AVX2;
#endif
	return ISA_GENERIC;
}

/* A set that the processor lacks is never chosen, whatever was asked. */
static void choose(void)
{
	const char *wanted = getenv(VARIABLE);

	chosen = best();
	for (int i = 0; wanted && i < (int)chosen; i++)
		if (!strcmp(wanted, names[i]))
			chosen = (enum isa)i;
}

int isa_check(struct error *err)
{
	const char *wanted = getenv(VARIABLE);

	if (!wanted || !*wanted)
		return 0;
	for (int i = 0; i < ISA_COUNT; i++)
		if (!strcmp(wanted, names[i]))
			return 0;
	return error_set_param(err, ERROR_INVALID, VARIABLE,
		VARIABLE " is '%s', expected generic, avx2, avx512, "
			 "avx512vnni or avx512bf16",
		wanted);
}

enum isa isa_chosen(void)
{
	pthread_once(&once, choose);
	return chosen;
}

const char *isa_name(enum isa isa)
{
	return names[isa];
}
