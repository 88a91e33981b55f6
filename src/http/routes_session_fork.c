/* Forks: a worker's work. */
#include "http/session_answer.h"

#include <stdlib.h>
#include <string.h>

struct fork_body {
	int64_t n, position;
	const char *prefix, *snapshot;
	const json_t *ids, *seeds, *metadata;
	uint64_t seed;
	double ttl;
};

enum {
	FORK_N,
	FORK_IDS,
	FORK_PREFIX,
	FORK_SEED,
	FORK_SEEDS,
	FORK_SNAPSHOT,
	FORK_POSITION,
	FORK_TTL,
	FORK_METADATA,
};

static const struct field fork_fields[] = {
	[FORK_N] = { .name = "n",
		.type = FIELD_INT,
		.offset = offsetof(struct fork_body, n),
		.min = 1,
		.max = SESSION_FORK_MAX,
		.help = "Children",
		.preset = "1" },
	[FORK_IDS] = { .name = "ids",
		.type = FIELD_JSON,
		.offset = offsetof(struct fork_body, ids),
		.schema = "{\"type\":\"array\",\"items\":{\"type\":"
			  "\"string\"},\"maxItems\":10000}",
		.help = "Their ids; without them and prefix they are made up" },
	[FORK_PREFIX] = { .name = "prefix",
		.type = FIELD_NAME,
		.offset = offsetof(struct fork_body, prefix),
		.max = SESSION_ID_MAX,
		.help = "Their ids are PREFIX-0, PREFIX-1, ..." },
	[FORK_SEED] = SESSION_SEED_FIELD(fork_body, seed,
		"Child i gets this seed + i; without it the parent's"),
	[FORK_SEEDS] = { .name = "seeds",
		.type = FIELD_JSON,
		.offset = offsetof(struct fork_body, seeds),
		.schema = "{\"type\":\"array\",\"items\":{\"oneOf\":[{"
			  "\"type\":\"integer\",\"minimum\":0},{\"type\":"
			  "\"string\",\"pattern\":\"^[0-9]{1,20}$\"}]},"
			  "\"maxItems\":10000}",
		.help = "A seed for each child" },
	[FORK_SNAPSHOT] = SESSION_SNAPSHOT_FIELD(
		fork_body, snapshot, "Fork this snapshot of it"),
	[FORK_POSITION] = SESSION_POSITION_FIELD(fork_body, position,
		"Fork its state at this position: one of `boundaries`"),
	[FORK_TTL] = SESSION_TTL_FIELD(
		fork_body, ttl, "Of the children; without it the parent's"),
	[FORK_METADATA] = SESSION_METADATA_FIELD(fork_body, metadata,
		"Of the children; without it the parent's"),
};
#define N_FORK (sizeof(fork_fields) / sizeof(fork_fields[0]))

static int check_list(
	const char *name, const json_t *list, size_t n, struct error *err)
{
	char what[96];

	if (json_is_array(list) && json_array_size(list) == n)
		return 0;
	request_describe(list, what, sizeof(what));
	return error_set_param(err, ERROR_INVALID, name,
		"%s is %s of %zu, expected an array of n = %zu", name, what,
		json_array_size(list), n);
}

static int read_ids(
	const json_t *list, const char **ids, size_t n, struct error *err)
{
	char what[96];

	for (size_t i = 0; i < n; i++) {
		const json_t *item = json_array_get(list, i);

		ids[i] = json_string_value(item);
		if (ids[i] && strlen(ids[i]) == json_string_length(item))
			continue;
		request_describe(item, what, sizeof(what));
		return error_set_param(err, ERROR_INVALID, "ids",
			"ids[%zu] is %s, expected a session id", i, what);
	}
	return 0;
}

static int read_seeds(
	const json_t *list, uint64_t *seeds, size_t n, struct error *err)
{
	char what[96];

	for (size_t i = 0; i < n; i++) {
		const json_t *item = json_array_get(list, i);

		if (json_is_string(item) ? request_seed(json_string_value(item),
						   json_string_length(item),
						   &seeds[i]) == 0
					 : json_integer_value(item) >= 0 &&
						   json_is_integer(item)) {
			if (!json_is_string(item))
				seeds[i] = (uint64_t)json_integer_value(item);
			continue;
		}
		request_describe(item, what, sizeof(what));
		return error_set_param(err, ERROR_INVALID, "seeds",
			"seeds[%zu] is %s, expected a seed", i, what);
	}
	return 0;
}

