/* The three places options come from: arguments, environment, INI files. */
#include "base/options_private.h"

#include "base/file.h"

#include <ctype.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FILE (1u << 20)
#define MAX_LINE 8192
#define MAX_NAME 128
#define MAX_SOURCE 512

static int add_positional(
	struct option_list *l, const char *text, struct error *err)
{
	const struct option row = { .name = "argument" };

	if (!l)
		return error_set_param(err, ERROR_INVALID, text,
			"unexpected argument '%s'", text);
	if (option_kind(OPTION_LIST)->parse(&row, text, l) < 0)
		return error_set_memory(err, "arguments", strlen(text));
	return 0;
}

/* Where `--no-x` names the bool x. */
static size_t find_negated(const struct options *o, const char *name)
{
	size_t i;

	if (strncmp(name, "no-", 3) != 0)
		return o->n_rows;
	i = option_find(o, name + 3);
	return i < o->n_rows && o->rows[i].type == OPTION_BOOL ? i : o->n_rows;
}

static int missing_value(
	const struct option *row, const char *flag, struct error *err)
{
	char expected[256];

	option_expected(row, expected, sizeof(expected));
	return error_set_param(err, ERROR_INVALID, row->name,
		"%s needs a value, expected %s", flag, expected);
}

/* Returns how many further arguments it took (0 or 1), or -1. */
static int parse_long(
	struct options *o, const char *arg, const char *next, struct error *err)
{
	size_t len = strcspn(arg + 2, "="), i;
	const char *value = arg[2 + len] ? arg + 2 + len + 1 : NULL;
	char flag[MAX_NAME + 3], *name = flag + 2;

	if (len > MAX_NAME)
		return error_set(
			err, ERROR_INVALID, "unknown option of %zu bytes", len);
	snprintf(flag, sizeof(flag), "%.*s", (int)len + 2, arg);
	i = option_find(o, name);
	if (i == o->n_rows && !value) {
		i = find_negated(o, name);
		if (i < o->n_rows)
			return option_assign(o, i, "false", flag, err);
	}
	if (i == o->n_rows)
		return option_unknown(o, name, "--", "", err);
	if (value)
		return option_assign(o, i, value, flag, err);
	if (o->rows[i].type == OPTION_BOOL)
		return option_assign(o, i, "true", flag, err);
	if (!next)
		return missing_value(&o->rows[i], flag, err);
	return option_assign(o, i, next, flag, err) < 0 ? -1 : 1;
}

static int parse_short(
	struct options *o, const char *arg, const char *next, struct error *err)
{
	const char flag[] = { '-', arg[1], '\0' };
	size_t i;

	for (i = 0; i < o->n_rows; i++)
		if (o->rows[i].letter == arg[1])
			break;
	if (i == o->n_rows)
		return error_set_param(
			err, ERROR_INVALID, arg, "unknown option '%s'", arg);
	if (o->rows[i].type == OPTION_BOOL) {
		if (arg[2])
			return error_set_param(err, ERROR_INVALID, arg,
				"%s takes no value, but '%s' was given", flag,
				arg + 2);
		return option_assign(o, i, "true", flag, err);
	}
	if (arg[2])
		return option_assign(o, i, arg + 2, flag, err);
	if (!next)
		return missing_value(&o->rows[i], flag, err);
	return option_assign(o, i, next, flag, err) < 0 ? -1 : 1;
}

int options_parse_arguments(struct options *o, int argc, char *const *argv,
	struct option_list *positional, struct error *err)
{
	bool only_positional = false;
	int rc;

	o->layer++;
	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i];
		const char *next = i + 1 < argc ? argv[i + 1] : NULL;

		if (only_positional || arg[0] != '-' || !arg[1])
			rc = add_positional(positional, arg, err);
		else if (strcmp(arg, "--") == 0)
			rc = 0, only_positional = true;
		else if (arg[1] == '-')
			rc = parse_long(o, arg, next, err);
		else
			rc = parse_short(o, arg, next, err);
		if (rc < 0)
			return -1;
		i += rc;
	}
	return 0;
}

/* HTTP_PORT is http.port, SEQ_LENGTH is seq-length. */
static bool matches_variable(const char *name, const char *variable, size_t len)
{
	if (strlen(name) != len)
		return false;
	for (; *name; name++, variable++) {
		char c = *name == '.' || *name == '-' ? '_' : *name;

		if (toupper((unsigned char)c) != *variable)
			return false;
	}
	return true;
}

static bool listed(const char *const *names, const char *name, size_t len)
{
	for (; names && *names; names++)
		if (strlen(*names) == len && memcmp(*names, name, len) == 0)
			return true;
	return false;
}

static int assign_items(struct options *o, size_t i, const char *value,
	const char *source, struct error *err)
{
	char *copy = strdup(value), *rest = copy, *item;
	int rc = 0;

	if (!copy)
		return error_set_memory(err, source, strlen(value));
	while (rc == 0 && (item = strsep(&rest, ",")))
		if (*item)
			rc = option_assign(o, i, item, source, err);
	free(copy);
	return rc;
}

