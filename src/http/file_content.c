/*
 * GET /v1/files/{file}/content: a worker reads a piece, the loop hands it on,
 * and when the client has taken enough of it the worker reads the next. One
 * thread has the reader: a worker while `busy`, else the loop.
 */
#include "http/files.h"
#include "http/reply.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE (EXCHANGE_MAX_BACKLOG / 2)

struct reading {
	struct worker_job job; /* first */
	struct api *api;
	struct exchange *x; /* NULL once the client has left */
	bool busy;
	int fd; /* -1 before it is open */
	char owner[SESSION_OWNER_MAX + 1];
	struct file_info info;
	uint64_t sent;
	size_t len; /* of piece */
	struct error err;
	char piece[PIECE];
};

static void run_open(struct worker_job *job)
{
	struct reading *r = (struct reading *)job;
	struct files *files = r->api->backend.files;
	char path[PATH_MAX];

	if (!files_find(files, r->owner, r->info.id, &r->info, &r->err) &&
		!files_path(files, r->info.id, path, sizeof(path))) {
		r->fd = open(path, O_RDONLY | O_CLOEXEC);
		if (r->fd < 0)
			error_set_errno(&r->err, "%s: cannot open", path);
	}
	worker_done(job);
}

static void run_read(struct worker_job *job)
{
	struct reading *r = (struct reading *)job;
	ssize_t n;

	do
		n = read(r->fd, r->piece, PIECE);
	while (n < 0 && errno == EINTR);
	r->len = n < 0 ? 0 : (size_t)n;
	worker_done(job);
}

static void reading_free(struct reading *r)
{
	if (r->fd >= 0)
		close(r->fd);
	free(r);
}

static void pump(struct worker_job *job);

static void read_on(struct reading *r)
{
	struct error err;

	r->job.run = run_read;
	r->job.done = pump;
	r->busy = !workers_post(r->api->workers, &r->job, &err);
	/* Its length was promised, so a cut end is seen as one. */
	if (!r->busy)
		exchange_stream_end(r->x);
}

/* A piece was read. The backlog has room for it, and after it perhaps for
 * another; else on_writable goes on. */
static void pump(struct worker_job *job)
{
	struct reading *r = (struct reading *)job;

	r->busy = false;
	if (!r->x) {
		reading_free(r);
		return;
	}
	r->sent += r->len;
	if (!r->len || exchange_stream_write(r->x, r->piece, r->len) < 0 ||
		r->sent >= r->info.bytes)
		exchange_stream_end(r->x);
	else if (exchange_stream_room(r->x) >= PIECE)
		read_on(r);
}

static void on_writable(void *data)
{
	struct reading *r = data;

	if (!r->busy && r->sent < r->info.bytes)
		read_on(r);
}

static void on_close(void *data, bool completed)
{
	struct reading *r = data;

	(void)completed;
	r->x = NULL;
	if (!r->busy)
		reading_free(r);
}

static const struct exchange_ops ops = { .on_close = on_close,
	.on_writable = on_writable };

static void opened(struct worker_job *job)
{
	struct reading *r = (struct reading *)job;

	r->busy = false;
	if (!r->x) {
		reading_free(r);
		return;
	}
	if (r->err.code) {
		exchange_attach(r->x, NULL, NULL);
		reply_error(r->x, &r->err);
		reading_free(r);
		return;
	}
	exchange_stream_size(r->x, r->info.bytes);
	exchange_stream_begin(r->x, 200, ROUTE_BINARY);
	read_on(r);
}

void file_content(
	void *ctx, struct exchange *x, const struct route_params *params)
{
	struct api *a = ctx;
	struct reading *r;
	struct error err;

	if (!files_admit(a, x))
		return;
	r = calloc(1, sizeof(*r));
	if (!r) {
		error_set_memory(&err, "file", sizeof(*r));
		reply_error(x, &err);
		return;
	}
	r->api = a;
	r->x = x;
	r->fd = -1;
	snprintf(r->owner, sizeof(r->owner), "%s", exchange_owner(x));
	r->job.run = run_open;
	r->job.done = opened;
	snprintf(r->info.id, sizeof(r->info.id), "%s", params->value[0]);
	if (workers_post(a->workers, &r->job, &err) < 0) {
		reading_free(r);
		reply_error(x, &err);
		return;
	}
	r->busy = true;
	exchange_attach(x, &ops, r);
}
