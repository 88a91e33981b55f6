/* Sessions as bytes: export and import, binary or base64 in JSON. */
#include "http/base64.h"
#include "http/session_answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOB_MAX (64u << 20)

/* --- export ----------------------------------------------------------- */

static const struct field export_query[] = {
	{ .name = "format",
		.type = FIELD_CHOICE,
		.choices = "binary|json",
		.help = "Bytes, or a JSON object whose `blob` is base64; "
			"without it Accept says" },
	{ .name = "snapshot",
		.type = FIELD_NAME,
		.max = SESSION_ID_MAX,
		.help = "Export this snapshot" },
};

static int read_format(struct call *c, bool *json)
{
	char text[16];

	*json = c->wants_json;
	if (!call_query(c, "format", text, sizeof(text), &c->err))
		return c->err.code ? -1 : 0;
	*json = !strcmp(text, "json");
	if (*json || !strcmp(text, "binary"))
		return 0;
	return error_set_param(&c->err, ERROR_INVALID, "format",
		"format is '%s', expected binary or json", text);
}

static void answer_export(
	struct call *c, const struct session_info *info, bool json)
{
	char *text;

	if (!json) {
		snprintf(c->file_name, sizeof(c->file_name), "%s.session",
			info->id);
		return;
	}
	text = base64_encode(c->bytes.data, c->bytes.len);
	buf_release(&c->bytes);
	c->answer = session_describe(info);
	json_object_set_new(c->answer, "object", json_string("session.export"));
	json_object_set_new(c->answer, "blob", json_string(text));
	free(text);
}

static void work_export(struct call *c)
{
	char snapshot[SESSION_ID_MAX + 1];
	struct session_point from = { .position = SESSION_ANY_POSITION };
	struct session_info info;
	bool json;

	buf_init(&c->bytes, BLOB_MAX);
	if (call_check_query(c, export_query, 2, &c->err) == 0 &&
		read_format(c, &json) == 0) {
		from.snapshot = call_query(
			c, "snapshot", snapshot, sizeof(snapshot), &c->err);
		if (!c->err.code && session_export(c->api->backend.sessions,
					    c->params.value[0], &from,
					    &c->bytes, &info, &c->err) == 0) {
			answer_export(c, &info, json);
			session_info_release(&info);
		}
	}
	call_done(c);
}

/* --- import ----------------------------------------------------------- */

struct import_body {
	struct request_text blob;
	const char *id;
	double ttl;
	uint64_t seed;
	const json_t *metadata;
};

enum {
	IMPORT_BLOB,
	IMPORT_ID,
	IMPORT_TTL,
	IMPORT_SEED,
	IMPORT_METADATA,
};

static const struct field import_fields[] = {
	[IMPORT_BLOB] = { .name = "blob",
		.type = FIELD_TEXT,
		.offset = offsetof(struct import_body, blob),
		.help = "What was exported, as base64" },
	[IMPORT_ID] = SESSION_ID_FIELD(
		import_body, id, "Its id here; without it the one it had"),
	[IMPORT_TTL] = SESSION_TTL_FIELD(import_body, ttl,
		"Seconds without use after which it is deleted; without it "
		"as it was"),
	[IMPORT_SEED] = SESSION_SEED_FIELD(
		import_body, seed, "Of its draws; without it as it was"),
	[IMPORT_METADATA] = SESSION_METADATA_FIELD(
		import_body, metadata, "Without it as it was"),
};
#define N_IMPORT (sizeof(import_fields) / sizeof(import_fields[0]))

static const struct field import_query[] = {
	SESSION_ID_FIELD(import_body, id, "Of a binary body: its id here"),
	{ .name = "ttl",
		.type = FIELD_INT,
		.max = SESSION_MAX_TTL,
		.help = "Of a binary body: seconds without use" },
	{ .name = "seed",
		.type = FIELD_SEED,
		.help = "Of a binary body: its seed here" },
};

