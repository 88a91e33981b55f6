/* Networks against torchvision's (tests/golden/make_cnn.py), on every
 * instruction set; their bits at any batch and number of threads; files whose
 * tensors are wrong. */
#include "test.h"

#include "each_isa.h"
#include "math/kernels.h"
#include "nn/cnn.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define GOLDENS "tests/golden/cnn.safetensors"
#define SIDE 32
#define IMAGES 2
#define TOLERANCE 1e-5
#define PIXELS (3 * SIDE * SIDE)

static struct safetensors goldens;

static int open_goldens(void **unused)
{
	return safetensors_open(&goldens, GOLDENS, NULL);
}

static int close_goldens(void **unused)
{
	safetensors_close(&goldens);
	return 0;
}

static struct cnn_config config_of(bool norm, const char *until)
{
	struct cnn_config config = { .side = SIDE,
		.norm = norm,
		.n_layers = 7,
		.layers = { 8, CNN_POOL, 12, 20, CNN_POOL, 24, CNN_POOL },
		.pool = 3,
		.n_dense = 2,
		.dense = { 20, 10 } };

	strcpy(config.until, until);
	return config;
}

static float *golden(const char *kind, const char *name, size_t n)
{
	const struct safetensors_entry *e;
	float *out = calloc(n, sizeof(*out));
	char full[128];

	snprintf(full, sizeof(full), "%s.%s", kind, name);
	e = safetensors_find(&goldens, full);
	if (!e)
		fail_msg("%s has no %s", GOLDENS, full);
	assert_int_equal(safetensors_count(e), n);
	assert_int_equal(safetensors_floats(e, out, NULL), 0);
	return out;
}

/* [3, side, side] to [side, side, 3]. */
static real *images_of(const char *kind)
{
	float *planes = golden(kind, "image", IMAGES * PIXELS);
	real *images = calloc(IMAGES * PIXELS, sizeof(*images));

	for (size_t i = 0; i < IMAGES * PIXELS; i++) {
		size_t at = i % PIXELS, plane = at / (SIDE * SIDE);

		images[i / PIXELS * PIXELS + at % (SIDE * SIDE) * 3 + plane] =
			planes[i];
	}
	free(planes);
	return images;
}

struct run {
	struct cnn *cnn;
	const real *images;
	size_t n;
	real *v;
};

static void member(void *arg, unsigned i)
{
	struct run *r = arg;

	cnn_forward(r->cnn, r->images, r->n, r->v, NULL, i);
}

static void forward_as(bool training, const struct cnn_weights *w, size_t batch,
	unsigned threads, const real *images, size_t n, real *v)
{
	struct run r = { .images = images, .n = n, .v = v };
	struct team *team;

	assert_int_equal(team_open(&team, threads, NULL), 0);
	assert_int_equal(cnn_open(&r.cnn, w, batch, training, team, NULL), 0);
	team_run(team, member, &r);
	cnn_close(r.cnn);
	team_close(team);
}

static void forward(const struct cnn_weights *w, size_t batch, unsigned threads,
	const real *images, size_t n, real *v)
{
	forward_as(false, w, batch, threads, images, n, v);
}

static void load(struct cnn_weights *w, bool norm, const char *until)
{
	const struct cnn_config config = config_of(norm, until);
	struct error err;

	assert_int_equal(cnn_weights_open(w, &config, &err), 0);
	if (cnn_weights_load(w, &goldens, norm ? "norm." : "plain.", &err) < 0)
		fail_msg("%s", err.message);
}

