/* Snapshots, rewinds and peeks: a worker's work. */
#include "http/logprobs.h"
#include "http/session_answer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- snapshots -------------------------------------------------------- */

struct snapshot_body {
	const char *name;
	bool replace;
};

static const struct field snapshot_fields[] = {
	{ .name = "name",
		.type = FIELD_NAME,
		.offset = offsetof(struct snapshot_body, name),
		.max = SESSION_ID_MAX,
		.help = "Of letters, digits, '.', '_' and '-'; without it one "
			"is made up" },
	{ .name = "replace",
		.type = FIELD_BOOL,
		.offset = offsetof(struct snapshot_body, replace),
		.help = "Take the place of a snapshot of that name",
		.preset = "false" },
};

static void work_snapshot(struct call *c)
{
	struct snapshot_body b = { 0 };
	struct session_snapshot made;
	uint64_t given;
	json_t *json;

	if (call_read(c, snapshot_fields, 2, &b, &given, &json) == 0) {
		c->status = 201;
		call_hold(c); /* for session_on_stored */
		if (session_snapshot(c->api->backend.sessions,
			    c->params.value[0], b.name, b.replace, &made,
			    session_on_stored, c, &c->err) < 0)
			call_done(c);
		else
			c->answer = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}",
				"session", c->params.value[0], "object",
				"session.snapshot", "name", made.name,
				"position", (json_int_t)made.position,
				"created", (json_int_t)(made.created / 1000),
				"bytes", (json_int_t)made.bytes);
		json_decref(json);
	}
	call_done(c);
}

static void work_snapshots(struct call *c)
{
	struct session_info info;
	json_t *json;

	if (session_get(c->api->backend.sessions, c->params.value[0], &info,
		    &c->err) == 0) {
		json = session_describe(&info);
		c->answer = json_pack("{s:s, s:O}", "object", "list", "data",
			json_object_get(json, "snapshots"));
		json_decref(json);
		session_info_release(&info);
	}
	call_done(c);
}

static void work_snapshot_delete(struct call *c)
{
	c->answer = json_pack("{s:s, s:s, s:s, s:b}", "session",
		c->params.value[0], "object", "session.snapshot", "name",
		c->params.value[1], "deleted", 1);
	call_hold(c); /* for session_on_stored */
	if (session_snapshot_delete(c->api->backend.sessions,
		    c->params.value[0], c->params.value[1], session_on_stored,
		    c, &c->err) < 0)
		call_done(c);
	call_done(c);
}

/* --- rewind ----------------------------------------------------------- */

struct rewind_body {
	const char *snapshot;
	int64_t position;
	uint64_t seed;
};

enum { REWIND_SNAPSHOT, REWIND_POSITION, REWIND_SEED };

static const struct field rewind_fields[] = {
	[REWIND_SNAPSHOT] = SESSION_SNAPSHOT_FIELD(
		rewind_body, snapshot, "To this snapshot"),
	[REWIND_POSITION] = SESSION_POSITION_FIELD(rewind_body, position,
		"To this position: one of `boundaries`, 0 being its beginning"),
	[REWIND_SEED] = SESSION_SEED_FIELD(
		rewind_body, seed, "From now on; without it the one it has"),
};

static int check_rewind(
	const struct rewind_body *b, uint64_t given, struct error *err)
{
	if (b->snapshot && given >> REWIND_POSITION & 1)
		return error_set_param(err, ERROR_INVALID, "position",
			"snapshot and position are given, expected one of"
			" them");
	if (!b->snapshot && !(given >> REWIND_POSITION & 1))
		return error_set_param(err, ERROR_INVALID, "snapshot",
			"nothing says where to, expected snapshot or position");
	return 0;
}

static void rewind_session(
	struct call *c, const struct rewind_body *b, uint64_t given)
{
	const struct session_point to = { b->snapshot, (uint64_t)b->position };
	struct session_info info;

	call_hold(c); /* for session_on_stored */
	if (session_rewind(c->api->backend.sessions, c->params.value[0], &to,
		    given >> REWIND_SEED & 1 ? &b->seed : NULL, &info,
		    session_on_stored, c, &c->err) < 0) {
		call_done(c);
		return;
	}
	c->answer = session_describe(&info);
	session_info_release(&info);
}

static void work_rewind(struct call *c)
{
	struct rewind_body b = { 0 };
	uint64_t given;
	json_t *json;

	if (call_read(c, rewind_fields, 3, &b, &given, &json) == 0) {
		if (check_rewind(&b, given, &c->err) == 0)
			rewind_session(c, &b, given);
		json_decref(json);
	}
	call_done(c);
}

/* --- peek ------------------------------------------------------------- */

#define DEFAULT_TOP 20

