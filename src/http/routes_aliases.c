/* Other names for models: a worker's work, for they are stored. */
#include "http/call.h"
#include "http/reply.h"
#include "serve/aliases.h"

#include <stdlib.h>

struct put_body {
	const char *model;
};

static const struct field put_fields[] = {
	{ .name = "model",
		.type = FIELD_NAME,
		.offset = offsetof(struct put_body, model),
		.max = REGISTRY_NAME_MAX,
		.help = "The model that it leads to from now on" },
};

static json_t *describe(const struct registry_alias *a)
{
	return json_pack("{s:s, s:s, s:s, s:I}", "id", a->name, "object",
		"model.alias", "model", a->model, "moved_at",
		(json_int_t)(a->moved / 1000));
}

static void work_list(struct call *c)
{
	struct registry_alias *list;
	json_t *data;
	size_t n;

	if (!registry_list_aliases(
		    c->api->backend.registry, &list, &n, &c->err)) {
		data = json_array();
		for (size_t i = 0; i < n; i++)
			json_array_append_new(data, describe(&list[i]));
		free(list);
		c->answer =
			json_pack("{s:s, s:o}", "object", "list", "data", data);
	}
	call_done(c);
}

static void work_get(struct call *c)
{
	struct registry_alias alias;

	if (!registry_find_alias(c->api->backend.registry, c->params.value[0],
		    &alias, &c->err))
		c->answer = describe(&alias);
	call_done(c);
}

static void work_put(struct call *c)
{
	struct put_body b = { 0 };
	struct registry_alias alias;
	uint64_t given;
	json_t *json;

	if (call_read(c, put_fields, 1, &b, &given, &json) < 0) {
		call_done(c);
		return;
	}
	if (!b.model)
		error_set_param(&c->err, ERROR_INVALID, "model",
			"model is missing, expected the name of a model");
	else if (!aliases_put(c->api->backend.aliases, c->params.value[0],
			 b.model, &alias, &c->err))
		c->answer = describe(&alias);
	json_decref(json);
	call_done(c);
}

static void work_delete(struct call *c)
{
	const char *name = c->params.value[0];

	if (!aliases_delete(c->api->backend.aliases, name, &c->err))
		c->answer = json_pack("{s:s, s:s, s:b}", "id", name, "object",
			"model.alias", "deleted", 1);
	call_done(c);
}

/* They are kept where jobs are. */
static bool admit(struct api *a, struct exchange *x)
{
	if (!api_admit(a, x))
		return false;
	if (a->backend.aliases)
		return true;
	reply_error(x, a->backend.jobs_fault);
	return false;
}

static void list(void *ctx, struct exchange *x, const struct route_params *p)
{
	call_start(ctx, x, p, work_list);
}

static void get(void *ctx, struct exchange *x, const struct route_params *p)
{
	call_start(ctx, x, p, work_get);
}

static void put(void *ctx, struct exchange *x, const struct route_params *p)
{
	if (admit(ctx, x))
		call_start(ctx, x, p, work_put);
}

static void delete (void *ctx, struct exchange *x, const struct route_params *p)
{
	if (admit(ctx, x))
		call_start(ctx, x, p, work_delete);
}

static const struct route rows[] = {
	{ .method = "GET",
		.path = "/v1/aliases",
		.scope = ROUTE_SAMPLE,
		.handle = list,
		.summary = "List the aliases of models",
		.status = 200,
		.answer = "application/json",
		.schema = "AliasList" },
	{ .method = "GET",
		.path = "/v1/aliases/{alias}",
		.scope = ROUTE_SAMPLE,
		.handle = get,
		.summary = "Which model an alias leads to",
		.status = 200,
		.answer = "application/json",
		.schema = "Alias" },
	{ .method = "PUT",
		.path = "/v1/aliases/{alias}",
		.scope = ROUTE_ADMIN,
		.handle = put,
		.summary = "Make or move an alias, in one step: what runs and "
			   "pinned sessions go on with the model they have",
		.fields = put_fields,
		.n_fields = 1,
		.status = 200,
		.answer = "application/json",
		.schema = "Alias" },
	{ .method = "DELETE",
		.path = "/v1/aliases/{alias}",
		.scope = ROUTE_ADMIN,
		.handle = delete,
		.summary = "Delete an alias",
		.status = 200,
		.answer = "application/json",
		.schema = "Deleted" },
};

const struct route_table routes_aliases = { rows,
	sizeof(rows) / sizeof(rows[0]) };
