/* Loop thread. While `held` a group is not ended, whoever leaves it. */
#include "base/log.h"
#include "http/reply.h"
#include "http/sample.h"
#include "http/stream.h"

#include <stdlib.h>
#include <string.h>

struct sample_group {
	struct exchange *x; /* NULL once the client has left */
	struct api *api;
	struct sample *members[COMPLETION_MAX_PROMPTS]; /* NULL: gone */
	bool waits[COMPLETION_MAX_PROMPTS];		/* open, till all are */
	json_t *choices[COMPLETION_MAX_PROMPTS];
	size_t n, left, opened;
	unsigned held, retry_after;
	bool streams, include_usage;
	json_int_t prompt_tokens, completion_tokens, skipped;
	json_t *whole; /* the answer but for choices and usage */
	char *text;    /* all of it */
	struct error err;
	/* With an Idempotency-Key: its answer is stored before its end is
	 * sent. */
	struct idempotent key;
	struct buf log; /* of a stream: all that was sent */
	bool keeping, overflowed;
	struct arrival kept;
	struct error kept_error;
};

/* A longer stream is not stored. */
#define MAX_LOG (16u << 20)

static json_t *sum_usage(const struct sample_group *g)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "prompt_tokens",
		g->prompt_tokens, "completion_tokens", g->completion_tokens,
		"total_tokens", g->prompt_tokens + g->completion_tokens,
		"skipped_characters", g->skipped);
}

static void append(struct sample_group *g, const char *bytes, size_t len)
{
	if (g->key.key[0] && !g->overflowed)
		g->overflowed = buf_append(&g->log, bytes, len) < 0;
}

void group_log(struct sample *s, const struct buf *frame)
{
	append(s->group, frame->data, frame->len);
}

static void compose_answer(struct sample_group *g)
{
	json_t *all = json_array();

	for (size_t i = 0; i < g->n; i++)
		json_array_extend(all, g->choices[i]);
	json_object_set_new(g->whole, "choices", all);
	json_object_set_new(g->whole, "usage", sum_usage(g));
	g->text = json_dumps(g->whole, REPLY_JSON);
}

static void compose_end(struct sample_group *g)
{
	struct buf frame;

	buf_init(&frame, EXCHANGE_MAX_BACKLOG);
	if (g->include_usage && g->whole) {
		json_object_set_new(g->whole, "usage", sum_usage(g));
		if (stream_format(&frame, NULL, json_incref(g->whole)) == 0 &&
			exchange_stream_write(g->x, frame.data, frame.len) == 0)
			append(g, frame.data, frame.len);
	}
	append(g, STREAM_DONE, strlen(STREAM_DONE));
	buf_release(&frame);
}

static void give(struct sample_group *g)
{
	exchange_attach(g->x, NULL, NULL);
	if (exchange_replied(g->x)) {
		if (g->err.code)
			stream_event(g->x, NULL,
				reply_error_object(&g->err, exchange_id(g->x)));
		stream_end(g->x);
	} else if (g->err.code) {
		api_reply_error(g->api, g->x, &g->err, g->retry_after);
	} else {
		exchange_reply(g->x, g->text ? 200 : 503, "application/json",
			g->text, g->text ? strlen(g->text) : 0);
		g->text = NULL;
	}
}

static void end(struct sample_group *g)
{
	if (g->x)
		give(g);
	for (size_t i = 0; i < g->n; i++)
		json_decref(g->choices[i]);
	json_decref(g->whole);
	free(g->text);
	buf_release(&g->log);
	idempotent_release(g->api->keys, &g->key);
	free(g);
}

static void kept(struct arrival *a)
{
	struct sample_group *g =
		(struct sample_group *)((char *)a -
					offsetof(struct sample_group, kept));

	api_note_store(g->api, g->kept_error.code ? &g->kept_error : NULL);
	g->err = g->kept_error;
	g->api->n_calls--;
	end(g);
}

/* On the writer's thread. */
static void on_kept(void *arg, const struct error *err)
{
	struct sample_group *g = arg;

	if (err)
		g->kept_error = *err;
	api_arrive(g->api, &g->kept);
}

static void keep(struct sample_group *g)
{
	const char *text = g->streams ? g->log.data : g->text;
	char key[STORE_KEY_MAX + 1];
	struct store_change c;
	struct buf value;
	struct error err;
	int posted;

	if (!g->key.key[0] || g->overflowed || !text)
		return;
	buf_init(&value, 0);
	g->kept.arrived = kept;
	posted = idempotent_change(&g->key, 200,
		g->streams ? IDEMPOTENT_EVENTS : IDEMPOTENT_JSON, text,
		g->streams ? g->log.len : strlen(text),
		(int64_t)g->api->o.idempotency_ttl, key, &value, &c, &err);
	if (!posted)
		posted = sessions_keep(g->api->backend.sessions, NULL, &c, 1,
			on_kept, g, &err);
	buf_release(&value);
	g->keeping = !posted;
	if (g->keeping)
		g->api->n_calls++;
	else
		log_warn("an answer is not stored", log_fault(&err));
}

