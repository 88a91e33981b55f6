/*
 * The text goes through an engine as any prompt does; the session is stored
 * once, with what it came to, or not at all.
 *
 *   OPEN [on a worker] -> FED [on the loop: engine_submit] -> answered [ENDED]
 */
#include "http/session_prime.h"
#include "http/session_answer.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

struct prime {
	struct api_reader reader;
	struct prime *next, *prev;
	struct call *call;
	struct generate_request *request;
	struct session_info info;   /* as it will be stored */
	struct session_state state; /* of the size that will be */
	bool described;
};

static void prime_free(struct prime *p)
{
	if (p->request)
		generate_close(p->request);
	session_info_release(&p->info);
	session_state_release(&p->state);
	free(p);
}

static void unlink_prime(struct prime *p)
{
	struct api *a = p->call->api;

	*(p->prev ? &p->prev->next : &a->primes) = p->next;
	if (p->next)
		p->next->prev = p->prev;
}

static void describe(struct prime *p, uint64_t position)
{
	json_t *session;

	p->info.position = p->state.position = position;
	p->info.bytes = session_stored_bytes(&p->info, &p->state);
	session = session_describe(&p->info);
	if (p->call->answer)
		json_object_set_new(p->call->answer, "session", session);
	else
		p->call->answer = session;
	p->described = true;
}

/* All but the commit is done: the answer goes into it. */
static void settled(struct prime *p, uint64_t position)
{
	struct call *c = p->call;
	char key[STORE_KEY_MAX + 1];
	struct store_change change;
	struct buf value;
	int n;

	buf_init(&value, 0);
	describe(p, position);
	n = call_keep_with(c, key, &value, &change);
	if (n < 0)
		log_warn("an answer is not stored", log_fault(&c->err));
	c->err.code = ERROR_NONE;
	generate_commit(p->request, &change, n > 0);
	buf_release(&value);
}

static void finish(struct prime *p)
{
	const struct generate_result *r = generate_result(p->request);
	struct call *c = p->call;

	c->prompt_tokens = r->usage.prompt_tokens;
	if (r->error.code)
		c->err = r->error;
	else if (!r->committed)
		error_set_param(&c->err, ERROR_UNAVAILABLE, "prompt",
			"the prompt was not read within http.run_timeout");
	c->wrote = r->committed || r->error.code == ERROR_IO ||
		   r->error.code == ERROR_NO_SPACE;
	if (!c->err.code && !p->described)
		describe(p, r->position);
	unlink_prime(p);
	c->left = NULL;
	prime_free(p);
	call_finish(c);
}

static void read_events(struct api_reader *reader, struct generate_request *r)
{
	const struct generate_event *e;

	while ((e = generate_next(r))) {
		if (e->type == GENERATE_ENDED) {
			finish((struct prime *)reader);
			return;
		}
		if (e->type == GENERATE_SETTLED)
			settled((struct prime *)reader, e->position);
	}
}

static void on_left(struct call *c)
{
	struct prime *p = c->data;

	generate_cancel(p->request, 0);
}

static void submit(struct call *c)
{
	struct prime *p = c->data;
	struct api *a = c->api;

	if (!c->x || call_meter(c) < 0 ||
		engine_submit(a->backend.engine, p->request, &c->err) < 0) {
		prime_free(p);
		call_finish(c);
		return;
	}
	c->left = on_left;
	p->next = a->primes;
	if (p->next)
		p->next->prev = p;
	a->primes = p;
}

void session_prime_cancel_all(struct api *a)
{
	for (struct prime *p = a->primes; p; p = p->next)
		generate_cancel(p->request, 0);
}

static int open_request(struct prime *p, struct session *s,
	const struct session_options *o, const struct request_text *prompt,
	struct error *err)
{
	struct generate_options g;

	generate_defaults(&g);
	g.model = (struct registry_entry *)o->model;
	g.session = s;
	g.prompt = prompt->bytes;
	g.prompt_len = prompt->len;
	g.max_prompt = p->call->api->o.max_prompt;
	g.length = 0;
	g.settles = p->call->key.key[0] != '\0';
	g.queue_ms = (int64_t)p->call->api->o.queue_timeout;
	g.run_ms = (int64_t)p->call->api->o.run_timeout;
	g.client = p->call->client;
	g.user = &p->reader;
	if (session_info_copy(&p->info, &s->info, err) < 0 ||
		session_state_init(&p->state, o->model, err) < 0)
		return -1;
	snprintf(p->info.kernels, sizeof(p->info.kernels), "%s",
		o->model->system);
	return generate_open(&p->request, &g, err);
}

void session_prime(struct call *c, const struct session_options *o,
	const struct request_text *prompt)
{
	struct prime *p = calloc(1, sizeof(*p));
	struct session *s;

	if (!p) {
		error_set_memory(&c->err, "prompt", sizeof(*p));
		return;
	}
	p->reader.read = read_events;
	p->call = c;
	if (session_create(c->api->backend.sessions, o, &s, &c->err) == 0) {
		if (open_request(p, s, o, prompt, &c->err) == 0) {
			c->data = p;
			c->then = submit;
			return;
		}
		session_abort(s);
	}
	prime_free(p);
}
