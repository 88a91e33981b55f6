/*
 * Threads that own slots and step all sequences of a model as one batch. Who
 * submits may know: a request waits in a bounded queue, joins a slot of one
 * engine thread, puts events into its own bounded ring (a full ring pauses its
 * slot and nobody else), and ends. Its tokens depend on its model, state,
 * prompt, options and seed alone.
 */
#ifndef SERVE_ENGINE_H
#define SERVE_ENGINE_H

#include "base/buf.h"
#include "base/error.h"
#include "serve/generate.h"

#include <stddef.h>
#include <stdint.h>

struct engine;

struct engine_options {
	unsigned threads; /* 0 = the cores that we may use */
	size_t slots;	  /* per thread; 0 = 1024 */
	size_t batch;	  /* sequences in one step; 0 = 64 */
	size_t chunk; /* prompt tokens between two looks at the others; 0 = 8 */
	size_t queue; /* requests that may wait; 0 = 1024 */
	size_t queue_per_client; /* the same of one client; 0 = any */
	/* There are requests to read: once per step that made events, from an
	 * engine's or the store writer's thread. Must not block. */
	void (*wake)(void *arg);
	void *wake_arg;
};

int engine_open(
	struct engine **e, const struct engine_options *o, struct error *err);

/* Hand a request over. ERROR_OVERLOADED (the queue is full), ERROR_UNAVAILABLE
 * (draining): then it is still the caller's to close. Any thread. */
int engine_submit(
	struct engine *e, struct generate_request *r, struct error *err);

/* Seconds after which who was refused may ask again, from how fast the queue
 * moves: 1 to 60. Any thread. */
unsigned engine_retry_after(struct engine *e);

/* Call fn for each request that has got events since it was last read; fn
 * reads them with generate_next till NULL, and may close the request. One
 * thread, the reader of all requests. Returns the requests called for. */
size_t engine_poll(struct engine *e,
	void (*fn)(struct generate_request *r, void *arg), void *arg);

/* From now on submit is refused; what runs or waits goes on. Any thread. */
void engine_drain(struct engine *e);
/* Requests submitted and not ended. */
size_t engine_active(const struct engine *e);
/* Cancel all that is left (sessions stay at their last commit): their ENDED
 * events come soon. Any thread. */
void engine_cancel_all(struct engine *e);

/* Drains, cancels what is left, waits for their ends, joins the threads. ENDED
 * events not read yet can still be read from the requests. */
void engine_close(struct engine *e);

struct engine_stats {
	uint64_t steps; /* model steps */
	uint64_t rows;	/* sequences fed, over all steps */
	uint64_t prompt_tokens, generated_tokens;
	uint64_t requests, cancelled, rejected, failed;
	size_t slots_active, slots_paused, queued;
	size_t waiting[SCHEDULER_PRIORITIES]; /* the queued ones */
};
/* Whether it generates. Any thread, also in a signal handler. */
bool engine_busy(const struct engine *e);
void engine_stats(const struct engine *e, struct engine_stats *s);

/* Append the engine's own metrics (batch sizes, times in the queue and of
 * commits) in Prometheus text; 0, or -1 when out is full. Any thread. */
int engine_metrics(const struct engine *e, struct buf *out);

/* Models were unloaded: threads let go of those that they don't use now (and of
 * others when their last sequence ends). Any thread. */
void engine_forget(struct engine *e);

#endif
