/*
 * Errors travel through an out-parameter, last in the argument list. A
 * function that can fail returns 0 or -1 (or a pointer or NULL) and, on
 * failure, has filled *err once. Libraries never print and never exit.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stddef.h>

enum error_code {
	ERROR_NONE,
	ERROR_INVALID,	 /* an argument, field or option is wrong */
	ERROR_NOT_FOUND, /* no such model, session, file, … */
	ERROR_CONFLICT,	 /* there already, or not at the expected position */
	ERROR_BUSY,	 /* another request writes it: try later */
	ERROR_GONE,	 /* was there once, and can't come back */
	ERROR_TOO_LARGE, /* over a stated limit */
	ERROR_UNPROCESSABLE, /* well formed but meaningless: unknown tokens */
	ERROR_OVERLOADED,    /* a bounded queue is full: try later */
	ERROR_UNAVAILABLE,   /* loading, draining, or a store that fails */
	ERROR_IO,	     /* read, write, open, rename: errno in the text */
	ERROR_NO_SPACE,	     /* disk or quota full */
	ERROR_NO_MEMORY,
	ERROR_CORRUPT,	   /* a file or blob that fails its checks */
	ERROR_UNSUPPORTED, /* valid, but not something we do */
	ERROR_DIVERGED,	   /* NaN or Inf in training */
	ERROR_CANCELLED,
	ERROR_INTERNAL,
};

/* As clients read it: `invalid_value`, `not_found`, … */
const char *error_code_name(enum error_code code);

struct error {
	enum error_code code;
	char param[64];	   /* the field, option or tensor at fault, or "" */
	char message[512]; /* one line for a person: both values, no newline */
};

/* Fill *err (NULL is allowed: the text is dropped). Always returns -1, so
 * that `return error_set(err, …);` reads well. Any thread. */
int error_set(struct error *err, enum error_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* As error_set, naming the field, option or tensor at fault. */
int error_set_param(struct error *err, enum error_code code, const char *param,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* ERROR_IO, or ERROR_NO_SPACE for ENOSPC and EDQUOT, with `: strerror(errno)`
 * appended to the message. */
int error_set_errno(struct error *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* ERROR_NO_MEMORY for `bytes` bytes of `what`. */
int error_set_memory(struct error *err, const char *what, size_t bytes);

/* Put `prefix: ` before the message that *err holds. Returns -1. */
int error_prefix(struct error *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#if defined(__clang_analyzer__) && !defined(ERROR_DEFINITIONS)
/* it looks at one file at a time: say what
 * these return. */
#define error_set(...) ((void)error_set(__VA_ARGS__), -1)
#define error_set_param(...) ((void)error_set_param(__VA_ARGS__), -1)
#define error_set_errno(...) ((void)error_set_errno(__VA_ARGS__), -1)
#define error_set_memory(...) ((void)error_set_memory(__VA_ARGS__), -1)
#define error_prefix(...) ((void)error_prefix(__VA_ARGS__), -1)
#endif

#endif
