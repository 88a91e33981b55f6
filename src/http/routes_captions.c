/*
 * POST /v1/captions: sentences that describe an image. A worker reads the body;
 * the image goes to the caption queue; and where the caption is to go on as
 * text, a worker and an engine make a session of it.
 *
 *   READING [a worker] -> QUEUED [the loop] -> answered
 *   QUEUED -> SEEDING [a worker, then session_prime] -> answered
 */
#include "http/api_internal.h"
#include "http/base64.h"
#include "http/call.h"
#include "http/form.h"
#include "http/session_prime.h"
#include "serve/caption_queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CAPTION_PLACE "{caption}" /* in a session's prompt */
#define MAX_PROMPT (1u << 20)

struct caption_body {
	struct request_text image, session_prompt;
	const char *model, *session, *session_model;
	int64_t n, beam, max_length;
	double temperature, length_power;
	uint64_t seed;
};

#define MEMBER(member_) .offset = offsetof(struct caption_body, member_)

enum {
	CAPTION_IMAGE,
	CAPTION_MODEL,
	CAPTION_SESSION,
	CAPTION_SESSION_MODEL,
	CAPTION_SESSION_PROMPT,
};
#define SEEDS                                                  \
	(1u << CAPTION_SESSION | 1u << CAPTION_SESSION_MODEL | \
		1u << CAPTION_SESSION_PROMPT)

static const struct field fields[] = {
	[CAPTION_IMAGE] = { .name = "image",
		.type = FIELD_TEXT,
		MEMBER(image),
		.help = "A JPEG or PNG: as base64, or in a form as it is",
		.required = true,
		.file = true },
	[CAPTION_MODEL] = { .name = "model",
		.type = FIELD_NAME,
		MEMBER(model),
		.max = REGISTRY_NAME_MAX,
		.help = "A captioner of /v1/models; the default one without "
			"it" },
	[CAPTION_SESSION] = { .name = "session",
		.type = FIELD_NAME,
		MEMBER(session),
		.max = SESSION_ID_MAX,
		.help = "Make a session of this id, of a text model that has "
			"read the best caption" },
	[CAPTION_SESSION_MODEL] = { .name = "session_model",
		.type = FIELD_NAME,
		MEMBER(session_model),
		.max = REGISTRY_NAME_MAX,
		.help = "That text model, the default one without it; alone, "
			"the session's id is made up" },
	[CAPTION_SESSION_PROMPT] = { .name = "session_prompt",
		.type = FIELD_TEXT,
		MEMBER(session_prompt),
		.help = "What it reads, with " CAPTION_PLACE
			" where the caption goes; alone, as above",
		.preset = "\"" CAPTION_PLACE "\"" },
	{ .name = "n",
		.type = FIELD_INT,
		MEMBER(n),
		.min = 1,
		.max = CAPTION_MAX_BEAM,
		.help = "Captions, the best first",
		.preset = "1" },
	{ .name = "beam",
		.type = FIELD_INT,
		MEMBER(beam),
		.min = 0,
		.max = CAPTION_MAX_BEAM,
		.help = "Hypotheses kept, at least n; 0 draws each caption",
		.preset = "3" },
	{ .name = "temperature",
		.type = FIELD_NUMBER,
		MEMBER(temperature),
		.min = 0,
		.max = 100,
		.help = "Of drawn captions",
		.preset = "1" },
	{ .name = "seed",
		.type = FIELD_SEED,
		MEMBER(seed),
		.help = "Of drawn captions: the same seed gives the same",
		.preset = "0" },
	{ .name = "length_power",
		.type = FIELD_NUMBER,
		MEMBER(length_power),
		.min = 0,
		.max = 5,
		.help = "Finished hypotheses compare by log-probability "
			"divided by words to this power",
		.preset = "0" },
	{ .name = "max_length",
		.type = FIELD_INT,
		MEMBER(max_length),
		.min = 1,
		.max = CAPTION_MAX_LENGTH,
		.help = "Words at most",
		.preset = "50" },
};
#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

struct caption_run {
	struct caption_request request; /* first */
	struct arrival arrival;
	struct call *call;
	struct caption_body body;
	json_t *json; /* what body borrows from; its image is gone */
	void *image;  /* owned */
	struct registry_entry *text_model; /* of a session to make, or NULL */
	struct caption_text texts[CAPTION_MAX_BEAM];
};

static void run_free(struct caption_run *r)
{
	caption_texts_release(r->texts, r->request.n);
	registry_unref(r->request.model);
	registry_unref(r->text_model);
	json_decref(r->json);
	free(r->image);
	free(r);
}

