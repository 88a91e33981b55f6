#define ERROR_DEFINITIONS /* the functions, not the analyzer's macros */
#include "base/error.h"

#include <errno.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void set(struct error *err, enum error_code code, const char *param,
	const char *fmt, va_list args)
{
	if (!err)
		return;
	err->code = code;
	snprintf(err->param, sizeof(err->param), "%s", param);
	vsnprintf(err->message, sizeof(err->message), fmt, args);
}

const char *error_code_name(enum error_code code)
{
	static const char *const names[] = {
		[ERROR_NONE] = "none",
		[ERROR_INVALID] = "invalid_value",
		[ERROR_NOT_FOUND] = "not_found",
		[ERROR_CONFLICT] = "conflict",
		[ERROR_BUSY] = "busy",
		[ERROR_GONE] = "gone",
		[ERROR_TOO_LARGE] = "too_large",
		[ERROR_UNPROCESSABLE] = "unprocessable",
		[ERROR_OVERLOADED] = "overloaded",
		[ERROR_UNAVAILABLE] = "unavailable",
		[ERROR_IO] = "io_error",
		[ERROR_NO_SPACE] = "no_space",
		[ERROR_NO_MEMORY] = "no_memory",
		[ERROR_CORRUPT] = "corrupt",
		[ERROR_UNSUPPORTED] = "unsupported",
		[ERROR_DIVERGED] = "diverged",
		[ERROR_CANCELLED] = "cancelled",
		[ERROR_INTERNAL] = "internal",
	};

	return names[code];
}

int error_set(struct error *err, enum error_code code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	set(err, code, "", fmt, args);
	va_end(args);
	return -1;
}

int error_set_param(struct error *err, enum error_code code, const char *param,
	const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	set(err, code, param, fmt, args);
	va_end(args);
	return -1;
}

int error_set_errno(struct error *err, const char *fmt, ...)
{
	int saved = errno;
	bool full = saved == ENOSPC || saved == EDQUOT;
	va_list args;
	size_t len;

	va_start(args, fmt);
	set(err, full ? ERROR_NO_SPACE : ERROR_IO, "", fmt, args);
	va_end(args);
	if (!err)
		return -1;
	len = strlen(err->message);
	snprintf(err->message + len, sizeof(err->message) - len, ": %s",
		strerror(saved));
	return -1;
}

int error_set_memory(struct error *err, const char *what, size_t bytes)
{
	return error_set(err, ERROR_NO_MEMORY, "%s: cannot allocate %zu bytes",
		what, bytes);
}

int error_prefix(struct error *err, const char *fmt, ...)
{
	char message[sizeof(err->message)];
	va_list args;
	size_t len;

	if (!err)
		return -1;
	memcpy(message, err->message, sizeof(message));
	va_start(args, fmt);
	vsnprintf(err->message, sizeof(err->message), fmt, args);
	va_end(args);
	len = strlen(err->message);
	/* A long text is cut, on purpose: the start says what failed. */
	snprintf(err->message + len, sizeof(err->message) - len, ": %.*s",
		(int)(sizeof(message) - 1), message);
	return -1;
}
