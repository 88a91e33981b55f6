#include "http/reply.h"
#include "base/log.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TYPE_JSON "application/json"

enum { HIDDEN = 1 /* its message is for the log only */, RETRY = 2 };

struct reply_row {
	enum error_code code;
	unsigned status;
	unsigned flags;
};

static const struct reply_row rows[] = {
	{ ERROR_INVALID, 400, 0 },
	{ ERROR_NOT_FOUND, 404, 0 },
	{ ERROR_CONFLICT, 409, 0 },
	{ ERROR_BUSY, 409, 0 },
	{ ERROR_GONE, 410, 0 },
	{ ERROR_TOO_LARGE, 413, 0 },
	{ ERROR_UNPROCESSABLE, 422, 0 },
	{ ERROR_OVERLOADED, 429, RETRY },
	{ ERROR_UNAVAILABLE, 503, RETRY },
	{ ERROR_IO, 500, HIDDEN },
	{ ERROR_NO_SPACE, 507, 0 },
	{ ERROR_NO_MEMORY, 503, HIDDEN | RETRY },
	{ ERROR_CORRUPT, 500, HIDDEN },
	{ ERROR_UNSUPPORTED, 400, 0 },
	{ ERROR_DIVERGED, 500, HIDDEN },
	{ ERROR_CANCELLED, 499, 0 },
	{ ERROR_INTERNAL, 500, HIDDEN },
};

/* Codes that a client acts on, told apart by the field at fault. */
static const struct special {
	enum error_code code;
	const char *param, *name;
	unsigned flags;
} special[] = {
	{ ERROR_NOT_FOUND, "model", "model_not_found", 0 },
	{ ERROR_NOT_FOUND, "session_model", "model_not_found", 0 },
	{ ERROR_NOT_FOUND, "session", "session_not_found", 0 },
	{ ERROR_NOT_FOUND, "stream", "stream_not_found", 0 },
	{ ERROR_OVERLOADED, "limits.requests_per_minute", "rate_limit_exceeded",
		RETRY },
	{ ERROR_OVERLOADED, "limits.tokens_per_minute", "rate_limit_exceeded",
		RETRY },
	{ ERROR_OVERLOADED, "limits.generations", "rate_limit_exceeded",
		RETRY },
	{ ERROR_BUSY, "session", "session_busy", 0 },
	{ ERROR_CONFLICT, "model", "model_mismatch", 0 },
	{ ERROR_CONFLICT, "expected_position", "position_mismatch", 0 },
	{ ERROR_CONFLICT, "stream", "stream_busy", RETRY },
	{ ERROR_CONFLICT, "Idempotency-Key", "idempotency_key_in_use", RETRY },
	{ ERROR_GONE, "stream", "stream_gone", 0 },
	{ ERROR_CANCELLED, "stream", "stream_taken", 0 },
	{ ERROR_UNPROCESSABLE, "prompt", "unknown_character", 0 },
	{ ERROR_UNPROCESSABLE, "session_prompt", "unknown_character", 0 },
	{ ERROR_UNPROCESSABLE, "text", "unknown_character", 0 },
	{ ERROR_UNPROCESSABLE, "encoding", "invalid_encoding", 0 },
	{ ERROR_UNPROCESSABLE, "prefix", "unknown_character", 0 },
	{ ERROR_UNPROCESSABLE, "Idempotency-Key", "idempotency_key_reused", 0 },
};

static const struct reply_row *find(enum error_code code)
{
	size_t n = sizeof(rows) / sizeof(rows[0]);

	for (size_t i = 0; i < n; i++)
		if (rows[i].code == code)
			return &rows[i];
	return &rows[n - 1];
}

static const struct special *find_special(const struct error *err)
{
	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
		if (special[i].code == err->code &&
			!strcmp(special[i].param, err->param))
			return &special[i];
	return NULL;
}

static const char *name_of(const struct error *err)
{
	const struct special *s = find_special(err);

	return s ? s->name : error_code_name(err->code);
}

