/*
 * A VGG network on a batch of images: bench_cnn NAME WEIGHTS IMAGES THREADS
 * prints one JSON object. WEIGHTS is a torchvision state dict; IMAGES holds
 * `images` [n, side, side, 3] and `v` [n, width], what PyTorch makes of them.
 * The best of several runs, since noise only slows; the peak of fused
 * multiply-adds is that of as many threads at once, and the work is counted as
 * direct convolutions, as papers do.
 */
#include "base/team.h"
#include "math/kernels.h"
#include "math/probe.h"
#include "nn/cnn.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define RUNS 5
#define PROBE_SECONDS 0.3
#define MAX_THREADS 64

static void die(const struct error *err)
{
	fprintf(stderr, "bench_cnn: %s\n", err->message);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static real *read_floats(
	const struct safetensors *s, const char *name, size_t row, size_t *rows)
{
	const struct safetensors_entry *e = safetensors_find(s, name);
	struct error err;
	real *out;

	if (!e || safetensors_count(e) % row) {
		fprintf(stderr, "bench_cnn: no '%s' with rows of %zu\n", name,
			row);
		exit(1);
	}
	*rows = safetensors_count(e) / row;
	out = kernels_alloc(safetensors_count(e));
	if (!out)
		error_set_memory(&err, name, safetensors_count(e));
	if (!out || safetensors_floats(e, out, &err) < 0)
		die(&err);
	return out;
}

/* Multiply-adds of one image: convolutions at their layers' sizes, and what is
 * dense up to `until`. */
static double multiply_adds(const struct cnn_config *c)
{
	size_t side = c->side, in = 3;
	double sum = 0;

	for (size_t i = 0; i < c->n_layers; i++) {
		if (c->layers[i] == CNN_POOL) {
			side /= 2;
			continue;
		}
		sum += 9.0 * (double)(in * c->layers[i] * side * side);
		in = c->layers[i];
	}
	if (c->n_dense < 2)
		return sum;
	return sum + (double)(c->pool * c->pool * in * c->dense[0]) +
	       (double)(c->dense[0] * c->dense[1]);
}

struct run {
	struct cnn *cnn;
	const real *images;
	real *v;
	size_t n;
	double fma[MAX_THREADS];
};

static void forward(void *arg, unsigned member)
{
	struct run *r = arg;

	cnn_forward(r->cnn, r->images, r->n, r->v, NULL, member);
}

static void probe(void *arg, unsigned member)
{
	struct run *r = arg;

	r->fma[member] = probe_fma(PROBE_SECONDS);
}

int main(int argc, char **argv)
{
	const unsigned threads = argc == 5 ? (unsigned)atoi(argv[4]) : 0;
	struct safetensors weights, images;
	struct cnn_config config;
	struct cnn_weights w;
	struct run r = { 0 };
	size_t width, rows = 0;
	struct team *team;
	struct error err;
	double best = INFINITY, peak = 0, delta = 0, greatest = 0;
	real *want;

	if (!threads || threads > MAX_THREADS) {
		fprintf(stderr, "usage: bench_cnn NAME WEIGHTS IMAGES "
				"THREADS\n");
		return 2;
	}
	if (cnn_config_find(&config, argv[1], &err) < 0 ||
		cnn_weights_open(&w, &config, &err) < 0 ||
		safetensors_open(&weights, argv[2], &err) < 0 ||
		cnn_weights_load(&w, &weights, "", &err) < 0 ||
		safetensors_open(&images, argv[3], &err) < 0 ||
		team_open(&team, threads, &err) < 0)
		die(&err);
	safetensors_close(&weights);
	width = cnn_config_width(&config);
	r.images = read_floats(
		&images, "images", config.side * config.side * 3, &r.n);
	want = read_floats(&images, "v", width, &rows);
	r.v = kernels_alloc(r.n * width);
	error_set(&err, ERROR_CORRUPT, "%zu images, but %zu rows of v", r.n,
		rows);
	if (rows != r.n || !r.v ||
		cnn_open(&r.cnn, &w, r.n, false, team, &err) < 0)
		die(&err);
	for (int i = 0; i < RUNS; i++) {
		double begun = now(), sum = 0;

		team_run(team, forward, &r);
		best = fmin(best, now() - begun);
		team_run(team, probe, &r);
		for (unsigned m = 0; m < threads; m++)
			sum += r.fma[m];
		peak = fmax(peak, sum);
	}
	for (size_t i = 0; i < r.n * width; i++) {
		delta = fmax(delta, fabs((double)(r.v[i] - want[i])));
		greatest = fmax(greatest, fabs((double)want[i]));
	}
	printf("{\"images\":%zu,\"threads\":%u,\"images_s\":%.3f,"
	       "\"gflop_s\":%.1f,\"peak_gflop_s\":%.1f,\"of_peak\":%.3f,"
	       "\"delta\":%.2e}\n",
		r.n, threads, (double)r.n / best,
		2e-9 * multiply_adds(&config) * (double)r.n / best, peak * 1e-9,
		2 * multiply_adds(&config) * (double)r.n / best / peak,
		delta / greatest);
	cnn_close(r.cnn);
	team_close(team);
	cnn_weights_release(&w);
	safetensors_close(&images);
	free(r.v);
	free(want);
	free((void *)(uintptr_t)r.images);
	return 0;
}
