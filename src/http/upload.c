/*
 * POST /v1/files. The loop fills one buffer while a worker parses and writes
 * the other; when both are full the client waits. So an upload of any length
 * takes two buffers, and a slow disk slows its client down.
 *
 *   RECEIVING -> FINISHING [the body is in, and written]
 *   FINISHING -> answered [upload_done];  RECEIVING -> (gone) [the client left]
 *
 * One thread has the worker's half: a worker while `busy`, else the loop.
 */
#include "http/files.h"
#include "http/guard.h"
#include "http/multipart.h"
#include "http/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BUFFER (128u << 10)
#define MAX_UPLOADS 64 /* at once */
/* What a body may have besides the file. */
#define MAX_REST (64u << 10)
#define MAX_VALUE 64 /* bytes of a field that is no file */

enum part { PART_FILE, PART_PURPOSE, PART_ENCODING, PART_FORMAT, N_PARTS };

const struct field upload_fields[N_UPLOAD_FIELDS] = {
	[PART_FILE] = { .name = "file",
		.type = FIELD_JSON,
		.schema = "{\"type\": \"string\", \"format\": \"binary\"}",
		.help = "The text: plain, or JSON lines that each have a "
			"string `text`" },
	[PART_PURPOSE] = { .name = "purpose",
		.type = FIELD_CHOICE,
		.choices = FILE_PURPOSE,
		.help = "What it is for" },
	[PART_ENCODING] = { .name = "encoding",
		.type = FIELD_NAME,
		.max = 31,
		.help = "Its charset, as iconv names it; without it the "
			"charset of the part's Content-Type, else utf-8" },
	[PART_FORMAT] = { .name = "format",
		.type = FIELD_CHOICE,
		.choices = "text|jsonl",
		.help = "Without it jsonl for names that end in .jsonl or "
			".ndjson, else text" },
};

struct upload {
	struct worker_job job; /* first */
	struct api *api;
	struct exchange *x; /* NULL once the client has left */
	char owner[SESSION_OWNER_MAX + 1];
	struct buf filling;
	bool busy, failed, complete;

	/* The worker's half. */
	struct buf writing;
	struct multipart parser;
	struct file_upload *file; /* NULL before its part, and after it all */
	enum part part;		  /* that is being read */
	unsigned seen;		  /* bit i: part i */
	char values[N_PARTS][MAX_VALUE + 1];
	char charset[32], name[FILE_NAME_MAX + 1];
	struct file_info info;
	struct error err;
};

/* --- on a worker ------------------------------------------------------ */

static int find_part(const char *name, struct error *err)
{
	for (int i = 0; i < N_PARTS; i++)
		if (!strcmp(upload_fields[i].name, name))
			return i;
	return error_set_param(err, ERROR_INVALID, name,
		"unknown field '%.60s', expected file, purpose, encoding or "
		"format",
		name);
}

static int on_begin(
	void *arg, const struct multipart_part *part, struct error *err)
{
	struct upload *u = arg;
	int i = find_part(part->name, err);

	if (i < 0)
		return -1;
	if (u->seen >> i & 1)
		return error_set_param(err, ERROR_INVALID, part->name,
			"%s is given twice", part->name);
	u->seen |= 1u << i;
	u->part = (enum part)i;
	if (i != PART_FILE)
		return 0;
	memcpy(u->charset, part->charset, sizeof(u->charset));
	snprintf(u->name, sizeof(u->name), "%s",
		part->filename[0] ? part->filename : "file");
	return files_begin(u->api->backend.files, u->owner, &u->file, err);
}

static int on_data(void *arg, const char *bytes, size_t len, struct error *err)
{
	struct upload *u = arg;
	char *value = u->values[u->part];
	size_t n;

	if (u->part == PART_FILE)
		return files_append(u->file, bytes, len, err);
	n = strlen(value);
	if (len > MAX_VALUE - n || memchr(bytes, '\0', len))
		return error_set_param(err, ERROR_INVALID,
			upload_fields[u->part].name,
			"%s is longer than %d bytes, or no text",
			upload_fields[u->part].name, MAX_VALUE);
	memcpy(value + n, bytes, len);
	value[n + len] = '\0';
	return 0;
}

