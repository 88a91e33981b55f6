#include "http/session_answer.h"

#include <stdio.h>
#include <stdlib.h>

static json_t *snapshots(const struct session_info *i)
{
	json_t *list = json_array();

	for (size_t k = 0; k < i->n_snapshots; k++) {
		const struct session_snapshot *s = &i->snapshots[k];

		json_array_append_new(list,
			json_pack("{s:s, s:I, s:I, s:I}", "name", s->name,
				"position", (json_int_t)s->position, "created",
				(json_int_t)(s->created / 1000), "bytes",
				(json_int_t)s->bytes));
	}
	return list;
}

/* Positions to go back to, the empty timeline first. */
static json_t *boundaries(const struct session_info *i)
{
	json_t *list = json_array();

	if (i->position && i->start != UINT32_MAX)
		json_array_append_new(list, json_integer(0));
	for (size_t k = 0; k < i->n_boundaries; k++)
		json_array_append_new(list,
			json_integer((json_int_t)i->boundaries[k].position));
	return list;
}

static json_t *metadata(const struct session_info *i)
{
	json_t *json = NULL;

	if (i->metadata)
		json = json_loads(i->metadata, JSON_DECODE_ANY, NULL);
	return json ? json : json_null();
}

json_t *session_describe(const struct session_info *i)
{
	static const char *const policies[] = { "pin", "carry", "reset" };
	char fingerprint[20], seed[24];
	json_t *json;

	snprintf(fingerprint, sizeof(fingerprint), "%016llx",
		(unsigned long long)i->fingerprint);
	snprintf(seed, sizeof(seed), "%llu", (unsigned long long)i->seed);
	json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:I, s:I, s:f, "
			 "s:I, s:b, s:s}",
		"id", i->id, "object", "session", "model", i->model,
		"fingerprint", fingerprint, "kernels", i->kernels, "position",
		(json_int_t)i->position, "seed", seed, "created",
		(json_int_t)(i->created / 1000), "used",
		(json_int_t)(i->used / 1000), "ttl", (double)i->ttl / 1e3,
		"bytes", (json_int_t)i->bytes, "busy", i->busy,
		"on_model_change", policies[i->policy]);
	if (!json)
		return NULL;
	json_object_set_new(json, "expires",
		i->expires == STORE_NEVER
			? json_null()
			: json_integer((json_int_t)(i->expires / 1000)));
	json_object_set_new(json, "metadata", metadata(i));
	json_object_set_new(json, "snapshots", snapshots(i));
	json_object_set_new(json, "boundaries", boundaries(i));
	return json;
}

size_t session_stored_bytes(
	const struct session_info *info, const struct session_state *state)
{
	struct buf blob;
	size_t bytes;

	buf_init(&blob, SIZE_MAX);
	session_encode(info, state, &blob, NULL);
	bytes = blob.len;
	buf_release(&blob);
	return bytes;
}

/* On the writer's thread, after the COMMIT. */
void session_on_stored(void *call, const struct error *err)
{
	struct call *c = call;

	if (err)
		c->err = *err;
	c->wrote = true;
	call_done(c);
}

int session_metadata(const json_t *metadata, char **text, struct error *err)
{
	char what[96];

	*text = NULL;
	if (!metadata)
		return 0;
	if (json_is_object(metadata)) {
		*text = json_dumps(metadata, JSON_COMPACT);
		return *text ? 0 : error_set_memory(err, "metadata", 0);
	}
	request_describe(metadata, what, sizeof(what));
	return error_set_param(err, ERROR_INVALID, "metadata",
		"metadata is %s, expected an object", what);
}
