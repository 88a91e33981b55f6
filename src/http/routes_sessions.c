/* Sessions are in a store, so everything here is a worker's work. */
#include "http/fields.h"
#include "http/session_answer.h"
#include "http/session_prime.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_PAGE 100
#define MAX_PAGE 1000

struct create {
	const char *id, *model;
	uint64_t seed;
	double ttl;
	const json_t *metadata;
	struct request_text prompt;
	int policy;
};

enum {
	CREATE_ID,
	CREATE_MODEL,
	CREATE_SEED,
	CREATE_TTL,
	CREATE_METADATA,
	CREATE_PROMPT,
	CREATE_POLICY,
};

static const struct field create_fields[] = {
	[CREATE_ID] = SESSION_ID_FIELD(create, id,
		"A name of letters, digits, '.', '_' and '-'; without it one "
		"is made up"),
	[CREATE_MODEL] = MODEL_FIELD(struct create, model,
		"The model it belongs to; the default one without it"),
	[CREATE_SEED] = SESSION_SEED_FIELD(
		create, seed, "Of its draws; without it a random one"),
	[CREATE_TTL] = SESSION_TTL_FIELD(create, ttl,
		"Seconds without use after which it is deleted; 0 is never"),
	[CREATE_METADATA] = SESSION_METADATA_FIELD(
		create, metadata, "Anything to keep with it"),
	[CREATE_PROMPT] = { .name = "prompt",
		.type = FIELD_TEXT,
		.offset = offsetof(struct create, prompt),
		.help = "Text that it has read when it begins" },
	[CREATE_POLICY] = { .name = "on_model_change",
		.type = FIELD_CHOICE,
		.offset = offsetof(struct create, policy),
		.choices = SESSION_POLICIES,
		.help = "When its model was replaced by another: go on with "
			"the "
			"version it had, or carry its state over to a model "
			"of the same shape, or start anew",
		.preset = "\"pin\"" },
};
#define N_CREATE (sizeof(create_fields) / sizeof(create_fields[0]))

static void create_stored(struct call *c, const struct session_options *o)
{
	char key[STORE_KEY_MAX + 1];
	struct store_change change;
	struct session *s;
	struct buf value;
	int n;

	if (session_create(c->api->backend.sessions, o, &s, &c->err) < 0)
		return;
	buf_init(&value, 0);
	s->info.bytes = session_stored_bytes(&s->info, &s->state);
	c->answer = session_describe(&s->info);
	n = call_keep_with(c, key, &value, &change);
	if (n < 0) {
		session_abort(s);
	} else {
		call_hold(c); /* for session_on_stored */
		session_commit(s, o->model->system, &change, (size_t)n,
			session_on_stored, c);
	}
	buf_release(&value);
}

static void create_session(
	struct call *c, const struct create *p, uint64_t given)
{
	struct session_options o = { .id = p->id,
		.model_name = p->model,
		.seed = p->seed,
		.has_seed = given >> CREATE_SEED & 1,
		.ttl = given >> CREATE_TTL & 1 ? (int64_t)(p->ttl * 1e3) : -1,
		.owner = c->owner,
		.policy = (enum session_policy)p->policy };
	struct registry_entry *model;
	char *metadata;

	if (session_metadata(p->metadata, &metadata, &c->err) < 0)
		return;
	model = registry_get(c->api->backend.registry, p->model, &c->err);
	o.model = model;
	o.metadata = metadata;
	c->status = 201;
	if (model && p->prompt.len)
		session_prime(c, &o, &p->prompt);
	else if (model)
		create_stored(c, &o);
	free(metadata);
	registry_unref(model);
}

static void work_create(struct call *c)
{
	struct create p = { 0 };
	json_t *json;
	uint64_t given;

	if (call_read(c, create_fields, N_CREATE, &p, &given, &json) == 0) {
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
		c->answer = session_describe(&info);
		session_info_release(&info);
	}
	call_done(c);
}

/* Loop thread. */
static void forget_streams(struct call *c)
{
	streams_forget_session(&c->api->streams, c->params.value[0]);
	call_finish(c);
}

static void work_delete(struct call *c)
{
	c->then = forget_streams;
	c->answer = json_pack("{s:s, s:s, s:b}", "id", c->params.value[0],
		"object", "session", "deleted", 1);
	call_hold(c); /* for session_on_stored */
	if (session_delete(c->api->backend.sessions, c->params.value[0],
		    session_on_stored, c, &c->err) < 0)
		call_done(c);
	call_done(c);
}

enum { LIST_LIMIT, LIST_AFTER, LIST_PREFIX, LIST_MODEL, LIST_METADATA };

static const struct field list_query[] = {
	[LIST_LIMIT] = { .name = "limit",
		.type = FIELD_INT,
		.min = 1,
		.max = MAX_PAGE,
		.help = "Sessions at most; 100 without it" },
	[LIST_AFTER] = { .name = "after",
		.type = FIELD_NAME,
		.max = SESSION_ID_MAX,
		.help = "List ids greater than this: `next` of the page "
			"before" },
	[LIST_PREFIX] = { .name = "prefix",
		.type = FIELD_NAME,
		.max = SESSION_ID_MAX,
		.help = "List ids that begin so" },
	[LIST_MODEL] = { .name = "model",
		.type = FIELD_NAME,
		.max = REGISTRY_NAME_MAX,
		.help = "List sessions of this model" },
	[LIST_METADATA] = { .name = "metadata.*",
		.type = FIELD_TEXT,
		.help = "metadata.KEY=VALUE lists sessions whose metadata "
			"holds that, VALUE being text or a number" },
};
#define N_LIST (sizeof(list_query) / sizeof(list_query[0]))
#define MAX_PAIRS 8

