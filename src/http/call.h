/*
 * A request that is answered by way of a worker: work runs there and fills the
 * answer, which is sent from the loop. The client may leave meanwhile; the
 * work is then finished all the same.
 */
#ifndef HTTP_CALL_H
#define HTTP_CALL_H

#include "http/idempotency.h"

#include <jansson.h>

struct call {
	struct worker_job job; /* first */
	struct api *api;
	struct exchange *x; /* NULL once the client has left */
	struct buf body;
	struct route_params params;
	char query[256];
	/* Fills status and answer (NULL: no body), or err, and ends with
	 * call_done. */
	void (*work)(struct call *c);
	_Atomic unsigned holders; /* of whom each will say call_done */
	unsigned status;
	json_t *answer;
	struct error err; /* code ERROR_NONE: it went well */
	bool wrote;	  /* the store: note how that went */
	/* With an Idempotency-Key: what was answered to it before, and what
	 * is stored now. */
	struct idempotent key;
	struct idempotent_answer replay;
	int found;
	char *text;
};

void call_start(struct api *a, struct exchange *x,
	const struct route_params *params, void (*work)(struct call *c));
/* The same for what must not be done twice: with an Idempotency-Key `work` runs
 * once, and its answer is stored. */
void call_start_once(struct api *a, struct exchange *x,
	const struct route_params *params, void (*work)(struct call *c));
/* One more thread will say call_done. */
void call_hold(struct call *c);
/* Not to be touched any more by who says this. Any thread. */
void call_done(struct call *c);

/* The raw value of `name` in the query, cut to size; NULL when absent. What we
 * take there needs no percent-encoding. */
const char *call_query(
	const struct call *c, const char *name, char *out, size_t size);

#endif
