/* Sessions are in a store, so everything here is a worker's work. */
#include "http/call.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_PAGE 100
#define MAX_PAGE 1000
#define MAX_TTL 3153600000.0 /* a century, in seconds */

struct create {
	const char *id, *model;
	uint64_t seed;
	double ttl;
	const json_t *metadata;
};

enum { CREATE_ID, CREATE_MODEL, CREATE_SEED, CREATE_TTL, CREATE_METADATA };

static const struct field create_fields[] = {
	[CREATE_ID] = { .name = "id",
		.type = FIELD_NAME,
		.offset = offsetof(struct create, id),
		.max = SESSION_ID_MAX,
		.help = "A name of letters, digits, '.', '_' and '-'; without "
			"it one is made up" },
	[CREATE_MODEL] = { .name = "model",
		.type = FIELD_NAME,
		.offset = offsetof(struct create, model),
		.max = REGISTRY_NAME_MAX,
		.help = "The model it belongs to; the default one without it" },
	[CREATE_SEED] = { .name = "seed",
		.type = FIELD_SEED,
		.offset = offsetof(struct create, seed),
		.help = "Of its draws; without it a random one" },
	[CREATE_TTL] = { .name = "ttl",
		.type = FIELD_NUMBER,
		.offset = offsetof(struct create, ttl),
		.min = 0,
		.max = MAX_TTL,
		.help = "Seconds without use after which it is deleted; 0 is "
			"never" },
	[CREATE_METADATA] = { .name = "metadata",
		.type = FIELD_JSON,
		.offset = offsetof(struct create, metadata),
		.schema = "{\"type\":\"object\"}",
		.help = "Anything to keep with it" },
};
#define N_CREATE (sizeof(create_fields) / sizeof(create_fields[0]))

static json_t *describe(const struct session_info *i)
{
	json_t *json, *metadata = NULL;
	char fingerprint[20], seed[24];

	snprintf(fingerprint, sizeof(fingerprint), "%016llx",
		(unsigned long long)i->fingerprint);
	snprintf(seed, sizeof(seed), "%llu", (unsigned long long)i->seed);
	if (i->metadata)
		metadata = json_loads(i->metadata, JSON_DECODE_ANY, NULL);
	json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:I, s:I, s:f, "
			 "s:I, s:b}",
		"id", i->id, "object", "session", "model", i->model,
		"fingerprint", fingerprint, "kernels", i->kernels, "position",
		(json_int_t)i->position, "seed", seed, "created",
		(json_int_t)(i->created / 1000), "used",
		(json_int_t)(i->used / 1000), "ttl", (double)i->ttl / 1e3,
		"bytes", (json_int_t)i->bytes, "busy", i->busy);
	if (!json) {
		json_decref(metadata);
		return NULL;
	}
	json_object_set_new(json, "expires",
		i->expires == STORE_NEVER
			? json_null()
			: json_integer((json_int_t)(i->expires / 1000)));
	json_object_set_new(
		json, "metadata", metadata ? metadata : json_null());
	return json;
}

/* On the writer's thread, after the COMMIT. */
static void on_stored(void *arg, const struct error *err)
{
	struct call *c = arg;

	if (err)
		c->err = *err;
	c->wrote = true;
	call_done(c);
}

static int check_metadata(const json_t *metadata, struct error *err)
{
	char what[96];

	if (!metadata || json_is_object(metadata))
		return 0;
	request_describe(metadata, what, sizeof(what));
	return error_set_param(err, ERROR_INVALID, "metadata",
		"metadata is %s, expected an object", what);
}

static void create_session(
	struct call *c, const struct create *p, uint64_t given)
{
	struct session_options o = { .id = p->id, .seed = p->seed };
	struct registry_entry *model;
	struct session_info info;
	char *metadata = NULL;
	int created;

	if (check_metadata(p->metadata, &c->err) < 0)
		return;
	model = registry_get(c->api->backend.registry, p->model, &c->err);
	if (!model)
		return;
	if (p->metadata)
		metadata = json_dumps(p->metadata, JSON_COMPACT);
	o.model = model;
	o.has_seed = given >> CREATE_SEED & 1;
	o.ttl = given >> CREATE_TTL & 1 ? (int64_t)(p->ttl * 1e3) : -1;
	o.metadata = metadata;
	c->status = 201;
	call_hold(c); /* for on_stored */
	created = session_create(
		c->api->backend.sessions, &o, &info, on_stored, c, &c->err);
	free(metadata);
	registry_unref(model);
	if (created < 0) {
		call_done(c);
		return;
	}
	c->answer = describe(&info);
	session_info_release(&info);
}

