/* What the routes of sessions share. */
#ifndef HTTP_SESSION_ANSWER_H
#define HTTP_SESSION_ANSWER_H

#include "http/call.h"
#include "serve/session_branch.h"

#define SESSION_MAX_TTL 3153600000.0 /* a century, in seconds */

/* NULL when memory ran out. */
json_t *session_describe(const struct session_info *i);

/* Of its blob, as it is now. */
size_t session_stored_bytes(
	const struct session_info *info, const struct session_state *state);

/* A store_done_fn whose argument is the call, held for it. */
void session_on_stored(void *call, const struct error *err);

/* Metadata of a body as JSON text for *text, the caller's to free; NULL where
 * there is none. */
int session_metadata(const json_t *metadata, char **text, struct error *err);

/* Rows that several bodies and queries have. */
#define SESSION_ID_FIELD(type_, member, help_)            \
	{                                                 \
		.name = "id", .type = FIELD_NAME,         \
		.offset = offsetof(struct type_, member), \
		.max = SESSION_ID_MAX, .help = (help_)    \
	}
#define SESSION_TTL_FIELD(type_, member, help_)                     \
	{                                                           \
		.name = "ttl", .type = FIELD_NUMBER,                \
		.offset = offsetof(struct type_, member), .min = 0, \
		.max = SESSION_MAX_TTL, .help = (help_)             \
	}
#define SESSION_METADATA_FIELD(type_, member, help_)               \
	{                                                          \
		.name = "metadata", .type = FIELD_JSON,            \
		.offset = offsetof(struct type_, member),          \
		.schema = "{\"type\":\"object\"}", .help = (help_) \
	}
#define SESSION_SEED_FIELD(type_, member, help_)                          \
	{                                                                 \
		.name = "seed", .type = FIELD_SEED,                       \
		.offset = offsetof(struct type_, member), .help = (help_) \
	}
#define SESSION_SNAPSHOT_FIELD(type_, member, help_)      \
	{                                                 \
		.name = "snapshot", .type = FIELD_NAME,   \
		.offset = offsetof(struct type_, member), \
		.max = SESSION_ID_MAX, .help = (help_)    \
	}
#define SESSION_POSITION_FIELD(type_, member, help_)                \
	{                                                           \
		.name = "position", .type = FIELD_INT,              \
		.offset = offsetof(struct type_, member), .min = 0, \
		.max = 9007199254740992.0, .help = (help_)          \
	}

#endif
