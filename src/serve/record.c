/*
 * A record as bytes: checksum of all that follows, a JSON object with its NUL,
 * the request's body, the start state as a session's blob. Any thread.
 */
#include "serve/record.h"

#include "base/log.h"
#include "base/rng.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define VERSION 1
#define SUM 8 /* bytes of the checksum */
#define STATE_MAX (64u << 20)
#define RECORD_MAX (STATE_MAX + RECORD_BODY_MAX + 8192)

void record_name(char id[RECORD_ID_MAX + 1])
{
	rng_name(stpcpy(id, "strm_"));
}

void record_free(struct request_record *r)
{
	if (!r)
		return;
	free(r->body);
	free(r);
}

void record_key(const char *id, char key[STORE_KEY_MAX + 1])
{
	snprintf(key, STORE_KEY_MAX + 1, "stream/%.*s", RECORD_ID_MAX, id);
}

/* The state in a session's blob, which checks itself; of the session's
 * description nothing is needed. */
static int encode_state(const struct request_record *r,
	const struct session_state *state, struct buf *out, struct error *err)
{
	struct session_info info = { .seed = r->seed };

	if (!state)
		return 0;
	snprintf(info.id, sizeof(info.id), "%s", r->session);
	snprintf(info.model, sizeof(info.model), "%s", r->model);
	return session_encode(&info, state, out, err);
}

static char *encode_fields(const struct request_record *r, size_t state_len)
{
	char *text;
	json_t *json;

	json = json_pack("{s:i, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:i, "
			 "s:i, s:I, s:I, s:I, s:I, s:I}",
		"v", VERSION, "id", r->id, "session", r->session, "model",
		r->model, "system", r->system, "start", (json_int_t)r->start,
		"seed", (json_int_t)r->seed, "created", (json_int_t)r->created,
		"ttl", (json_int_t)r->ttl, "phase", (int)r->phase, "finish",
		r->finish, "kept", (json_int_t)r->kept, "sent",
		(json_int_t)r->sent, "end", (json_int_t)r->end, "body",
		(json_int_t)r->body_len, "state", (json_int_t)state_len);
	if (json && *r->owner)
		json_object_set_new(json, "owner", json_string(r->owner));
	text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	return text;
}

static int join(struct buf *out, const char *fields,
	const struct request_record *r, const struct buf *state)
{
	size_t start = out->len;
	uint64_t sum = 0;

	if (buf_append(out, &sum, SUM) < 0 ||
		buf_append(out, fields, strlen(fields) + 1) < 0 ||
		buf_append(out, r->body ? r->body : "", r->body_len) < 0 ||
		buf_append(out, state->len ? state->data : "", state->len) < 0)
		return -1;
	sum = XXH3_64bits(out->data + start + SUM, out->len - start - SUM);
	memcpy(out->data + start, &sum, SUM);
	return 0;
}

int record_encode(const struct request_record *r,
	const struct session_state *state, struct buf *out, struct error *err)
{
	struct buf blob;
	char *fields = NULL;
	int result = -1;

	buf_init(&blob, STATE_MAX);
	if (encode_state(r, state, &blob, err) < 0)
		goto out;
	fields = encode_fields(r, blob.len);
	if (fields)
		result = join(out, fields, r, &blob);
	if (result < 0)
		error_set_memory(err, "record", r->body_len + blob.len);
out:
	free(fields);
	buf_release(&blob);
	return result;
}

static int copy_text(char *to, size_t size, const char *from)
{
	return snprintf(to, size, "%s", from) < (int)size ? 0 : -1;
}

/* -1 when it is not what encode_fields writes. */
static int take_fields(
	const json_t *json, struct request_record *r, size_t *state_len)
{
	const char *id, *session, *model, *system, *owner = "";
	json_int_t start, seed, kept, sent, end, body, state, created, ttl;
	int phase;

	if (json_unpack((json_t *)json,
		    "{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:i, s:i, s:I, "
		    "s:I, s:I, s:I, s:I, s?s}",
		    "id", &id, "session", &session, "model", &model, "system",
		    &system, "start", &start, "seed", &seed, "created",
		    &created, "ttl", &ttl, "phase", &phase, "finish",
		    &r->finish, "kept", &kept, "sent", &sent, "end", &end,
		    "body", &body, "state", &state, "owner", &owner) < 0)
		return -1;
	r->start = (uint64_t)start;
	r->seed = (uint64_t)seed;
	r->kept = (uint64_t)kept;
	r->sent = (uint64_t)sent;
	r->end = (uint64_t)end;
	r->created = created;
	r->ttl = ttl;
	r->phase = (enum record_phase)phase;
	r->body_len = (size_t)body;
	*state_len = (size_t)state;
	if (phase < RECORD_OPEN || phase > RECORD_CANCELLED || body < 0 ||
		state < 0 || copy_text(r->id, sizeof(r->id), id) < 0)
		return -1;
	return copy_text(r->owner, sizeof(r->owner), owner) |
	       copy_text(r->session, sizeof(r->session), session) |
	       copy_text(r->model, sizeof(r->model), model) |
	       copy_text(r->system, sizeof(r->system), system);
}

