/* What the routes share; private to the http layer. */
#ifndef HTTP_API_INTERNAL_H
#define HTTP_API_INTERNAL_H

#include "base/metrics.h"
#include "http/api.h"
#include "http/quota.h"
#include "http/router.h"
#include "http/streams.h"

#include <stdatomic.h>

struct idempotents;
struct sample;
struct prime;
struct score_run;
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
	struct auth *auth; /* owned; NULL: no keys are asked for */
	struct server *server;
	struct workers *workers;
	struct workers *disk; /* for uploads, which may wait for a disk long */
	unsigned n_pools;     /* of workers, when closing */
	struct metrics *metrics;
	struct measures_rows *measures; /* owned; rows of metrics */
	uint64_t log_dropped;
	struct engine_stats counted; /* what the counters already hold */
	struct sessions_stats counted_sessions;
	struct api_backend backend; /* all set once ready */
	bool ready, draining, refusing;
	struct sample *samples;	   /* list of all that are at work */
	struct prime *primes;	   /* likewise */
	struct score_run *scores;  /* likewise */
	struct job_watch *watches; /* clients that follow a job */
	atomic_bool jobs_changed;  /* and not yet looked */
	size_t n_samples, n_streams, n_calls, n_detached, n_uploads;
	size_t n_scoring; /* texts that an engine has */
	struct streams streams;
	struct idempotents *keys; /* owned */
	struct quota *quota;	  /* owned */
	struct buf openapi;	  /* as text, once it was asked for */
	char openapi_tag[24];
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
	routes_models, routes_tokenize, routes_score, routes_captions,
	routes_aliases, routes_files, routes_fine_tuning, routes_status,
	routes_web, routes_activations;

/* False when the request was refused, with the reason: loading or draining. */
bool api_admit(struct api *a, struct exchange *x);
/* May the client generate? 0, or the seconds after which to ask again, with
 * *err. */
unsigned api_check_generation(
	struct api *a, uint64_t client, struct error *err);
/* Who is turned away from the queue is told when it may be worth a try;
 * retry_after is a limit's own answer to that, or 0. */
void api_reply_error(struct api *a, struct exchange *x, const struct error *err,
	unsigned retry_after);
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
	MEASURE_TOKEN_SECONDS,
	MEASURE_GENERATION_SECONDS,
	MEASURE_FRAME_SECONDS,
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
	MEASURE_LIMITED,
	MEASURE_LIMIT,
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
	MEASURE_FILES,
	MEASURE_FILES_BYTES,
	MEASURE_UPLOADS,
	MEASURE_CAPTIONS,
	MEASURE_MODELS,
	MEASURE_READY,
	MEASURE_RESIDENT,
	MEASURE_LOG_DROPPED,
	MEASURE_BUILD,
};
int measures_open(struct api *a, struct error *err);
void measures_exchange(struct api *a, const struct exchange *x);
/* A stream's frame is written; *last is when the one before was (uv_hrtime), 0
 * for the first. */
void measures_frame(struct api *a, uint64_t *last);
/* Bring gauges and the engine's counters up to date, then render. */
int measures_render(struct api *a, struct buf *out);

/* /openapi.json, from the routes. NULL when memory ran out. */
json_t *openapi_schemas(void);
json_t *openapi_reference(const char *schema);
json_t *openapi_document(const struct router *r, const char *version);

/* sample.c: for api.c. */
void sample_poll(struct api *a);
void sample_heartbeat(struct api *a);
void sample_cancel_all(struct api *a);
void session_prime_cancel_all(struct api *a);
void score_cancel_all(struct api *a);

#endif
