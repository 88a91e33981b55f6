#include "math/probe.h"

#include "math/isa.h"
#include "math/kernels.h"
#include "math/kernels/probe_loops.h"

#include <stdlib.h>
#include <time.h>

ISA_DECLARE(struct probe_loops, probe_loops);

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static const struct probe_loops *loops(void)
{
	static const struct probe_loops *const sets[] = ISA_ROW(probe_loops);

	return sets[isa_chosen()];
}

/* The best of many short stretches: others use this machine, too. */
double probe_fma(double seconds)
{
	double end = now() + seconds, best = 0;
	volatile real sink = 0;
	real sum = 0;

	while (now() < end) {
		double start = now();
		double rate = loops()->fma(100000, &sum) / (now() - start);

		best = rate > best ? rate : best;
	}
	sink = sum;
	(void)sink;
	return best;
}

double probe_read(size_t bytes, double seconds)
{
	const size_t n = bytes / sizeof(real);
	const size_t passes = bytes < 4u << 20 ? (4u << 20) / bytes + 1 : 1;
	real *p = kernels_alloc(n);
	double end = now() + seconds, best = 0;
	volatile real sink = 0;
	real sum = 0;

	while (p && now() < end) {
		double start = now(), rate;

		for (size_t i = 0; i < passes; i++)
			loops()->read(p, n, &sum);
		rate = (double)(passes * n * sizeof(real)) / (now() - start);
		best = rate > best ? rate : best;
	}
	sink = sum;
	(void)sink;
	free(p);
	return best;
}
