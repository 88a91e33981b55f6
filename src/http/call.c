#include "http/call.h"
#include "http/client.h"
#include "http/form.h"
#include "http/reply.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void on_close(void *data, bool completed)
{
	struct call *c = data;

	(void)completed;
	c->x = NULL;
	if (c->left)
		c->left(c);
}

static const struct exchange_ops ops = { .on_close = on_close };

static void call_free(struct call *c)
{
	struct api *a = c->api;

	a->n_calls--;
	if (c->metered) {
		quota_end(a->quota, c->client, uv_now(a->loop));
		quota_spend(a->quota, c->client, uv_now(a->loop),
			c->prompt_tokens + c->tokens);
	}
	buf_release(&c->body);
	buf_release(&c->bytes);
	json_decref(c->answer);
	if (c->found == 1)
		buf_release(&c->replay.body);
	free(c->text);
	idempotent_release(a->keys, &c->key);
	free(c);
}

static void reply_bytes(struct call *c)
{
	char header[160];

	if (*c->file_name) {
		snprintf(header, sizeof(header), "attachment; filename=\"%s\"",
			c->file_name);
		exchange_add_header(c->x, "Content-Disposition", header);
	}
	exchange_reply(
		c->x, c->status, ROUTE_BINARY, c->bytes.data, c->bytes.len);
	c->bytes = (struct buf){ 0 };
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
		api_reply_error(c->api, c->x, &c->err, c->retry_after);
	} else if (c->found == 1) {
		replay(c);
	} else if (c->text) {
		reply_text_once(c, c->status, c->text);
		c->text = NULL;
	} else if (c->answer) {
		reply_json(c->x, c->status, c->answer);
		c->answer = NULL;
	} else if (c->bytes.len) {
		reply_bytes(c);
	} else {
		exchange_reply(c->x, c->status, NULL, NULL, 0);
	}
}

void call_finish(struct call *c)
{
	if (c->wrote)
		api_note_store(c->api, c->err.code ? &c->err : NULL);
	if (c->x) {
		exchange_attach(c->x, NULL, NULL);
		exchange_count_tokens(c->x, c->prompt_tokens, c->tokens);
		reply(c);
	}
	call_free(c);
}

int call_keep_with(struct call *c, char key[STORE_KEY_MAX + 1],
	struct buf *value, struct store_change *change)
{
	if (!c->key.key[0])
		return 0;
	c->text = json_dumps(c->answer, REPLY_JSON);
	if (!c->text)
		return error_set_memory(&c->err, "answer", 1);
	if (idempotent_change(&c->key, c->status, IDEMPOTENT_JSON, c->text,
		    strlen(c->text), (int64_t)c->api->o.idempotency_ttl, key,
		    value, change, &c->err) < 0)
		return -1;
	return 1;
}

static void done(struct worker_job *job)
{
	struct call *c = (struct call *)job;

	if (c->then && !c->err.code)
		c->then(c);
	else
		call_finish(c);
}

static void run(struct worker_job *job)
{
	struct call *c = (struct call *)job;

	if (c->key.key[0])
		c->found = idempotent_find(
			&c->key, c->api->backend.sessions, &c->replay, &c->err);
	if (c->found ||
		(c->of_session &&
			session_check_owner(c->api->backend.sessions,
				c->params.value[0], c->owner, &c->err) < 0))
		call_done(c);
	else
		c->work(c);
}

/* What was asked before the first time needn't be asked again. */
static void run_again(struct worker_job *job)
{
	struct call *c = (struct call *)job;

	c->work(c);
}

