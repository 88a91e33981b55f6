/* Only the loop thread comes here, but for api_wake. */
#include "http/api_internal.h"
#include "base/log.h"
#include "http/client.h"
#include "http/idempotency.h"
#include "http/job_watch.h"
#include "http/origin.h"
#include "http/reply.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define COALESCE_MS 5
#define FEW_STREAMS 8 /* up to here tokens are sent at once */
#define DISK_THREADS 2
#define FAULT_MS 10000 /* that a failed commit keeps us unready */

static const struct route_table *const tables[] = { &routes_sample,
	&routes_streams, &routes_session_move, &routes_sessions,
	&routes_session_fork, &routes_session_branch, &routes_models,
	&routes_tokenize, &routes_score, &routes_captions, &routes_aliases,
	&routes_files, &routes_fine_tuning, &routes_status, &routes_web,
	&routes_activations };
#define N_TABLES (sizeof(tables) / sizeof(tables[0]))

_Static_assert(AUTH_NAME_MAX == SESSION_OWNER_MAX &&
		       EXCHANGE_OWNER_MAX == SESSION_OWNER_MAX,
	"a key's name is the owner of what it makes");

static void begin(void *ctx, struct exchange *x)
{
	router_begin(&((struct api *)ctx)->router, x);
}

static void complete(void *ctx, struct exchange *x)
{
	router_complete(&((struct api *)ctx)->router, x);
}

/* Monitors ask every few seconds; their lines would hide the others. */
static bool is_probe(const struct exchange *x)
{
	const char *route = exchange_route(x);

	return !strcmp(route, "/healthz") || !strcmp(route, "/readyz") ||
	       !strcmp(route, "/metrics");
}

static void ended(void *ctx, const struct exchange *x, bool completed)
{
	/* 499, as nginx logs it: the client left before its answer. */
	unsigned status = completed ? exchange_status(x) : 499;

	measures_exchange(ctx, x);
	log_at(is_probe(x) && status < 400 ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
		"request", log_text("method", exchange_method(x)),
		log_text("path", exchange_path(x)), log_uint("status", status),
		log_uint("bytes", exchange_bytes_sent(x)),
		log_real("ms", 1e3 * exchange_elapsed(x)),
		log_text("client", exchange_peer(x)),
		log_text("key", exchange_owner(x)),
		log_uint("prompt_tokens", exchange_prompt_tokens(x)),
		log_uint("tokens", exchange_completion_tokens(x)),
		log_text("request", exchange_id(x)));
}

const struct server_ops api_server_ops = {
	.begin = begin,
	.complete = complete,
	.ended = ended,
};

static void poll_engine(struct api *a)
{
	a->polled = uv_now(a->loop);
	/* Before the look: what comes after it wakes us again. */
	atomic_store(&a->woken, false);
	sample_poll(a);
}

void api_arrive(struct api *a, struct arrival *x)
{
	struct arrival *head = atomic_load(&a->arrivals);

	do
		x->next = head;
	while (!atomic_compare_exchange_weak(&a->arrivals, &head, x));
	eventfd_write(a->wake_fd, 1);
}

static void take_arrivals(struct api *a)
{
	struct arrival *x = atomic_exchange(&a->arrivals, NULL);
	struct arrival *list = NULL, *next;

	for (; x; x = next) { /* oldest first */
		next = x->next;
		x->next = list;
		list = x;
	}
	for (; list; list = next) {
		next = list->next;
		list->arrived(list);
	}
}

static void on_coalesce(uv_timer_t *timer)
{
	poll_engine(timer->data);
}

/* Under load tokens are taken together every few milliseconds, which costs a
 * fraction per token; until then the engine's further steps wake nobody. */
static void on_wake(uv_poll_t *poll, int status, int events)
{
	struct api *a = poll->data;
	uint64_t since = uv_now(a->loop) - a->polled;
	eventfd_t ignored;

	(void)status;
	(void)events;
	eventfd_read(a->wake_fd, &ignored);
	take_arrivals(a);
	if (atomic_exchange(&a->jobs_changed, false))
		job_watches_look(a);
	if (!a->backend.engine)
		atomic_store(&a->woken, false);
	else if (a->n_streams > FEW_STREAMS && since < COALESCE_MS)
		uv_timer_start(
			&a->coalesce, on_coalesce, COALESCE_MS - since, 0);
	else
		poll_engine(a);
}

