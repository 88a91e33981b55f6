/* A captioner on disk: a decoder's checkpoint whose metadata say "captioner",
 * with the CNN's and the condition's tensors beside. */
#include "math/kernels.h"
#include "nn/cell.h"
#include "nn/captioner.h"
#include "nn/checkpoint_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define MAX_FEATURES (1u << 24)
#define CONDITION "condition.weight"

static size_t gates_of(const struct architecture *a)
{
	return cell_find(a->cell)->gates * a->hidden;
}

static int check_cell(const struct architecture *a, struct error *err)
{
	if (!strcmp(a->cell, "rnn") || !strcmp(a->cell, "lstm"))
		return 0;
	return error_set_param(err, ERROR_INVALID, "cell",
		"cell is '%.15s', expected rnn or lstm for a captioner",
		a->cell);
}

static int open_condition(struct captioner_weights *w, size_t features,
	const struct architecture *a, struct error *err)
{
	if (!features || features > MAX_FEATURES)
		return error_set_param(err, ERROR_INVALID, "features",
			"features is %zu, expected 1 to %u", features,
			MAX_FEATURES);
	w->features = features;
	w->condition = kernels_alloc(gates_of(a) * features);
	if (w->condition)
		return 0;
	return error_set_memory(
		err, CONDITION, gates_of(a) * features * sizeof(real));
}

int captioner_weights_open(struct captioner_weights *w,
	const struct architecture *a, size_t features, struct error *err)
{
	*w = (struct captioner_weights){ 0 };
	if (check_cell(a, err) == 0 &&
		parameters_open(&w->decoder.parameters, a, err) == 0 &&
		open_condition(w, features, a, err) == 0)
		return 0;
	captioner_weights_release(w);
	return -1;
}

void captioner_weights_release(struct captioner_weights *w)
{
	checkpoint_release(&w->decoder);
	cnn_weights_release(&w->cnn);
	free(w->condition);
	*w = (struct captioner_weights){ 0 };
}

static struct safetensors_entry condition_entry(
	const struct captioner_weights *w, enum safetensors_dtype dtype)
{
	const size_t rows = gates_of(&w->decoder.parameters.arch);

	return (struct safetensors_entry){ .name = NULL,
		.dtype = dtype,
		.n_dims = 2,
		.shape = { rows, w->features },
		.bytes = rows * w->features * safetensors_dtype_size(dtype) };
}

static int parse_form(
	struct image_form *form, const json_t *json, struct error *err)
{
	double *m = form->mean, *s = form->std;
	json_int_t side, crop;
	json_error_t why;

	if (json_unpack_ex((json_t *)json, &why, JSON_STRICT,
		    "{s:I, s:I, s:[F,F,F], s:[F,F,F]}", "side", &side, "crop",
		    &crop, "mean", &m[0], &m[1], &m[2], "std", &s[0], &s[1],
		    &s[2]) < 0)
		return error_set_param(err, ERROR_CORRUPT, "image",
			"metadata unrolld: image: %s", why.text);
	form->side = side < 0 ? 0 : (size_t)side;
	form->crop = crop < 0 ? 0 : (size_t)crop;
	return image_form_check(form, err);
}

/* The CNN and what goes into it belong together. */
static int parse_cnn(struct captioner_weights *w, const json_t *json,
	const json_t *image, struct error *err)
{
	struct cnn_config config;

	if (json_is_null(json))
		return 0;
	if (cnn_config_load(&config, json, err) < 0 ||
		parse_form(&w->form, image, err) < 0)
		return -1;
	if (config.side != w->form.crop)
		return error_set_param(err, ERROR_CORRUPT, "crop",
			"metadata unrolld: images are cropped to %zu, but the "
			"cnn takes %zu",
			w->form.crop, config.side);
	if (cnn_config_width(&config) != w->features)
		return error_set_param(err, ERROR_CORRUPT, "features",
			"metadata unrolld: features is %zu, but the cnn gives "
			"%zu",
			w->features, cnn_config_width(&config));
	w->sees = true;
	return cnn_weights_open(&w->cnn, &config, err);
}

