/* The interface of CBLAS (BLAS Technical Forum standard, 2001, appendix B) is
 * declared here: its header would make OpenBLAS a need of every build. */
#include "math/gemm.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY "libopenblas.so.0"
#define PARALLEL_PTHREADS 1 /* of openblas_get_parallel */

enum { ROW_MAJOR = 101, PLAIN = 111, TRANSPOSED = 112 };

static struct {
	void (*sgemm)(int order, int transpose_a, int transpose_b, int m, int n,
		int k, float alpha, const float *a, int lda, const float *b,
		int ldb, float beta, float *c, int ldc);
	const char *(*config)(void);
	const char *(*corename)(void);
	int (*parallel)(void);
	void (*set_threads)(int n);
	char version[64];
	struct error error;
} blas;

static pthread_once_t once = PTHREAD_ONCE_INIT;

const char *gemm_core(void)
{
#if defined(__x86_64__)
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx512f") &&
		__builtin_cpu_supports("avx512dq") &&
		__builtin_cpu_supports("avx512bw") &&
		__builtin_cpu_supports("avx512vl"))
		return "SkylakeX";
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		return "Haswell";
#endif
	return "";
}

void gemm_prepare(void)
{
	if (*gemm_core())
		setenv("OPENBLAS_CORETYPE", gemm_core(), 0);
	setenv("OPENBLAS_NUM_THREADS", "1", 0);
}

/* A function pointer from dlsym's object pointer, as POSIX allows. */
static bool find(void *library, const char *name, void *function)
{
	void *symbol = dlsym(library, name);

	memcpy(function, &symbol, sizeof(symbol));
	return symbol != NULL;
}

/* "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH …" */
static void describe(void)
{
	char number[16] = "";

	sscanf(blas.config(), "%*s %15s", number);
	snprintf(blas.version, sizeof(blas.version), "%s %s", number,
		blas.corename());
}

static void load(void)
{
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	if (!library) {
		error_set(&blas.error, ERROR_UNAVAILABLE,
			"OpenBLAS is not there (%s): Debian's "
			"libopenblas0-pthread",
			dlerror());
		return;
	}
	if (!find(library, "cblas_sgemm", &blas.sgemm) ||
		!find(library, "openblas_get_config", &blas.config) ||
		!find(library, "openblas_get_corename", &blas.corename) ||
		!find(library, "openblas_get_parallel", &blas.parallel) ||
		!find(library, "openblas_set_num_threads", &blas.set_threads)) {
		error_set(&blas.error, ERROR_UNAVAILABLE,
			"%s has no function %s", LIBRARY, dlerror());
		return;
	}
	/* The serial build shares buffers between threads without a lock. */
	if (blas.parallel() != PARALLEL_PTHREADS) {
		error_set(&blas.error, ERROR_UNAVAILABLE,
			"%s is a build of kind %d, expected %d, the one with "
			"pthreads: Debian's libopenblas0-pthread",
			LIBRARY, blas.parallel(), PARALLEL_PTHREADS);
		return;
	}
	blas.set_threads(1);
	describe();
}

int gemm_open(struct error *err)
{
	pthread_once(&once, load);
	if (!blas.error.code)
		return 0;
	if (err)
		*err = blas.error;
	return -1;
}

const char *gemm_version(void)
{
	return blas.version;
}

void gemm(const struct gemm *g)
{
	blas.sgemm(ROW_MAJOR, g->transpose_a ? TRANSPOSED : PLAIN,
		g->transpose_b ? TRANSPOSED : PLAIN, (int)g->m, (int)g->n,
		(int)g->k, g->alpha, g->a, (int)g->lda, g->b, (int)g->ldb,
		g->beta, g->c, (int)g->ldc);
}