static int on_end(void *arg, struct error *err)
{
	(void)arg;
	(void)err;
	return 0;
}

static const struct multipart_ops parser_ops = {
	.begin = on_begin, .data = on_data, .end = on_end
};

static void run_write(struct worker_job *job)
{
	struct upload *u = (struct upload *)job;

	if (!u->err.code)
		multipart_feed(
			&u->parser, u->writing.data, u->writing.len, &u->err);
	worker_done(job);
}

static bool ends_in(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	return n >= m && !strcasecmp(name + n - m, suffix);
}

static int read_format(
	const struct upload *u, enum file_format *format, struct error *err)
{
	const char *text = u->values[PART_FORMAT];
	bool lines = ends_in(u->name, ".jsonl") || ends_in(u->name, ".ndjson");

	*format = lines ? FILE_JSONL : FILE_TEXT;
	if (!(u->seen >> PART_FORMAT & 1))
		return 0;
	if (strcmp(text, "text") != 0 && strcmp(text, "jsonl") != 0)
		return error_set_param(err, ERROR_INVALID, "format",
			"format is '%s', expected text or jsonl", text);
	*format = strcmp(text, "text") ? FILE_JSONL : FILE_TEXT;
	return 0;
}

static int read_about(
	struct upload *u, struct file_about *about, struct error *err)
{
	const char *purpose = u->values[PART_PURPOSE];

	if (!(u->seen >> PART_FILE & 1))
		return error_set_param(
			err, ERROR_INVALID, "file", "file is missing");
	if (strcmp(purpose, FILE_PURPOSE) != 0)
		return error_set_param(err, ERROR_INVALID, "purpose",
			u->seen >> PART_PURPOSE & 1
				? "purpose is '%s', expected " FILE_PURPOSE
				: "purpose is missing%s, expected "
				  "'" FILE_PURPOSE "'",
			purpose);
	about->name = u->name;
	about->encoding = u->seen >> PART_ENCODING & 1
				  ? u->values[PART_ENCODING]
			  : u->charset[0] ? u->charset
					  : NULL;
	return read_format(u, &about->format, err);
}

static void run_finish(struct worker_job *job)
{
	struct upload *u = (struct upload *)job;
	struct file_about about = { 0 };
	struct file_upload *file = u->file;

	if (!u->err.code && !multipart_finish(&u->parser, &u->err) &&
		!read_about(u, &about, &u->err)) {
		u->file = NULL;
		files_finish(file, &about, &u->info, &u->err);
	}
	files_abort(u->file);
	u->file = NULL;
	worker_done(job);
}

static void run_abort(struct worker_job *job)
{
	struct upload *u = (struct upload *)job;

	files_abort(u->file);
	u->file = NULL;
	worker_done(job);
}

/* --- on the loop ------------------------------------------------------ */

static void upload_free(struct upload *u)
{
	files_abort(u->file);
	u->api->n_uploads--;
	multipart_release(&u->parser);
	buf_release(&u->filling);
	buf_release(&u->writing);
	free(u);
}

static void gone(struct worker_job *job)
{
	upload_free((struct upload *)job);
}

/* One job at a time of as many uploads as the pool takes: there is room. */
static void post(struct upload *u, void (*run)(struct worker_job *job),
	void (*done)(struct worker_job *job))
{
	struct error err;

	u->job.run = run;
	u->job.done = done;
	u->busy = workers_post(u->api->disk, &u->job, &err) == 0;
}

/* The client left. At the very end the workers may be gone, too. */
static void leave(struct upload *u)
{
	if (!u->api->draining && u->file) {
		post(u, run_abort, gone);
		if (u->busy)
			return;
	}
	upload_free(u);
}

