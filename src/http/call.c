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
	if (c->found == 1)
		buf_release(&c->replay.body);
	free(c->text);
	idempotent_release(c->api->keys, &c->key);
	free(c);
}

/* malloc'ed text that the exchange takes. */
static void reply_text_once(struct call *c, unsigned status, char *text)
{
	exchange_reply(c->x, status, text ? "application/json" : NULL, text,
		text ? strlen(text) : 0);
}

static void replay(struct call *c)
{
	const struct buf *b = &c->replay.body;

	metrics_add(c->api->metrics, MEASURE_REPLAYED, 0, 1);
	exchange_add_header(c->x, IDEMPOTENT_REPLAYED, "true");
	reply_text_once(
		c, c->replay.status, strndup(b->data ? b->data : "", b->len));
}

static void reply(struct call *c)
{
	if (c->err.code) {
		reply_error(c->x, &c->err);
	} else if (c->found == 1) {
		replay(c);
	} else if (c->text) {
		reply_text_once(c, c->status, c->text);
		c->text = NULL;
	} else if (c->answer) {
		reply_json(c->x, c->status, c->answer);
		c->answer = NULL;
	} else {
		exchange_reply(c->x, c->status, NULL, NULL, 0);
	}
}

static void finish(struct worker_job *job)
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

/* On the writer's thread. */
static void on_kept(void *arg, const struct error *err)
{
	struct call *c = arg;

	if (err)
		c->err = *err;
	worker_done(&c->job);
}

/* Stored once what it tells of is. */
static void keep(struct worker_job *job)
{
	struct call *c = (struct call *)job;
	char key[STORE_KEY_MAX + 1];
	struct store_change change;
	struct buf value;
	int kept = -1;

	buf_init(&value, 0);
	c->text = json_dumps(c->answer, REPLY_JSON);
	if (!c->text)
		error_set_memory(&c->err, "answer", 1);
	else
		kept = idempotent_change(&c->key, c->status, false, c->text,
			strlen(c->text), (int64_t)c->api->o.idempotency_ttl,
			key, &value, &change, &c->err);
	if (!kept)
		kept = sessions_keep(c->api->backend.sessions, &change, 1,
			on_kept, c, &c->err);
	buf_release(&value);
	if (kept < 0)
		worker_done(job);
}

static void done(struct worker_job *job)
{
	struct call *c = (struct call *)job;

	if (!c->key.key[0] || c->err.code || c->found || !c->answer) {
		finish(job);
		return;
	}
	job->run = keep;
	job->done = finish;
	if (workers_post(c->api->workers, job, &c->err) < 0)
		finish(job);
}

static void run(struct worker_job *job)
{
	struct call *c = (struct call *)job;

	if (c->key.key[0])
		c->found = idempotent_find(
			&c->key, c->api->backend.sessions, &c->replay, &c->err);
	if (c->found)
		call_done(c);
	else
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

static void start(struct api *a, struct exchange *x,
	const struct route_params *params, const struct idempotent *key,
	void (*work)(struct call *c))
{
	struct call *c = calloc(1, sizeof(*c));
	struct error err;

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
	if (key)
		c->key = *key;
	if ((key && key->key[0] &&
		    idempotent_claim(a->keys, &c->key, false, &err) < 0) ||
		workers_post(a->workers, &c->job, &err) < 0) {
		call_free(c);
		reply_error(x, &err);
		return;
	}
	exchange_attach(x, &ops, c);
}

void call_start(struct api *a, struct exchange *x,
	const struct route_params *params, void (*work)(struct call *c))
{
	if (api_admit(a, x))
		start(a, x, params, NULL, work);
}

void call_start_once(struct api *a, struct exchange *x,
	const struct route_params *params, void (*work)(struct call *c))
{
	struct idempotent key;
	struct error err;

	if (!api_admit(a, x))
		return;
	memset(&key, 0, sizeof(key));
	if (idempotent_read(&key, x, &err) < 0)
		reply_error(x, &err);
	else
		start(a, x, params, &key, work);
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
