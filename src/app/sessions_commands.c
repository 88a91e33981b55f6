#include "app/sessions_commands.h"

#include "app/cmd.h"
#include "app/command_line.h"
#include "app/remote.h"
#include "app/sessions_print.h"
#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SESSIONS "/v1/sessions"
#define PAGE 1000u
#define MAX_BLOB (64u << 20)

/* Options of all actions; each has rows for its own. */
struct values {
	struct remote_values remote;
	bool replace, remove;
	char *model, *prefix, *after, *id, *snapshot, *seed, *output;
	char *position; /* a number, or NULL */
	uint64_t limit, n;
};

#define AT(field) offsetof(struct values, field)
#define POSITION(text)                                                   \
	{                                                                \
		"position", OPTION_STRING, AT(position), .help = (text), \
							 .argument = "N" \
	}

/* The number of --position, or NULL: it is none. New reference. */
static json_t *position_of(const struct values *v)
{
	json_t *n = json_loads(v->position, JSON_DECODE_ANY, NULL);

	if (json_is_integer(n) && json_integer_value(n) >= 0)
		return n;
	json_decref(n);
	return NULL;
}

static int position_check(const struct values *v, struct error *err)
{
	json_t *n = v->position ? position_of(v) : NULL;

	json_decref(n);
	if (n || !v->position)
		return 0;
	return error_set_param(err, ERROR_INVALID, "position",
		"--position is '%s', expected a number of tokens", v->position);
}

/* Ask, then show the session that is the answer. */
static int ask_one(const struct values *v, const char *method, const char *id,
	const char *suffix, json_t *body, struct error *err)
{
	json_t *answer, *data;

	if (remote_ask(&v->remote, method, SESSIONS "/", id, suffix, body,
		    &answer, err) < 0)
		return -1;
	data = json_object_get(answer, "data");
	if (data)
		sessions_print_list(data, v->remote.json, true);
	else
		remote_print(answer, v->remote.json);
	json_decref(answer);
	return 0;
}

static int no_check(
	const void *values, const struct option_list *args, struct error *err)
{
	if (!args->n)
		return 0;
	return error_set(
		err, ERROR_INVALID, "'%s' is not an option", args->items[0]);
}

static int some_check(
	const void *values, const struct option_list *args, struct error *err)
{
	if (args->n)
		return 0;
	return error_set(err, ERROR_INVALID, "no session is named");
}

static int one_check(
	const void *values, const struct option_list *args, struct error *err)
{
	return command_line_one(
		args, "sessions", "unrolld sessions ACTION ID", err);
}

/* --- list ------------------------------------------------------------- */

static char *page_path(struct http_client *c, const struct values *v,
	const char *after, uint64_t limit)
{
	const char *const names[] = { "after", "prefix", "model" };
	const char *const values[] = { after, v->prefix, v->model };
	char *path, *longer, start[64];

	snprintf(start, sizeof(start), SESSIONS "?limit=%llu",
		(unsigned long long)limit);
	path = strdup(start);
	for (size_t i = 0; path && i < 3; i++) {
		char name[16];

		if (!values[i] || !*values[i])
			continue;
		snprintf(name, sizeof(name), "&%s=", names[i]);
		longer = malloc(strlen(path) + sizeof(name));
		if (longer)
			sprintf(longer, "%s%s", path, name);
		free(path);
		path = longer ? http_client_path(c, longer, values[i], "")
			      : NULL;
		free(longer);
	}
	return path;
}

static int get_page(struct http_client *c, const struct values *v,
	const char *after, uint64_t limit, json_t **page, struct error *err)
{
	char *path = page_path(c, v, after, limit);
	int result;

	if (!path)
		return error_set_memory(err, "path", 0);
	result = http_client_json(c, "GET", path, NULL, page, err);
	free(path);
	return result;
}

static int list_pages(
	struct http_client *c, const struct values *v, struct error *err)
{
	uint64_t left = v->limit ? v->limit : UINT64_MAX;
	char *after = strdup(v->after ? v->after : "");
	bool head = true, more = true;
	json_t *page;

	while (more && left && after) {
		if (get_page(c, v, after, left < PAGE ? left : PAGE, &page,
			    err) < 0) {
			free(after);
			return -1;
		}
		sessions_print_list(
			json_object_get(page, "data"), v->remote.json, head);
		head = false;
		left -= json_array_size(json_object_get(page, "data"));
		more = json_is_true(json_object_get(page, "has_more"));
		free(after);
		after = strdup(remote_text(page, "next"));
		json_decref(page);
	}
	free(after);
	return 0;
}

static int run_list(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	struct http_client *c;
	int result;

	if (remote_open(&c, values, err) < 0)
		return -1;
	result = list_pages(c, values, err);
	http_client_close(c);
	return result;
}