/* Loop thread. */
static void finish(struct call *c)
{
	run_free(c->data);
	c->data = NULL;
	c->left = NULL;
	call_finish(c);
}

/* --- READING ---------------------------------------------------------- */

static int missing(struct error *err)
{
	return error_set_param(err, ERROR_INVALID, "image",
		"image is missing, expected a JPEG or PNG");
}

static int read_base64(struct caption_run *r, struct error *err)
{
	const struct request_text *text = &r->body.image;

	if (base64_decode(text->bytes, text->len, &r->image, &r->request.len) <
		0)
		return error_set_param(err, ERROR_INVALID, "image",
			"image is a string of %zu characters that is not "
			"base64 (RFC 4648, with padding, without spaces)",
			text->len);
	json_object_del(r->json, "image");
	return 0;
}

static int read_json(struct caption_run *r, uint64_t *given, struct error *err)
{
	struct call *c = r->call;

	if (call_read(c, fields, N_FIELDS, &r->body, given, &r->json) < 0)
		return -1;
	buf_release(&c->body);
	return *given >> CAPTION_IMAGE & 1 ? read_base64(r, err) : missing(err);
}

static int read_form(struct caption_run *r, uint64_t *given, struct error *err)
{
	struct call *c = r->call;
	struct buf image;
	int rc;

	buf_init(&image, c->body.len);
	rc = form_read(c->form_type, c->body.data ? c->body.data : "",
		c->body.len, fields, N_FIELDS, &r->json, &image, err);
	buf_release(&c->body);
	r->image = image.data;
	r->request.len = image.len;
	if (rc < 0 || request_read(r->json, fields, N_FIELDS, &r->body, given,
			      err) < 0)
		return -1;
	return image.len ? 0 : missing(err);
}

static int check_session(
	struct caption_run *r, uint64_t given, struct error *err)
{
	struct request_text *prompt = &r->body.session_prompt;

	if (!(given & SEEDS))
		return 0;
	if (!prompt->bytes)
		*prompt = (struct request_text){ CAPTION_PLACE,
			strlen(CAPTION_PLACE) };
	if (!strstr(prompt->bytes, CAPTION_PLACE))
		return error_set_param(err, ERROR_INVALID, "session_prompt",
			"session_prompt is '%.80s', expected " CAPTION_PLACE
			" in it, where the caption goes",
			prompt->bytes);
	r->text_model = registry_get(
		r->call->api->backend.registry, r->body.session_model, err);
	if (r->text_model)
		return 0;
	snprintf(err->param, sizeof(err->param), "session_model");
	return -1;
}

static int read_request(struct caption_run *r, struct error *err)
{
	struct caption_request *q = &r->request;
	const struct caption_body *b = &r->body;
	uint64_t given = 0;

	if ((r->call->form_type[0] ? read_form(r, &given, err)
				   : read_json(r, &given, err)) < 0 ||
		check_session(r, given, err) < 0)
		return -1;
	q->image = r->image;
	q->texts = r->texts;
	q->options = (struct caption_options){ .n = (size_t)b->n,
		.beam = b->beam && b->beam < b->n ? (size_t)b->n
						  : (size_t)b->beam,
		.length_power = b->length_power,
		.max_length = (size_t)b->max_length,
		.temperature = b->temperature,
		.seed = b->seed };
	q->model = registry_get_captioner(
		r->call->api->backend.registry, b->model, err);
	return q->model ? caption_check(&q->options, err) : -1;
}

/* --- QUEUED ----------------------------------------------------------- */

static void ended(struct caption_request *q)
{
	struct caption_run *r = (struct caption_run *)q;

	api_arrive(r->call->api, &r->arrival);
}

static json_t *answer(const struct caption_run *r)
{
	const struct caption_timings *t = &r->request.timings;
	json_t *choices = json_array();

	for (size_t i = 0; i < r->request.n; i++) {
		const struct caption_text *x = &r->texts[i];

		r->call->tokens += x->tokens;
		json_array_append_new(choices,
			json_pack("{s:I, s:s, s:f, s:I, s:s}", "index",
				(json_int_t)i, "text", x->text, "logprob",
				x->logprob, "tokens", (json_int_t)x->tokens,
				"finish_reason", x->ended ? "stop" : "length"));
	}
	return json_pack("{s:s, s:I, s:s, s:o, s:{s:i, s:I}, "
			 "s:{s:f, s:f, s:f}, s:s}",
		"object", "captions", "created", (json_int_t)time(NULL),
		"model", r->request.model->name, "choices", choices, "usage",
		"images", 1, "completion_tokens", (json_int_t)r->call->tokens,
		"timings", "queue_ms", 1e3 * t->queue, "image_ms",
		1e3 * t->read, "decode_ms", 1e3 * t->run, "system_fingerprint",
		r->request.model->system_fingerprint);
}

