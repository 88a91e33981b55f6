/* What the commands that speak to a daemon share: --help, --json and --url,
 * and how objects are shown on standard output. */
#ifndef APP_REMOTE_H
#define APP_REMOTE_H

#include "app/command_line.h"
#include "app/http_client.h"
#include "base/options.h"

#include <stdbool.h>

#define REMOTE_URL "http://127.0.0.1:8080"

/* First in each command's own values. */
struct remote_values {
	bool help, json;
	char *url;
};

#define REMOTE_ROWS                                                          \
	{ "help", OPTION_BOOL, offsetof(struct remote_values, help), "no",   \
		.help = "show this and stop", .letter = 'h' },               \
		{ "json", OPTION_BOOL, offsetof(struct remote_values, json), \
			"no", .help = "print JSON, one object a line" },     \
	{                                                                    \
		"url", OPTION_STRING, offsetof(struct remote_values, url),   \
			.help = "the daemon's; else $UNROLLD_URL, "          \
				"else " REMOTE_URL,                          \
			.argument = "URL"                                    \
	}

/* Define DECLARED, "static int jobs_list", of (argc, argv): an action of a
 * command, whose values begin with remote_values in the file's own `struct
 * values`. */
#define REMOTE_COMMAND(DECLARED, COMMAND, ARGUMENTS, TEXT, CHECK, ROWS, RUN) \
	DECLARED(int argc, char **argv)                                      \
	{                                                                    \
		struct values v;                                             \
                                                                             \
		return command_line_run(                                     \
			&(struct command_line){ .name = COMMAND,             \
				.about = "usage: unrolld " COMMAND ARGUMENTS \
					 " [OPTION...]\n\n" TEXT "\n",       \
				.rows = ROWS,                                \
				.n_rows = sizeof(ROWS) / sizeof(ROWS[0]),    \
				.values = &v,                                \
				.help = &v.remote.help,                      \
				.check = CHECK,                              \
				.run = RUN },                                \
			argc, argv);                                         \
	}

int remote_open(struct http_client **c, const struct remote_values *v,
	struct error *err);

/* Ask for METHOD PREFIX/ID SUFFIX with a body (or NULL; stolen): the answer is
 * the caller's to release. */
int remote_ask(const struct remote_values *v, const char *method,
	const char *prefix, const char *id, const char *suffix, json_t *body,
	json_t **answer, struct error *err);

/* Do it for each argument; what fails is printed, but for the last fault, which
 * is the caller's. */
int remote_each(const struct option_list *args, const char *command,
	int (*one)(const void *values, const char *arg, struct error *err),
	const void *values, struct error *err);

/* One object, as JSON or a line for each of its fields. */
void remote_print(const json_t *object, bool json);
void remote_print_json(const json_t *object);
/* A field's text, "-" where it is none. */
const char *remote_text(const json_t *object, const char *name);
long long remote_number(const json_t *object, const char *name);
/* Unix seconds of a field as a date, "-" where it is none. */
#define REMOTE_TIME 32
void remote_time(const json_t *object, const char *name, char out[REMOTE_TIME]);

#endif
