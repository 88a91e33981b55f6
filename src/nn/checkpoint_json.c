#include "nn/checkpoint_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const bias_names[] = {
	[BIAS_DOUBLE] = "double",
	[BIAS_SINGLE] = "single",
};

json_t *checkpoint_architecture_json(const struct architecture *a)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:b, s:s}", "cell", a->cell,
		"vocab", (json_int_t)a->vocab, "hidden", (json_int_t)a->hidden,
		"layers", (json_int_t)a->layers, "embedding",
		(json_int_t)a->embedding, "tied", (int)a->tied, "bias",
		bias_names[a->bias]);
}

static int wrong(const char *field, const char *expected, struct error *err)
{
	return error_set_param(err, ERROR_CORRUPT, field,
		"metadata unrolld: %s is missing or not %s", field, expected);
}

/* Refuse what this program would silently ignore. */
static int check_fields(const json_t *object, const char *const *fields,
	const char *where, struct error *err)
{
	const char *key;
	json_t *value;
	size_t i;

	json_object_foreach((json_t *)object, key, value)
	{
		for (i = 0; fields[i] && strcmp(fields[i], key) != 0; i++)
			;
		if (!fields[i])
			return error_set_param(err, ERROR_CORRUPT, key,
				"metadata unrolld: unknown field \"%.64s\"%s",
				key, where);
	}
	return 0;
}

static int parse_size(const json_t *object, const char *field, size_t *value,
	struct error *err)
{
	const json_t *json = json_object_get(object, field);

	if (!json_is_integer(json) || json_integer_value(json) < 0)
		return wrong(field, "a whole number", err);
	*value = (size_t)json_integer_value(json);
	return 0;
}

static int parse_bias(
	const json_t *object, struct architecture *a, struct error *err)
{
	const char *name = json_string_value(json_object_get(object, "bias"));

	for (size_t i = 0; name && i < 2; i++) {
		a->bias = (enum bias_mode)i;
		if (!strcmp(name, bias_names[i]))
			return 0;
	}
	return wrong("bias", "\"double\" or \"single\"", err);
}

static int parse_architecture(
	struct architecture *a, const json_t *json, struct error *err)
{
	static const char *const fields[] = { "cell", "vocab", "hidden",
		"layers", "embedding", "tied", "bias", NULL };
	const char *cell = json_string_value(json_object_get(json, "cell"));
	const json_t *tied = json_object_get(json, "tied");

	*a = (struct architecture){ 0 };
	if (!json_is_object(json))
		return wrong("architecture", "an object", err);
	if (check_fields(json, fields, " in architecture", err) < 0)
		return -1;
	if (!cell || strlen(cell) >= sizeof(a->cell))
		return wrong("cell", "\"rnn\", \"lstm\" or \"gru\"", err);
	memcpy(a->cell, cell, strlen(cell) + 1);
	if (parse_size(json, "vocab", &a->vocab, err) < 0 ||
		parse_size(json, "hidden", &a->hidden, err) < 0 ||
		parse_size(json, "layers", &a->layers, err) < 0 ||
		parse_size(json, "embedding", &a->embedding, err) < 0)
		return -1;
	if (!json_is_boolean(tied))
		return wrong("tied", "true or false", err);
	a->tied = json_is_true(tied);
	if (parse_bias(json, a, err) < 0)
		return -1;
	if (architecture_check(a, err) == 0)
		return 0;
	if (err)
		err->code = ERROR_CORRUPT;
	return error_prefix(err, "metadata unrolld");
}

static int parse_object(struct checkpoint *c, struct architecture *a,
	const json_t *json, struct error *err)
{
	static const char *const fields[] = { "format", "architecture",
		"tokenizer", "training", "captioner", NULL };
	const json_t *format = json_object_get(json, "format");

	if (!json_is_object(json))
		return wrong("object", "an object", err);
	if (!json_is_integer(format))
		return wrong("format", "an integer", err);
	if (json_integer_value(format) != CHECKPOINT_FORMAT)
		return error_set_param(err, ERROR_UNSUPPORTED, "format",
			"metadata unrolld: format %lld, expected %d",
			(long long)json_integer_value(format),
			CHECKPOINT_FORMAT);
	if (check_fields(json, fields, "", err) < 0)
		return -1;
	c->tokenizer = json_incref(json_object_get(json, "tokenizer"));
	c->training = json_incref(json_object_get(json, "training"));
	c->captioner = json_incref(json_object_get(json, "captioner"));
	if (c->captioner && !json_is_object(c->captioner))
		return wrong("captioner", "an object", err);
	if (!json_is_object(c->tokenizer))
		return wrong("tokenizer", "an object", err);
	if (c->training && !json_is_object(c->training))
		return wrong("training", "an object", err);
	return parse_architecture(
		a, json_object_get(json, "architecture"), err);
}

int checkpoint_parse(struct checkpoint *c, struct architecture *a,
	const json_t *metadata, struct error *err)
{
	const json_t *text = json_object_get(metadata, "unrolld");
	json_error_t fault;
	json_t *json;
	int failed;

	if (!text)
		return error_set_param(err, ERROR_CORRUPT, "unrolld",
			"metadata has no \"unrolld\": no checkpoint, but "
			"perhaps weights that can be imported");
	/* A vocabulary may hold NUL. */
	json = json_loadb(json_string_value(text), json_string_length(text),
		JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &fault);
	if (!json)
		return error_set_param(err, ERROR_CORRUPT, "unrolld",
			"metadata unrolld: not valid JSON: %s (byte %d)",
			fault.text, fault.position);
	failed = parse_object(c, a, json, err);
	json_decref(json);
	return failed;
}

json_t *checkpoint_metadata(const struct checkpoint *c)
{
	json_t *json = json_pack("{s:i, s:o, s:O}", "format", CHECKPOINT_FORMAT,
		"architecture",
		checkpoint_architecture_json(&c->parameters.arch), "tokenizer",
		c->tokenizer);
	json_t *metadata = NULL;
	char *text = NULL;

	if (json && c->training &&
		json_object_set(json, "training", c->training) < 0)
		goto out;
	if (json && c->captioner &&
		json_object_set(json, "captioner", c->captioner) < 0)
		goto out;
	text = json_dumps(json, JSON_COMPACT);
	if (text)
		metadata = json_pack("{s:s}", "unrolld", text);
out:
	free(text);
	json_decref(json);
	return metadata;
}
