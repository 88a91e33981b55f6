#include "nn/checkpoint.h"

#include "nn/checkpoint_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const struct {
	const char *name;
	enum safetensors_dtype tensor;
} dtypes[] = {
	[CHECKPOINT_F32] = { "f32", SAFETENSORS_F32 },
	[CHECKPOINT_BF16] = { "bf16", SAFETENSORS_BF16 },
	[CHECKPOINT_F16] = { "f16", SAFETENSORS_F16 },
};

#define N_DTYPES (sizeof(dtypes) / sizeof(dtypes[0]))

enum weight_type checkpoint_weights(const struct checkpoint *c)
{
	return c->dtype == CHECKPOINT_BF16 ? WEIGHTS_BF16 : WEIGHTS_F32;
}

const char *checkpoint_dtype_name(enum checkpoint_dtype dtype)
{
	return dtypes[dtype].name;
}

enum safetensors_dtype checkpoint_tensor_dtype(enum checkpoint_dtype dtype)
{
	return dtypes[dtype].tensor;
}

struct safetensors_entry checkpoint_entry(
	const struct tensor *t, enum checkpoint_dtype dtype)
{
	return (struct safetensors_entry){
		.name = (char *)t->name,
		.dtype = dtypes[dtype].tensor,
		.n_dims = t->cols ? 2 : 1,
		.shape = { t->rows, t->cols },
		.bytes = tensor_size(t) *
			 safetensors_dtype_size(dtypes[dtype].tensor),
	};
}

static size_t largest_tensor(const struct parameters *p)
{
	size_t largest = 1;

	for (size_t i = 0; i < p->n_tensors; i++)
		if (tensor_size(&p->tensors[i]) > largest)
			largest = tensor_size(&p->tensors[i]);
	return largest;
}

/* All tensors have one dtype, the first one's. */
static int check_dtype(struct checkpoint *c, const struct safetensors *s,
	const struct safetensors_entry *e, struct error *err)
{
	if (e->dtype != s->entries[0].dtype)
		return error_set_param(err, ERROR_CORRUPT, e->name,
			"tensor %s: dtype %s, but %s is %s", e->name,
			safetensors_dtype_name(e->dtype), s->entries[0].name,
			safetensors_dtype_name(s->entries[0].dtype));
	for (size_t i = 0; i < N_DTYPES; i++) {
		c->dtype = (enum checkpoint_dtype)i;
		if (dtypes[i].tensor == e->dtype)
			return 0;
	}
	return error_set_param(err, ERROR_UNSUPPORTED, e->name,
		"tensor %s: dtype %s, expected F32, BF16 or F16", e->name,
		safetensors_dtype_name(e->dtype));
}

static int check_tensor(struct checkpoint *c, const struct safetensors *s,
	const struct tensor *t, struct error *err)
{
	const struct safetensors_entry *e = safetensors_find(s, t->name);
	struct safetensors_entry want;
	char is[96], expected[96];

	if (!e) {
		want = checkpoint_entry(t, c->dtype);
		safetensors_shape_text(&want, expected, sizeof(expected));
		return error_set_param(err, ERROR_CORRUPT, t->name,
			"tensor %s: missing, expected shape %s", t->name,
			expected);
	}
	if (check_dtype(c, s, e, err) < 0)
		return -1;
	want = checkpoint_entry(t, c->dtype);
	if (e->n_dims == want.n_dims &&
		!memcmp(e->shape, want.shape, e->n_dims * sizeof(*e->shape)))
		return 0;
	safetensors_shape_text(e, is, sizeof(is));
	safetensors_shape_text(&want, expected, sizeof(expected));
	return error_set_param(err, ERROR_CORRUPT, t->name,
		"tensor %s: shape %s, expected %s", t->name, is, expected);
}

static bool is_captioners(const struct checkpoint *c, const char *name)
{
	return c->captioner &&
	       (!strncmp(name, "cnn.", 4) || !strncmp(name, "condition.", 10));
}

