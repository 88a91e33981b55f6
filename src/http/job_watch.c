/*
 * A job's events to a client as they come. The rows are read by a worker, one
 * at a time for each client; in between it waits for the jobs to change.
 *
 *   IDLE -> READING [the job changed];  READING -> IDLE [all is sent]
 *   READING -> gone [the job is over, or the client is]
 *
 * Loop thread, but for `run`.
 */
#include "http/job_answer.h"
#include "http/job_watch.h"
#include "http/reply.h"
#include "http/stream.h"

#include <stdlib.h>
#include <string.h>

#define PAGE 50
#define ROOM (64u << 10) /* that a page needs at most */

struct job_watch {
	struct worker_job job; /* first */
	struct job_watch *next, **link;
	struct api *api;
	struct exchange *x; /* NULL once the client has left */
	char id[JOB_ID_MAX + 1], owner[SESSION_OWNER_MAX + 1];
	uint64_t sent; /* number of the last event */
	bool reading, again;
	/* Of the last reading: */
	json_t *rows;
	bool more, over;
	struct error err;
};

static void leave(struct job_watch *w)
{
	*w->link = w->next;
	if (w->next)
		w->next->link = w->link;
	json_decref(w->rows);
	free(w);
}

static void run(struct worker_job *job)
{
	struct job_watch *w = (struct job_watch *)job;
	const struct jobs_page page = { .after = w->sent, .limit = PAGE };
	struct jobs *jobs = w->api->backend.jobs;
	struct job record;

	w->err.code = ERROR_NONE;
	w->rows = NULL;
	/* Its state first: an event that comes now is read the next time. */
	if (jobs_get(jobs, w->owner, w->id, &record, &w->err) == 0) {
		w->over = job_is_over(&record);
		job_release(&record);
		jobs_log(jobs, w->owner, w->id, JOBS_EVENTS, &page, &w->rows,
			&w->more, &w->err);
	}
	worker_done(job);
}

static void end_stream(struct job_watch *w, const struct error *err)
{
	struct exchange *x = w->x;

	exchange_attach(x, NULL, NULL);
	if (err)
		stream_event(x, NULL, reply_error_object(err, exchange_id(x)));
	stream_end(x);
	leave(w);
}

static int send_rows(struct job_watch *w)
{
	char id[24];
	json_t *row;
	size_t i;

	json_array_foreach(w->rows, i, row)
	{
		snprintf(id, sizeof(id), "%llu", (unsigned long long)++w->sent);
		if (stream_event(w->x, id, json_incref(row)) < 0)
			return -1;
	}
	json_decref(w->rows);
	w->rows = NULL;
	return 0;
}

static void read_more(struct job_watch *w);

static void done(struct worker_job *job)
{
	struct job_watch *w = (struct job_watch *)job;

	w->reading = false;
	if (!w->x)
		leave(w);
	else if (w->err.code)
		end_stream(w, &w->err);
	else if (send_rows(w) < 0 || (w->over && !w->more))
		end_stream(w, NULL);
	else if (w->more || w->again)
		read_more(w);
}

static void read_more(struct job_watch *w)
{
	struct error err;

	w->again = true;
	if (w->reading || exchange_stream_room(w->x) < ROOM)
		return;
	w->job.run = run;
	w->job.done = done;
	/* The next look does it, where the workers have too much to do. */
	if (workers_post(w->api->workers, &w->job, &err) < 0)
		return;
	w->again = false;
	w->reading = true;
}

static void on_close(void *data, bool completed)
{
	struct job_watch *w = data;

	(void)completed;
	w->x = NULL;
	if (!w->reading)
		leave(w);
}

static void on_writable(void *data)
{
	struct job_watch *w = data;

	if (w->again)
		read_more(w);
}

static const struct exchange_ops ops = { .on_close = on_close,
	.on_writable = on_writable };

void job_watch(struct call *c, uint64_t after)
{
	struct job_watch *w;
	struct api *a = c->api;

	if (!c->x || !(w = calloc(1, sizeof(*w)))) {
		if (c->x)
			error_set_memory(&c->err, "stream", sizeof(*w));
		call_finish(c);
		return;
	}
	w->api = a;
	w->x = c->x;
	w->sent = after;
	strcpy(w->id, c->params.value[0]);
	strcpy(w->owner, c->owner);
	w->next = a->watches;
	w->link = &a->watches;
	if (w->next)
		w->next->link = &w->next;
	a->watches = w;
	exchange_attach(w->x, &ops, w);
	c->x = NULL;
	call_finish(c);
	stream_begin(w->x);
	read_more(w);
}

void job_watches_look(struct api *a)
{
	for (struct job_watch *w = a->watches, *next; w; w = next) {
		next = w->next;
		if (w->x)
			read_more(w);
	}
}

void job_watches_heartbeat(struct api *a)
{
	for (struct job_watch *w = a->watches; w; w = w->next) {
		if (!w->x)
			continue;
		stream_ping(w->x);
		if (w->again)
			read_more(w);
	}
}

void job_watches_end(struct api *a)
{
	struct error err;

	error_set(&err, ERROR_UNAVAILABLE,
		"the server is stopping; the job goes on when it is back");
	for (struct job_watch *w = a->watches, *next; w; w = next) {
		struct exchange *x = w->x;

		next = w->next;
		if (!x)
			continue;
		if (!w->reading) {
			end_stream(w, &err);
			continue;
		}
		/* `done` sees that nobody is there any more. */
		w->x = NULL;
		exchange_attach(x, NULL, NULL);
		stream_event(x, NULL, reply_error_object(&err, exchange_id(x)));
		stream_end(x);
	}
}
