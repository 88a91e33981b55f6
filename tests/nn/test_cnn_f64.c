/* A network's gradients against central differences, in double, with and
 * without batch norm, stopping at each kind of layer, on 1 and 2 threads. */
#include "base/rng.h"
#include "nn/cnn.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIDE 10
#define IMAGES 3
#define STEP_SIZE 1e-6
#define TOLERANCE 1e-5

struct run {
	struct cnn *cnn;
	struct team *team;
	size_t width;
	real *images, *v, *direction;
	struct cnn_weights *grads; /* NULL: forward only */
};

static void member(void *arg, unsigned i)
{
	struct run *r = arg;

	cnn_refresh(r->cnn, i);
	cnn_forward(r->cnn, r->images, IMAGES, r->v, NULL, i);
	if (r->grads)
		cnn_backward(r->cnn, r->direction, r->grads, i);
}

/* The loss is v along a direction: its gradient is that direction. */
static double loss(struct run *r)
{
	double sum = 0;

	team_run(r->team, member, r);
	for (size_t i = 0; i < IMAGES * r->width; i++)
		sum += r->v[i] * r->direction[i];
	return sum;
}

static real *draws(size_t n, uint32_t use)
{
	real *out = calloc(n, sizeof(*out));

	for (size_t i = 0; i < n; i++) {
		struct philox v = rng_block(11, RNG_SEED, use, i);

		out[i] = 2 * rng_double(v.v[0], v.v[1]) - 1;
	}
	return out;
}

static void compare(struct run *r, struct cnn_weights *w,
	const struct cnn_weights *g, const struct cnn_tensor *t, size_t i)
{
	real *at = &w->data[t->offset + i];
	double analytic = g->data[t->offset + i], keep = *at;
	double up, down, numeric, scale;

	*at = keep + STEP_SIZE;
	up = loss(r);
	*at = keep - STEP_SIZE;
	down = loss(r);
	*at = keep;
	numeric = (up - down) / (2 * STEP_SIZE);
	scale = fmax(1e-2, fmax(fabs(analytic), fabs(numeric)));
	if (fabs(analytic - numeric) > TOLERANCE * scale)
		fail_msg("%s[%zu] until %s, norm %d: %.12g, expected %.12g",
			t->name, i, w->config.until, w->config.norm, analytic,
			numeric);
}

static void check(bool norm, const char *until, unsigned threads)
{
	struct cnn_config config = { .side = SIDE,
		.norm = norm,
		.n_layers = 5,
		.layers = { 4, CNN_POOL, 5, 6, CNN_POOL },
		.pool = 3,
		.n_dense = 3,
		.dense = { 7, 5, 4 } };
	struct run r = { 0 };
	struct cnn_weights w, g;

	strcpy(config.until, until);
	assert_int_equal(team_open(&r.team, threads, NULL), 0);
	assert_int_equal(cnn_weights_open(&w, &config, NULL), 0);
	assert_int_equal(cnn_weights_open(&g, &config, NULL), 0);
	cnn_weights_initialise(&w, 3);
	for (size_t i = 0; i < w.trained; i++)
		w.data[i] += 0.1 * sin((double)i);
	r.width = cnn_config_width(&config);
	r.images = draws(IMAGES * SIDE * SIDE * 3, 1);
	r.direction = draws(IMAGES * r.width, 2);
	r.v = calloc(IMAGES * r.width, sizeof(*r.v));
	assert_int_equal(cnn_open(&r.cnn, &w, IMAGES, true, r.team, NULL), 0);
	r.grads = &g;
	loss(&r);
	r.grads = NULL;
	for (size_t t = 0; t < w.n_tensors; t++)
		for (size_t i = 0; !w.tensors[t].statistic &&
				   i < cnn_tensor_size(&w.tensors[t]);
			i += 1 + i / 8)
			compare(&r, &w, &g, &w.tensors[t], i);
	cnn_close(r.cnn);
	free(r.images);
	free(r.direction);
	free(r.v);
	cnn_weights_release(&w);
	cnn_weights_release(&g);
	team_close(r.team);
}

static void gradients_match_finite_differences(void **unused)
{
	for (int norm = 0; norm < 2; norm++) {
		check(norm, "classifier.6", 1);
		check(norm, "classifier.3", 2);
		check(norm, "features", 2);
		check(norm, norm ? "features.4" : "features.3", 3);
	}
}

/* The running statistics are PyTorch's: momentum 0.1, variance of a sample. */
static void statistics_run(void **unused)
{
	const struct cnn_config config = { .side = 8,
		.norm = true,
		.n_layers = 1,
		.layers = { 1 },
		.until = "features.0" };
	real *images = draws(2 * 8 * 8 * 3, 4), v[2 * 64];
	double mean = 0, square = 0;
	struct cnn_weights w;
	struct team *team;
	struct cnn *cnn;

	assert_int_equal(team_open(&team, 1, NULL), 0);
	assert_int_equal(cnn_weights_open(&w, &config, NULL), 0);
	cnn_weights_initialise(&w, 1);
	/* The kernel hands the first channel on as it is. */
	memset(w.data, 0, 27 * sizeof(real));
	w.data[4 * 3] = 1;
	assert_int_equal(cnn_open(&cnn, &w, 2, true, team, NULL), 0);
	cnn_forward(cnn, images, 2, v, &w, 0);
	for (size_t i = 0; i < 128; i++) {
		mean += images[3 * i] / 128;
		square += images[3 * i] * images[3 * i] / 128;
	}
	for (size_t i = 0; i < w.n_tensors; i++) {
		double is = w.data[w.tensors[i].offset];

		if (strstr(w.tensors[i].name, "running_mean"))
			assert_true(fabs(is - 0.1 * mean) < 1e-12);
		if (strstr(w.tensors[i].name, "running_var"))
			assert_true(fabs(is - 0.9 -
					    0.1 * (square - mean * mean) * 128 /
						    127) < 1e-12);
	}
	cnn_close(cnn);
	cnn_weights_release(&w);
	team_close(team);
	free(images);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gradients_match_finite_differences),
		cmocka_unit_test(statistics_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