/* The file's tensors are the architecture's: no more, no less. */
static int check_tensors(
	struct checkpoint *c, const struct safetensors *s, struct error *err)
{
	const struct parameters *p = &c->parameters;

	for (size_t i = 0; i < s->n_entries; i++)
		if (!parameters_find(p, s->entries[i].name) &&
			!is_captioners(c, s->entries[i].name))
			return error_set_param(err, ERROR_CORRUPT,
				s->entries[i].name,
				"tensor %s: unexpected in this architecture",
				s->entries[i].name);
	for (size_t i = 0; i < p->n_tensors; i++)
		if (check_tensor(c, s, &p->tensors[i], err) < 0)
			return -1;
	return 0;
}

static int read_tensors(
	struct checkpoint *c, const struct safetensors *s, struct error *err)
{
	struct parameters *p = &c->parameters;
	size_t bytes = largest_tensor(p) * sizeof(float);
	float *row_major = malloc(bytes);
	int failed = 0;

	if (!row_major)
		return error_set_memory(err, "tensor", bytes);
	for (size_t i = 0; i < p->n_tensors && !failed; i++) {
		const struct tensor *t = &p->tensors[i];

		failed = safetensors_floats(
			safetensors_find(s, t->name), row_major, err);
		if (!failed)
			parameters_set(p, t, row_major);
	}
	free(row_major);
	return failed;
}

/* The single bias is a promise about the other one. */
static int check_single_bias(const struct parameters *p, struct error *err)
{
	for (size_t l = 0; l < p->arch.layers; l++) {
		const struct tensor *t = parameters_layer(p, "bias_hh", l);

		if (p->arch.bias == BIAS_DOUBLE)
			return 0;
		for (size_t i = 0; i < t->rows; i++)
			if (p->data[t->offset + i] != 0)
				return error_set_param(err, ERROR_CORRUPT,
					t->name,
					"tensor %s: value %zu is %g, expected "
					"0 where bias is \"single\"",
					t->name, i,
					(double)p->data[t->offset + i]);
	}
	return 0;
}

static int check_kind(
	const struct checkpoint *c, bool captioner, struct error *err)
{
	if (captioner == (c->captioner != NULL))
		return 0;
	return error_set(err, ERROR_UNSUPPORTED,
		captioner ? "holds a text model, expected a captioner"
			  : "holds a captioner, expected a text model");
}

typedef int rest_function(void *arg, const struct checkpoint *c,
	const struct safetensors *file, struct error *err);

static int load_file(struct checkpoint *c, const char *path,
	rest_function *rest, void *arg, struct error *err)
{
	struct architecture a;
	struct safetensors s;
	int failed = -1;

	*c = (struct checkpoint){ 0 };
	if (safetensors_open(&s, path, err) < 0)
		return -1;
	/* Shapes first: a small file must not make us allocate a large model.
	 */
	if (checkpoint_parse(c, &a, s.metadata, err) < 0 ||
		check_kind(c, rest != NULL, err) < 0 ||
		parameters_layout(&c->parameters, &a, err) < 0 ||
		check_tensors(c, &s, err) < 0 ||
		parameters_allocate(&c->parameters, err) < 0 ||
		read_tensors(c, &s, err) < 0 ||
		check_single_bias(&c->parameters, err) < 0)
		goto out;
	failed = rest ? rest(arg, c, &s, err) : 0;
out:
	safetensors_close(&s);
	if (failed) {
		checkpoint_release(c);
		error_prefix(err, "%s", path);
	}
	return failed;
}

int checkpoint_holds_captioner(
	const char *path, bool *captioner, struct error *err)
{
	struct checkpoint c = { 0 };
	struct architecture a;
	struct safetensors s;
	int failed;

	if (safetensors_open(&s, path, err) < 0)
		return -1;
	failed = checkpoint_parse(&c, &a, s.metadata, err);
	*captioner = c.captioner != NULL;
	checkpoint_release(&c);
	safetensors_close(&s);
	return failed ? error_prefix(err, "%s", path) : 0;
}

int checkpoint_load(struct checkpoint *c, const char *path, struct error *err)
{
	return load_file(c, path, NULL, NULL, err);
}

