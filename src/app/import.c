#include "app/import.h"

#include "nn/cell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A layer's number stands between. */
struct pattern {
	const char *before, *after;
};

/* The names of a layout; layers count from `first`. */
struct names {
	struct pattern weight_ih, bias_ih, weight_hh, bias_hh;
	size_t first;
	const char *embedding[3], *output[3]; /* alternatives, NULL-ended */
	/* Our gate k is the file's block gates[k]: LSTM only. */
	size_t gates[4];
};

static const struct names layouts[] = {
	[IMPORT_PYTORCH] = { { "weight_ih_l", "" }, { "bias_ih_l", "" },
		{ "weight_hh_l", "" }, { "bias_hh_l", "" }, 0,
		{ "embedding", "encoder", NULL }, { "output", "decoder", NULL },
		{ 0, 1, 2, 3 } },
	/* i, f, o, g: PyTorch has i, f, g, o. */
	[IMPORT_CHAR_RNN] = { { "i2h_", ".weight" }, { "i2h_", ".bias" },
		{ "h2h_", ".weight" }, { "h2h_", ".bias" }, 1, { NULL },
		{ "decoder", NULL }, { 0, 1, 3, 2 } },
};

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && !strcmp(text + n - m, end);
}

/* PyTorch's name of the recurrent module is the user's own: "rnn." or "lstm."
 * or "". It is what stands before weight_ih_l0. */
static int find_prefix(const struct import_plan *p, char *prefix, size_t size,
	struct error *err)
{
	const struct names *names = &layouts[p->layout];
	const char *found = NULL;
	char first[32];

	snprintf(first, sizeof(first), "%s%zu%s", names->weight_hh.before,
		names->first, names->weight_hh.after);
	for (size_t i = 0; i < p->file->n_entries; i++) {
		const char *name = p->file->entries[i].name;

		if (!ends_with(name, first))
			continue;
		if (found)
			return error_set_param(err, ERROR_UNSUPPORTED, name,
				"tensor %s: beside %s: expected one recurrent "
				"network",
				name, found);
		found = name;
	}
	if (!found)
		return error_set_param(err, ERROR_INVALID, first,
			"tensor %s: missing: no recurrent layer in this layout",
			first);
	if (strlen(found) - strlen(first) >= size)
		return error_set_param(err, ERROR_UNSUPPORTED, found,
			"tensor %.64s…: the name is too long", found);
	snprintf(prefix, size, "%.*s", (int)(strlen(found) - strlen(first)),
		found);
	return 0;
}

static const struct safetensors_entry *find_layer(const struct import_plan *p,
	const char *prefix, const struct pattern *pattern, size_t layer)
{
	char name[160];

	snprintf(name, sizeof(name), "%s%s%zu%s", prefix, pattern->before,
		layer, pattern->after);
	return safetensors_find(p->file, name);
}

static int find_one(const struct import_plan *p, const char *const *modules,
	const char *leaf, const struct safetensors_entry **out,
	struct error *err)
{
	char name[64];

	*out = NULL;
	for (; *modules; modules++) {
		const struct safetensors_entry *e;

		snprintf(name, sizeof(name), "%s.%s", *modules, leaf);
		e = safetensors_find(p->file, name);
		if (e && *out)
			return error_set_param(err, ERROR_INVALID, name,
				"tensor %s: beside %s: expected one of them",
				name, (*out)->name);
		if (e)
			*out = e;
	}
	return 0;
}

static bool has_role(
	const struct import_plan *p, const struct safetensors_entry *e)
{
	if (e == p->embedding || e == p->output_weight || e == p->output_bias)
		return true;
	for (size_t l = 0; l < p->n_layers; l++) {
		const struct import_layer *layer = &p->layers[l];

		if (e == layer->weight_ih || e == layer->weight_hh ||
			e == layer->bias_ih || e == layer->bias_hh)
			return true;
	}
	return false;
}

static int find_layers(
	struct import_plan *p, const char *prefix, struct error *err)
{
	const struct names *n = &layouts[p->layout];

	for (size_t l = 0; l < ARCHITECTURE_MAX_LAYERS; l++) {
		struct import_layer *layer = &p->layers[l];

		*layer = (struct import_layer){
			find_layer(p, prefix, &n->weight_ih, n->first + l),
			find_layer(p, prefix, &n->weight_hh, n->first + l),
			find_layer(p, prefix, &n->bias_ih, n->first + l),
			find_layer(p, prefix, &n->bias_hh, n->first + l),
		};
		if (!layer->weight_hh)
			return 0;
		if (!layer->weight_ih)
			return error_set_param(err, ERROR_INVALID,
				layer->weight_hh->name,
				"tensor %s: its input matrix is missing",
				layer->weight_hh->name);
		p->n_layers++;
	}
	return 0;
}