static void release(struct sample_group *g)
{
	if (g->held || g->left || g->keeping)
		return;
	if (g->x && !g->err.code && g->streams) {
		compose_end(g);
		keep(g);
	} else if (g->x && !g->err.code) {
		compose_answer(g);
		keep(g);
	}
	if (!g->keeping)
		end(g);
}

/* For each member that there still is; fn may end it. The caller sees whether
 * the group ends with that. */
static void for_each(struct sample_group *g, void (*fn)(struct sample *s))
{
	g->held++;
	for (size_t i = 0; i < g->n; i++)
		if (g->members[i])
			fn(g->members[i]);
	g->held--;
}

/* What its engine has not got is let go of. */
static void drop(struct sample *s)
{
	if (s->group->waits[s->member])
		sample_free(s);
	else
		sample_cancel(s);
}

static void leave_client(struct sample *s)
{
	s->x = NULL;
	if (s->submitted) {
		sample_cancel(s);
		sample_pump(s);
	} else {
		drop(s);
	}
}

static void on_close(void *data, bool completed)
{
	struct sample_group *g = data;

	(void)completed;
	g->x = NULL;
	g->key.left = true;
	for_each(g, leave_client);
	release(g);
}

static void pump(struct sample *s)
{
	if (s->submitted)
		sample_pump(s);
}

static void on_writable(void *data)
{
	for_each(data, pump);
	release(data);
}

static const struct exchange_ops ops = {
	.on_close = on_close,
	.on_writable = on_writable,
};

bool group_has_failed(const struct sample *s)
{
	return s->group->err.code != ERROR_NONE;
}

void group_failed(struct sample *s, const struct error *err)
{
	struct sample_group *g = s->group;

	if (g->err.code)
		return;
	g->err = *err;
	g->retry_after = s->retry_after;
	/* It is about to go by itself, and the group not before it. */
	g->members[s->member] = NULL;
	for_each(g, drop);
}

void group_leave(struct sample *s)
{
	struct sample_group *g = s->group;

	g->members[s->member] = NULL;
	g->left--;
	release(g);
}

static void submit(struct sample *s)
{
	s->group->waits[s->member] = false;
	sample_submit(s);
}

void group_opened(struct sample *s)
{
	struct sample_group *g = s->group;

	if (g->err.code) {
		sample_free(s);
		return;
	}
	g->waits[s->member] = true;
	if (++g->opened < g->n)
		return;
	for_each(g, submit);
	if (g->streams && g->x && !g->err.code && !exchange_replied(g->x))
		stream_begin(g->x);
	release(g);
}

void group_take(struct sample *s)
{
	const struct generate_result *r = generate_result(s->request);
	struct sample_group *g = s->group;
	struct error err;

	if (s->stopping && r->error.code) {
		error_set(&err, ERROR_UNAVAILABLE, SAMPLE_STOPPED);
		group_failed(s, &err);
	} else if (r->error.code) {
		group_failed(s, &r->error);
	}
	g->prompt_tokens += (json_int_t)r->usage.prompt_tokens;
	g->completion_tokens += (json_int_t)r->usage.completion_tokens;
	g->skipped += (json_int_t)r->usage.skipped;
	if (!g->streams)
		g->choices[s->member] = completion_choices(s);
	if (!g->whole)
		g->whole = completion_whole(s, json_array(), json_null());
}

static int add_members(struct sample_group *g, struct sample *first)
{
	const json_t *prompts = first->params.prompts;

	g->members[0] = first;
	g->n = g->left = 1;
	while (g->n < first->params.n_prompts) {
		struct sample *s = sample_new_member(first);

		if (!s)
			return -1;
		s->member = g->n;
		g->members[g->n++] = s;
		g->left++;
	}
	for (size_t i = 0; i < g->n; i++)
		completion_prompt(&g->members[i]->params,
			json_array_get(prompts, i), NULL);
	return 0;
}

static void start(struct sample *s)
{
	if (group_has_failed(s))
		sample_free(s);
	else
		sample_advance(s);
}

void group_start(struct sample *first)
{
	struct sample_group *g = calloc(1, sizeof(*g));
	struct error err;

	if (!g) {
		error_set_memory(&err, "prompts", sizeof(*g));
		sample_refuse(first, &err);
		return;
	}
	g->x = first->x;
	g->api = first->api;
	g->streams = first->params.stream;
	g->include_usage = first->params.include_usage;
	first->group = g;
	buf_init(&g->log, MAX_LOG);
	idempotent_move(g->api->keys, &first->key, &g->key);
	/* It can't be carried on by another, as a sample's stream can. */
	g->key.granted = NULL;
	buf_release(&first->body);
	exchange_attach(g->x, &ops, g);
	if (add_members(g, first) < 0)
		error_set_memory(&g->err, "prompts", sizeof(*first));
	for_each(g, start);
	release(g);
}