int checkpoint_load_captioner(struct checkpoint *c, const char *path,
	rest_function *rest, void *arg, struct error *err)
{
	return load_file(c, path, rest, arg, err);
}

static int write_tensor(struct safetensors_writer *w,
	const struct parameters *p, const struct tensor *t,
	enum safetensors_dtype dtype, float *row_major, void *out,
	struct error *err)
{
	parameters_get(p, t, row_major);
	if (safetensors_from_floats(
		    t->name, dtype, row_major, tensor_size(t), out, err) < 0) {
		if (err && err->code == ERROR_CORRUPT)
			err->code = ERROR_DIVERGED;
		return error_prefix(err, "%s", w->file.path);
	}
	return safetensors_writer_put(w, out, err);
}

static int write_tensors(struct safetensors_writer *w,
	const struct checkpoint *c, struct error *err)
{
	const struct parameters *p = &c->parameters;
	size_t bytes = largest_tensor(p) * sizeof(float);
	float *row_major = malloc(bytes);
	void *out = malloc(bytes);
	int failed = 0;

	if (!row_major || !out)
		failed = error_set_memory(err, "tensor", 2 * bytes);
	for (size_t i = 0; i < p->n_tensors && !failed; i++)
		failed = write_tensor(w, p, &p->tensors[i],
			dtypes[c->dtype].tensor, row_major, out, err);
	free(row_major);
	free(out);
	return failed;
}

int checkpoint_save(
	const struct checkpoint *c, const char *path, struct error *err)
{
	const struct parameters *p = &c->parameters;
	struct safetensors_entry *entries;
	struct safetensors_writer w;
	json_t *metadata = checkpoint_metadata(c);
	int failed = -1;

	entries = calloc(p->n_tensors, sizeof(*entries));
	if (!metadata || !entries) {
		error_set(err, ERROR_NO_MEMORY, "%s: header: out of memory",
			path);
		goto out;
	}
	for (size_t i = 0; i < p->n_tensors; i++)
		entries[i] = checkpoint_entry(&p->tensors[i], c->dtype);
	failed = safetensors_writer_open(
		&w, path, metadata, entries, p->n_tensors, err);
	if (failed)
		goto out;
	failed = write_tensors(&w, c, err);
	if (failed)
		safetensors_writer_abort(&w);
	else
		failed = safetensors_writer_commit(&w, err);
out:
	json_decref(metadata);
	free(entries);
	return failed;
}

void checkpoint_release(struct checkpoint *c)
{
	parameters_release(&c->parameters);
	json_decref(c->tokenizer);
	json_decref(c->training);
	json_decref(c->captioner);
	*c = (struct checkpoint){ 0 };
}

/* Blocks of row-major floats, each hashed with the last one's as its seed. */
static uint64_t hash_tensor(
	const struct parameters *p, const struct tensor *t, uint64_t hash)
{
	const real *data = p->data + t->offset;
	size_t n = tensor_size(t), filled = 0;
	float block[1024];

	for (size_t i = 0; i < n; i++) {
		size_t at = i;

		if (t->transposed)
			at = i % t->cols * t->rows + i / t->cols;
		block[filled++] = (float)data[at];
		if (filled < 1024 && i + 1 < n)
			continue;
		hash = XXH3_64bits_withSeed(
			block, filled * sizeof(*block), hash);
		filled = 0;
	}
	return hash;
}

uint64_t checkpoint_fingerprint(const struct parameters *p)
{
	const struct architecture *a = &p->arch;
	char text[160];
	uint64_t hash;
	int len;

	len = snprintf(text, sizeof(text),
		"%s vocab=%zu hidden=%zu layers=%zu embedding=%zu tied=%d "
		"bias=%d",
		a->cell, a->vocab, a->hidden, a->layers, a->embedding, a->tied,
		a->bias);
	hash = XXH3_64bits(text, (size_t)len);
	for (size_t i = 0; i < p->n_tensors; i++)
		hash = hash_tensor(p, &p->tensors[i], hash);
	return hash;
}
