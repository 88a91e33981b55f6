#include "base/flush.h"

#include "base/team.h"

#if defined(__x86_64__)
#include <xmmintrin.h>

#define DAZ_FTZ 0x8040u /* MXCSR bits 6 and 15 */

uint64_t flush_denormals_begin(void)
{
	unsigned mode = _mm_getcsr();

	_mm_setcsr(mode | DAZ_FTZ);
	return mode;
}

void flush_denormals_end(uint64_t mode)
{
	_mm_setcsr((unsigned)mode);
}
#elif defined(__aarch64__)
#define FPCR_FZ (1u << 24)

uint64_t flush_denormals_begin(void)
{
	uint64_t mode;

	__asm__ volatile("mrs %0, fpcr" : "=r"(mode));
	__asm__ volatile("msr fpcr, %0" : : "r"(mode | FPCR_FZ));
	return mode;
}

void flush_denormals_end(uint64_t mode)
{
	__asm__ volatile("msr fpcr, %0" : : "r"(mode));
}
#else
uint64_t flush_denormals_begin(void)
{
	return 0;
}

void flush_denormals_end(uint64_t mode)
{
}
#endif

void team_flush_denormals(void)
{
	flush_denormals_begin();
}