static void on_heartbeat(uv_timer_t *timer)
{
	struct api *a = timer->data;

	sample_heartbeat(a);
	job_watches_heartbeat(a);
	streams_sweep(&a->streams, uv_now(a->loop));
}

static void count_limited(struct api *a, enum quota_limit limit)
{
	metrics_add(a->metrics, MEASURE_LIMITED,
		metrics_series(a->metrics, MEASURE_LIMITED, (size_t)limit, 0),
		1);
}

static bool admit(void *ctx, struct exchange *x)
{
	struct api *a = ctx;
	unsigned wait = quota_request(a->quota, client_of(x), uv_now(a->loop));
	struct error err;

	if (!wait)
		return true;
	count_limited(a, QUOTA_REQUESTS);
	error_set_param(&err, ERROR_OVERLOADED, "limits.requests_per_minute",
		"more than %llu requests a minute",
		(unsigned long long)a->o.requests_per_minute);
	reply_error_later(x, &err, wait);
	return false;
}

unsigned api_check_generation(struct api *a, uint64_t client, struct error *err)
{
	enum quota_limit limit;
	unsigned wait;

	wait = quota_generation(a->quota, client, uv_now(a->loop), &limit);
	if (!wait)
		return 0;
	count_limited(a, limit);
	if (limit == QUOTA_TOKENS)
		error_set_param(err, ERROR_OVERLOADED,
			"limits.tokens_per_minute",
			"more than %llu tokens a minute",
			(unsigned long long)a->o.tokens_per_minute);
	else
		error_set_param(err, ERROR_OVERLOADED, "limits.generations",
			"more than %llu generations at once",
			(unsigned long long)a->o.generations);
	return wait;
}

void api_reply_error(struct api *a, struct exchange *x, const struct error *err,
	unsigned retry_after)
{
	if (!retry_after && err->code == ERROR_OVERLOADED)
		retry_after = engine_retry_after(a->backend.engine);
	reply_error_later(x, err, retry_after ? retry_after : 1);
}

static int check_origins(const struct api_options *o, struct error *err)
{
	for (size_t i = 0; i < o->n_origins; i++)
		if (origin_check_pattern(o->origins[i], err) < 0)
			return -1;
	return 0;
}

static int open_quota(struct api *a, struct error *err)
{
	const struct quota_options o = {
		.requests_per_minute = a->o.requests_per_minute,
		.tokens_per_minute = a->o.tokens_per_minute,
		.generations = a->o.generations,
	};

	return quota_open(&a->quota, &o, err);
}

static int open_router(struct api *a, struct error *err)
{
	struct route_table *copy = calloc(N_TABLES, sizeof(*copy));

	if (!copy)
		return error_set_memory(err, "routes", sizeof(*copy));
	for (size_t i = 0; i < N_TABLES; i++)
		copy[i] = *tables[i];
	a->router = (struct router){
		.tables = copy,
		.n_tables = N_TABLES,
		.ctx = a,
		.admit = admit,
		.o = {
			.origins = a->o.origins,
			.n_origins = a->o.n_origins,
			.hosts = a->o.hosts,
			.n_hosts = a->o.n_hosts,
			.max_body = a->o.max_body,
		},
	};
	return 0;
}

static int open_workers(struct api *a, struct error *err)
{
	if (workers_open(
		    &a->workers, a->loop, a->o.workers, a->o.max_jobs, err) < 0)
		return -1;
	if (!workers_open(&a->disk, a->loop, DISK_THREADS, SIZE_MAX, err))
		return 0;
	workers_close(a->workers, NULL, NULL);
	return -1;
}

static void api_free(struct api *a)
{
	if (a->wake_fd >= 0)
		close(a->wake_fd);
	streams_release(&a->streams);
	buf_release(&a->openapi);
	free(a->keys);
	quota_close(a->quota);
	auth_close(a->auth);
	metrics_close(a->metrics);
	free(a->measures);
	free((void *)a->router.tables);
	free(a);
}

int api_open(struct api **out, uv_loop_t *loop, const struct api_options *o,
	struct error *err)
{
	struct api *a;

