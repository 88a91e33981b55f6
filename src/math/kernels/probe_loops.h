/* The vector loops behind math/probe.h. */
#ifndef MATH_KERNELS_PROBE_LOOPS_H
#define MATH_KERNELS_PROBE_LOOPS_H

#include "math/real.h"

#include <stddef.h>

struct probe_loops {
	/* Returns the operations done; *sink keeps the compiler honest. */
	double (*fma)(size_t rounds, real *sink);
	void (*read)(const real *p, size_t n, real *sink);
};

#endif