static void import_session(struct call *c, const void *blob, size_t len,
	struct session_import_options *o)
{
	struct session_info info;

	o->owner = c->owner;
	c->status = 201;
	call_hold(c); /* for session_on_stored */
	if (session_import(c->api->backend.sessions, c->api->backend.registry,
		    blob, len, o, &info, session_on_stored, c, &c->err) < 0) {
		call_done(c);
		return;
	}
	c->answer = session_describe(&info);
	session_info_release(&info);
}

static void import_binary(struct call *c)
{
	struct session_import_options o = { .ttl = -1 };
	char id[SESSION_ID_MAX + 1];
	uint64_t ttl = UINT64_MAX, seed = 0;
	char text[24];

	if (call_check_query(c, import_query, 3, &c->err) < 0 ||
		call_query_number(c, "ttl", 0, (uint64_t)SESSION_MAX_TTL, &ttl,
			&c->err) < 0 ||
		call_query_number(c, "seed", 0, UINT64_MAX, &seed, &c->err) < 0)
		return;
	o.id = call_query(c, "id", id, sizeof(id), &c->err);
	if (c->err.code)
		return;
	if (ttl != UINT64_MAX)
		o.ttl = (int64_t)ttl * 1000;
	if (call_query(c, "seed", text, sizeof(text), &c->err))
		o.seed = &seed;
	import_session(c, c->body.data ? c->body.data : "", c->body.len, &o);
}

static void import_text(
	struct call *c, const struct import_body *b, uint64_t given)
{
	struct session_import_options o = { .id = b->id,
		.ttl = given >> IMPORT_TTL & 1 ? (int64_t)(b->ttl * 1e3) : -1,
		.seed = given >> IMPORT_SEED & 1 ? &b->seed : NULL };
	char *metadata;
	void *blob;
	size_t len;

	if (!(given >> IMPORT_BLOB & 1)) {
		error_set_param(&c->err, ERROR_INVALID, "blob",
			"blob is missing, expected base64; or send the bytes "
			"as " ROUTE_BINARY);
		return;
	}
	if (base64_decode(b->blob.bytes, b->blob.len, &blob, &len) < 0) {
		error_set_param(&c->err, ERROR_INVALID, "blob",
			"blob is %zu characters that are not base64",
			b->blob.len);
		return;
	}
	if (session_metadata(b->metadata, &metadata, &c->err) == 0) {
		o.metadata = metadata;
		import_session(c, blob, len, &o);
		free(metadata);
	}
	free(blob);
}

static void work_import(struct call *c)
{
	struct import_body b = { 0 };
	uint64_t given;
	json_t *json;

	if (c->binary_body) {
		import_binary(c);
	} else if (call_read(c, import_fields, N_IMPORT, &b, &given, &json) ==
		   0) {
		import_text(c, &b, given);
		json_decref(json);
	}
	call_done(c);
}

static void handle_export(
	void *ctx, struct exchange *x, const struct route_params *p)
{
	call_start(ctx, x, p, work_export);
}

static void handle_import(
	void *ctx, struct exchange *x, const struct route_params *p)
{
	call_start(ctx, x, p, work_import);
}

static const struct route rows[] = {
	{ .method = "GET",
		.path = "/v1/sessions/{id}/export",
		.scope = ROUTE_SAMPLE,
		.handle = handle_export,
		.summary = "Its state as a portable blob",
		.query = export_query,
		.n_query = 2,
		.status = 200,
		.answer = ROUTE_BINARY },
	{ .method = "POST",
		.path = "/v1/sessions/import",
		.scope = ROUTE_SAMPLE,
		.handle = handle_import,
		.summary = "Make a session of an exported blob",
		.fields = import_fields,
		.n_fields = N_IMPORT,
		.query = import_query,
		.n_query = 3,
		.binary = true,
		.status = 201,
		.answer = "application/json" },
};

const struct route_table routes_session_move = { rows,
	sizeof(rows) / sizeof(rows[0]) };
