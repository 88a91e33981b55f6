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
	uint64_t client; /* who asks, as the engine tells clients apart */
	/* The name of the key that asks, whose the things made are; "" while no
	 * keys are asked for. */
	char owner[SESSION_OWNER_MAX + 1];
	bool of_session; /* its first parameter is a session's id */
	char query[1024];
	bool wants_json;     /* its Accept names application/json */
	bool binary_body;    /* not JSON but bytes */
	char charset[32];    /* that its Content-Type says, or "" */
	char form_type[192]; /* its Content-Type, of multipart/form-data; or
			      * "" */
	/* Fills status and answer (NULL: no body), or err, and ends with
	 * call_done. */
	void (*work)(struct call *c);
	_Atomic unsigned holders; /* of whom each will say call_done */
	unsigned status;
	json_t *answer;
	struct buf bytes;   /* answered as they are, where there is no answer */
	char file_name[96]; /* that they are offered under, or "" */
	/* Instead of the answer when the worker's part went well, on the loop:
	 * call_finish is then to be called some time. */
	void (*then)(struct call *c);
	/* The client left before its answer. Loop thread; may be NULL. */
	void (*left)(struct call *c);
	void *data;	  /* the route's own */
	struct error err; /* code ERROR_NONE: it went well */
	bool wrote;	  /* the store: note how that went */
	bool metered;	  /* by limits.generations and .tokens_per_minute */
	uint64_t prompt_tokens, tokens; /* read and generated for it */
	unsigned retry_after; /* of a limit that refuses it, seconds; or 0 */
	/* With an Idempotency-Key: what was answered to it before, and what
	 * is stored now. */
	struct idempotent key;
	struct idempotent_answer replay;
	int found;
	char *text;
};

/* For who commits what the answer tells of: the change that stores the answer
 * in the same transaction. 1, or 0 when no key was given; -1 with c->err. key
 * and value are the caller's memory. */
int call_keep_with(struct call *c, char key[STORE_KEY_MAX + 1],
	struct buf *value, struct store_change *change);

/* Answer, and end. Loop thread. */
void call_finish(struct call *c);

/* The body as JSON, read by fields: 0, or -1 with c->err. The caller owns
 * *json, which *out borrows from. */
int call_read(struct call *c, const struct field *fields, size_t n, void *out,
	uint64_t *given, json_t **json);

void call_start(struct api *a, struct exchange *x,
	const struct route_params *params, void (*work)(struct call *c));
/* The same for what must not be done twice: with an Idempotency-Key `work` runs
 * once, and stores its answer by call_keep_with. */
void call_start_once(struct api *a, struct exchange *x,
	const struct route_params *params, void (*work)(struct call *c));
/* For what reads or generates tokens: refused over the client's limits. What
 * the work counts in prompt_tokens and tokens is charged at its end. */
void call_start_metered(struct api *a, struct exchange *x,
	const struct route_params *params, void (*work)(struct call *c));
/* The same for what shows later to do so, once: -1 with c->err. Loop thread. */
int call_meter(struct call *c);
/* Once more to a worker, from `then`: c->work, and then `then` again. An error
 * goes to c->err. Loop thread. */
int call_again(struct call *c, void (*work)(struct call *c));
/* One more thread will say call_done. */
void call_hold(struct call *c);
/* Not to be touched any more by who says this. Any thread. */
void call_done(struct call *c);

/* The decoded value of `name` in the query; NULL when it is absent. One that is
 * malformed or longer than size is an error, with *err: NULL, too. */
const char *call_query(const struct call *c, const char *name, char *out,
	size_t size, struct error *err);
/* The i-th name in the query, NULL past the last. */
const char *call_query_name(
	const struct call *c, size_t i, char *out, size_t size);
/* Names in the query are among `known` [n] (one that ends in '*' is a
 * beginning): else ERROR_INVALID. */
int call_check_query(const struct call *c, const struct field *known, size_t n,
	struct error *err);
/* An integer from min to max; absent leaves *n. */
int call_query_number(const struct call *c, const char *name, uint64_t min,
	uint64_t max, uint64_t *n, struct error *err);

#endif