static void answered(struct worker_job *job)
{
	struct upload *u = (struct upload *)job;

	u->api->n_calls--;
	if (u->x) {
		exchange_attach(u->x, NULL, NULL);
		if (u->err.code)
			reply_error(u->x, &u->err);
		else
			reply_json(u->x, 200, file_describe(&u->info));
	}
	upload_free(u);
}

static void finish(struct upload *u)
{
	u->api->n_calls++;
	post(u, run_finish, answered);
}

static void written(struct worker_job *job);

static void write_on(struct upload *u)
{
	struct buf full = u->filling;

	u->filling = u->writing;
	buf_clear(&u->filling);
	u->writing = full;
	post(u, run_write, written);
}

static void written(struct worker_job *job)
{
	struct upload *u = (struct upload *)job;

	u->busy = false;
	if (!u->x) {
		leave(u);
		return;
	}
	u->failed = u->err.code != ERROR_NONE;
	if (u->failed)
		buf_clear(&u->filling);
	if (u->filling.len)
		write_on(u);
	else if (u->complete)
		finish(u);
	exchange_sink_ready(u->x);
}

/* After a failure the rest is read and dropped: only then can be said why. */
static size_t take(void *data, const char *bytes, size_t len)
{
	struct upload *u = data;
	size_t room = BUFFER - u->filling.len;

	if (u->failed)
		return len;
	if (len > room)
		len = room;
	if (buf_append(&u->filling, bytes, len) < 0)
		return 0;
	if (!u->busy)
		write_on(u);
	return len;
}

static void on_close(void *data, bool completed)
{
	struct upload *u = data;

	(void)completed;
	u->x = NULL;
	if (!u->busy)
		leave(u);
}

static const struct exchange_sink sink = { .take = take };
static const struct exchange_ops ops = { .on_close = on_close };

/* Both buffers at once: later there is nobody to tell. */
static struct upload *upload_new(
	struct api *a, struct exchange *x, struct error *err)
{
	struct upload *u = calloc(1, sizeof(*u));

	if (!u) {
		error_set_memory(err, "upload", sizeof(*u));
		return NULL;
	}
	u->api = a;
	u->x = x;
	snprintf(u->owner, sizeof(u->owner), "%s", exchange_owner(x));
	a->n_uploads++;
	buf_init(&u->filling, BUFFER);
	buf_init(&u->writing, BUFFER);
	if (multipart_init(&u->parser, exchange_header(x, "Content-Type"),
		    &parser_ops, u, err) < 0) {
		upload_free(u);
		return NULL;
	}
	if (buf_reserve(&u->filling, BUFFER) < 0 ||
		buf_reserve(&u->writing, BUFFER) < 0) {
		upload_free(u);
		error_set_memory(err, "upload", 2 * BUFFER);
		return NULL;
	}
	return u;
}

void upload_open(
	void *ctx, struct exchange *x, const struct route_params *params)
{
	struct api *a = ctx;
	struct upload *u;
	struct error err;
	size_t max;

	(void)params;
	if (!files_admit(a, x))
		return;
	max = files_max_size(a->backend.files) + MAX_REST;
	if (!guard_check_length(x, max))
		return;
	if (a->n_uploads == MAX_UPLOADS) {
		reply_refuse(x, 429, "overloaded", "",
			"%d uploads are under way already", MAX_UPLOADS);
		return;
	}
	u = upload_new(a, x, &err);
	if (!u && err.code == ERROR_UNSUPPORTED) {
		reply_refuse(x, 415, "unsupported_media_type", "", "%s",
			err.message);
		return;
	}
	if (!u) {
		reply_error(x, &err);
		return;
	}
	exchange_attach(x, &ops, u);
	exchange_expect_stream(x, max, &sink, u);
}

void upload_complete(
	void *ctx, struct exchange *x, const struct route_params *params)
{
	struct upload *u = exchange_sink_data(x);

	(void)ctx;
	(void)params;
	u->complete = true;
	if (!u->busy)
		finish(u);
}
