/* `unrolld files`: the texts that a daemon's jobs learn from. */
#include "app/actions.h"
#include "app/cmd.h"
#include "app/command_line.h"
#include "app/remote.h"
#include "app/upload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 1000u

struct values {
	struct remote_values remote;
	char *name, *encoding, *after;
	int format;
	uint64_t limit;
};

#define AT(field) offsetof(struct values, field)

#define ROW "%-32s %12s %-10s %-6s %-21s %s\n"

static void print_file(const json_t *file, bool json)
{
	char bytes[24], created[REMOTE_TIME];

	if (json) {
		remote_print_json(file);
		return;
	}
	snprintf(bytes, sizeof(bytes), "%lld", remote_number(file, "bytes"));
	remote_time(file, "created_at", created);
	printf(ROW, remote_text(file, "id"), bytes,
		remote_text(file, "encoding"), remote_text(file, "format"),
		created, remote_text(file, "filename"));
}

static void print_head(const struct values *v)
{
	if (!v->remote.json)
		printf(ROW, "ID", "BYTES", "ENCODING", "FORMAT", "CREATED",
			"NAME");
}

/* --- upload ----------------------------------------------------------- */

static int upload_check(
	const void *values, const struct option_list *args, struct error *err)
{
	const struct values *v = values;

	if (!args->n)
		return error_set(err, ERROR_INVALID,
			"no file is named; - is standard input");
	if (args->n > 1 && v->name)
		return error_set(err, ERROR_INVALID,
			"--name is for one file, not for %zu", args->n);
	return 0;
}

static int upload_one(const void *values, const char *file, struct error *err)
{
	static const char *const formats[] = { NULL, "text", "jsonl" };
	const struct values *v = values;
	const struct upload_options o = { .name = v->name,
		.encoding = v->encoding,
		.format = formats[v->format] };
	struct http_client *c;
	json_t *answer;
	int result;

	if (remote_open(&c, &v->remote, err) < 0)
		return -1;
	result = upload_file(c, file, &o, &answer, err);
	http_client_close(c);
	if (result < 0)
		return -1;
	print_file(answer, v->remote.json);
	json_decref(answer);
	return 0;
}

static int run_upload(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	(void)table;
	return remote_each(args, "files upload", upload_one, values, err);
}

static const struct option upload_rows[] = {
	REMOTE_ROWS,
	{ "encoding", OPTION_STRING, AT(encoding),
		.help = "its charset, as iconv names it; else utf-8",
		.argument = "CHARSET" },
	{ "format", OPTION_ENUM, AT(format), "auto",
		.choices = "auto|text|jsonl",
		.help = "plain text, or JSON lines that each have a `text`; "
			"auto goes by the name" },
	{ "name", OPTION_STRING, AT(name), .help = "the name that it gets",
		.argument = "NAME" },
};

/* --- list ------------------------------------------------------------- */

static int list_check(
	const void *values, const struct option_list *args, struct error *err)
{
	(void)values;
	if (!args->n)
		return 0;
	return error_set(
		err, ERROR_INVALID, "'%s' is not an option", args->items[0]);
}

static int get_page(struct http_client *c, const char *after, uint64_t limit,
	json_t **page, struct error *err)
{
	char prefix[64];
	char *path;
	int result;

	snprintf(prefix, sizeof(prefix), FILES "?limit=%llu%s",
		(unsigned long long)limit, *after ? "&after=" : "");
	path = http_client_path(c, prefix, after, "");
	if (!path)
		return error_set_memory(err, "path", sizeof(prefix));
	result = http_client_json(c, "GET", path, NULL, page, err);
	free(path);
	return result;
}

static int list_pages(
	struct http_client *c, const struct values *v, struct error *err)
{
	uint64_t left = v->limit ? v->limit : UINT64_MAX;
	char after[64];
	bool more = true;
	json_t *page, *file;
	size_t i;

	snprintf(after, sizeof(after), "%s", v->after ? v->after : "");
	print_head(v);
	while (more && left) {
		if (get_page(c, after, left < PAGE ? left : PAGE, &page, err) <
			0)
			return -1;
		json_array_foreach(json_object_get(page, "data"), i, file)
			print_file(file, v->remote.json);
		left -= i;
		more = json_is_true(json_object_get(page, "has_more"));
		snprintf(after, sizeof(after), "%s",
			remote_text(page, "last_id"));
		json_decref(page);
	}
	return 0;
}

static int run_list(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	const struct values *v = values;
	struct http_client *c;
	int result;

	(void)table;
	(void)args;
	if (remote_open(&c, &v->remote, err) < 0)
		return -1;
	result = list_pages(c, v, err);
	http_client_close(c);
	return result;
}

static const struct option list_rows[] = {
	REMOTE_ROWS,
	{ "limit", OPTION_UINT, AT(limit), "0",
		.help = "list so many at most; 0 is all" },
	{ "after", OPTION_STRING, AT(after),
		.help = "list those that are older than this one",
		.argument = "ID" },
};

/* --- rm --------------------------------------------------------------- */

static int rm_check(
	const void *values, const struct option_list *args, struct error *err)
{
	(void)values;
	return args->n ? 0 : error_set(err, ERROR_INVALID, "no file is named");
}

static int rm_one(const void *values, const char *id, struct error *err)
{
	const struct values *v = values;
	json_t *answer;

	if (remote_ask(&v->remote, "DELETE", FILES "/", id, "", NULL, &answer,
		    err) < 0)
		return -1;
	if (v->remote.json)
		remote_print_json(answer);
	json_decref(answer);
	return 0;
}

static int run_rm(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	(void)table;
	return remote_each(args, "files rm", rm_one, values, err);
}

static const struct option rm_rows[] = { REMOTE_ROWS };

/* --- the commands ----------------------------------------------------- */

REMOTE_COMMAND(static int files_upload, "files upload", " FILE...",
	"Uploads texts; - is standard input.", upload_check, upload_rows,
	run_upload)
REMOTE_COMMAND(static int files_list, "files list", "",
	"Lists uploaded texts, the newest first.", list_check, list_rows,
	run_list)
REMOTE_COMMAND(static int files_rm, "files rm", " ID...",
	"Deletes texts that no job uses.", rm_check, rm_rows, run_rm)

static const struct action actions[] = {
	{ "upload", files_upload, "send texts to the daemon" },
	{ "list", files_list, "list them" },
	{ "rm", files_rm, "delete some" },
};

int cmd_files(int argc, char **argv)
{
	return actions_run("files",
		"Looks after the texts that the jobs of a daemon learn from; "
		"the daemon is\n"
		"--url or $UNROLLD_URL or " REMOTE_URL ".\n",
		actions, sizeof(actions) / sizeof(actions[0]), argc, argv);
}
