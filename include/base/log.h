/*
 * The process's log: one line per event, a message and typed fields. Any
 * thread may log and never waits for a disk: lines go into a bounded buffer
 * that a thread of its own writes out; when it is full, lines are dropped and
 * counted. Before log_open and after log_close lines go nowhere. Values are
 * quoted and escaped, so that nothing a client sends can forge a line or
 * steer a terminal.
 *
 *     log_info("listening", log_text("address", a), log_int("port", 8080));
 *     2026-01-01T00:00:00.000Z level=info msg=listening address=::1 port=8080
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level {
	LOG_LEVEL_ERROR, /* something was lost or can't go on */
	LOG_LEVEL_WARN,	 /* it goes on, but someone should look */
	LOG_LEVEL_INFO,	 /* what an operator wants to see in normal life */
	LOG_LEVEL_DEBUG,
};
#define LOG_LEVELS "error|warn|info|debug" /* for an option's choices */

enum log_format {
	LOG_FORMAT_AUTO,     /* journald when stderr is its stream, else text */
	LOG_FORMAT_TEXT,     /* key=value with a time */
	LOG_FORMAT_JOURNALD, /* key=value after <N>; the journal has the time */
	LOG_FORMAT_JSON,     /* an object per line */
};
#define LOG_FORMATS "auto|text|journald|json"

struct log_options {
	int fd; /* borrowed; 2 for stderr */
	enum log_level level;
	enum log_format format;
	size_t buffer; /* bytes of lines that may wait, at least 64 KiB */
};

/* fd 2, info, auto, 256 KiB. */
void log_defaults(struct log_options *o);
/* Starts the writer thread. One log at a time; app/ opens and closes it. */
int log_open(const struct log_options *o, struct error *err);
/* Writes what waits, for at most two seconds, and stops the thread. */
void log_close(void);
/* Returns when all lines logged before are written, or after two seconds. */
void log_flush(void);

/* Any thread, at any time. */
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);
uint64_t log_dropped(void);

enum log_type { LOG_TEXT, LOG_INT, LOG_UINT, LOG_REAL, LOG_BOOL };

struct log_field {
	const char *key; /* [a-z0-9_]+, a literal */
	enum log_type type;
	size_t len; /* of text */
	union {
		const char *text; /* borrowed during the call; any bytes */
		int64_t i;
		uint64_t u;
		double real;
		bool b;
	};
};

struct log_field log_text(const char *key, const char *text); /* NULL: "" */
struct log_field log_bytes(const char *key, const char *text, size_t len);
struct log_field log_int(const char *key, int64_t v);
struct log_field log_uint(const char *key, uint64_t v);
struct log_field log_real(const char *key, double v);
struct log_field log_bool(const char *key, bool v);
struct log_field log_fault(const struct error *err); /* error=MESSAGE */

/* `message` is a literal that says what happened. */
void log_write(enum log_level level, const char *message,
	const struct log_field *fields, size_t n);

#define log_at(level, message, ...)                                \
	do {                                                       \
		if (log_enabled(level)) {                          \
			const struct log_field log_fields_[] = {   \
				__VA_ARGS__                        \
			};                                         \
			log_write(level, message, log_fields_,     \
				sizeof(log_fields_) /              \
					sizeof(struct log_field)); \
		}                                                  \
	} while (0)
#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_at(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