static int check_fork(struct fork_body *b, uint64_t given, struct error *err)
{
	const json_t *list = b->ids ? b->ids : b->seeds;

	if (b->ids && b->prefix)
		return error_set_param(err, ERROR_INVALID, "prefix",
			"ids and prefix are given, expected one of them");
	if (b->seeds && given >> FORK_SEED & 1)
		return error_set_param(err, ERROR_INVALID, "seeds",
			"seed and seeds are given, expected one of them");
	if (b->snapshot && given >> FORK_POSITION & 1)
		return error_set_param(err, ERROR_INVALID, "position",
			"snapshot and position are given, expected one of"
			" them");
	if (!(given >> FORK_N & 1))
		b->n = json_is_array(list) && json_array_size(list) &&
				       json_array_size(list) <= SESSION_FORK_MAX
			       ? (int64_t)json_array_size(list)
			       : 1;
	if ((b->ids && check_list("ids", b->ids, (size_t)b->n, err) < 0) ||
		(b->seeds &&
			check_list("seeds", b->seeds, (size_t)b->n, err) < 0))
		return -1;
	return 0;
}

static json_t *describe_all(struct session_info *infos, size_t n)
{
	json_t *data = json_array();

	for (size_t i = 0; i < n; i++) {
		json_array_append_new(data, session_describe(&infos[i]));
		session_info_release(&infos[i]);
	}
	return json_pack("{s:s, s:o}", "object", "list", "data", data);
}

static void post_fork(struct call *c, const struct session_fork_options *o)
{
	struct session_info *infos = calloc(o->n, sizeof(*infos));

	if (!infos) {
		error_set_memory(&c->err, "fork", o->n * sizeof(*infos));
		return;
	}
	c->status = 201;
	call_hold(c); /* for session_on_stored */
	if (session_fork(c->api->backend.sessions, c->params.value[0], o, infos,
		    session_on_stored, c, &c->err) < 0)
		call_done(c);
	else
		c->answer = describe_all(infos, o->n);
	free(infos);
}

static int fill_fork(struct session_fork_options *o, const struct fork_body *b,
	uint64_t given, const char **ids, uint64_t *seeds, struct error *err)
{
	if (b->ids && read_ids(b->ids, ids, o->n, err) < 0)
		return -1;
	if (b->seeds && read_seeds(b->seeds, seeds, o->n, err) < 0)
		return -1;
	for (size_t i = 0; given >> FORK_SEED & 1 && i < o->n; i++)
		seeds[i] = b->seed + i;
	o->ids = b->ids ? ids : NULL;
	o->seeds = b->seeds || given >> FORK_SEED & 1 ? seeds : NULL;
	return 0;
}

static void fork_session(struct call *c, struct fork_body *b, uint64_t given)
{
	struct session_fork_options o = {
		.from = { b->snapshot, given >> FORK_POSITION & 1
					       ? (uint64_t)b->position
					       : SESSION_ANY_POSITION },
		.n = (size_t)b->n,
		.prefix = b->prefix,
		.ttl = given >> FORK_TTL & 1 ? (int64_t)(b->ttl * 1e3) : -1,
	};
	const char **ids = calloc(o.n, sizeof(char *));
	uint64_t *seeds = calloc(o.n, sizeof(*seeds));
	char *metadata = NULL;

	if (!ids || !seeds)
		error_set_memory(&c->err, "fork", o.n * sizeof(*seeds));
	else if (session_metadata(b->metadata, &metadata, &c->err) == 0 &&
		 fill_fork(&o, b, given, ids, seeds, &c->err) == 0) {
		o.metadata = metadata;
		post_fork(c, &o);
	}
	free(metadata);
	free(ids);
	free(seeds);
}

static void work_fork(struct call *c)
{
	struct fork_body b = { 0 };
	uint64_t given;
	json_t *json;

	if (call_read(c, fork_fields, N_FORK, &b, &given, &json) == 0) {
		if (check_fork(&b, given, &c->err) == 0)
			fork_session(c, &b, given);
		json_decref(json);
	}
	call_done(c);
}

static void handle_fork(
	void *ctx, struct exchange *x, const struct route_params *p)
{
	call_start(ctx, x, p, work_fork);
}

static const struct route rows[] = {
	{ .method = "POST",
		.path = "/v1/sessions/{id}/fork",
		.scope = ROUTE_SAMPLE,
		.handle = handle_fork,
		.summary = "Make children that go on from its state, all or "
			   "none",
		.fields = fork_fields,
		.n_fields = N_FORK,
		.body_optional = true,
		.status = 201,
		.schema = "SessionList",
		.example = "{\"n\": 2, \"prefix\": \"child\"}",
		.answer = "application/json" },
};

const struct route_table routes_session_fork = { rows,
	sizeof(rows) / sizeof(rows[0]) };
