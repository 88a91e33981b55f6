/*
 * Images that wait to be described, a client's in their order, clients in turn.
 * Threads of the queue's own, at low priority, read them and take what is ready
 * through a captioner's CNN together; so neither the loop nor an engine nor a
 * worker computes for a picture.
 *
 *   WAITING -> READING -> READY -> RUNNING -> ended
 *   WAITING -> ended [cancelled, or caption_queue_drop]
 */
#ifndef SERVE_CAPTION_QUEUE_H
#define SERVE_CAPTION_QUEUE_H

#include "serve/registry.h"

#include <stdatomic.h>

struct caption_queue_options {
	unsigned threads;
	size_t max;	       /* requests that wait or run */
	size_t max_per_client; /* that wait, of one client; 0: any */
	int nice;	       /* 0: they don't make way */
	/* Whether those that are served are in a hurry, so that the threads
	 * make way; or NULL. A signal handler calls it. */
	bool (*crowded)(void *arg);
	void *crowded_arg;
};

struct caption_timings { /* seconds */
	double queue, read, run;
};

/* The caller's memory until `ended`. */
struct caption_request {
	const void *image; /* a file's bytes */
	size_t len;
	uint64_t client; /* who asks: turns are even among clients */
	struct registry_entry *model;	/* a captioner; a reference */
	struct caption_options options; /* checked */
	/* On a thread of the queue, once; the request may be freed there. */
	void (*ended)(struct caption_request *r);

	atomic_bool cancelled; /* by anyone: nobody waits for it any more */
	struct caption_text *texts; /* [options.n], the best first */
	size_t n;		    /* of them */
	struct error err;	    /* code ERROR_NONE: it went well */
	struct caption_timings timings;

	/* The queue's. */
	struct caption_request *next;
	struct image fitted;
	double since;
	uint64_t turn; /* in which it is read */
};

struct caption_queue;

int caption_queue_open(struct caption_queue **q,
	const struct caption_queue_options *o, struct error *err);
/* Nothing may be under way. */
void caption_queue_close(struct caption_queue *q);

/* ERROR_OVERLOADED when `max` requests are under way, or as many as one client
 * may have. Any thread. */
int caption_queue_post(
	struct caption_queue *q, struct caption_request *r, struct error *err);
/* What waits ends with ERROR_UNAVAILABLE. Any thread. */
void caption_queue_drop(struct caption_queue *q);
size_t caption_queue_busy(struct caption_queue *q);

#endif
