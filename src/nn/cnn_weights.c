/* All tensors of a network in one block, under torchvision's names. */
#include "base/rng.h"
#include "nn/cnn_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t cnn_tensor_size(const struct cnn_tensor *t)
{
	size_t n = 1;

	for (size_t i = 0; i < t->n_dims; i++)
		n *= t->shape[i];
	return n;
}

static struct cnn_tensor *place(
	struct cnn_weights *w, const char *layer, const char *kind)
{
	struct cnn_tensor *t = &w->tensors[w->n_tensors++];

	*t = (struct cnn_tensor){ .statistic = !strncmp(kind, "running", 7) };
	snprintf(t->name, sizeof(t->name), "%s.%s", layer, kind);
	return t;
}

static void vector(
	struct cnn_weights *w, const char *layer, const char *kind, size_t n)
{
	struct cnn_tensor *t = place(w, layer, kind);

	t->n_dims = 1;
	t->shape[0] = n;
}

static void layout_step(struct cnn_weights *w, const struct cnn_plan_step *s)
{
	const size_t in = s->in.channels, out = s->out.channels;
	struct cnn_tensor *t;

	if (s->op == CNN_NORM) {
		vector(w, s->name, "weight", out);
		vector(w, s->name, "bias", out);
		vector(w, s->name, "running_mean", out);
		vector(w, s->name, "running_var", out);
		return;
	}
	if (s->op != CNN_CONV && s->op != CNN_DENSE)
		return;
	t = place(w, s->name, "weight");
	t->n_dims = s->op == CNN_CONV ? 4 : 2;
	memcpy(t->shape, (size_t[]){ out, in, 3, 3 }, sizeof(t->shape));
	vector(w, s->name, "bias", out);
}

/* What is trained comes first; each on a cache line of its own. */
static void lay_out(struct cnn_weights *w)
{
	for (int statistic = 0; statistic < 2; statistic++) {
		for (size_t i = 0; i < w->n_tensors; i++) {
			struct cnn_tensor *t = &w->tensors[i];

			if (t->statistic != (statistic == 1))
				continue;
			t->offset = w->count;
			w->count += (cnn_tensor_size(t) + 15) / 16 * 16;
		}
		if (!statistic)
			w->trained = w->count;
	}
}

int cnn_weights_open(struct cnn_weights *w, const struct cnn_config *config,
	struct error *err)
{
	struct cnn_plan plan;

	*w = (struct cnn_weights){ .config = *config };
	if (cnn_config_check(config, err) < 0)
		return -1;
	cnn_plan(&plan, config);
	w->tensors = calloc(4 * plan.n, sizeof(*w->tensors));
	if (!w->tensors)
		return error_set_memory(
			err, "tensor table", 4 * plan.n * sizeof(*w->tensors));
	for (size_t i = 0; i < plan.n; i++)
		layout_step(w, &plan.steps[i]);
	lay_out(w);
	w->data = kernels_alloc(w->count);
	if (w->data)
		return 0;
	error_set_memory(err, "weights", w->count * sizeof(real));
	cnn_weights_release(w);
	return -1;
}

void cnn_weights_release(struct cnn_weights *w)
{
	free(w->tensors);
	free(w->data);
	*w = (struct cnn_weights){ 0 };
}

/* N(0, 2 / fan in): ReLU halves the variance (He et al. 2015). */
static void draw(
	real *out, const struct cnn_tensor *t, uint32_t index, uint64_t seed)
{
	const size_t n = cnn_tensor_size(t);
	const double scale = sqrt(2 * (double)t->shape[0] / (double)n);
	double pair[2];

	for (size_t i = 0; i < n; i++) {
		struct philox block = rng_block(seed, RNG_INIT, index, i / 2);

		rng_normal(&block, pair);
		out[i] = (real)(pair[i % 2] * scale);
	}
}

void cnn_weights_initialise(struct cnn_weights *w, uint64_t seed)
{
	for (uint32_t i = 0; i < w->n_tensors; i++) {
		const struct cnn_tensor *t = &w->tensors[i];
		real *out = w->data + t->offset;
		bool one = strstr(t->name, ".running_var") ||
			   strstr(t->name, ".weight");

		/* Not among the uses of other weights' draws. */
		if (t->n_dims > 1)
			draw(out, t, 1u << 16 | i, seed);
		else
			for (size_t j = 0; j < t->shape[0]; j++)
				out[j] = one ? 1 : 0;
	}
}

/* Where element i of torchvision's order is held. */
static size_t held(const struct cnn_tensor *t, size_t i)
{
	size_t in = t->shape[1];

	if (t->n_dims != 4)
		return i;
	return (i / (9 * in) * 9 + i % 9) * in + i / 9 % in;
}

void cnn_weights_get(const struct cnn_weights *w, const struct cnn_tensor *t,
	float *row_major)
{
	for (size_t i = 0; i < cnn_tensor_size(t); i++)
		row_major[i] = (float)w->data[t->offset + held(t, i)];
}

static int check_shape(const struct cnn_tensor *t, const char *name,
	const struct safetensors_entry *e, struct error *err)
{
	struct safetensors_entry want = { .n_dims = t->n_dims };
	char is[96], expected[96];

	memcpy(want.shape, t->shape, sizeof(t->shape));
	if (e->n_dims == want.n_dims &&
		!memcmp(e->shape, want.shape, e->n_dims * sizeof(*e->shape)))
		return 0;
	safetensors_shape_text(e, is, sizeof(is));
	safetensors_shape_text(&want, expected, sizeof(expected));
	return error_set_param(err, ERROR_CORRUPT, name,
		"tensor %s: shape %s, expected %s", name, is, expected);
}

static int load_tensor(struct cnn_weights *w, const struct cnn_tensor *t,
	const struct safetensors *file, const char *prefix, struct error *err)
{
	const size_t n = cnn_tensor_size(t);
	const struct safetensors_entry *e;
	char name[96];
	float *values;
	int rc;

	snprintf(name, sizeof(name), "%s%s", prefix, t->name);
	e = safetensors_find(file, name);
	if (!e) {
		struct safetensors_entry want = { .n_dims = t->n_dims };
		char expected[96];

		memcpy(want.shape, t->shape, sizeof(t->shape));
		safetensors_shape_text(&want, expected, sizeof(expected));
		return error_set_param(err, ERROR_CORRUPT, name,
			"tensor %s: missing, expected shape %s", name,
			expected);
	}
	if (check_shape(t, name, e, err) < 0)
		return -1;
	values = malloc(n * sizeof(*values));
	if (!values)
		return error_set_memory(err, name, n * sizeof(*values));
	rc = safetensors_floats(e, values, err);
	for (size_t i = 0; rc == 0 && i < n; i++)
		w->data[t->offset + held(t, i)] = (real)values[i];
	free(values);
	return rc;
}

int cnn_weights_load(struct cnn_weights *w, const struct safetensors *file,
	const char *prefix, struct error *err)
{
	for (size_t i = 0; i < w->n_tensors; i++)
		if (load_tensor(w, &w->tensors[i], file, prefix, err) < 0)
			return -1;
	return 0;
}
