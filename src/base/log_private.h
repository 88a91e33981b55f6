/* Private to base/log: a line as text. */
#ifndef BASE_LOG_PRIVATE_H
#define BASE_LOG_PRIVATE_H

#include "base/log.h"

#include <time.h>

#define LOG_LINE_MAX 4096 /* bytes of a line, its newline included */

/* Writes one line into line[LOG_LINE_MAX] and returns its length. Fields that
 * don't fit are left out and `cut=true` says so. format isn't AUTO. */
size_t log_line(char *line, enum log_format format, struct timespec when,
	enum log_level level, const char *message,
	const struct log_field *fields, size_t n);

#endif
