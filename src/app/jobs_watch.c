/*
 * Events come by one connection; how far the job is, for the bar, is asked for
 * by another, between events and about once a second.
 */
#include "app/jobs_commands.h"
#include "app/progress_bar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TRIES 60 /* a second apart, for a daemon that is away */
#define BAR_SECONDS 1

struct watch {
	const struct remote_values *remote;
	struct http_client *events, *status;
	char *events_path, *job_path; /* owned */
	char last[64];		      /* id of the last event */
	json_t *job;		      /* as it was told last; owned, or NULL */
	double loss, valid;	      /* of the last metrics; 0: none yet */
	bool bar, open_line;
	time_t drawn;
	unsigned tries;
};

static bool is_over(const struct watch *w)
{
	const char *status = remote_text(w->job, "status");

	return !strcmp(status, "succeeded") || !strcmp(status, "failed") ||
	       !strcmp(status, "cancelled");
}

static int refresh(struct watch *w, struct error *err)
{
	json_t *job;

	if (http_client_json(w->status, "GET", w->job_path, NULL, &job, err) <
		0)
		return -1;
	json_decref(w->job);
	w->job = job;
	return 0;
}

/* --- showing ---------------------------------------------------------- */

static void end_bar(struct watch *w)
{
	if (w->open_line)
		fputs("\r\033[K", stdout);
	w->open_line = false;
}

static void format_losses(const struct watch *w, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	if (w->loss > 0)
		n = (size_t)snprintf(out, size, " loss %.4f", w->loss);
	if (w->valid > 0 && n < size)
		snprintf(out + n, size - n, " val %.4f", w->valid);
}

static void format_left(const struct watch *w, char *out, size_t size)
{
	const json_t *finish = json_object_get(w->job, "estimated_finish");

	snprintf(out, size, "-");
	if (json_is_integer(finish))
		progress_duration(out, size,
			(double)(json_integer_value(finish) - time(NULL)));
}

static void draw(struct watch *w)
{
	const json_t *p = json_object_get(w->job, "progress");
	long long step = remote_number(p, "step");
	long long total = remote_number(p, "total_steps");
	const char *status = remote_text(w->job, "status");
	char bar[PROGRESS_BAR_WIDTH + 1], losses[48], left[32];

	w->drawn = time(NULL);
	progress_bar(bar, total ? (double)step / (double)total : 0);
	format_losses(w, losses, sizeof(losses));
	format_left(w, left, sizeof(left));
	printf("\r\033[K[%s] ", bar);
	if (strcmp(status, "running") != 0)
		printf("%s, step %lld of %lld%s", status, step, total, losses);
	else
		printf("epoch %.2f step %lld/%lld%s %.0f tok/s ETA %s",
			json_number_value(json_object_get(p, "epoch")), step,
			total, losses,
			json_number_value(
				json_object_get(p, "tokens_per_second")),
			left);
	w->open_line = true;
	fflush(stdout);
}

static void show_metrics(struct watch *w, const json_t *data)
{
	const json_t *loss = json_object_get(data, "train_loss");
	const json_t *valid = json_object_get(data, "valid_loss");
	char losses[48];

	if (json_is_number(loss))
		w->loss = json_number_value(loss);
	if (json_is_number(valid))
		w->valid = json_number_value(valid);
	if (w->bar)
		return;
	format_losses(w, losses, sizeof(losses));
	printf("step %lld%s\n", remote_number(data, "step"), losses);
}

static void show_message(struct watch *w, const json_t *event)
{
	const char *level = remote_text(event, "level");
	char at[REMOTE_TIME];

	end_bar(w);
	remote_time(event, "created_at", at);
	printf("%s %s%s%s\n", at, strcmp(level, "info") ? level : "",
		strcmp(level, "info") ? ": " : "",
		remote_text(event, "message"));
}

/* --- events ----------------------------------------------------------- */

static void tick(void *arg)
{
	struct watch *w = arg;
	struct error err;

	if (!w->bar || time(NULL) - w->drawn < BAR_SECONDS)
		return;
	if (!refresh(w, &err))
		draw(w);
}

static int on_event(void *arg, const char *id, const char *data)
{
	struct watch *w = arg;
	json_t *event = json_loads(data, 0, NULL);

	/* [DONE], or an error: the daemon is about to end. */
	if (!event || json_object_get(event, "error")) {
		json_decref(event);
		return 1;
	}
	snprintf(w->last, sizeof(w->last), "%s", id);
	w->tries = 0;
	if (w->remote->json)
		remote_print_json(event);
	else if (!strcmp(remote_text(event, "type"), "metrics"))
		show_metrics(w, json_object_get(event, "data"));
	else
		show_message(w, event);
	fflush(stdout);
	json_decref(event);
	tick(w);
	return 0;
}

/* One connection's worth of events. 1: there is more to come. */
static int follow(struct watch *w, struct error *err)
{
	const struct http_events e = { .path = w->events_path,
		.after = w->last,
		.event = on_event,
		.tick = tick,
		.arg = w };
	int followed = http_client_follow(w->events, &e, err);

	if (!followed)
		followed = refresh(w, err);
	if (!followed)
		return is_over(w) ? 0 : 1;
	if (err->code != ERROR_UNAVAILABLE || w->tries >= TRIES)
		return -1;
	if (!w->tries && !w->remote->json) {
		end_bar(w);
		fprintf(stderr, "unrolld jobs watch: %s; trying again\n",
			err->message);
	}
	return 1;
}

static int watch_open(struct watch *w, const char *id, struct error *err)
{
	if (remote_open(&w->events, w->remote, err) < 0 ||
		remote_open(&w->status, w->remote, err) < 0)
		return -1;
	w->job_path = http_client_path(w->events, JOBS "/", id, "");
	w->events_path = http_client_path(
		w->events, JOBS "/", id, "/events?stream=true");
	if (!w->job_path || !w->events_path)
		return error_set_memory(err, "path", strlen(id));
	return refresh(w, err);
}

static void watch_close(struct watch *w)
{
	json_decref(w->job);
	free(w->job_path);
	free(w->events_path);
	http_client_close(w->status);
	http_client_close(w->events);
}

static int conclude(struct watch *w, const char *id, struct error *err)
{
	const json_t *losses = json_object_get(w->job, "losses");
	const json_t *before = json_object_get(losses, "before");
	const json_t *after = json_object_get(losses, "after");
	const char *status = remote_text(w->job, "status");

	end_bar(w);
	if (w->remote->json)
		remote_print_json(w->job);
	if (!strcmp(status, "failed"))
		return error_set(err, ERROR_INVALID, "%s failed: %s", id,
			remote_text(
				json_object_get(w->job, "error"), "message"));
	if (strcmp(status, "succeeded") != 0)
		return error_set(err, ERROR_CANCELLED, "%s was %s", id, status);
	if (w->remote->json)
		return 0;
	printf("%s", remote_text(w->job, "fine_tuned_model"));
	if (json_is_number(before) && json_is_number(after))
		printf(": held-out loss %.4f, before %.4f",
			json_number_value(after), json_number_value(before));
	putchar('\n');
	return 0;
}

int jobs_follow(
	const struct remote_values *v, const char *id, struct error *err)
{
	struct watch w = { .remote = v,
		.bar = !v->json && isatty(STDOUT_FILENO) };
	int result = watch_open(&w, id, err);

	while (!result && (result = follow(&w, err)) > 0) {
		result = 0;
		w.tries++;
		sleep(1);
	}
	if (!result)
		result = conclude(&w, id, err);
	else
		end_bar(&w);
	watch_close(&w);
	return result;
}