static const struct field peek_query[] = {
	{ .name = "top",
		.type = FIELD_INT,
		.min = 1,
		.max = SESSION_PEEK_MAX,
		.help = "Most probable tokens; 20 without it" },
	{ .name = "snapshot",
		.type = FIELD_NAME,
		.max = SESSION_ID_MAX,
		.help = "Of this snapshot" },
};

static json_t *describe_token(
	const struct registry_entry *m, const struct generate_top *t)
{
	return json_pack("{s:I, s:o, s:f, s:f}", "token", (json_int_t)t->token,
		"text", logprobs_token(m->tokenizer, t->token), "logprob",
		(double)t->logprob, "probability", exp((double)t->logprob));
}

static void answer_peek(struct call *c, const struct session_peek *p)
{
	json_t *list = json_array();

	for (size_t i = 0; i < p->n; i++)
		json_array_append_new(
			list, describe_token(p->model, &p->top[i]));
	c->answer = json_pack("{s:s, s:s, s:s, s:I, s:s, s:o}", "id",
		p->info.id, "object", "session.peek", "model", p->model->name,
		"position", (json_int_t)p->info.position, "system_fingerprint",
		p->model->system_fingerprint, "tokens", list);
}

static void work_peek(struct call *c)
{
	char snapshot[SESSION_ID_MAX + 1];
	struct session_point from = { .position = SESSION_ANY_POSITION };
	struct session_peek p;
	uint64_t top = DEFAULT_TOP;

	if (call_check_query(c, peek_query, 2, &c->err) == 0 &&
		call_query_number(
			c, "top", 1, SESSION_PEEK_MAX, &top, &c->err) == 0) {
		from.snapshot = call_query(
			c, "snapshot", snapshot, sizeof(snapshot), &c->err);
		if (!c->err.code &&
			session_peek(c->api->backend.sessions,
				c->api->backend.registry, c->params.value[0],
				&from, (size_t)top, &p, &c->err) == 0) {
			answer_peek(c, &p);
			session_peek_release(&p);
		}
	}
	call_done(c);
}

/* --- rows ------------------------------------------------------------- */

static void handle_snapshot(
	void *ctx, struct exchange *x, const struct route_params *p)
{
	call_start(ctx, x, p, work_snapshot);
}

static void handle_snapshots(
	void *ctx, struct exchange *x, const struct route_params *p)
{
	call_start(ctx, x, p, work_snapshots);
}

static void handle_snapshot_delete(
	void *ctx, struct exchange *x, const struct route_params *p)
{
	call_start(ctx, x, p, work_snapshot_delete);
}

static void handle_rewind(
	void *ctx, struct exchange *x, const struct route_params *p)
{
	call_start(ctx, x, p, work_rewind);
}

static void handle_peek(
	void *ctx, struct exchange *x, const struct route_params *p)
{
	call_start(ctx, x, p, work_peek);
}

static const struct route rows[] = {
	{ .method = "POST",
		.path = "/v1/sessions/{id}/snapshot",
		.scope = ROUTE_SAMPLE,
		.handle = handle_snapshot,
		.summary = "Keep its state under a name",
		.fields = snapshot_fields,
		.n_fields = 2,
		.body_optional = true,
		.status = 201,
		.schema = "Snapshot",
		.example = "{\"name\": \"act1\"}",
		.answer = "application/json" },
	{ .method = "GET",
		.path = "/v1/sessions/{id}/snapshot",
		.scope = ROUTE_SAMPLE,
		.handle = handle_snapshots,
		.summary = "List its snapshots",
		.status = 200,
		.schema = "SnapshotList",
		.answer = "application/json" },
	{ .method = "DELETE",
		.path = "/v1/sessions/{id}/snapshot/{name}",
		.scope = ROUTE_SAMPLE,
		.handle = handle_snapshot_delete,
		.summary = "Delete a snapshot",
		.status = 200,
		.schema = "SnapshotDeleted",
		.answer = "application/json" },
	{ .method = "POST",
		.path = "/v1/sessions/{id}/rewind",
		.scope = ROUTE_SAMPLE,
		.handle = handle_rewind,
		.summary = "Go back to a snapshot or to before a recent "
			   "request",
		.fields = rewind_fields,
		.n_fields = 3,
		.status = 200,
		.schema = "Session",
		.example = "{\"snapshot\": \"act1\"}",
		.answer = "application/json" },
	{ .method = "GET",
		.path = "/v1/sessions/{id}/peek",
		.scope = ROUTE_SAMPLE,
		.handle = handle_peek,
		.summary = "Its most probable next tokens, without advancing",
		.query = peek_query,
		.n_query = 2,
		.status = 200,
		.schema = "Peek",
		.answer = "application/json" },
};

const struct route_table routes_session_branch = { rows,
	sizeof(rows) / sizeof(rows[0]) };