int import_plan_make(struct import_plan *p, enum import_layout layout,
	const struct safetensors *file, struct error *err)
{
	const struct names *names = &layouts[layout];
	char prefix[64];

	*p = (struct import_plan){ .layout = layout, .file = file };
	if (find_prefix(p, prefix, sizeof(prefix), err) < 0 ||
		find_layers(p, prefix, err) < 0 ||
		find_one(p, names->embedding, "weight", &p->embedding, err) <
			0 ||
		find_one(p, names->output, "weight", &p->output_weight, err) <
			0 ||
		find_one(p, names->output, "bias", &p->output_bias, err) < 0)
		return -1;
	for (size_t i = 0; i < file->n_entries; i++) {
		const struct safetensors_entry *e = &file->entries[i];

		if (!has_role(p, e))
			return error_set_param(err, ERROR_UNSUPPORTED, e->name,
				"tensor %s: has no place in this layout "
				"(bidirectional, projected and "
				"layer-normalised networks are not supported)",
				e->name);
	}
	return 0;
}

static int wrong_dims(const struct safetensors_entry *e, const char *expected,
	struct error *err)
{
	char shape[96];

	safetensors_shape_text(e, shape, sizeof(shape));
	return error_set_param(err, ERROR_INVALID, e->name,
		"tensor %s: shape %s, expected %s", e->name, shape, expected);
}

static int choose_cell(const struct import_plan *p, const char *cell,
	struct architecture *a, struct error *err)
{
	const struct safetensors_entry *hh = p->layers[0].weight_hh;
	const struct cell_ops *ops = NULL;
	char expected[96];
	size_t gates;

	if (hh->n_dims != 2 || !hh->shape[1] || hh->shape[0] % hh->shape[1])
		return wrong_dims(hh, "[gates * hidden, hidden]", err);
	gates = hh->shape[0] / hh->shape[1];
	if (cell && *cell) {
		ops = cell_find(cell);
		if (!ops)
			return error_set_param(err, ERROR_INVALID, "cell",
				"cell is '%.32s', expected rnn, lstm or gru",
				cell);
	}
	for (size_t i = 0; !ops && cell_at(i); i++)
		if (cell_at(i)->gates == gates)
			ops = cell_at(i);
	if (!ops || ops->gates != gates) {
		snprintf(expected, sizeof(expected),
			"%zu * %zu rows for %s, which has %zu gates",
			ops ? ops->gates : 4, hh->shape[1],
			ops ? ops->name : "lstm", ops ? ops->gates : 4);
		return wrong_dims(hh, expected, err);
	}
	if (p->layout == IMPORT_CHAR_RNN && !strcmp(ops->name, "gru"))
		return error_set_param(err, ERROR_UNSUPPORTED, "cell",
			"cell gru of char-rnn resets the state before the "
			"recurrent product, ours (as PyTorch's and cuDNN's) "
			"after it: no weights of ours compute the same; "
			"retrain it, or import an lstm or rnn");
	snprintf(a->cell, sizeof(a->cell), "%s", ops->name);
	a->hidden = hh->shape[1];
	return 0;
}

static bool same_values(
	const struct safetensors_entry *a, const struct safetensors_entry *b)
{
	return a->dtype == b->dtype && a->bytes == b->bytes &&
	       a->n_dims == b->n_dims &&
	       !memcmp(a->shape, b->shape, a->n_dims * sizeof(*a->shape)) &&
	       !memcmp(a->data, b->data, a->bytes);
}

/* bias_hh alone may be missing (the lecture's form), or all of them. */
static int choose_bias(
	const struct import_plan *p, struct architecture *a, struct error *err)
{
	bool any_ih = false, any_hh = false;

	for (size_t l = 0; l < p->n_layers; l++) {
		any_ih |= p->layers[l].bias_ih != NULL;
		any_hh |= p->layers[l].bias_hh != NULL;
	}
	a->bias = any_hh ? BIAS_DOUBLE : BIAS_SINGLE;
	for (size_t l = 0; l < p->n_layers; l++) {
		const struct import_layer *layer = &p->layers[l];

		if (any_ih == (layer->bias_ih != NULL) &&
			any_hh == (layer->bias_hh != NULL) &&
			(any_ih || !any_hh))
			continue;
		return error_set_param(err, ERROR_INVALID,
			layer->weight_ih->name,
			"tensor %s: a bias of its layer is missing, but others "
			"are there",
			layer->weight_ih->name);
	}
	return 0;
}