int call_again(struct call *c, void (*work)(struct call *c))
{
	c->work = work;
	c->job.run = run_again;
	c->job.done = done;
	atomic_store(&c->holders, 1);
	return workers_post(c->api->workers, &c->job, &c->err);
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

/* Of "text/plain; charset=gbk". One too long is kept so, and then unknown. */
static void read_charset(struct call *c, const char *type)
{
	const char *at = type ? strcasestr(type, "charset=") : NULL;

	if (!at)
		return;
	at += strlen("charset=");
	at += *at == '"';
	snprintf(c->charset, sizeof(c->charset), "%.*s",
		(int)strcspn(at, "\"; \t"), at);
}

/* What is under a session's id is its owner's only. */
static bool is_of_session(const char *route)
{
	static const char prefix[] = "/v1/sessions/{id}";

	return !strncmp(route, prefix, sizeof(prefix) - 1);
}

static struct call *call_new(struct api *a, struct exchange *x,
	const struct route_params *params, const struct idempotent *key)
{
	const char *accept = exchange_header(x, "Accept");
	const char *type = exchange_header(x, "Content-Type");
	struct call *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->job.run = run;
	c->job.done = done;
	c->api = a;
	c->x = x;
	c->params = *params;
	c->client = client_of(x);
	snprintf(c->owner, sizeof(c->owner), "%s", exchange_owner(x));
	c->of_session = is_of_session(exchange_route(x));
	atomic_init(&c->holders, 1);
	c->status = 200;
	snprintf(c->query, sizeof(c->query), "%s", exchange_query(x));
	c->wants_json = accept && strstr(accept, "application/json");
	c->binary_body =
		type &&
		(!strncasecmp(type, ROUTE_BINARY, strlen(ROUTE_BINARY)) ||
			!strncasecmp(type, ROUTE_TEXT, strlen(ROUTE_TEXT)));
	read_charset(c, type);
	if (type && !strncasecmp(type, FORM_TYPE, strlen(FORM_TYPE)))
		snprintf(c->form_type, sizeof(c->form_type), "%s", type);
	exchange_take_body(x, &c->body);
	if (key)
		c->key = *key;
	a->n_calls++;
	return c;
}

int call_meter(struct call *c)
{
	struct api *a = c->api;

	if (c->metered)
		return 0;
	c->retry_after = api_check_generation(a, c->client, &c->err);
	if (c->retry_after)
		return -1;
	c->metered = true;
	quota_begin(a->quota, c->client, uv_now(a->loop));
	return 0;
}

static void start(struct api *a, struct exchange *x,
	const struct route_params *params, const struct idempotent *key,
	bool metered, void (*work)(struct call *c))
{
	struct error err;
	struct call *c;

	if (strlen(exchange_query(x)) >= sizeof(c->query)) {
		reply_refuse(x, 400, "invalid_value", "",
			"the query is longer than %zu bytes",
			sizeof(c->query) - 1);
		return;
	}
	c = call_new(a, x, params, key);
	if (!c) {
		error_set_memory(&err, "request", sizeof(*c));
		reply_error(x, &err);
		return;
	}
	c->work = work;
	exchange_attach(x, &ops, c);
	if ((metered && call_meter(c) < 0) ||
		(c->key.key[0] && idempotent_claim(a->keys, &c->key, false,
					  &c->err) < 0) ||
		workers_post(a->workers, &c->job, &c->err) < 0)
		call_finish(c);
}

void call_start(struct api *a, struct exchange *x,
	const struct route_params *params, void (*work)(struct call *c))
{
	if (api_admit(a, x))
		start(a, x, params, NULL, false, work);
}

void call_start_metered(struct api *a, struct exchange *x,
	const struct route_params *params, void (*work)(struct call *c))
{
	if (api_admit(a, x))
		start(a, x, params, NULL, true, work);
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
		start(a, x, params, &key, false, work);
}

int call_read(struct call *c, const struct field *fields, size_t n, void *out,
	uint64_t *given, json_t **json)
{
	if (request_parse(c->body.data ? c->body.data : "", c->body.len, true,
		    json, &c->err) < 0)
		return -1;
	if (request_read(*json, fields, n, out, given, &c->err) == 0)
		return 0;
	json_decref(*json);
	*json = NULL;
	return -1;
}

/* The i-th NAME[=VALUE]; *len is 0 past the last. */
static const char *part(const struct call *c, size_t i, size_t *len)
{
	const char *p = c->query;

	for (; *p; p += strspn(p, "&")) {
		*len = strcspn(p, "&");
		if (*len && !i--)
			return p;
		p += *len;
	}
	*len = 0;
	return p;
}

const char *call_query_name(
	const struct call *c, size_t i, char *out, size_t size)
{
	const char *p, *end;
	size_t len;

	p = part(c, i, &len);
	if (!len)
		return NULL;
	end = memchr(p, '=', len);
	snprintf(out, size, "%.*s", (int)(end ? end - p : (ptrdiff_t)len), p);
	return out;
}

const char *call_query(const struct call *c, const char *name, char *out,
	size_t size, struct error *err)
{
	size_t n = strlen(name), len;
	const char *p;

	for (size_t i = 0; p = part(c, i, &len), len; i++) {
		if (len <= n || memcmp(p, name, n) != 0 || p[n] != '=')
			continue;
		if (router_decode(p + n + 1, len - n - 1, out, size) == 0)
			return out;
		error_set_param(err, ERROR_INVALID, name,
			"%s is '%.*s', expected at most %zu bytes of text",
			name, (int)(len - n - 1 < 80 ? len - n - 1 : 80),
			p + n + 1, size - 1);
		return NULL;
	}
	return NULL;
}

static bool is_known(const char *name, const struct field *known, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(known[i].name);

		if (!strcmp(name, known[i].name) ||
			(known[i].name[len - 1] == '*' && strlen(name) >= len &&
				!strncmp(name, known[i].name, len - 1)))
			return true;
	}
	return false;
}

int call_check_query(const struct call *c, const struct field *known, size_t n,
	struct error *err)
{
	char name[128], all[256] = "";
	size_t used = 0;

	for (size_t i = 0; call_query_name(c, i, name, sizeof(name)); i++) {
		if (is_known(name, known, n))
			continue;
		for (size_t k = 0; k < n && used < sizeof(all); k++)
			used += (size_t)snprintf(all + used, sizeof(all) - used,
				" %s", known[k].name);
		return error_set_param(err, ERROR_INVALID, name,
			"unknown query parameter '%.60s', expected %s%s", name,
			used ? "some of:" : "none", all);
	}
	return 0;
}

int call_query_number(const struct call *c, const char *name, uint64_t min,
	uint64_t max, uint64_t *n, struct error *err)
{
	char text[32];
	uint64_t value;

	err->code = ERROR_NONE;
	if (!call_query(c, name, text, sizeof(text), err))
		return err->code ? -1 : 0;
	if (request_seed(text, strlen(text), &value) < 0 || value < min ||
		value > max)
		return error_set_param(err, ERROR_INVALID, name,
			"%s is '%s', expected an integer from %llu to %llu",
			name, text, (unsigned long long)min,
			(unsigned long long)max);
	*n = value;
	return 0;
}
