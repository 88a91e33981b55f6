/* Fine-tuning jobs: all of it is a worker's work, since records are on a disk.
 */
#include "http/files.h"
#include "http/job_answer.h"
#include "http/reply.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_PAGE 20
#define MAX_PAGE 100
#define MAX_PAIRS 8

static void answer(struct call *c, struct job *job)
{
	c->answer = job_describe(job);
	job_release(job);
}

static void work_create(struct call *c)
{
	struct job wanted, job;

	if (job_read(c, &wanted) == 0) {
		if (jobs_create(c->api->backend.jobs, &wanted, &job, &c->err) ==
			0)
			answer(c, &job);
		job_release(&wanted);
	}
	call_done(c);
}

static void work_get(struct call *c)
{
	struct job job;

	if (jobs_get(c->api->backend.jobs, c->owner, c->params.value[0], &job,
		    &c->err) == 0)
		answer(c, &job);
	call_done(c);
}

static void ask(struct call *c, enum job_verb verb)
{
	struct job job;

	if (jobs_ask(c->api->backend.jobs, c->owner, c->params.value[0], verb,
		    &job, &c->err) == 0)
		answer(c, &job);
	call_done(c);
}

static void work_cancel(struct call *c)
{
	ask(c, JOB_CANCEL);
}

static void work_pause(struct call *c)
{
	ask(c, JOB_PAUSE);
}

static void work_resume(struct call *c)
{
	ask(c, JOB_RESUME);
}

/* --- lists -------------------------------------------------------------- */

#define PAGE_FIELDS(help_)                \
	[PAGE_AFTER] = { .name = "after", \
		.type = FIELD_NAME,       \
		.max = 2 * JOB_ID_MAX,    \
		.help = (help_) },        \
	[PAGE_LIMIT] = { .name = "limit", \
		.type = FIELD_INT,        \
		.min = 1,                 \
		.max = MAX_PAGE,          \
		.help = "At most so many; 20 without it" }

enum { PAGE_AFTER, PAGE_LIMIT, PAGE_OTHER };

static const struct field list_query[] = {
	PAGE_FIELDS("The id of the last job of the page before"),
	[PAGE_OTHER] = { .name = "metadata*",
		.type = FIELD_TEXT,
		.help = "metadata[KEY]=VALUE lists jobs whose metadata holds "
			"that" },
};

static const struct field events_query[] = {
	PAGE_FIELDS("The id of an event: those before it, as newer ones come "
		    "first; with stream those after it"),
	[PAGE_OTHER] = { .name = "stream",
		.type = FIELD_BOOL,
		.help = "All events from the first as a stream (SSE), until "
			"the job is over" },
};

static const struct field checkpoints_query[] = {
	PAGE_FIELDS("The id of a checkpoint: those before it"),
};

struct pairs {
	struct {
		char key[64], value[512];
	} pair[MAX_PAIRS];
	size_t n;
};

static bool has_pairs(void *arg, const struct job *job)
{
	const struct pairs *p = arg;

	for (size_t i = 0; i < p->n; i++) {
		const char *value = json_string_value(
			json_object_get(job->metadata, p->pair[i].key));

		if (!value || strcmp(value, p->pair[i].value) != 0)
			return false;
	}
	return true;
}

/* metadata[KEY], its brackets perhaps percent-encoded. */
static int read_pairs(struct call *c, struct pairs *p)
{
	char raw[128], name[128];

	p->n = 0;
	for (size_t i = 0; call_query_name(c, i, raw, sizeof(raw)); i++) {
		size_t len;

		if (strncmp(raw, "metadata", 8) != 0)
			continue;
		len = router_decode(raw, strlen(raw), name, sizeof(name)) < 0
			      ? 0
			      : strlen(name);
		if (len < 11 || name[8] != '[' || name[len - 1] != ']' ||
			len - 10 >= sizeof(p->pair[0].key) || p->n == MAX_PAIRS)
			return error_set_param(&c->err, ERROR_INVALID,
				"metadata",
				"'%s' is wrong, or one too many; expected at "
				"most %d of metadata[KEY]=VALUE",
				raw, MAX_PAIRS);
		snprintf(p->pair[p->n].key, sizeof(p->pair[0].key), "%.*s",
			(int)(len - 10), name + 9);
		if (call_query(c, raw, p->pair[p->n].value,
			    sizeof(p->pair[0].value), &c->err))
			p->n++;
		else if (c->err.code)
			return -1;
	}
	return 0;
}

struct page {
	char after[2 * JOB_ID_MAX + 1];
	uint64_t limit;
};

static int read_page(
	struct call *c, const struct field *query, size_t n, struct page *p)
{
	*p = (struct page){ .limit = DEFAULT_PAGE };
	if (call_check_query(c, query, n, &c->err) < 0 ||
		call_query_number(c, "limit", 1, MAX_PAGE, &p->limit, &c->err) <
			0)
		return -1;
	if (!call_query(c, "after", p->after, sizeof(p->after), &c->err))
		p->after[0] = '\0';
	return c->err.code ? -1 : 0;
}

static json_t *list_of(json_t *data, bool more)
{
	const size_t n = json_array_size(data);
	json_t *first = json_object_get(json_array_get(data, 0), "id");
	json_t *last =
		n ? json_object_get(json_array_get(data, n - 1), "id") : NULL;

	return json_pack("{s:s, s:o, s:b, s:O?, s:O?}", "object", "list",
		"data", data, "has_more", more, "first_id", first, "last_id",
		last);
}

