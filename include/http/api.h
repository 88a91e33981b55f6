/*
 * The HTTP API of a daemon: its routes, what they share, and its state as a
 * load balancer sees it. Whoever opens it hands in the engine, the models and
 * the sessions once they are there; until then requests get a 503.
 *
 *   LOADING -> READY [api_serve]; READY -> DRAINING [api_drain]
 *
 * Everything runs on the loop thread but api_wake.
 */
#ifndef HTTP_API_H
#define HTTP_API_H

#include "base/error.h"
#include "http/auth.h"
#include "http/server.h"
#include "serve/caption_queue.h"
#include "serve/engine.h"
#include "serve/files.h"
#include "serve/jobs.h"
#include "serve/registry.h"
#include "serve/session.h"
#include "serve/worker.h"

#include <stddef.h>
#include <stdint.h>

struct api;

#define API_MAX_LIMITS 48

/* A configured limit, for /metrics. */
struct api_limit {
	const char *name; /* of the option */
	double value;	  /* bytes, or seconds */
};

struct api_options {
	const char *version;	    /* of the program */
	const char *kernels;	    /* name of the kernel set that runs */
	const char *const *origins; /* [n_origins] borrowed, see origin.h */
	size_t n_origins;
	/* Names that a Host header may have besides loopback's. With none, any
	 * may reach a server that isn't on loopback. [n_hosts] borrowed */
	const char *const *hosts;
	size_t n_hosts;
	size_t max_body;	/* bytes of a request's body */
	uint64_t max_length;	/* tokens that one choice may ask for */
	size_t max_prompt;	/* and those that it may read first */
	uint64_t heartbeat;	/* ms between comments on an idle stream */
	uint64_t queue_timeout; /* ms that a request may wait for a slot */
	uint64_t run_timeout;	/* ms that one may run; 0 = any */
	uint64_t streams_ttl;	/* ms that a stream may be resumed; 0 = never */
	size_t stream_buffer;	/* bytes of sent events kept of a stream */
	size_t streams_buffer;	/* of all */
	unsigned max_detached;	/* generations without their client */
	uint64_t idempotency_ttl; /* ms that an answer is kept for its key */
	/* What one key, or without keys one address, may use; 0: no limit. */
	uint64_t requests_per_minute, tokens_per_minute, generations;
	struct api_limit limits[API_MAX_LIMITS];
	size_t n_limits;
	unsigned workers;
	size_t max_jobs; /* for the workers, at once */
};

/* Checks the origins' patterns. */
int api_open(struct api **a, uv_loop_t *loop, const struct api_options *o,
	struct error *err);

/* For server_open, with the api as ctx; then tell the api of the server. */
extern const struct server_ops api_server_ops;
void api_set_server(struct api *a, struct server *s);

/* From now on only these keys may come in (NULL: anybody may); what they began
 * before goes on. The api's to close. */
void api_set_auth(struct api *a, struct auth *auth);
bool api_asks_for_keys(const struct api *a);

/* engine_options.wake, with the api as its argument. Any thread. */
void api_wake(void *api);

/* jobs_options.changed, likewise. */
void api_jobs_changed(void *api);

/* For others who must not block the loop either. */
struct workers *api_workers(struct api *a);

/* Borrowed until api_release. From now on requests are served. */
struct api_backend {
	struct engine *engine;
	struct registry *registry;
	struct sessions *sessions;
	struct files *files;	 /* or NULL, for the reason that follows */
	struct aliases *aliases; /* likewise */
	const char *made_dir;	 /* of models that jobs made; likewise */
	struct jobs *jobs;	 /* there when files are */
	const struct error *jobs_fault;
	struct caption_queue *captions;
};
void api_serve(struct api *a, const struct api_backend *backend);

/* From now on /readyz says that new requests had better go elsewhere; */
void api_drain(struct api *a);
/* and from now on they are refused. */
void api_refuse(struct api *a);
/* Requests that are still at work. */
size_t api_active(const struct api *a);
/* Cancel what generates, each session at what its client was sent; streams get
 * a last frame that says so. */
void api_cancel(struct api *a);

/* The engine may be closed after this: no request is left. Call when
 * api_active is 0 and the server closed. `closed` comes from the loop. */
void api_close(struct api *a, void (*closed)(void *arg), void *arg);

#endif
