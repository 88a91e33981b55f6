/* A sample is made, and its body parsed. Loop thread, but for the function that
 * is named _on_worker. */
#include "http/client.h"
#include "http/reply.h"
#include "http/sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Over this a body is parsed by a worker. */
#define INLINE_BODY GENERATE_INLINE_PROMPT

int sample_parse(
	struct sample *s, const char *text, size_t len, struct error *err)
{
	if (request_parse(text, len, false, &s->json, err) < 0)
		return -1;
	return s->shape->read(s->json, s->api->o.max_length, &s->params, err);
}

static int parse_body(struct sample *s, struct error *err)
{
	const char *text = s->body.data ? s->body.data : "";

	if (sample_parse(s, text, s->body.len, err) < 0)
		return -1;
	if (!s->params.stream)
		buf_release(&s->body);
	return 0;
}

static void parse_on_worker(struct worker_job *job)
{
	struct sample *s = (struct sample *)job;

	parse_body(s, &s->err);
	worker_done(job);
}

static void parsed(struct worker_job *job)
{
	struct sample *s = (struct sample *)job;

	if (s->err.code)
		sample_refuse(s, &s->err);
	else if (!s->x)
		sample_free(s);
	else if (s->key.key[0])
		sample_claim(s);
	else
		sample_advance(s);
}

void sample_start(struct sample *s)
{
	if (s->body.len > INLINE_BODY) {
		sample_post(s, parse_on_worker, parsed);
		return;
	}
	parse_body(s, &s->err);
	parsed(&s->job);
}

static void read_events(struct api_reader *reader, struct generate_request *r)
{
	(void)r;
	sample_pump((struct sample *)((char *)reader -
				      offsetof(struct sample, reader)));
}

static void enlist(struct sample *s)
{
	struct api *a = s->api;

	s->reader.read = read_events;
	s->next = a->samples;
	if (s->next)
		s->next->prev = s;
	a->samples = s;
	a->n_samples++;
}

struct sample *sample_new(
	struct api *a, struct exchange *x, const struct sample_shape *shape)
{
	struct sample *s = calloc(1, sizeof(*s));
	struct error err;

	if (!s) {
		error_set_memory(&err, "request", sizeof(*s));
		reply_error(x, &err);
		return NULL;
	}
	s->api = a;
	s->x = x;
	s->shape = shape;
	s->created = time(NULL);
	snprintf(s->id, sizeof(s->id), "%s%s", shape->prefix,
		exchange_serial(x));
	s->client = client_of(x);
	snprintf(s->owner, sizeof(s->owner), "%s", exchange_owner(x));
	exchange_attach(x, &sample_exchange_ops, s);
	enlist(s);
	return s;
}

struct sample *sample_new_member(struct sample *first)
{
	struct sample *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->api = first->api;
	s->x = first->x;
	s->shape = first->shape;
	s->group = first->group;
	s->created = first->created;
	memcpy(s->id, first->id, sizeof(s->id));
	s->client = first->client;
	memcpy(s->owner, first->owner, sizeof(s->owner));
	s->json = json_incref(first->json);
	s->params = first->params;
	enlist(s);
	return s;
}