	if (check_origins(o, err) < 0)
		return -1;
	a = calloc(1, sizeof(*a));
	if (!a)
		return error_set_memory(err, "api", sizeof(*a));
	a->loop = loop;
	a->o = *o;
	a->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (a->wake_fd < 0) {
		error_set_errno(err, "eventfd");
		api_free(a);
		return -1;
	}
	a->streams.max = o->stream_buffer;
	a->streams.max_total = o->streams_buffer;
	a->streams.ttl = o->streams_ttl;
	a->keys = calloc(1, sizeof(*a->keys));
	if (!a->keys) {
		api_free(a);
		return error_set_memory(err, "api", sizeof(*a->keys));
	}
	if (open_quota(a, err) < 0 || open_router(a, err) < 0 ||
		measures_open(a, err) < 0 || open_workers(a, err) < 0) {
		api_free(a);
		return -1;
	}
	uv_poll_init(loop, &a->wake, a->wake_fd);
	uv_timer_init(loop, &a->coalesce);
	uv_timer_init(loop, &a->heartbeat);
	a->wake.data = a->coalesce.data = a->heartbeat.data = a;
	uv_poll_start(&a->wake, UV_READABLE, on_wake);
	uv_timer_start(&a->heartbeat, on_heartbeat, o->heartbeat, o->heartbeat);
	*out = a;
	return 0;
}

void api_set_server(struct api *a, struct server *s)
{
	a->server = s;
	a->router.o.check_host = server_is_loopback(s) || a->o.n_hosts;
}

void api_set_auth(struct api *a, struct auth *auth)
{
	auth_close(a->auth);
	a->auth = auth;
	a->router.auth = auth;
}

bool api_asks_for_keys(const struct api *a)
{
	return a->auth != NULL;
}

void api_wake(void *api)
{
	struct api *a = api;

	if (!atomic_exchange(&a->woken, true))
		eventfd_write(a->wake_fd, 1);
}

void api_jobs_changed(void *api)
{
	struct api *a = api;

	if (!atomic_exchange(&a->jobs_changed, true))
		eventfd_write(a->wake_fd, 1);
}

struct workers *api_workers(struct api *a)
{
	return a->workers;
}

void api_serve(struct api *a, const struct api_backend *backend)
{
	a->backend = *backend;
	a->ready = true;
}

void api_drain(struct api *a)
{
	a->draining = true;
	job_watches_end(a);
}

void api_refuse(struct api *a)
{
	a->refusing = true;
	if (a->backend.engine)
		engine_drain(a->backend.engine);
}

size_t api_active(const struct api *a)
{
	return a->n_samples + a->n_calls;
}

void api_cancel(struct api *a)
{
	sample_cancel_all(a);
	session_prime_cancel_all(a);
	score_cancel_all(a);
	if (a->backend.captions)
		caption_queue_drop(a->backend.captions);
}

static void on_closed(uv_handle_t *handle)
{
	struct api *a = handle->data;

	if (--a->n_handles)
		return;
	if (a->closed)
		a->closed(a->closed_arg);
	api_free(a);
}

static void on_workers_closed(void *arg)
{
	struct api *a = arg;

	if (--a->n_pools)
		return;
	a->n_handles = 3;
	uv_close((uv_handle_t *)&a->wake, on_closed);
	uv_close((uv_handle_t *)&a->coalesce, on_closed);
	uv_close((uv_handle_t *)&a->heartbeat, on_closed);
}

void api_close(struct api *a, void (*closed)(void *arg), void *arg)
{
	a->closed = closed;
	a->closed_arg = arg;
	a->n_pools = 2;
	workers_close(a->disk, on_workers_closed, a);
	workers_close(a->workers, on_workers_closed, a);
}

bool api_admit(struct api *a, struct exchange *x)
{
	if (a->ready && !a->refusing)
		return true;
	reply_refuse(x, 503, "unavailable", "", "%s",
		a->refusing ? "the server is stopping"
			    : "the models are still loading");
	return false;
}

const char *api_unready(const struct api *a)
{
	if (a->draining)
		return "draining";
	if (!a->ready)
		return "loading models";
	if (!registry_count(a->backend.registry))
		return "no model is loaded";
	if (a->store_fault_at && uv_now(a->loop) - a->store_fault_at < FAULT_MS)
		return "the session store fails";
	return NULL;
}

void api_note_store(struct api *a, const struct error *err)
{
	a->store_fault_at = 0;
	if (!err)
		return;
	a->store_fault_at = uv_now(a->loop) + !uv_now(a->loop);
	a->store_fault = *err;
	log_error("a session was not stored", log_fault(err));
}
