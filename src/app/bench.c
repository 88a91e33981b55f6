#include "app/bench.h"

#include "base/team.h"
#include "math/crew.h"
#include "math/gemm.h"
#include "nn/cell.h"
#include "nn/model.h"
#include "nn/sampler.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CREW_REALS (64u << 10)
#define MAX_SPLITS 50 /* stretches of which the median counts */

struct bench {
	const struct bench_request *request;
	struct model *model;
	struct crew *crew;
	atomic_int go; /* 1: measure, -1: end */
	atomic_uint running;
	struct worker *workers; /* [threads] */
};

struct worker {
	struct bench *bench;
	pthread_t thread;
	unsigned member;
	size_t rows; /* sequences of its own; 0: it helps */
	struct model_scratch *scratch;
	struct sampler *sampler;
	uint32_t *tokens;
	real **states, **logits;
	real *memory;
	double per_step; /* seconds */
	double tokens_per_second;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int worker_init(struct worker *w, struct error *err)
{
	struct model *m = w->bench->model;
	const size_t vocab = model_architecture(m)->vocab;
	const size_t state = model_state_floats(m);

	if (!w->rows)
		return 0;
	w->tokens = calloc(w->rows, sizeof(*w->tokens));
	w->states = calloc(w->rows, sizeof(*w->states));
	w->logits = calloc(w->rows, sizeof(*w->logits));
	w->memory = kernels_alloc(w->rows * (state + vocab));
	if (!w->tokens || !w->states || !w->logits || !w->memory)
		return error_set_memory(err, "sequences",
			w->rows * (state + vocab) * sizeof(real));
	for (size_t i = 0; i < w->rows; i++) {
		w->tokens[i] = (uint32_t)(i % vocab);
		w->states[i] = w->memory + i * (state + vocab);
		w->logits[i] = w->states[i] + state;
	}
	if (model_scratch_open(&w->scratch, m, w->rows, err) < 0 ||
		sampler_open(&w->sampler, vocab, err) < 0)
		return -1;
	model_scratch_share(w->scratch, m, w->bench->crew, w->member);
	return 0;
}

static void worker_release(struct worker *w)
{
	free(w->tokens);
	free(w->states);
	free(w->logits);
	free(w->memory);
	model_scratch_close(w->scratch);
	sampler_close(w->sampler);
}

static void step(struct worker *w, uint64_t position)
{
	struct sampler_options options;

	model_step(w->bench->model, w->scratch, w->rows, w->tokens, w->states,
		w->logits);
	if (!w->bench->request->sample)
		return;
	sampler_defaults(&options);
	for (size_t i = 0; i < w->rows; i++)
		w->tokens[i] = sampler_draw(w->sampler, &options, w->logits[i],
			NULL, 0, i, 0, position)
				       .token;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Stretches of some steps each; quiet and noisy ones, and their median. */
static void measure(struct worker *w)
{
	double times[MAX_SPLITS], begin, total = 0;
	double share = w->bench->request->seconds / MAX_SPLITS;
	uint64_t position = 0, steps = 1, done = 0;
	size_t n = 0;

	for (begin = now(); now() - begin < share;)
		step(w, position++);
	steps = position;
	while (n < MAX_SPLITS && total < w->bench->request->seconds) {
		double start = now(), spent;

		for (uint64_t i = 0; i < steps; i++)
			step(w, position++);
		spent = now() - start;
		times[n++] = spent / (double)steps;
		total += spent;
		done += steps;
	}
	qsort(times, n, sizeof(*times), compare);
	w->per_step = times[n / 2];
	w->tokens_per_second = (double)(done * w->rows) / total;
}

static void wake(void *arg, unsigned member)
{
	(void)arg;
	(void)member;
}

static bool is_over(void *arg)
{
	return atomic_load_explicit(&((struct bench *)arg)->running,
		       memory_order_relaxed) == 0;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct bench *b = w->bench;

	team_flush_denormals();
	while (!atomic_load(&b->go))
		sched_yield();
	if (atomic_load(&b->go) < 0)
		return NULL;
	if (w->rows) {
		measure(w);
		atomic_fetch_sub(&b->running, 1);
	} else {
		while (!is_over(b))
			crew_help(
				b->crew, w->member, UINT64_MAX / 4, is_over, b);
	}
	return NULL;
}

/* Multiply-adds of a token, twice: what a folded input table saves is not
 * counted, for it is not done. */
static double token_flops(const struct architecture *a)
{
	const double g = (double)cell_find(a->cell)->gates;
	const double h = (double)a->hidden, l = (double)a->layers;

	return 2 * (g * h * h * (2 * l - 1) + h * (double)a->vocab);
}

/* Those that run wait for this thread's word, and so can be told to stop. */
static int start_all(struct bench *b, unsigned threads, struct error *err)
{
	unsigned started = 0;

	while (started < threads &&
		!pthread_create(&b->workers[started].thread, NULL, worker_main,
			&b->workers[started]))
		started++;
	atomic_store(&b->go, started == threads ? 1 : -1);
	for (unsigned i = 0; i < started; i++)
		pthread_join(b->workers[i].thread, NULL);
	if (started == threads)
		return 0;
	return error_set(err, ERROR_UNAVAILABLE, "cannot start thread %u of %u",
		started + 1, threads);
}

static int prepare(struct bench *b, struct error *err)
{
	const struct bench_request *r = b->request;

	b->workers = calloc(r->threads, sizeof(*b->workers));
	if (!b->workers)
		return error_set_memory(
			err, "threads", r->threads * sizeof(*b->workers));
	if (r->threads > 1 && crew_open(&b->crew, r->threads, CREW_REALS, wake,
				      NULL, err) < 0)
		return -1;
	for (unsigned i = 0; i < r->threads; i++) {
		struct worker *w = &b->workers[i];

		w->bench = b;
		w->member = i;
		w->rows = r->batch / r->threads +
			  (i < r->batch % r->threads ? 1 : 0);
		atomic_fetch_add(&b->running, w->rows > 0);
		if (worker_init(w, err) < 0)
			return -1;
	}
	return 0;
}

int bench_run(const struct parameters *p, const struct bench_request *r,
	struct bench_result *result, struct error *err)
{
	struct bench b = { .request = r };
	int rc;

	*result = (struct bench_result){ .flops = token_flops(&p->arch) };
	if (model_open(&b.model, p, r->type, err) < 0)
		return -1;
	rc = prepare(&b, err);
	if (rc == 0)
		rc = start_all(&b, r->threads, err);
	result->bytes = model_step_bytes(b.model);
	/* Idle threads take their share of a lone sequence's weights. */
	if (r->threads > r->batch && model_outgrows_cache(b.model))
		result->bytes = result->bytes * r->batch / r->threads;
	for (unsigned i = 0; b.workers && i < r->threads; i++) {
		struct worker *w = &b.workers[i];

		if (w->per_step > result->seconds_per_step)
			result->seconds_per_step = w->per_step;
		result->tokens_per_second += w->tokens_per_second;
		worker_release(w);
	}
	free(b.workers);
	crew_close(b.crew);
	model_unref(b.model);
	return rc;
}

int bench_gemm(
	size_t k, size_t n, double seconds, double *flops, struct error *err)
{
	const size_t m = 64;
	const double operations = 2.0 * (double)m * (double)k * (double)n;
	float *a, *b, *c;
	double end;

	*flops = 0;
	if (gemm_open(err) < 0)
		return -1;
	a = kernels_alloc(m * k);
	b = kernels_alloc(k * n);
	c = kernels_alloc(m * n);
	for (end = now() + seconds; a && b && c && now() < end;) {
		double start = now(), rate;

		gemm(&(struct gemm){ .m = m,
			.n = n,
			.k = k,
			.alpha = 1,
			.a = a,
			.b = b,
			.c = c,
			.lda = k,
			.ldb = n,
			.ldc = n });
		rate = operations / (now() - start);
		*flops = rate > *flops ? rate : *flops;
	}
	free(a);
	free(b);
	free(c);
	return *flops > 0 ? 0
			  : error_set_memory(err, "matrices",
				    (m * k + k * n + m * n) * sizeof(*a));
}
