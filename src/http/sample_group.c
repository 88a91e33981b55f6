/* Loop thread. While `held` a group is not ended, whoever leaves it. */
#include "http/reply.h"
#include "http/sample.h"
#include "http/stream.h"

#include <stdlib.h>

struct sample_group {
	struct exchange *x; /* NULL once the client has left */
	struct api *api;
	struct sample *members[COMPLETION_MAX_PROMPTS]; /* NULL: gone */
	bool waits[COMPLETION_MAX_PROMPTS];		/* open, till all are */
	json_t *choices[COMPLETION_MAX_PROMPTS];
	size_t n, left, opened;
	unsigned held;
	bool streams, include_usage;
	json_int_t prompt_tokens, completion_tokens, skipped;
	json_t *whole; /* the answer but for choices and usage */
	struct error err;
};

static json_t *sum_usage(const struct sample_group *g)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "prompt_tokens",
		g->prompt_tokens, "completion_tokens", g->completion_tokens,
		"total_tokens", g->prompt_tokens + g->completion_tokens,
		"skipped_characters", g->skipped);
}

static void answer(struct sample_group *g)
{
	json_t *all = json_array();

	for (size_t i = 0; i < g->n; i++)
		json_array_extend(all, g->choices[i]);
	json_object_set_new(g->whole, "choices", all);
	json_object_set_new(g->whole, "usage", sum_usage(g));
	reply_json(g->x, 200, g->whole);
	g->whole = NULL;
}

static void end_stream(struct sample_group *g)
{
	if (g->err.code)
		stream_event(g->x, NULL,
			reply_error_object(&g->err, exchange_id(g->x)));
	else if (g->include_usage && g->whole) {
		json_object_set_new(g->whole, "usage", sum_usage(g));
		stream_event(g->x, NULL, g->whole);
		g->whole = NULL;
	}
	stream_end(g->x);
}

static void fail(struct sample_group *g)
{
	if (g->err.code == ERROR_OVERLOADED)
		reply_error_later(g->x, &g->err,
			engine_retry_after(g->api->backend.engine));
	else
		reply_error(g->x, &g->err);
}

static void release(struct sample_group *g)
{
	if (g->held || g->left)
		return;
	if (g->x) {
		exchange_attach(g->x, NULL, NULL);
		if (exchange_replied(g->x))
			end_stream(g);
		else if (g->err.code)
			fail(g);
		else
			answer(g);
	}
	for (size_t i = 0; i < g->n; i++)
		json_decref(g->choices[i]);
	json_decref(g->whole);
	free(g);
}

/* For each member that there still is; fn may end it. */
static void for_each(struct sample_group *g, void (*fn)(struct sample *s))
{
	g->held++;
	for (size_t i = 0; i < g->n; i++)
		if (g->members[i])
			fn(g->members[i]);
	g->held--;
	release(g);
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
	for_each(g, leave_client);
}

static void pump(struct sample *s)
{
	if (s->submitted)
		sample_pump(s);
}

static void on_writable(void *data)
{
	for_each(data, pump);
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
	g->members[s->member] = NULL; /* it is about to go by itself */
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
	g->held++;
	for_each(g, submit);
	if (g->streams && g->x && !g->err.code && !exchange_replied(g->x))
		stream_begin(g->x);
	g->held--;
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
	/* Nothing was claimed under it yet: no answer is kept of a list. */
	first->key.key[0] = '\0';
	buf_release(&first->body);
	exchange_attach(g->x, &ops, g);
	g->held++;
	if (add_members(g, first) < 0)
		error_set_memory(&g->err, "prompts", sizeof(*first));
	for_each(g, start);
	g->held--;
	release(g);
}
