/* Rows of field tables that several routes have: each means the same, and takes
 * the same values, wherever it is. */
#ifndef HTTP_FIELDS_H
#define HTTP_FIELDS_H

#include "http/request.h"
#include "serve/generate.h"
#include "serve/session.h"

#define USER_MAX 256 /* bytes */

#define MODEL_FIELD(type_, member_, help_)                                    \
	{                                                                     \
		.name = "model", .type = FIELD_NAME,                          \
		.offset = offsetof(type_, member_), .max = REGISTRY_NAME_MAX, \
		.help = help_                                                 \
	}
#define SESSION_FIELD(type_, member_, help_)                               \
	{                                                                  \
		.name = "session", .type = FIELD_NAME,                     \
		.offset = offsetof(type_, member_), .max = SESSION_ID_MAX, \
		.help = help_                                              \
	}
#define LOGPROBS_FIELD(type_, member_, help_)                 \
	{                                                     \
		.name = "logprobs", .type = FIELD_INT,        \
		.offset = offsetof(type_, member_), .min = 0, \
		.max = GENERATE_MAX_LOGPROBS, .help = help_   \
	}
#define UNKNOWN_FIELD(type_, member_)                                     \
	{                                                                 \
		.name = "unknown", .type = FIELD_CHOICE,                  \
		.offset = offsetof(type_, member_),                       \
		.choices = "error|skip|auto",                             \
		.help = "What to do with what the vocabulary lacks; "     \
			"auto is its <unk> where it has one, else error", \
		.preset = "\"auto\""                                      \
	}
#define PRIORITY_FIELD(type_, member_)                                   \
	{                                                                \
		.name = "priority", .type = FIELD_CHOICE,                \
		.offset = offsetof(type_, member_),                      \
		.choices = "interactive|bulk",                           \
		.help = "Bulk work lets interactive requests go first, " \
			"and still gets an eighth",                      \
		.preset = "\"interactive\""                              \
	}
#define USER_FIELD(type_, member_)                                         \
	{                                                                  \
		.name = "user", .type = FIELD_NAME,                        \
		.offset = offsetof(type_, member_), .max = USER_MAX,       \
		.help = "Whom the client asks for: shares are even among " \
			"clients and their users"                          \
	}

#endif
