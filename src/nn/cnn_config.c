/* The VGG family's lists of layers, as names, checks and JSON. */
#include "nn/cnn_private.h"

#include <stdio.h>
#include <string.h>

#define MIN_SIDE 8
#define MAX_SIDE 1024

static const struct {
	const char *name;
	size_t side, pool, dense;
	bool norm;
	const char *layers; /* M: max-pool */
} rows[] = {
	{ "vgg11", 224, 7, 4096, false,
		"64 M 128 M 256 256 M 512 512 M 512 512 M" },
	{ "vgg13", 224, 7, 4096, false,
		"64 64 M 128 128 M 256 256 M 512 512 M 512 512 M" },
	{ "vgg16", 224, 7, 4096, false,
		"64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M" },
	{ "vgg19", 224, 7, 4096, false,
		"64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 "
		"512 512 M" },
	{ "tiny", 64, 2, 256, true, "16 M 32 M 64 64 M 128" },
};

#define NAMES "vgg11, vgg13, vgg16, vgg19, each also with -bn, or tiny"

static void read_layers(struct cnn_config *config, const char *text)
{
	size_t value;
	int used;

	while (*text) {
		if (*text == 'M') {
			config->layers[config->n_layers++] = CNN_POOL;
			text++;
		} else if (sscanf(text, "%zu%n", &value, &used) == 1) {
			config->layers[config->n_layers++] = value;
			text += used;
		}
		text += strspn(text, " ");
	}
}

int cnn_config_find(
	struct cnn_config *config, const char *name, struct error *err)
{
	size_t len = strlen(name);
	bool norm = len > 3 && !strcmp(name + len - 3, "-bn");

	len -= norm ? 3 : 0;
	*config = (struct cnn_config){ 0 };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strlen(rows[i].name) != len ||
			strncmp(rows[i].name, name, len) != 0)
			continue;
		config->side = rows[i].side;
		config->pool = rows[i].pool;
		config->norm = norm || rows[i].norm;
		read_layers(config, rows[i].layers);
		config->n_dense = rows[i].dense == 4096 ? 2 : 1;
		for (size_t d = 0; d < config->n_dense; d++)
			config->dense[d] = rows[i].dense;
		snprintf(config->until, sizeof(config->until), "classifier.%zu",
			3 * (config->n_dense - 1));
		return 0;
	}
	return error_set_param(err, ERROR_INVALID, "cnn",
		"cnn is '%.32s', expected " NAMES, name);
}

static int check_size(const char *field, size_t i, size_t value, size_t min,
	size_t max, struct error *err)
{
	if (value >= min && value <= max)
		return 0;
	return error_set_param(err, ERROR_INVALID, field,
		"%s: value %zu is %zu, expected %zu to %zu", field, i, value,
		min, max);
}

static int check_layers(const struct cnn_config *c, struct error *err)
{
	size_t side = c->side;

	if (check_size("layers", 0, c->n_layers, 1, CNN_MAX_LAYERS, err) < 0)
		return -1;
	if (c->layers[0] == CNN_POOL)
		return error_set_param(err, ERROR_INVALID, "layers",
			"layers: the first one pools, expected a convolution");
	for (size_t i = 0; i < c->n_layers; i++) {
		if (c->layers[i] == CNN_POOL)
			side /= 2;
		else if (check_size("layers", i, c->layers[i], 1, CNN_MAX_WIDTH,
				 err) < 0)
			return -1;
		if (!side)
			return error_set_param(err, ERROR_INVALID, "layers",
				"layers: nothing is left of %zu pixels after "
				"layer %zu",
				c->side, i);
	}
	return 0;
}

int cnn_config_check(const struct cnn_config *c, struct error *err)
{
	struct cnn_plan plan;

	if (check_size("side", 0, c->side, MIN_SIDE, MAX_SIDE, err) < 0 ||
		check_layers(c, err) < 0 ||
		check_size("pool", 0, c->pool, 0, 64, err) < 0 ||
		check_size("dense", 0, c->n_dense, 0, CNN_MAX_DENSE, err) < 0)
		return -1;
	for (size_t i = 0; i < c->n_dense; i++)
		if (check_size("dense", i, c->dense[i], 1, CNN_MAX_WIDTH, err) <
			0)
			return -1;
	cnn_plan(&plan, c);
	if (plan.found)
		return 0;
	return error_set_param(err, ERROR_INVALID, "until",
		"until is '%.31s', expected features, or the name of a "
		"convolution or dense layer, such as %s",
		c->until, plan.last);
}

size_t cnn_config_width(const struct cnn_config *config)
{
	struct cnn_plan plan;

	cnn_plan(&plan, config);
	return plan.steps[plan.n - 1].size;
}

static json_t *list(const size_t *values, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(
			array, values[i] == CNN_POOL
				       ? json_string("M")
				       : json_integer((json_int_t)values[i]));
	return array;
}

json_t *cnn_config_save(const struct cnn_config *c)
{
	return json_pack("{s:I, s:b, s:o, s:I, s:o, s:s}", "side",
		(json_int_t)c->side, "norm", c->norm, "layers",
		list(c->layers, c->n_layers), "pool", (json_int_t)c->pool,
		"dense", list(c->dense, c->n_dense), "until", c->until);
}

static int read_list(const json_t *array, const char *field, size_t *values,
	size_t max, size_t *n, struct error *err)
{
	*n = json_array_size(array);
	if (*n > max)
		return error_set_param(err, ERROR_INVALID, field,
			"cnn: %s has %zu entries, expected at most %zu", field,
			*n, max);
	for (size_t i = 0; i < *n; i++) {
		const json_t *entry = json_array_get(array, i);
		const char *text = json_string_value(entry);

		if (text && !strcmp(text, "M"))
			values[i] = CNN_POOL;
		else if (json_is_integer(entry) &&
			 json_integer_value(entry) > 0)
			values[i] = (size_t)json_integer_value(entry);
		else
			return error_set_param(err, ERROR_INVALID, field,
				"cnn: %s: entry %zu is neither a number above "
				"0 nor \"M\"",
				field, i);
	}
	return 0;
}

int cnn_config_load(struct cnn_config *c, const json_t *json, struct error *err)
{
	json_t *layers, *dense;
	json_int_t side, pool;
	json_error_t why;
	const char *until;
	int norm;

	*c = (struct cnn_config){ 0 };
	if (json_unpack_ex((json_t *)json, &why, JSON_STRICT,
		    "{s:I, s:b, s:o, s:I, s:o, s:s}", "side", &side, "norm",
		    &norm, "layers", &layers, "pool", &pool, "dense", &dense,
		    "until", &until) < 0)
		return error_set_param(
			err, ERROR_INVALID, "cnn", "cnn: %s", why.text);
	c->side = side < 0 ? 0 : (size_t)side;
	c->pool = pool < 0 ? CNN_MAX_WIDTH : (size_t)pool;
	c->norm = norm;
	snprintf(c->until, sizeof(c->until), "%s", until);
	if (read_list(layers, "layers", c->layers, CNN_MAX_LAYERS, &c->n_layers,
		    err) < 0 ||
		read_list(dense, "dense", c->dense, CNN_MAX_DENSE, &c->n_dense,
			err) < 0)
		return -1;
	return cnn_config_check(c, err);
}