static const struct option list_rows[] = {
	REMOTE_ROWS,
	{ "limit", OPTION_UINT, AT(limit), "0",
		.help = "list so many at most; 0 is all" },
	{ "model", OPTION_STRING, AT(model), .help = "of this model",
		.argument = "NAME" },
	{ "prefix", OPTION_STRING, AT(prefix), .help = "whose id begins so",
		.argument = "TEXT" },
	{ "after", OPTION_STRING, AT(after), .help = "whose id comes after",
		.argument = "ID" },
};

/* --- show, fork, rm --------------------------------------------------- */

static int run_show(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	return ask_one(values, "GET", args->items[0], "", NULL, err);
}

static const struct option show_rows[] = { REMOTE_ROWS };

/* With --position in the body, which is stolen; NULL: it could not be made. */
static int ask_from(const struct values *v, const char *id, const char *suffix,
	json_t *body, struct error *err)
{
	if (!body)
		return error_set(
			err, ERROR_INVALID, "an option's text is not UTF-8");
	if (v->position)
		json_object_set_new(body, "position", position_of(v));
	return ask_one(v, "POST", id, suffix, body, err);
}

static int fork_check(
	const void *values, const struct option_list *args, struct error *err)
{
	return one_check(values, args, err) < 0 ? -1
						: position_check(values, err);
}

static int run_fork(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	const struct values *v = values;
	json_t *body = json_pack("{s:I, s:s*, s:s*, s:s*}", "n",
		(json_int_t)v->n, "prefix", v->prefix, "seed", v->seed,
		"snapshot", v->snapshot);

	return ask_from(v, args->items[0], "/fork", body, err);
}

static const struct option fork_rows[] = {
	REMOTE_ROWS,
	{ "n", OPTION_UINT, AT(n), "1", "1", "10000", .help = "children",
		.letter = 'n' },
	{ "prefix", OPTION_STRING, AT(prefix),
		.help = "their ids are PREFIX-0, PREFIX-1, ...",
		.argument = "PREFIX" },
	{ "seed", OPTION_STRING, AT(seed),
		.help = "child i gets this seed + i; else the parent's",
		.argument = "SEED" },
	{ "snapshot", OPTION_STRING, AT(snapshot), .help = "fork this snapshot",
		.argument = "NAME" },
	POSITION("fork the state at this position"),
};

static int rm_one(const void *values, const char *id, struct error *err)
{
	return ask_one(values, "DELETE", id, "", NULL, err);
}

static int run_rm(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	return remote_each(args, "sessions rm", rm_one, values, err);
}

/* --- snapshot, rewind ------------------------------------------------- */

static int snapshot_check(
	const void *values, const struct option_list *args, struct error *err)
{
	const struct values *v = values;

	if (args->n == 2 || (args->n == 1 && !v->remove))
		return 0;
	return error_set(err, ERROR_INVALID,
		"usage: unrolld sessions snapshot ID [NAME], or --delete ID"
		" NAME");
}

static int run_snapshot(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	const struct values *v = values;
	const char *name = args->n > 1 ? args->items[1] : NULL;
	char suffix[128];

	if (!v->remove)
		return ask_one(v, "POST", args->items[0], "/snapshot",
			json_pack("{s:s*, s:b}", "name", name, "replace",
				v->replace),
			err);
	if (!name || strlen(name) > 64 || strpbrk(name, "/?#%"))
		return error_set(err, ERROR_INVALID,
			"'%.64s' can't be a snapshot's name", name ? name : "");
	snprintf(suffix, sizeof(suffix), "/snapshot/%s", name);
	return ask_one(v, "DELETE", args->items[0], suffix, NULL, err);
}

static const struct option snapshot_rows[] = {
	REMOTE_ROWS,
	{ "replace", OPTION_BOOL, AT(replace), "no",
		.help = "take the place of one of that name" },
	{ "delete", OPTION_BOOL, AT(remove), "no", .help = "delete it" },
};

static int rewind_check(
	const void *values, const struct option_list *args, struct error *err)
{
	const struct values *v = values;

	if (args->n == 1 && !v->snapshot != !v->position)
		return position_check(v, err);
	return error_set(err, ERROR_INVALID,
		"usage: unrolld sessions rewind ID --snapshot NAME, or"
		" --position N");
}

static int run_rewind(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	const struct values *v = values;
	json_t *body = json_pack(
		"{s:s*, s:s*}", "snapshot", v->snapshot, "seed", v->seed);

	return ask_from(v, args->items[0], "/rewind", body, err);
}

static const struct option rewind_rows[] = {
	REMOTE_ROWS,
	{ "snapshot", OPTION_STRING, AT(snapshot), .help = "to this snapshot",
		.argument = "NAME" },
	POSITION("to this position: one of the session's boundaries, or 0"),
	{ "seed", OPTION_STRING, AT(seed), .help = "from now on",
		.argument = "SEED" },
};

/* --- export, import --------------------------------------------------- */