static int read_condition(struct captioner_weights *w,
	const struct safetensors *file, struct error *err)
{
	const struct safetensors_entry *e = safetensors_find(file, CONDITION);
	struct safetensors_entry want = condition_entry(w, SAFETENSORS_F32);
	const size_t n = want.shape[0] * want.shape[1];
	char is[96] = "nothing", expected[96];
	float *values;
	int rc;

	safetensors_shape_text(&want, expected, sizeof(expected));
	if (e)
		safetensors_shape_text(e, is, sizeof(is));
	if (!e || strcmp(is, expected) != 0)
		return error_set_param(err, ERROR_CORRUPT, CONDITION,
			"tensor " CONDITION ": shape %s, expected %s", is,
			expected);
	values = malloc(n * sizeof(*values));
	if (!values)
		return error_set_memory(err, CONDITION, n * sizeof(*values));
	rc = safetensors_floats(e, values, err);
	for (size_t i = 0; rc == 0 && i < n; i++)
		w->condition[i] = (real)values[i];
	free(values);
	return rc;
}

static int read_rest(void *arg, const struct checkpoint *c,
	const struct safetensors *file, struct error *err)
{
	const struct architecture *a = &c->parameters.arch;
	struct captioner_weights *w = arg;
	json_t *cnn, *image;
	json_int_t features;
	json_error_t why;
	int always;

	if (json_unpack_ex(c->captioner, &why, JSON_STRICT,
		    "{s:I, s:b, s:o, s:o}", "features", &features, "every_step",
		    &always, "cnn", &cnn, "image", &image) < 0)
		return error_set_param(err, ERROR_CORRUPT, "captioner",
			"metadata unrolld: captioner: %s", why.text);
	w->always = always;
	if (check_cell(a, err) < 0 ||
		open_condition(w, features < 0 ? 0 : (size_t)features, a, err) <
			0)
		return -1;
	/* For its gates alone, which condition_entry asks. */
	w->decoder.parameters.arch = *a;
	if (parse_cnn(w, cnn, image, err) < 0 ||
		read_condition(w, file, err) < 0)
		return -1;
	return w->sees ? cnn_weights_load(&w->cnn, file, "cnn.", err) : 0;
}

int captioner_weights_load(
	struct captioner_weights *w, const char *path, struct error *err)
{
	struct checkpoint decoder;

	*w = (struct captioner_weights){ 0 };
	if (checkpoint_load_captioner(&decoder, path, read_rest, w, err) == 0) {
		w->decoder = decoder;
		return 0;
	}
	captioner_weights_release(w);
	return -1;
}

static uint64_t hash_reals(const real *data, size_t n, uint64_t hash)
{
	float block[1024];

	for (size_t i = 0; i < n;) {
		size_t filled = 0;

		for (; filled < 1024 && i < n; filled++, i++)
			block[filled] = (float)data[i];
		hash = XXH3_64bits_withSeed(
			block, filled * sizeof(*block), hash);
	}
	return hash;
}

uint64_t captioner_fingerprint(const struct captioner_weights *w)
{
	uint64_t hash = checkpoint_fingerprint(&w->decoder.parameters);
	char *form =
		json_dumps(w->decoder.captioner, JSON_COMPACT | JSON_SORT_KEYS);

	if (form)
		hash = XXH3_64bits_withSeed(form, strlen(form), hash);
	free(form);
	hash = hash_reals(w->condition,
		gates_of(&w->decoder.parameters.arch) * w->features, hash);
	return w->sees ? hash_reals(w->cnn.data, w->cnn.count, hash) : hash;
}

size_t captioner_parameters(const struct captioner_weights *w)
{
	const struct parameters *p = &w->decoder.parameters;
	size_t n = gates_of(&p->arch) * w->features;

	for (size_t i = 0; i < p->n_tensors; i++)
		n += tensor_size(&p->tensors[i]);
	for (size_t i = 0; i < w->cnn.n_tensors; i++)
		n += cnn_tensor_size(&w->cnn.tensors[i]);
	return n;
}

static json_t *describe(const struct captioner_weights *w)
{
	const double *m = w->form.mean, *s = w->form.std;
	json_t *image = json_null(), *cnn = json_null();

	if (w->sees) {
		cnn = cnn_config_save(&w->cnn.config);
		image = json_pack("{s:I, s:I, s:[f,f,f], s:[f,f,f]}", "side",
			(json_int_t)w->form.side, "crop",
			(json_int_t)w->form.crop, "mean", m[0], m[1], m[2],
			"std", s[0], s[1], s[2]);
	}
	return json_pack("{s:I, s:b, s:o, s:o}", "features",
		(json_int_t)w->features, "every_step", w->always, "cnn", cnn,
		"image", image);
}

