/*
 * A request as the serve layer sees it. Three parts by owner: what is fixed at
 * open; what only the producer of events touches (an engine thread, after it
 * the store writer's thread, which the writer's lock puts in order); what only
 * the reader touches. What they share is atomic.
 */
#ifndef SERVE_REQUEST_H
#define SERVE_REQUEST_H

#include "base/queue.h"
#include "serve/generate.h"
#include "serve/stop.h"

#include <stdatomic.h>

struct engine;
struct engine_thread;

/* What travels through the ring: an event, its text as a place in the other. */
struct event_record {
	enum generate_event_type type;
	uint8_t choice;
	uint8_t finish;
	uint8_t n_top;
	uint32_t token;
	float logprob;
	uint32_t text_len;
	uint64_t index;
	uint64_t settled;
	uint64_t position;
	size_t text_begin; /* bytes since the start, taken modulo text_size */
	size_t text_end;
	uint64_t sequence; /* number of the event */
};

struct generate_request {
	/* Fixed at open. */
	struct registry_entry *model;
	struct token_buf prompt;
	struct sampler_options sampler;
	struct sampler_bias *bias; /* owned; sampler.bias */
	struct stop_strings stops;
	uint32_t *stop_tokens; /* [n_stop_tokens] owned */
	size_t n_stop_tokens;
	uint64_t length;
	uint64_t seed;
	uint64_t skipped;
	unsigned n;
	bool has_logprobs;
	unsigned logprobs;
	uint64_t score_from;
	float *scores;			/* [prompt.len] or NULL */
	struct generate_top *score_top; /* [prompt.len][n_score_top] or NULL */
	unsigned n_score_top;
	int64_t queue_ms, run_ms, deadline_ms;
	uint64_t client;
	enum scheduler_priority priority;
	void *user;
	char session_id[SESSION_ID_MAX + 1]; /* "" without a session */
	size_t max_text;		     /* of one event */
	struct session_state start; /* without a session; hidden NULL: none */
	bool goes_on; /* on a timeline: what is cut may yet become whole */
	bool settles;
	uint64_t floor;

	/* The rings: see events.c. */
	struct ring *ring;
	char *text; /* [text_size] */
	size_t text_size;
	struct generate_top *top; /* [ring + 1][logprobs] */
	atomic_size_t text_read;  /* by the reader, bytes since the start */

	/* The producer's. */
	struct engine *engine;
	struct engine_thread *thread;
	struct session *session; /* held, until committed or let go of */
	struct generate_request *next_waiting; /* of its client and priority */
	uint64_t arrival;	  /* requests of its thread before it */
	uint32_t admitted, known; /* its client: the engine's, its thread's */
	size_t weight;		  /* in the thread's load */
	struct request_record *record; /* owned, or NULL */
	enum generate_finish finish;   /* of choice 0 */
	struct generate_result result;
	unsigned running; /* choices that have not ended */
	bool replaying;	  /* cancelled: on its way to the kept position */
	bool commits;	  /* the session is to advance */
	bool unseen;	  /* events since it was last put into the ready list */
	int64_t submitted, started, generating, ended; /* monotonic ns */
	size_t text_written;
	uint64_t n_events;

	/* The reader's. */
	struct generate_event event; /* what generate_next gave last */
	size_t event_text_end;
	bool submitted_ok, closed;

	/* Shared. */
	atomic_uint refs; /* reader, producer, ready list */
	atomic_bool cancelled;
	atomic_ullong kept, sent;
	atomic_bool paused;   /* the producer waits for room */
	atomic_bool finished; /* the producer touches it no more */
	atomic_bool listed;   /* in the ready list */
	struct generate_request *next_ready;
};

void request_ref(struct generate_request *r);
void request_unref(struct generate_request *r);

/* events.c */
int events_open(struct generate_request *r, struct error *err);
void events_release(struct generate_request *r);
/* The producer: whether a step of all choices may put its events, ENDED kept
 * free. If not, the reader will call engine_kick. */
bool events_room(struct generate_request *r);
/* The producer; there is room. text is copied; top has r->logprobs places. */
void events_put(struct generate_request *r, const struct generate_event *e);

/* engine.c: wake the request's thread. Any thread. */
void engine_kick(struct generate_request *r);

int64_t monotonic_ns(void);

#endif