/* The name to suggest from: HTTP_PROT as http.prot. */
static int unknown_variable(const struct options *o, const char *variable,
	size_t len, size_t prefix, struct error *err)
{
	char name[MAX_NAME], source[MAX_NAME + 16];
	size_t n = 0;

	for (; n < len - prefix && n < sizeof(name) - 1; n++) {
		char c = (char)tolower((unsigned char)variable[prefix + n]);

		name[n] = c == '_' ? '.' : c;
	}
	name[n] = '\0';
	snprintf(source, sizeof(source), "environment %.*s",
		(int)(len < MAX_NAME ? len : MAX_NAME), variable);
	return option_unknown(o, name, "", source, err);
}

static int load_variable(struct options *o, const char *variable,
	const char *value, size_t prefix, struct error *err)
{
	size_t len = (size_t)(value - variable) - 1, i;
	char source[MAX_NAME + 16];

	for (i = 0; i < o->n_rows; i++)
		if (o->rows[i].type != OPTION_HEADING &&
			!(o->rows[i].flags & OPTION_COMMAND_LINE) &&
			matches_variable(o->rows[i].name, variable + prefix,
				len - prefix))
			break;
	if (i == o->n_rows)
		return unknown_variable(o, variable, len, prefix, err);
	snprintf(
		source, sizeof(source), "environment %.*s", (int)len, variable);
	if (o->rows[i].type == OPTION_LIST)
		return assign_items(o, i, value, source, err);
	return option_assign(o, i, value, source, err);
}

int options_load_environment(struct options *o, char *const *environment,
	const char *prefix, const char *const *allowed, struct error *err)
{
	size_t n = strlen(prefix);

	o->layer++;
	for (; environment && *environment; environment++) {
		const char *variable = *environment;
		const char *equals = strchr(variable, '=');

		if (!equals || strncmp(variable, prefix, n) != 0 ||
			listed(allowed, variable, (size_t)(equals - variable)))
			continue;
		if (load_variable(o, variable, equals + 1, n, err) < 0)
			return -1;
	}
	return 0;
}

/* inih tells no line numbers, so its reader counts them. */
struct ini_input {
	struct options *o;
	const char *path;
	const char *at;
	unsigned line;
	unsigned failed; /* the first line that failed, 0: none */
	struct error *err;
};

static char *read_line(char *line, int size, void *stream)
{
	struct ini_input *in = stream;
	size_t len = strcspn(in->at, "\n");

	if (!*in->at)
		return NULL;
	in->line++;
	if (in->at[len] == '\n')
		len++;
	if (len > (size_t)size - 1) {
		if (!in->failed)
			error_set(in->err, ERROR_INVALID,
				"%s:%u: line of %zu bytes, expected at most %d",
				in->path, in->line, len - 1, size - 2);
		in->failed = in->failed ? in->failed : in->line;
		return NULL;
	}
	memcpy(line, in->at, len);
	line[len] = '\0';
	in->at += len;
	return line;
}

static int assign_key(struct ini_input *in, const char *section,
	const char *key, const char *value)
{
	char name[MAX_NAME], source[MAX_SOURCE];
	struct options *o = in->o;
	size_t i;

	snprintf(name, sizeof(name), "%s%s%s", section, *section ? "." : "",
		key);
	snprintf(source, sizeof(source), "%s:%u", in->path, in->line);
	i = option_find(o, name);
	if (i == o->n_rows)
		return option_unknown(o, name, "", source, in->err);
	if (o->rows[i].flags & OPTION_COMMAND_LINE)
		return error_set_param(in->err, ERROR_INVALID, name,
			"%s: %s is only for the command line", source, name);
	return option_assign(o, i, value, source, in->err);
}

static int handle_key(
	void *user, const char *section, const char *key, const char *value)
{
	struct ini_input *in = user;

	if (in->failed)
		return 0;
	if (assign_key(in, section, key, value) == 0)
		return 1;
	in->failed = in->line;
	return 0;
}

static int load_text(struct options *o, const char *path, const char *text,
	struct error *err)
{
	struct ini_input in = { .o = o, .path = path, .at = text, .err = err };
	int rc;

	/* inih's knobs are global; nothing else here uses it. Indented lines
	 * are keys like others, and not more of the line above. */
	ini_use_stack = false;
	ini_max_line = MAX_LINE;
	ini_initial_alloc = MAX_LINE;
	ini_allow_multiline = false;
	rc = ini_parse_stream(read_line, &in, handle_key, &in);
	/* It goes on after an error; the first line at fault counts. */
	if (rc > 0 && (!in.failed || (unsigned)rc < in.failed))
		return error_set(err, ERROR_INVALID,
			"%s:%d: expected 'name = value' or '[section]'", path,
			rc);
	if (rc < 0)
		return error_set_memory(err, path, strlen(text));
	return in.failed ? -1 : 0;
}

int options_load_file(struct options *o, const char *path, struct error *err)
{
	char *text;
	size_t len;
	int rc;

	if (file_read(path, MAX_FILE, &text, &len, err) < 0)
		return -1;
	o->layer++;
	if (memchr(text, '\0', len))
		rc = error_set(err, ERROR_INVALID,
			"%s: holds a NUL byte, expected text", path);
	else
		rc = load_text(o, path, text, err);
	free(text);
	return rc;
}
