#include "http/call.h"
#include "http/reply.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_close(void *data, bool completed)
{
	struct call *c = data;

	(void)completed;
	c->x = NULL;
}

static const struct exchange_ops ops = { .on_close = on_close };

static void call_free(struct call *c)
{
	c->api->n_calls--;
	buf_release(&c->body);
	json_decref(c->answer);
	free(c);
}

static void reply(struct call *c)
{
	if (c->err.code) {
		reply_error(c->x, &c->err);
	} else if (c->answer) {
		reply_json(c->x, c->status, c->answer);
		c->answer = NULL;
	} else {
		exchange_reply(c->x, c->status, NULL, NULL, 0);
	}
}

static void done(struct worker_job *job)
{
	struct call *c = (struct call *)job;

	if (c->wrote)
		api_note_store(c->api, c->err.code ? &c->err : NULL);
	if (c->x) {
		exchange_attach(c->x, NULL, NULL);
		reply(c);
	}
	call_free(c);
}

static void run(struct worker_job *job)
{
	struct call *c = (struct call *)job;

	c->work(c);
}

void call_hold(struct call *c)
{
	atomic_fetch_add(&c->holders, 1);
}

void call_done(struct call *c)
{
	if (atomic_fetch_sub(&c->holders, 1) == 1)
		worker_done(&c->job);
}

void call_start(struct api *a, struct exchange *x,
	const struct route_params *params, void (*work)(struct call *c))
{
	struct call *c;
	struct error err;

	if (!api_admit(a, x))
		return;
	c = calloc(1, sizeof(*c));
	if (!c) {
		error_set_memory(&err, "request", sizeof(*c));
		reply_error(x, &err);
		return;
	}
	c->job.run = run;
	c->job.done = done;
	c->api = a;
	c->x = x;
	c->params = *params;
	c->work = work;
	atomic_init(&c->holders, 1);
	c->status = 200;
	snprintf(c->query, sizeof(c->query), "%s", exchange_query(x));
	exchange_take_body(x, &c->body);
	a->n_calls++;
	if (workers_post(a->workers, &c->job, &err) < 0) {
		call_free(c);
		reply_error(x, &err);
		return;
	}
	exchange_attach(x, &ops, c);
}

const char *call_query(
	const struct call *c, const char *name, char *out, size_t size)
{
	const char *p = c->query;
	size_t len = strlen(name);

	while (*p) {
		size_t n = strcspn(p, "&");

		if (n > len && !strncmp(p, name, len) && p[len] == '=') {
			snprintf(out, size, "%.*s", (int)(n - len - 1),
				p + len + 1);
			return out;
		}
		p += p[n] ? n + 1 : n;
	}
	return NULL;
}
