#include "http/call.h"
#include "http/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a captioner; else NULL. */
static const struct checkpoint *decoder_of(const struct registry_entry *e)
{
	return e->captioner
		       ? &caption_model_info(e->captioner)->weights->decoder
		       : NULL;
}

static json_t *describe(const struct registry_entry *e)
{
	const struct checkpoint *decoder = decoder_of(e);
	const struct architecture *arch =
		decoder ? &decoder->parameters.arch
			: model_architecture(e->model);
	json_t *json, *training = NULL;

	if (e->training)
		training = json_loads(e->training, 0, NULL);
	json = json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:I, "
			 "s:I, s:I, s:I, s:I, s:I}",
		"id", e->name, "object", "model", "kind",
		decoder ? "captioner" : "text", "created",
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
	if (decoder)
		json_object_set(json, "captioner", decoder->captioner);
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
	e = registry_get_any(a->backend.registry, params->value[0], &err);
	if (!e) {
		reply_error(x, &err);
		return;
	}
	reply_json(x, 200, describe(e));
	registry_unref(e);
}

/* --- loading and unloading: a worker's work --------------------------- */

/* The model that a name leads to, whether or not it is loaded. */
static void real_name(struct call *c, char name[REGISTRY_NAME_MAX + 1])
{
	const char *asked = c->params.value[0];
	struct registry_alias alias;

	if (registry_find_alias(
		    c->api->backend.registry, asked, &alias, NULL) == 0)
		asked = alias.model;
	snprintf(name, REGISTRY_NAME_MAX + 1, "%s", asked);
}

/* Read its file, unless it is loaded already and still the same. */
static int load_file(struct registry *r, const char *name, struct error *err)
{
	struct registry_entry *e = registry_get_any(r, name, NULL);
	bool current = e && registry_is_current(e);
	char *path;
	int loaded;

	registry_unref(e);
	if (current)
		return 0;
	path = registry_path(r, name, err);
	if (!path)
		return -1;
	loaded = registry_load(r, path, err);
	free(path);
	return loaded;
}

static void work_load(struct call *c)
{
	struct registry *r = c->api->backend.registry;
	char name[REGISTRY_NAME_MAX + 1];
	struct registry_entry *e = NULL;

	real_name(c, name);
	if (!load_file(r, name, &c->err))
		e = registry_get_any(r, name, &c->err);
	if (e)
		c->answer = describe(e);
	registry_unref(e);
	call_done(c);
}

static void work_unload(struct call *c)
{
	const char *name = c->params.value[0];

	if (!registry_unload(c->api->backend.registry, name, &c->err)) {
		engine_forget(c->api->backend.engine);
		c->answer = json_pack("{s:s, s:s, s:b}", "id", name, "object",
			"model", "loaded", 0);
	}
	call_done(c);
}

/* Others are the administrator's, who put them there. */
static int check_made(struct call *c, const char *name)
{
	const char *dir = c->api->backend.made_dir;
	char *path = registry_path(c->api->backend.registry, name, &c->err);
	size_t n = dir ? strlen(dir) : 0;
	bool made;

	if (!path)
		return -1;
	made = n && !strncmp(path, dir, n) && path[n] == '/';
	free(path);
	if (made)
		return 0;
	return error_set(&c->err, ERROR_CONFLICT,
		"model '%s' was not made by a fine-tuning job: its file is "
		"not deleted from here, but it can be unloaded",
		name);
}

static void work_delete(struct call *c)
{
	const char *name = c->params.value[0];

	if (!check_made(c, name) &&
		!registry_delete(c->api->backend.registry, name, &c->err)) {
		engine_forget(c->api->backend.engine);
		c->answer = json_pack("{s:s, s:s, s:b}", "id", name, "object",
			"model", "deleted", 1);
	}
	call_done(c);
}

static void load(void *ctx, struct exchange *x, const struct route_params *p)
{
	call_start(ctx, x, p, work_load);
}

static void unload(void *ctx, struct exchange *x, const struct route_params *p)
{
	call_start(ctx, x, p, work_unload);
}

static void delete (void *ctx, struct exchange *x, const struct route_params *p)
{
	call_start(ctx, x, p, work_delete);
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
	{ .method = "DELETE",
		.path = "/v1/models/{model}",
		.scope = ROUTE_ADMIN,
		.handle = delete,
		.summary = "Delete a model that a fine-tuning job made",
		.status = 200,
		.schema = "Deleted",
		.answer = "application/json" },
	{ .method = "POST",
		.path = "/v1/models/{model}/load",
		.scope = ROUTE_ADMIN,
		.handle = load,
		.summary = "Load a model, or its file again if that changed: "
			   "what runs goes on with the old one",
		.status = 200,
		.schema = "Model",
		.answer = "application/json" },
	{ .method = "POST",
		.path = "/v1/models/{model}/unload",
		.scope = ROUTE_ADMIN,
		.handle = unload,
		.summary = "Unload a model; its memory is free when what runs "
			   "has ended",
		.status = 200,
		.schema = "ModelUnloaded",
		.answer = "application/json" },
};

const struct route_table routes_models = { rows,
	sizeof(rows) / sizeof(rows[0]) };