static void work_seed(struct call *c);

static void arrived(struct arrival *x)
{
	struct caption_run *r =
		(struct caption_run *)((char *)x -
				       offsetof(struct caption_run, arrival));
	struct call *c = r->call;

	c->left = NULL;
	c->err = r->request.err;
	if (!c->err.code)
		c->answer = answer(r);
	if (c->err.code || !r->text_model || !c->x ||
		call_again(c, work_seed) < 0)
		finish(c);
}

static void on_left(struct call *c)
{
	struct caption_run *r = c->data;

	atomic_store(&r->request.cancelled, true);
}

static void submit(struct call *c)
{
	struct caption_run *r = c->data;

	if (!c->err.code && !c->x)
		error_set(&c->err, ERROR_CANCELLED, "the client left");
	if (c->err.code || call_meter(c) < 0 ||
		caption_queue_post(
			c->api->backend.captions, &r->request, &c->err) < 0)
		finish(c);
	else
		c->left = on_left;
}

static void work(struct call *c)
{
	struct caption_run *r = calloc(1, sizeof(*r));

	if (!r) {
		error_set_memory(&c->err, "caption", sizeof(*r));
		call_done(c);
		return;
	}
	r->call = c;
	r->arrival.arrived = arrived;
	r->request.ended = ended;
	r->request.client = c->client;
	r->body = (struct caption_body){
		.n = 1, .beam = 3, .temperature = 1, .max_length = 50
	};
	if (read_request(r, &c->err) < 0) {
		run_free(r);
	} else {
		c->data = r;
		c->then = submit;
	}
	call_done(c);
}

/* --- SEEDING ---------------------------------------------------------- */

/* The prompt with the caption in each of its places. */
static int write_prompt(
	struct buf *out, const char *prompt, const char *caption)
{
	const char *at;

	for (; (at = strstr(prompt, CAPTION_PLACE));
		prompt = at + strlen(CAPTION_PLACE))
		if (buf_append(out, prompt, (size_t)(at - prompt)) < 0 ||
			buf_puts(out, caption) < 0)
			return -1;
	return buf_puts(out, prompt);
}

/* A session's fields are called otherwise here. */
static void rename_param(struct error *err)
{
	const char *name = !strcmp(err->param, "id")	   ? "session"
			   : !strcmp(err->param, "prompt") ? "session_prompt"
							   : err->param;

	memmove(err->param, name, strlen(name) + 1);
}

static void seed(struct call *c, struct caption_run *r)
{
	const struct session_options o = { .id = r->body.session,
		.model = r->text_model,
		.model_name = r->body.session_model,
		.ttl = -1,
		.owner = c->owner };
	struct buf prompt;

	buf_init(&prompt, MAX_PROMPT);
	if (write_prompt(&prompt, r->body.session_prompt.bytes,
		    r->texts[0].text) < 0)
		error_set_param(&c->err, ERROR_TOO_LARGE, "session_prompt",
			"session_prompt with the caption in it is longer than "
			"%u bytes",
			MAX_PROMPT);
	else if (!prompt.len)
		error_set_param(&c->err, ERROR_UNPROCESSABLE, "session",
			"the caption is empty: there is nothing to begin a "
			"session with");
	else
		session_prime(c, &o,
			&(struct request_text){ prompt.data, prompt.len });
	buf_release(&prompt);
	if (c->err.code)
		rename_param(&c->err);
}

static void work_seed(struct call *c)
{
	struct caption_run *r = c->data;

	c->data = NULL;
	c->then = NULL;
	seed(c, r);
	run_free(r);
	call_done(c);
}

static void handle(void *ctx, struct exchange *x, const struct route_params *p)
{
	call_start_once(ctx, x, p, work);
}

static const struct route rows[] = {
	{ .method = "POST",
		.path = "/v1/captions",
		.scope = ROUTE_SAMPLE,
		.handle = handle,
		.summary = "Describe an image",
		.fields = fields,
		.n_fields = N_FIELDS,
		.form = true,
		.status = 200,
		.schema = "Captions",
		/* One red pixel. */
		.example =
			"{\"image\": \"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQ"
			"d1PeAAAADElEQVR4nGM4wcAAAAJcAMlDyBJGAAAAAElFTkSuQmCC"
			"\", \"n\": 2, \"beam\": 4}",
		.answer = "application/json" },
};

const struct route_table routes_captions = { rows,
	sizeof(rows) / sizeof(rows[0]) };