int import_architecture(struct import_plan *p, const char *cell,
	struct architecture *a, struct error *err)
{
	const struct safetensors_entry *in =
		p->embedding ? p->embedding : p->layers[0].weight_ih;

	*a = (struct architecture){ .layers = p->n_layers };
	if (choose_cell(p, cell, a, err) < 0 || choose_bias(p, a, err) < 0)
		return -1;
	if (in->n_dims != 2)
		return wrong_dims(in, "two dimensions", err);
	a->vocab = p->embedding ? in->shape[0] : in->shape[1];
	a->embedding = p->embedding ? in->shape[1] : 0;
	if (!p->output_weight && !p->embedding)
		return error_set_param(err, ERROR_INVALID, "output.weight",
			"tensor output.weight: missing, and there is no "
			"embedding that it could be tied to");
	if (!p->output_weight && a->embedding != a->hidden)
		return error_set_param(err, ERROR_INVALID, "output.weight",
			"tensor output.weight: missing, and the embedding of "
			"%zu can't be tied to an output of %zu",
			a->embedding, a->hidden);
	p->tied = !p->output_weight ||
		  (p->embedding && a->embedding == a->hidden &&
			  same_values(p->embedding, p->output_weight));
	a->tied = p->tied;
	return architecture_check(a, err);
}

/* The foreign tensor that becomes `t`, or NULL. */
static const struct safetensors_entry *source(
	const struct import_plan *p, const struct tensor *t)
{
	const struct import_layer *layer;
	char kind[16];
	size_t l;

	if (!strcmp(t->name, "embedding.weight"))
		return p->embedding;
	if (!strcmp(t->name, "output.weight"))
		return p->output_weight;
	if (!strcmp(t->name, "output.bias"))
		return p->output_bias;
	if (sscanf(t->name, "rnn.%9[a-z]_%*2[a-z]_l%zu", kind, &l) != 2 ||
		l >= p->n_layers)
		return NULL;
	layer = &p->layers[l];
	if (strstr(t->name, "weight"))
		return strstr(t->name, "_ih") ? layer->weight_ih
					      : layer->weight_hh;
	return strstr(t->name, "_ih") ? layer->bias_ih : layer->bias_hh;
}

static bool has_shape(const struct safetensors_entry *e, const struct tensor *t)
{
	if (e->n_dims != (t->cols ? 2 : 1) || e->shape[0] != t->rows)
		return false;
	return !t->cols || e->shape[1] == t->cols;
}

/* Blocks of H rows from the layout's gate order to PyTorch's. */
static void permute(const struct import_plan *p, const struct architecture *a,
	const struct tensor *t, float *values, float *scratch)
{
	const size_t *gates = layouts[p->layout].gates;
	size_t block = a->hidden * (t->cols ? t->cols : 1);

	if (strcmp(a->cell, "lstm") != 0 || strncmp(t->name, "rnn.", 4) != 0)
		return;
	memcpy(scratch, values, 4 * block * sizeof(*values));
	for (size_t k = 0; k < 4; k++)
		memcpy(values + k * block, scratch + gates[k] * block,
			block * sizeof(*values));
}

static int import_one(const struct import_plan *p, struct parameters *to,
	const struct tensor *t, struct error *err)
{
	const struct safetensors_entry *e = source(p, t);
	size_t n = tensor_size(t);
	float *values;
	char expected[64];
	int failed;

	if (!e && strstr(t->name, "bias"))
		return 0;
	if (!e)
		return error_set_param(err, ERROR_INVALID, t->name,
			"tensor %s: missing", t->name);
	if (!has_shape(e, t)) {
		snprintf(expected, sizeof(expected),
			t->cols ? "[%zu,%zu]" : "[%zu]", t->rows, t->cols);
		return wrong_dims(e, expected, err);
	}
	values = malloc(2 * n * sizeof(*values));
	if (!values)
		return error_set_memory(err, t->name, 2 * n * sizeof(*values));
	failed = safetensors_floats(e, values, err);
	if (!failed) {
		permute(p, &to->arch, t, values, values + n);
		parameters_set(to, t, values);
	}
	free(values);
	return failed;
}

int import_tensors(
	const struct import_plan *p, struct parameters *to, struct error *err)
{
	for (size_t i = 0; i < to->n_tensors; i++)
		if (import_one(p, to, &to->tensors[i], err) < 0)
			return -1;
	return 0;
}