static int write_blob(
	const char *path, const struct buf *blob, struct error *err)
{
	struct file_writer w;

	if (!strcmp(path, "-")) {
		if (fwrite(blob->data, 1, blob->len, stdout) == blob->len &&
			!fflush(stdout))
			return 0;
		return error_set_errno(err, "cannot write");
	}
	if (file_writer_open(&w, path, 0600, err) < 0)
		return -1;
	if (file_writer_write(&w, blob->data, blob->len, err) < 0) {
		file_writer_abort(&w);
		return -1;
	}
	return file_writer_commit(&w, err);
}

static int export_to(struct http_client *c, const char *id, const char *path,
	struct error *err)
{
	char *url =
		http_client_path(c, SESSIONS "/", id, "/export?format=binary");
	const struct http_request r = { .method = "GET", .path = url };
	struct buf blob;
	int result;

	if (!url)
		return error_set_memory(err, "path", strlen(id));
	buf_init(&blob, MAX_BLOB);
	result = http_client_ask(c, &r, &blob, err);
	if (!result)
		result = write_blob(path, &blob, err);
	buf_release(&blob);
	free(url);
	return result;
}

static int run_export(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	const struct values *v = values;
	const char *id = args->items[0];
	struct http_client *c;
	char name[96];
	int result;

	snprintf(name, sizeof(name), "%.64s.session", id);
	if (!v->output && strchr(id, '/'))
		return error_set(err, ERROR_INVALID,
			"'%.64s' can't be a session's id", id);
	if (remote_open(&c, &v->remote, err) < 0)
		return -1;
	result = export_to(c, id, v->output ? v->output : name, err);
	http_client_close(c);
	return result;
}

static const struct option export_rows[] = {
	REMOTE_ROWS,
	{ "output", OPTION_STRING, AT(output),
		.help = "the file; else ID.session; - is standard output",
		.argument = "FILE", .letter = 'o' },
};

static int read_blob(
	const char *path, char **blob, size_t *len, struct error *err)
{
	return file_read(strcmp(path, "-") ? path : "/dev/stdin", MAX_BLOB,
		blob, len, err);
}

static char *import_path(struct http_client *c, const struct values *v)
{
	if (!v->id)
		return strdup(SESSIONS "/import");
	return http_client_path(c, SESSIONS "/import?id=", v->id, "");
}

static int import_from(struct http_client *c, const struct values *v,
	const char *file, struct error *err)
{
	struct http_request r = { .method = "POST",
		.type = "application/octet-stream" };
	char *path = import_path(c, v), *blob = NULL;
	struct buf answer;
	int result = -1;
	json_t *json;

	buf_init(&answer, MAX_BLOB);
	r.path = path;
	if (!path) {
		error_set_memory(err, "path", 0);
	} else if (read_blob(file, &blob, &r.len, err) == 0) {
		r.body = blob;
		result = http_client_ask(c, &r, &answer, err);
	}
	json = result ? NULL : json_loadb(answer.data, answer.len, 0, NULL);
	if (json)
		remote_print(json, v->remote.json);
	json_decref(json);
	buf_release(&answer);
	free(blob);
	free(path);
	return result;
}

static int run_import(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	struct http_client *c;
	int result;

	if (remote_open(&c, values, err) < 0)
		return -1;
	result = import_from(c, values, args->items[0], err);
	http_client_close(c);
	return result;
}

static int import_check(
	const void *values, const struct option_list *args, struct error *err)
{
	return command_line_one(
		args, "files", "unrolld sessions import FILE", err);
}

static const struct option import_rows[] = {
	REMOTE_ROWS,
	{ "id", OPTION_STRING, AT(id), .help = "its id; else the one it had",
		.argument = "ID" },
};

/* --- the commands ----------------------------------------------------- */

REMOTE_COMMAND(int sessions_list, "sessions list", "", "Lists sessions by id.",
	no_check, list_rows, run_list)
REMOTE_COMMAND(int sessions_show, "sessions show", " ID",
	"Describes a session.", one_check, show_rows, run_show)
REMOTE_COMMAND(int sessions_fork, "sessions fork", " ID",
	"Makes children that go on from a session's state.", fork_check,
	fork_rows, run_fork)
REMOTE_COMMAND(int sessions_export, "sessions export", " ID",
	"Writes a session to a file.", one_check, export_rows, run_export)
REMOTE_COMMAND(int sessions_import, "sessions import", " FILE",
	"Makes a session of an exported file.", import_check, import_rows,
	run_import)
REMOTE_COMMAND(int sessions_rm, "sessions rm", " ID...",
	"Deletes sessions and all that belongs to them.", some_check, show_rows,
	run_rm)
REMOTE_COMMAND(int sessions_snapshot, "sessions snapshot", " ID [NAME]",
	"Keeps a session's state under a name.", snapshot_check, snapshot_rows,
	run_snapshot)
REMOTE_COMMAND(int sessions_rewind, "sessions rewind", " ID",
	"Takes a session back.", rewind_check, rewind_rows, run_rewind)
