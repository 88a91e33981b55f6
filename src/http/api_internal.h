/* What the routes share; private to the http layer. */
#ifndef HTTP_API_INTERNAL_H
#define HTTP_API_INTERNAL_H

#include "base/metrics.h"
#include "http/api.h"
#include "http/router.h"
#include "http/streams.h"

#include <stdatomic.h>

struct idempotents;
struct sample;
struct prime;
struct generate_request;

/* What generate_user points to, whoever asked for a generation: it has events
 * to read. Loop thread. */
struct api_reader {
	void (*read)(struct api_reader *reader, struct generate_request *r);
};

struct measures_rows;

/* What another thread hands to the loop. */
struct arrival {
	struct arrival *next;
	void (*arrived)(struct arrival *x); /* on the loop */
};

struct api {
	uv_loop_t *loop;
	struct api_options o;
	struct router router;
	struct server *server;
	struct workers *workers;
	struct metrics *metrics;
	struct measures_rows *measures; /* owned; rows of metrics */
	uint64_t log_dropped;
	struct engine_stats counted; /* what the counters already hold */
	struct sessions_stats counted_sessions;
	struct api_backend backend; /* all set once ready */
	bool ready, draining;
	struct sample *samples; /* list of all that are at work */
	struct prime *primes;	/* likewise */
	size_t n_samples, n_streams, n_calls, n_detached;
	struct streams streams;
	struct idempotents *keys; /* owned */
	_Atomic(struct arrival *) arrivals;
	int wake_fd;	   /* an eventfd, of api_wake and api_arrive */
	atomic_bool woken; /* and not yet looked: one wake is enough */
	uv_poll_t wake;
	uv_timer_t coalesce, heartbeat;
	uint64_t polled; /* loop time of the last look at the engine, ms */
	struct error store_fault;
	uint64_t store_fault_at; /* 0: none */
	unsigned n_handles;
	void (*closed)(void *arg);
	void *closed_arg;
};

/* One table of rows per routes_*.c. */
extern const struct route_table routes_sample, routes_streams, routes_sessions,
	routes_session_fork, routes_session_branch, routes_session_move,
	routes_models, routes_tokenize, routes_captions, routes_status;

/* False when the request was refused, with the reason: loading or draining. */
bool api_admit(struct api *a, struct exchange *x);
/* arrived is called soon. Any thread; the order is kept. */
void api_arrive(struct api *a, struct arrival *x);
/* Why /readyz is not ready, or NULL. */
const char *api_unready(const struct api *a);
/* A commit failed, or (err NULL) succeeded. */
void api_note_store(struct api *a, const struct error *err);

/* measures.c: the metrics' table and what feeds it. */
enum measure {
	MEASURE_REQUESTS,
	MEASURE_REQUEST_SECONDS,
	MEASURE_BYTES_SENT,
	MEASURE_CONNECTIONS,
	MEASURE_EXCHANGES,
	MEASURE_GENERATIONS,
	MEASURE_FIRST_TOKEN_SECONDS,
	MEASURE_GENERATIONS_ACTIVE,
	MEASURE_QUEUED,
	MEASURE_WAITING,
	MEASURE_SLOTS_ACTIVE,
	MEASURE_SLOTS_PAUSED,
	MEASURE_STEPS,
	MEASURE_ROWS,
	MEASURE_PROMPT_TOKENS,
	MEASURE_GENERATED_TOKENS,
	MEASURE_REJECTED,
	MEASURE_STREAMS_BYTES,
	MEASURE_STREAMS_DETACHED,
	MEASURE_STREAMS_RESUMED,
	MEASURE_REPLAYED,
	MEASURE_SESSIONS,
	MEASURE_SESSIONS_RESIDENT,
	MEASURE_SESSIONS_RESIDENT_BYTES,
	MEASURE_SESSION_READS,
	MEASURE_SESSIONS_SPILLED,
	MEASURE_SESSIONS_GONE,
	MEASURE_MODELS,
	MEASURE_READY,
	MEASURE_RESIDENT,
	MEASURE_LOG_DROPPED,
	MEASURE_BUILD,
};
int measures_open(struct api *a, struct error *err);
void measures_exchange(struct api *a, const struct exchange *x);
/* Bring gauges and the engine's counters up to date, then render. */
int measures_render(struct api *a, struct buf *out);

/* /openapi.json, from the routes. NULL when memory ran out. */
json_t *openapi_document(const struct router *r, const char *version);

/* sample.c: for api.c. */
void sample_poll(struct api *a);
void sample_heartbeat(struct api *a);
void sample_cancel_all(struct api *a);
void session_prime_cancel_all(struct api *a);

#endif