static void work_list(struct call *c)
{
	struct job jobs[MAX_PAGE];
	struct pairs pairs;
	struct page page;
	json_t *data;
	bool more;
	size_t n;

	if (read_page(c, list_query, 3, &page) == 0 &&
		read_pairs(c, &pairs) == 0 &&
		jobs_list(c->api->backend.jobs, c->owner, page.after,
			(size_t)page.limit, has_pairs, &pairs, jobs, &n, &more,
			&c->err) == 0) {
		data = json_array();
		for (size_t i = 0; i < n; i++) {
			json_array_append_new(data, job_describe(&jobs[i]));
			job_release(&jobs[i]);
		}
		c->answer = list_of(data, more);
	}
	call_done(c);
}

static int read_number(struct call *c, const char *id, uint64_t *number)
{
	*number = *id ? jobs_log_number(id) : 0;
	if (!*id || *number)
		return 0;
	return error_set_param(&c->err, ERROR_INVALID, "after",
		"after is '%s', expected the id of one of the list", id);
}

static void answer_log(
	struct call *c, enum jobs_log log, const struct page *page)
{
	struct jobs_page p = { .newest_first = true,
		.limit = (size_t)page->limit };
	json_t *data;
	bool more = false;

	if (read_number(c, page->after, &p.after) == 0 &&
		jobs_log(c->api->backend.jobs, c->owner, c->params.value[0],
			log, &p, &data, &more, &c->err) == 0)
		c->answer = list_of(data, more);
}

static void work_checkpoints(struct call *c)
{
	struct page page;

	if (read_page(c, checkpoints_query, 2, &page) == 0)
		answer_log(c, JOBS_CHECKPOINTS, &page);
	call_done(c);
}

/* A stream begins where the query or, of a browser that comes back, the number
 * in Last-Event-ID says. */
static void begin_stream(struct call *c)
{
	const char *last = c->x ? exchange_header(c->x, "Last-Event-ID") : NULL;
	uint64_t after = 0;
	char id[2 * JOB_ID_MAX + 1];

	if (last)
		after = strtoull(last, NULL, 10);
	else if (call_query(c, "after", id, sizeof(id), &c->err))
		after = jobs_log_number(id);
	job_watch(c, after);
}

static void work_events(struct call *c)
{
	char stream[8] = "false";
	struct page page;
	struct job job;

	if (read_page(c, events_query, 3, &page) < 0) {
		call_done(c);
		return;
	}
	call_query(c, "stream", stream, sizeof(stream), &c->err);
	if (!strcmp(stream, "true")) {
		if (jobs_get(c->api->backend.jobs, c->owner, c->params.value[0],
			    &job, &c->err) == 0)
			job_release(&job);
		c->then = begin_stream;
	} else if (strcmp(stream, "false") != 0) {
		error_set_param(&c->err, ERROR_INVALID, "stream",
			"stream is '%s', expected true or false", stream);
	} else {
		answer_log(c, JOBS_EVENTS, &page);
	}
	call_done(c);
}

/* --- routes ------------------------------------------------------------- */

#define HANDLER(name_)                                                       \
	static void handle_##name_(                                          \
		void *ctx, struct exchange *x, const struct route_params *p) \
	{                                                                    \
		if (files_admit(ctx, x))                                     \
			call_start(ctx, x, p, work_##name_);                 \
	}
HANDLER(get)
HANDLER(list)
HANDLER(cancel)
HANDLER(pause)
HANDLER(resume)
HANDLER(events)
HANDLER(checkpoints)

static void handle_create(
	void *ctx, struct exchange *x, const struct route_params *p)
{
	if (files_admit(ctx, x))
		call_start_once(ctx, x, p, work_create);
}

#define ROUTE(method_, path_, handle_, schema_, summary_)                 \
	.method = (method_), .path = "/v1/fine_tuning/jobs" path_,        \
	.scope = ROUTE_TRAIN, .handle = (handle_), .summary = (summary_), \
	.status = 200, .answer = "application/json", .schema = (schema_)

static const struct route rows[] = {
	{ ROUTE("POST", "", handle_create, "Job",
		  "Create a job that trains a model on an uploaded text"),
		.fields = job_fields, .n_fields = 12 },
	{ ROUTE("GET", "", handle_list, "JobList",
		  "List jobs, the newest first"),
		.query = list_query, .n_query = 3 },
	{ ROUTE("GET", "/{id}", handle_get, "Job", "Describe a job") },
	{ ROUTE("POST", "/{id}/cancel", handle_cancel, "Job", "End a job") },
	{ ROUTE("POST", "/{id}/pause", handle_pause, "Job",
		"Stop a job; nothing of it is lost") },
	{ ROUTE("POST", "/{id}/resume", handle_resume, "Job",
		"Go on with a paused job") },
	{ ROUTE("GET", "/{id}/events", handle_events, "JobEventList",
		  "What a job has told: a page of it, or as a stream"),
		.query = events_query, .n_query = 3 },
	{ ROUTE("GET", "/{id}/checkpoints", handle_checkpoints,
		  "JobCheckpointList",
		  "The checkpoints of a job and their losses"),
		.query = checkpoints_query, .n_query = 2 },
};

const struct route_table routes_fine_tuning = { rows,
	sizeof(rows) / sizeof(rows[0]) };
