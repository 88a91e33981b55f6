/* Timing a model's steps: for `unrolld bench`. */
#ifndef APP_BENCH_H
#define APP_BENCH_H

#include "base/error.h"
#include "math/kernels.h"
#include "nn/parameters.h"

#include <stdbool.h>
#include <stddef.h>

struct bench_request {
	enum weight_type type;
	size_t batch; /* sequences, shared evenly by the threads; with fewer
		       * than threads, the idle ones help */
	unsigned threads;
	double seconds;
	bool sample; /* draw each next token */
};

struct bench_result {
	double seconds_per_step; /* of one thread's batch: the median */
	double tokens_per_second;
	double flops; /* floating-point operations of a token's products */
	size_t bytes; /* of weights that one thread reads in a step */
};

int bench_run(const struct parameters *p, const struct bench_request *r,
	struct bench_result *result, struct error *err);

/* OpenBLAS's rate for 64 rows of k values times [k, n], floating-point
 * operations a second on the caller's thread. Errors: gemm_open's. */
int bench_gemm(
	size_t k, size_t n, double seconds, double *flops, struct error *err);

#endif