/* Everything that is written, one after the other. */
struct listing {
	struct captioner_weights *w;
	size_t n, decoder; /* entries; the first ones are the decoder's */
	struct safetensors_entry *entries;
	char (*names)[64]; /* of the CNN's */
	size_t largest;	   /* elements */
};

static int list(struct listing *l, struct error *err)
{
	const struct captioner_weights *w = l->w;
	const struct parameters *p = &w->decoder.parameters;
	const enum safetensors_dtype dtype =
		checkpoint_tensor_dtype(w->decoder.dtype);
	size_t n = p->n_tensors + 1 + w->cnn.n_tensors;

	l->entries = calloc(n + 1, sizeof(*l->entries));
	l->names = calloc(n + 1, sizeof(*l->names));
	if (!l->entries || !l->names)
		return error_set_memory(err, "header", n * sizeof(*l->entries));
	for (size_t i = 0; i < p->n_tensors; i++)
		l->entries[l->n++] =
			checkpoint_entry(&p->tensors[i], w->decoder.dtype);
	l->decoder = l->n;
	l->entries[l->n] = condition_entry(w, dtype);
	snprintf(l->names[l->n], sizeof(*l->names), CONDITION);
	l->entries[l->n].name = l->names[l->n];
	l->n++;
	for (size_t i = 0; i < w->cnn.n_tensors; i++, l->n++) {
		const struct cnn_tensor *t = &w->cnn.tensors[i];
		struct safetensors_entry *e = &l->entries[l->n];

		snprintf(l->names[l->n], sizeof(*l->names), "cnn.%s", t->name);
		*e = (struct safetensors_entry){ .name = l->names[l->n],
			.dtype = dtype,
			.n_dims = t->n_dims,
			.bytes = cnn_tensor_size(t) *
				 safetensors_dtype_size(dtype) };
		memcpy(e->shape, t->shape, sizeof(t->shape));
	}
	for (size_t i = 0; i < l->n; i++)
		if (safetensors_count(&l->entries[i]) > l->largest)
			l->largest = safetensors_count(&l->entries[i]);
	return 0;
}

static void floats_of(const struct listing *l, size_t i, float *out)
{
	const struct captioner_weights *w = l->w;

	if (i < l->decoder)
		parameters_get(&w->decoder.parameters,
			&w->decoder.parameters.tensors[i], out);
	else if (i > l->decoder)
		cnn_weights_get(
			&w->cnn, &w->cnn.tensors[i - l->decoder - 1], out);
	else
		for (size_t k = 0; k < safetensors_count(&l->entries[i]); k++)
			out[k] = (float)w->condition[k];
}

static int put_all(const struct listing *l, struct safetensors_writer *writer,
	struct error *err)
{
	float *values = malloc((l->largest + 1) * sizeof(*values));
	void *bytes = malloc((l->largest + 1) * sizeof(*values));
	int rc = 0;

	if (!values || !bytes)
		rc = error_set_memory(
			err, "tensor", 2 * l->largest * sizeof(*values));
	for (size_t i = 0; rc == 0 && i < l->n; i++) {
		const struct safetensors_entry *e = &l->entries[i];

		floats_of(l, i, values);
		rc = safetensors_from_floats(e->name, e->dtype, values,
			safetensors_count(e), bytes, err);
		if (rc == 0)
			rc = safetensors_writer_put(writer, bytes, err);
	}
	free(values);
	free(bytes);
	return rc;
}

int captioner_weights_save(
	struct captioner_weights *w, const char *path, struct error *err)
{
	struct listing l = { .w = w };
	struct safetensors_writer writer;
	json_t *metadata;
	int rc = -1;

	json_decref(w->decoder.captioner);
	w->decoder.captioner = describe(w);
	metadata =
		w->decoder.captioner ? checkpoint_metadata(&w->decoder) : NULL;
	if (!metadata)
		error_set_memory(err, "header", 0);
	else if (list(&l, err) == 0 &&
		 safetensors_writer_open(
			 &writer, path, metadata, l.entries, l.n, err) == 0) {
		rc = put_all(&l, &writer, err);
		if (rc == 0)
			rc = safetensors_writer_commit(&writer, err);
		else
			safetensors_writer_abort(&writer);
	}
	json_decref(metadata);
	free(l.entries);
	free(l.names);
	return rc;
}