struct list_query {
	const char *owner;
	struct session_filter filter;
	char after[SESSION_ID_MAX + 1], prefix[SESSION_ID_MAX + 1];
	char model[REGISTRY_NAME_MAX + 1];
	struct {
		char key[128], value[256];
	} pairs[MAX_PAIRS];
	size_t n_pairs;
};

static bool equals(const json_t *value, const char *text)
{
	char *number;
	bool same;

	if (json_is_string(value))
		return !strcmp(json_string_value(value), text);
	number = json_dumps(value,
		JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
	same = number && !strcmp(number, text);
	free(number);
	return same;
}

static bool is_wanted(void *arg, const struct session_info *info)
{
	const struct list_query *q = arg;
	json_t *json = NULL;
	bool all = true;

	if (*q->owner && strcmp(info->owner, q->owner) != 0)
		return false;
	if (info->metadata && q->n_pairs)
		json = json_loads(info->metadata, 0, NULL);
	for (size_t i = 0; i < q->n_pairs && all; i++) {
		const json_t *v = json_object_get(json, q->pairs[i].key);

		all = v && equals(v, q->pairs[i].value);
	}
	json_decref(json);
	return all;
}

static int read_pairs(struct call *c, struct list_query *q)
{
	const size_t skip = strlen("metadata.");
	char name[128];

	for (size_t i = 0; call_query_name(c, i, name, sizeof(name)); i++) {
		if (strncmp(name, "metadata.", skip) != 0)
			continue;
		if (q->n_pairs == MAX_PAIRS)
			return error_set_param(&c->err, ERROR_INVALID, name,
				"more than %d metadata filters are given",
				MAX_PAIRS);
		if (router_decode(name + skip, strlen(name + skip),
			    q->pairs[q->n_pairs].key,
			    sizeof(q->pairs[0].key)) < 0)
			return error_set_param(&c->err, ERROR_INVALID, name,
				"'%s' is malformed", name);
		if (call_query(c, name, q->pairs[q->n_pairs].value,
			    sizeof(q->pairs[0].value), &c->err))
			q->n_pairs++;
		else if (c->err.code)
			return -1;
	}
	return 0;
}

static int read_list(struct call *c, struct list_query *q)
{
	struct session_filter *f = &q->filter;
	uint64_t limit = DEFAULT_PAGE;

	if (call_check_query(c, list_query, N_LIST, &c->err) < 0 ||
		call_query_number(c, "limit", 1, MAX_PAGE, &limit, &c->err) <
			0 ||
		read_pairs(c, q) < 0)
		return -1;
	f->limit = (size_t)limit;
	f->after = call_query(c, "after", q->after, sizeof(q->after), &c->err);
	f->prefix =
		call_query(c, "prefix", q->prefix, sizeof(q->prefix), &c->err);
	f->model = call_query(c, "model", q->model, sizeof(q->model), &c->err);
	q->owner = c->owner;
	f->wants = q->n_pairs || *c->owner ? is_wanted : NULL;
	f->arg = q;
	return c->err.code ? -1 : 0;
}

static void work_list(struct call *c)
{
	struct list_query q = { 0 };
	struct session_page page;
	json_t *data;

	if (read_list(c, &q) < 0 || session_list(c->api->backend.sessions,
					    &q.filter, &page, &c->err) < 0) {
		call_done(c);
		return;
	}
	data = json_array();
	for (size_t i = 0; i < page.n; i++)
		json_array_append_new(data, session_describe(&page.infos[i]));
	c->answer = json_pack("{s:s, s:o, s:b, s:s?}", "object", "list", "data",
		data, "has_more", page.more, "next",
		page.more ? page.next : NULL);
	session_page_release(&page);
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
		.summary = "List sessions by id",
		.query = list_query,
		.n_query = N_LIST,
		.status = 200,
		.schema = "SessionList",
		.answer = "application/json" },
	{ .method = "POST",
		.path = "/v1/sessions",
		.scope = ROUTE_SAMPLE,
		.handle = create,
		.summary = "Create a session, at its model's initial state or "
			   "primed with a text",
		.fields = create_fields,
		.n_fields = N_CREATE,
		.body_optional = true,
		.status = 201,
		.schema = "Session",
		.example =
			"{\"id\": \"play\", \"prompt\": \"The quick\", "
			"\"seed\": 3, \"metadata\": {\"of\": \"an example\"}}",
		.answer = "application/json" },
	{ .method = "GET",
		.path = "/v1/sessions/{id}",
		.scope = ROUTE_SAMPLE,
		.handle = get,
		.summary = "Describe a session",
		.status = 200,
		.schema = "Session",
		.answer = "application/json" },
	{ .method = "DELETE",
		.path = "/v1/sessions/{id}",
		.scope = ROUTE_SAMPLE,
		.handle = delete,
		.summary = "Delete a session and all that belongs to it",
		.status = 200,
		.schema = "SessionDeleted",
		.answer = "application/json" },
};

const struct route_table routes_sessions = { rows,
	sizeof(rows) / sizeof(rows[0]) };