static void check(bool norm, const char *until, size_t width)
{
	const char *kind = norm ? "norm" : "plain";
	real *images = images_of(kind), *v;
	double worst = 0, top = 0;
	struct cnn_weights w;
	float *expected;
	char name[64];

	load(&w, norm, until);
	assert_int_equal(cnn_config_width(&w.config), width);
	snprintf(name, sizeof(name), "out.%s", until);
	expected = golden(kind, name, IMAGES * width);
	v = calloc(IMAGES * width, sizeof(*v));
	forward(&w, IMAGES, 2, images, IMAGES, v);
	for (size_t i = 0; i < IMAGES * width; i++) {
		worst = fmax(worst, fabs((double)(v[i] - expected[i])));
		top = fmax(top, fabs((double)expected[i]));
	}
	if (!(worst <= TOLERANCE * top))
		fail_msg("%s %s: off by %g of %g", kind, until, worst, top);
	free(images);
	free(expected);
	free(v);
	cnn_weights_release(&w);
}

static void outputs_are_torchvisions(void **unused)
{
	for (int norm = 0; norm < 2; norm++) {
		check(norm, "features.0", 8 * SIDE * SIDE);
		check(norm, "features", 24 * 9);
		check(norm, "classifier.3", 10);
	}
}

/* Alone, in a batch, and on any number of threads. */
static void bits_depend_on_the_image_alone(void **unused)
{
	real *images = images_of("norm"), v[IMAGES * 10], other[10];
	struct cnn_weights w;

	load(&w, true, "classifier.3");
	forward(&w, IMAGES, 1, images, IMAGES, v);
	for (unsigned threads = 1; threads < 5; threads++)
		for (size_t i = 0; i < IMAGES; i++) {
			forward(&w, 1, threads, images + i * PIXELS, 1, other);
			assert_memory_equal(other, v + i * 10, sizeof(other));
		}
	free(images);
	cnn_weights_release(&w);
}

/* Wide enough for tiles, one after the other, on sides that cut some off: the
 * same as directly, as in training, and the same bits on any threads. */
static void inference_is_what_training_sees(void **unused)
{
	static const char *const ends[] = { "features.2", "features.8",
		"features.10", "classifier.3" };
	struct cnn_config config = config_of(false, "classifier.3");
	real *images = images_of("plain");
	struct cnn_weights w;

	config.side = 30;
	config.n_layers = 7;
	memcpy(config.layers,
		(size_t[]){ 16, 20, CNN_POOL, 33, CNN_POOL, 40, 17 },
		7 * sizeof(size_t));
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		size_t n;
		real *direct, *v, *other;
		double top = 0;

		strcpy(config.until, ends[i]);
		assert_int_equal(cnn_weights_open(&w, &config, NULL), 0);
		cnn_weights_initialise(&w, 3);
		n = IMAGES * cnn_config_width(&config);
		direct = calloc(n, sizeof(*direct));
		v = calloc(n, sizeof(*v));
		other = calloc(n, sizeof(*other));
		forward_as(true, &w, IMAGES, 2, images, IMAGES, direct);
		forward(&w, IMAGES, 1, images, IMAGES, v);
		for (size_t k = 0; k < n; k++)
			top = fmax(top, fabs((double)direct[k]));
		for (size_t k = 0; k < n; k++)
			if (!(fabs((double)(v[k] - direct[k])) <=
				    TOLERANCE * top))
				fail_msg("%s: %zu is %.9g, expected %.9g",
					ends[i], k, (double)v[k],
					(double)direct[k]);
		for (unsigned threads = 2; threads < 5; threads++) {
			forward(&w, IMAGES, threads, images, IMAGES, other);
			assert_memory_equal(v, other, n * sizeof(*v));
		}
		free(direct);
		free(v);
		free(other);
		cnn_weights_release(&w);
	}
	free(images);
}

static void weights_come_back_in_torchvisions_order(void **unused)
{
	struct cnn_weights w;

	load(&w, true, "classifier.3");
	for (size_t i = 0; i < w.n_tensors; i++) {
		size_t n = cnn_tensor_size(&w.tensors[i]);
		float *expected = golden("norm", w.tensors[i].name, n);
		float *is = calloc(n, sizeof(*is));

		cnn_weights_get(&w, &w.tensors[i], is);
		assert_memory_equal(is, expected, n * sizeof(*is));
		free(is);
		free(expected);
	}
	cnn_weights_release(&w);
}

