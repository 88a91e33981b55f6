/* What this machine can do at most: the ceilings that benchmarks are measured
 * against. Runs on the caller's thread, for about the time it is given. */
#ifndef MATH_PROBE_H
#define MATH_PROBE_H

#include <stddef.h>

/* Fused multiply-adds of independent vectors: floating-point operations per
 * second. */
double probe_fma(double seconds);
/* Reading `bytes` again and again: bytes per second; 0 when memory ran out. */
double probe_read(size_t bytes, double seconds);

#endif