static void work_create(struct call *c)
{
	struct create p = { 0 };
	json_t *json;
	uint64_t given;

	if (!request_parse(c->body.data ? c->body.data : "", c->body.len, true,
		    &json, &c->err)) {
		if (!request_read(
			    json, create_fields, N_CREATE, &p, &given, &c->err))
			create_session(c, &p, given);
		json_decref(json);
	}
	call_done(c);
}

static void work_get(struct call *c)
{
	struct session_info info;

	if (!session_get(c->api->backend.sessions, c->params.value[0], &info,
		    &c->err)) {
		c->answer = describe(&info);
		session_info_release(&info);
	}
	call_done(c);
}

static void work_delete(struct call *c)
{
	c->status = 200;
	c->answer = json_pack("{s:s, s:s, s:b}", "id", c->params.value[0],
		"object", "session", "deleted", 1);
	call_hold(c); /* for on_stored */
	if (session_delete(c->api->backend.sessions, c->params.value[0],
		    on_stored, c, &c->err) < 0)
		call_done(c);
	call_done(c);
}

static int page_size(const struct call *c, size_t *limit, struct error *err)
{
	char text[32];
	uint64_t n;

	*limit = DEFAULT_PAGE;
	if (!call_query(c, "limit", text, sizeof(text)))
		return 0;
	if (request_seed(text, strlen(text), &n) < 0 || !n || n > MAX_PAGE)
		return error_set_param(err, ERROR_INVALID, "limit",
			"limit is '%s', expected an integer from 1 to %d", text,
			MAX_PAGE);
	*limit = (size_t)n;
	return 0;
}

static void work_list(struct call *c)
{
	char after[SESSION_ID_MAX + 2] = "";
	struct session_info *infos;
	json_t *data = json_array();
	size_t limit, n;
	bool more;

	call_query(c, "after", after, sizeof(after));
	if (page_size(c, &limit, &c->err) < 0 ||
		session_list(c->api->backend.sessions, after, limit, &infos, &n,
			&more, &c->err) < 0) {
		json_decref(data);
		call_done(c);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(data, describe(&infos[i]));
		session_info_release(&infos[i]);
	}
	free(infos);
	c->answer = json_pack("{s:s, s:o, s:b}", "object", "list", "data", data,
		"has_more", more);
	call_done(c);
}

static void create(void *ctx, struct exchange *x, const struct route_params *p)
{
	call_start_once(ctx, x, p, work_create);
}

static void list(void *ctx, struct exchange *x, const struct route_params *p)
{
	call_start(ctx, x, p, work_list);
}

static void get(void *ctx, struct exchange *x, const struct route_params *p)
{
	call_start(ctx, x, p, work_get);
}

static void delete (void *ctx, struct exchange *x, const struct route_params *p)
{
	call_start(ctx, x, p, work_delete);
}

static const struct route rows[] = {
	{ .method = "GET",
		.path = "/v1/sessions",
		.scope = ROUTE_SAMPLE,
		.handle = list,
		.summary = "List sessions by id: ?limit=N&after=ID",
		.status = 200,
		.answer = "application/json" },
	{ .method = "POST",
		.path = "/v1/sessions",
		.scope = ROUTE_SAMPLE,
		.handle = create,
		.summary = "Create a session at its model's initial state",
		.fields = create_fields,
		.n_fields = N_CREATE,
		.body_optional = true,
		.status = 201,
		.answer = "application/json" },
	{ .method = "GET",
		.path = "/v1/sessions/{id}",
		.scope = ROUTE_SAMPLE,
		.handle = get,
		.summary = "Describe a session",
		.status = 200,
		.answer = "application/json" },
	{ .method = "DELETE",
		.path = "/v1/sessions/{id}",
		.scope = ROUTE_SAMPLE,
		.handle = delete,
		.summary = "Delete a session",
		.status = 200,
		.answer = "application/json" },
};

const struct route_table routes_sessions = { rows,
	sizeof(rows) / sizeof(rows[0]) };
