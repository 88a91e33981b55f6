#include "http/api_internal.h"
#include "http/reply.h"

#include <stdlib.h>

static json_t *describe(const struct registry_entry *e)
{
	const struct architecture *arch = model_architecture(e->model);
	json_t *json, *training = NULL;

	if (e->training)
		training = json_loads(e->training, 0, NULL);
	json = json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:I, s:I, "
			 "s:I, s:I, s:I, s:I}",
		"id", e->name, "object", "model", "created",
		(json_int_t)e->created, "owned_by", "unrolld", "fingerprint",
		e->fingerprint_text, "system_fingerprint",
		e->system_fingerprint, "cell", arch->cell, "tokenizer",
		tokenizer_kind(e->tokenizer), "layers",
		(json_int_t)arch->layers, "hidden", (json_int_t)arch->hidden,
		"embedding", (json_int_t)arch->embedding, "vocab",
		(json_int_t)e->vocab, "bytes", (json_int_t)e->bytes,
		"state_bytes", (json_int_t)(e->state_floats * sizeof(float)));
	if (!json) {
		json_decref(training);
		return NULL;
	}
	json_object_set_new(
		json, "training", training ? training : json_null());
	return json;
}

static void list(
	void *ctx, struct exchange *x, const struct route_params *params)
{
	struct registry_entry **entries;
	json_t *data = json_array();
	struct api *a = ctx;
	struct error err;
	size_t n;

	(void)params;
	if (!a->ready) {
		json_decref(data);
		api_admit(a, x);
		return;
	}
	if (registry_list(a->backend.registry, &entries, &n, &err) < 0) {
		json_decref(data);
		reply_error(x, &err);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(data, describe(entries[i]));
		registry_unref(entries[i]);
	}
	free(entries);
	reply_json(x, 200,
		json_pack("{s:s, s:o}", "object", "list", "data", data));
}

static void get(
	void *ctx, struct exchange *x, const struct route_params *params)
{
	struct api *a = ctx;
	struct registry_entry *e;
	struct error err;

	if (!a->ready) {
		api_admit(a, x);
		return;
	}
	e = registry_get(a->backend.registry, params->value[0], &err);
	if (!e) {
		reply_error(x, &err);
		return;
	}
	reply_json(x, 200, describe(e));
	registry_unref(e);
}

static const struct route rows[] = {
	{ .method = "GET",
		.path = "/v1/models",
		.scope = ROUTE_SAMPLE,
		.handle = list,
		.summary = "List the models",
		.status = 200,
		.schema = "ModelList",
		.answer = "application/json" },
	{ .method = "GET",
		.path = "/v1/models/{model}",
		.scope = ROUTE_SAMPLE,
		.handle = get,
		.summary = "Describe a model",
		.status = 200,
		.schema = "Model",
		.answer = "application/json" },
};

const struct route_table routes_models = { rows,
	sizeof(rows) / sizeof(rows[0]) };