static void wrong_tensors_are_named(void **unused)
{
	struct cnn_config config = config_of(false, "classifier.3");
	struct cnn_weights w;
	struct error err;

	config.layers[2] = 13;
	assert_int_equal(cnn_weights_open(&w, &config, NULL), 0);
	assert_int_equal(cnn_weights_load(&w, &goldens, "plain.", &err), -1);
	assert_error(err, ERROR_CORRUPT,
		"tensor plain.features.3.weight: shape [12,8,3,3], expected "
		"[13,8,3,3]");
	assert_string_equal(err.param, "plain.features.3.weight");
	assert_int_equal(cnn_weights_load(&w, &goldens, "cnn.", &err), -1);
	assert_error(err, ERROR_CORRUPT,
		"tensor cnn.features.0.weight: missing, expected shape "
		"[8,3,3,3]");
	cnn_weights_release(&w);
}

static void configs_are_checked(void **unused)
{
	struct cnn_config config;
	struct error err;

	assert_int_equal(cnn_config_find(&config, "vgg17", &err), -1);
	assert_error(err, ERROR_INVALID,
		"cnn is 'vgg17', expected vgg11, vgg13, vgg16, vgg19, each "
		"also with -bn, or tiny");
	config = config_of(false, "classifier.1");
	assert_int_equal(cnn_config_check(&config, &err), -1);
	assert_error(err, ERROR_INVALID,
		"until is 'classifier.1', expected features, or the name of a "
		"convolution or dense layer, such as classifier.3");
	config = config_of(false, "classifier.3");
	config.layers[0] = CNN_POOL;
	assert_int_equal(cnn_config_check(&config, &err), -1);
	assert_string_equal(err.param, "layers");
	config = config_of(false, "classifier.3");
	config.side = 8;
	for (size_t i = 3; i < 8; i++)
		config.layers[config.n_layers++] = CNN_POOL;
	assert_int_equal(cnn_config_check(&config, &err), -1);
	assert_error(err, ERROR_INVALID,
		"layers: nothing is left of 8 pixels after layer 7");
}

/* torchvision's own count of VGG's parameters, less the last layer's. */
static void names_are_the_family(void **unused)
{
	static const struct {
		const char *name;
		size_t layers, parameters;
	} family[] = {
		{ "vgg11", 8, 132863336 - 4097000 },
		{ "vgg13", 10, 133047848 - 4097000 },
		{ "vgg16", 13, 138357544 - 4097000 },
		{ "vgg19", 16, 143667240 - 4097000 },
	};

	for (size_t i = 0; i < 4; i++) {
		struct cnn_config config;
		size_t convolutions = 0;
		json_t *json;

		assert_int_equal(
			cnn_config_find(&config, family[i].name, NULL), 0);
		assert_int_equal(cnn_config_check(&config, NULL), 0);
		assert_int_equal(cnn_config_width(&config), 4096);
		for (size_t l = 0; l < config.n_layers; l++)
			convolutions += config.layers[l] != CNN_POOL;
		assert_int_equal(convolutions, family[i].layers);
		json = cnn_config_save(&config);
		memset(&config, 1, sizeof(config));
		assert_int_equal(cnn_config_load(&config, json, NULL), 0);
		assert_int_equal(cnn_config_width(&config), 4096);
		json_decref(json);
	}
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outputs_are_torchvisions),
		cmocka_unit_test(bits_depend_on_the_image_alone),
		cmocka_unit_test(inference_is_what_training_sees),
		cmocka_unit_test(weights_come_back_in_torchvisions_order),
		cmocka_unit_test(wrong_tensors_are_named),
		cmocka_unit_test(configs_are_checked),
		cmocka_unit_test(names_are_the_family),
	};

	return cmocka_run_group_tests_name(
		kernels_name(), tests, open_goldens, close_goldens);
}

int main(void)
{
	return each_isa(run);
}