static int take_body(
	struct request_record *r, const char *at, size_t len, size_t state_len)
{
	if (r->body_len > len || state_len != len - r->body_len)
		return -1;
	r->body = malloc(r->body_len + 1);
	if (!r->body)
		return -1;
	memcpy(r->body, at, r->body_len);
	r->body[r->body_len] = '\0';
	return 0;
}

static int take(struct request_record *r, const char *bytes, size_t len,
	struct session_state *state, bool *has_state, struct error *err)
{
	size_t fields = strnlen(bytes + SUM, len - SUM) + 1, state_len;
	const char *rest = bytes + SUM + fields;
	struct session_info info;
	json_t *json;
	int taken;

	if (SUM + fields > len)
		return error_set(err, ERROR_CORRUPT, "record has no end");
	json = json_loads(bytes + SUM, 0, NULL);
	if (json_integer_value(json_object_get(json, "v")) > VERSION) {
		json_decref(json);
		return error_set(err, ERROR_UNSUPPORTED,
			"record is of a newer version than %d", VERSION);
	}
	taken = take_fields(json, r, &state_len);
	json_decref(json);
	if (taken < 0 || take_body(r, rest, len - SUM - fields, state_len) < 0)
		return error_set(err, ERROR_CORRUPT,
			"record's fields don't fit its %zu bytes", len);
	*has_state = state_len > 0;
	if (!state_len)
		return 0;
	if (session_decode(rest + r->body_len, state_len, &info, state, err) <
		0)
		return -1;
	session_info_release(&info);
	return 0;
}

int record_decode(const void *bytes, size_t len, struct request_record **r,
	struct session_state *state, bool *has_state, struct error *err)
{
	struct request_record *record;
	uint64_t sum = 0;

	if (len > SUM)
		memcpy(&sum, bytes, SUM);
	if (len <= SUM ||
		sum != XXH3_64bits((const char *)bytes + SUM, len - SUM))
		return error_set(err, ERROR_CORRUPT,
			"record of %zu bytes has another checksum than its "
			"own",
			len);
	record = calloc(1, sizeof(*record));
	if (!record)
		return error_set_memory(err, "record", sizeof(*record));
	if (take(record, bytes, len, state, has_state, err) < 0) {
		record_free(record);
		return -1;
	}
	*r = record;
	return 0;
}

static void on_stored(void *arg, const struct error *err)
{
	(void)arg;
	if (err)
		log_warn("a stream's record is not stored", log_fault(err));
}

int record_post(struct sessions *s, const struct request_record *r, int64_t ms,
	const struct store_change *with, struct error *err)
{
	struct store_change c[2] = { { .expires = store_now() + ms } };
	char key[STORE_KEY_MAX + 1];
	struct buf b;
	int result;

	record_key(r->id, key);
	buf_init(&b, RECORD_MAX);
	result = record_encode(r, NULL, &b, err);
	c[0].key = key;
	c[0].value = b.data;
	c[0].len = b.len;
	if (with)
		c[1] = *with;
	if (!result)
		result = sessions_keep(
			s, r->session, c, with ? 2 : 1, on_stored, NULL, err);
	buf_release(&b);
	return result;
}

void record_drop(struct sessions *s, const char *id, const char *session,
	const struct store_change *with)
{
	struct store_change c[2] = { { .expires = STORE_NEVER } };
	char key[STORE_KEY_MAX + 1];

	record_key(id, key);
	c[0].key = key;
	if (with)
		c[1] = *with;
	sessions_keep(s, session, c, with ? 2 : 1, on_stored, NULL, NULL);
}

int record_missing(const char *id, struct error *err)
{
	return error_set_param(err, ERROR_NOT_FOUND, "stream",
		"stream '%.*s' is not known, or its time is over",
		RECORD_ID_MAX, id);
}

int record_read(struct sessions *s, const char *id, struct request_record **r,
	struct session_state *state, bool *has_state, struct error *err)
{
	char key[STORE_KEY_MAX + 1];
	struct error why = { 0 };
	struct buf b;
	int result;

	record_key(id, key);
	buf_init(&b, RECORD_MAX);
	result = sessions_look_up(s, key, &b, &why);
	if (!result)
		result =
			record_decode(b.data, b.len, r, state, has_state, &why);
	buf_release(&b);
	if (result < 0 && why.code == ERROR_NOT_FOUND)
		return record_missing(id, err);
	if (result < 0 && err) {
		*err = why;
		error_prefix(err, "stream %.*s", RECORD_ID_MAX, id);
	}
	return result;
}
