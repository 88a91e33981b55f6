/* `unrolld jobs`: fine-tuning by a daemon. To add an action, add its row. */
#include "app/actions.h"
#include "app/cmd.h"
#include "app/command_line.h"
#include "app/jobs_commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 100u

struct values {
	struct remote_values remote;
	uint64_t limit;
};

#define ROW "%-34s %-16s %-16s %13s %9s %-21s %s\n"

static void print_row(const json_t *job)
{
	const json_t *p = json_object_get(job, "progress");
	const json_t *loss = json_object_get(p, "train_loss");
	char steps[48], shown[24] = "-", created[REMOTE_TIME];

	snprintf(steps, sizeof(steps), "%lld/%lld", remote_number(p, "step"),
		remote_number(p, "total_steps"));
	if (json_is_number(loss))
		snprintf(shown, sizeof(shown), "%.4f", json_number_value(loss));
	remote_time(job, "created_at", created);
	printf(ROW, remote_text(job, "id"), remote_text(job, "status"),
		remote_text(job, "model"), steps, shown, created,
		remote_text(job, "fine_tuned_model"));
}

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

static int get_page(const struct values *v, const char *after, uint64_t limit,
	json_t **page, struct error *err)
{
	char prefix[64];

	snprintf(prefix, sizeof(prefix), JOBS "?limit=%llu%s",
		(unsigned long long)limit, *after ? "&after=" : "");
	return remote_ask(
		&v->remote, "GET", prefix, after, "", NULL, page, err);
}

static int run_list(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	const struct values *v = values;
	uint64_t left = v->limit ? v->limit : UINT64_MAX;
	char after[64] = "";
	bool more = true;
	json_t *page, *job;
	size_t i;

	(void)table;
	(void)args;
	if (!v->remote.json)
		printf(ROW, "ID", "STATUS", "MODEL", "STEP", "LOSS", "CREATED",
			"RESULT");
	while (more && left) {
		if (get_page(v, after, left < PAGE ? left : PAGE, &page, err) <
			0)
			return -1;
		json_array_foreach(json_object_get(page, "data"), i, job)
		{
			if (v->remote.json)
				remote_print_json(job);
			else
				print_row(job);
		}
		left -= i;
		more = json_is_true(json_object_get(page, "has_more"));
		snprintf(after, sizeof(after), "%s",
			remote_text(page, "last_id"));
		json_decref(page);
	}
	return 0;
}

static const struct option list_rows[] = {
	REMOTE_ROWS,
	{ "limit", OPTION_UINT, offsetof(struct values, limit), "0",
		.help = "list so many at most; 0 is all" },
};

/* --- of some jobs ----------------------------------------------------- */

static int some_check(
	const void *values, const struct option_list *args, struct error *err)
{
	(void)values;
	return args->n ? 0 : error_set(err, ERROR_INVALID, "no job is named");
}

static int ask_one(const void *values, const char *method, const char *id,
	const char *suffix, bool whole, struct error *err)
{
	const struct values *v = values;
	json_t *job;

	if (remote_ask(&v->remote, method, JOBS "/", id, suffix, NULL, &job,
		    err) < 0)
		return -1;
	if (whole || v->remote.json)
		remote_print(job, v->remote.json);
	else
		printf("%s %s\n", remote_text(job, "id"),
			remote_text(job, "status"));
	json_decref(job);
	return 0;
}

#define VERB(name, method, path, whole)                                        \
	static int name##_one(                                                 \
		const void *values, const char *id, struct error *err)         \
	{                                                                      \
		return ask_one(values, method, id, path, whole, err);          \
	}                                                                      \
                                                                               \
	static int run_##name(const struct options *table, const void *values, \
		const struct option_list *args, struct error *err)             \
	{                                                                      \
		(void)table;                                                   \
		return remote_each(                                            \
			args, "jobs " #name, name##_one, values, err);         \
	}
VERB(show, "GET", "", true)
VERB(cancel, "POST", "/cancel", false)
VERB(pause, "POST", "/pause", false)
VERB(resume, "POST", "/resume", false)

static int one_check(
	const void *values, const struct option_list *args, struct error *err)
{
	(void)values;
	return command_line_one(args, "jobs", "unrolld jobs watch ID", err);
}

static int run_watch(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	const struct values *v = values;

	(void)table;
	return jobs_follow(&v->remote, args->items[0], err);
}

static const struct option common_rows[] = { REMOTE_ROWS };

/* --- the commands ----------------------------------------------------- */

REMOTE_COMMAND(static int jobs_list_command, "jobs list", "",
	"Lists jobs, the newest first.", list_check, list_rows, run_list)
REMOTE_COMMAND(static int jobs_show_command, "jobs show", " ID...",
	"Describes jobs.", some_check, common_rows, run_show)
REMOTE_COMMAND(static int jobs_watch_command, "jobs watch", " ID",
	"Shows what a job tells of itself, until it is over. The exit code is "
	"0 when it\nsucceeds.",
	one_check, common_rows, run_watch)
REMOTE_COMMAND(static int jobs_cancel_command, "jobs cancel", " ID...",
	"Ends jobs.", some_check, common_rows, run_cancel)
REMOTE_COMMAND(static int jobs_pause_command, "jobs pause", " ID...",
	"Stops jobs; nothing of them is lost.", some_check, common_rows,
	run_pause)
REMOTE_COMMAND(static int jobs_resume_command, "jobs resume", " ID...",
	"Goes on with paused jobs.", some_check, common_rows, run_resume)

static const struct action actions[] = {
	{ "create", jobs_create_command, "train a model on a text" },
	{ "list", jobs_list_command, "list them" },
	{ "show", jobs_show_command, "describe some" },
	{ "watch", jobs_watch_command, "follow one until it is over" },
	{ "cancel", jobs_cancel_command, "end some" },
	{ "pause", jobs_pause_command, "stop some, and lose nothing" },
	{ "resume", jobs_resume_command, "go on with them" },
};

int cmd_jobs(int argc, char **argv)
{
	return actions_run("jobs",
		"Fine-tunes models by a daemon, which is --url or "
		"$UNROLLD_URL or\n" REMOTE_URL ".\n",
		actions, sizeof(actions) / sizeof(actions[0]), argc, argv);
}