json_t *reply_text(const char *bytes, size_t len)
{
	json_t *text = json_stringn(bytes, len);
	struct buf b;

	if (text)
		return text;
	buf_init(&b, 3 * len + 1);
	while (len) {
		size_t ok = utf8_valid_prefix(bytes, len, NULL);
		size_t bad =
			ok < len ? utf8_bad_length(bytes + ok, len - ok) : 0;

		if (!bad && ok < len)
			bad = len - ok; /* a code point cut by the end */
		if (buf_append(&b, bytes, ok) < 0 ||
			(bad && buf_puts(&b, "\xEF\xBF\xBD") < 0))
			break;
		bytes += ok + bad;
		len -= ok + bad;
	}
	text = json_stringn(b.data ? b.data : "", b.len);
	buf_release(&b);
	return text;
}

static json_t *make_error(const char *message, const char *type,
	const char *param, const char *code)
{
	json_t *field =
		param[0] ? reply_text(param, strlen(param)) : json_null();

	return json_pack("{s:{s:o, s:s, s:o, s:s}}", "error", "message",
		reply_text(message, strlen(message)), "type", type, "param",
		field, "code", code);
}

static const char *type_of(unsigned status)
{
	return status == 401   ? "authentication_error"
	       : status == 403 ? "permission_error"
	       : status == 409 ? "conflict_error"
	       : status == 429 ? "rate_limit_error"
	       : status >= 500 ? "server_error"
			       : "invalid_request_error";
}

json_t *reply_error_object(const struct error *err, const char *id)
{
	const struct reply_row *row = find(err->code);
	char hidden[128];

	snprintf(hidden, sizeof(hidden),
		"the server failed; its log says why under %s", id);
	return make_error(row->flags & HIDDEN ? hidden : err->message,
		type_of(row->status), err->param, name_of(err));
}

unsigned reply_status(const struct error *err)
{
	return find(err->code)->status;
}

void reply_json(struct exchange *x, unsigned status, json_t *json)
{
	char *text = json ? json_dumps(json, REPLY_JSON) : NULL;

	json_decref(json);
	if (!text) {
		exchange_reply(x, 503, NULL, NULL, 0);
		return;
	}
	exchange_reply(x, status, TYPE_JSON, text, strlen(text));
}

bool reply_unchanged(struct exchange *x, const char *tag)
{
	const char *known = exchange_header(x, "If-None-Match");

	exchange_add_header(x, "ETag", tag);
	exchange_add_header(x, "Cache-Control", "no-cache");
	/* Compared weakly. */
	if (!known ||
		(strcmp(known, "*") != 0 && !strstr(known, strchr(tag, '"'))))
		return false;
	exchange_reply(x, 304, NULL, NULL, 0);
	return true;
}

static void add_retry_after(struct exchange *x, unsigned seconds)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", seconds);
	exchange_add_header(x, "Retry-After", text);
}

/* Clients retry a 409 by themselves unless they are told not to. */
static void add_retry(
	struct exchange *x, const struct error *err, unsigned seconds)
{
	const struct special *s = find_special(err);
	const struct reply_row *row = find(err->code);

	if ((row->flags | (s ? s->flags : 0)) & RETRY)
		add_retry_after(x, seconds);
	else if (row->status == 409)
		exchange_add_header(x, "x-should-retry", "false");
}

void reply_error_later(
	struct exchange *x, const struct error *err, unsigned seconds)
{
	const struct reply_row *row = find(err->code);

	if (row->flags & HIDDEN)
		log_error("a request failed",
			log_text("request", exchange_id(x)), log_fault(err));
	add_retry(x, err, seconds);
	reply_json(x, row->status, reply_error_object(err, exchange_id(x)));
}

void reply_error(struct exchange *x, const struct error *err)
{
	reply_error_later(x, err, 1);
}

void reply_refuse(struct exchange *x, unsigned status, const char *code,
	const char *param, const char *fmt, ...)
{
	char message[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	if (status == 429 || status == 503)
		add_retry_after(x, 1);
	reply_json(
		x, status, make_error(message, type_of(status), param, code));
}
