/*
 * Idempotency-Key: the answer to a request is stored under its key, and is the
 * answer to whoever sends the same request with that key again. One request of
 * a key runs at a time. What is stored is what went well: a request that failed
 * changed nothing, and may be tried again.
 *
 *   claim -> (look up: answered from the store) | (runs, its answer is stored)
 *         -> release
 */
#ifndef HTTP_IDEMPOTENCY_H
#define HTTP_IDEMPOTENCY_H

#include "http/api_internal.h"

#include <xxhash.h>

#define IDEMPOTENT_KEY_MAX 255
#define IDEMPOTENT_BUCKETS 256

struct idempotent {
	char key[IDEMPOTENT_KEY_MAX + 1]; /* "": none was given */
	const char *route;
	char owner[EXCHANGE_OWNER_MAX + 1]; /* keys of one are not another's */
	XXH128_hash_t body;
	bool claimed;
	bool left; /* of a group: its client has, so it is about to end */
	struct idempotent *next;      /* in its bucket */
	struct idempotent *line;      /* who waits for it, in order */
	struct idempotent *line_next; /* in that line */
	/* The key is yours: comes from idempotent_release of who had it. */
	void (*granted)(struct idempotent *i);
};

struct idempotents {
	struct idempotent *buckets[IDEMPOTENT_BUCKETS];
};

/* The request's key, if it has one, and a hash of its body. ERROR_INVALID, with
 * the header as param. Loop thread. */
int idempotent_read(
	struct idempotent *i, const struct exchange *x, struct error *err);
/* 0: claimed. 1: in line for it, if may_wait. ERROR_CONFLICT: another request
 * has it; ERROR_UNPROCESSABLE: and one with another body. Loop thread. */
int idempotent_claim(struct idempotents *all, struct idempotent *i,
	bool may_wait, struct error *err);
/* Who has the key now, or NULL. */
struct idempotent *idempotent_holder(
	struct idempotents *all, const struct idempotent *i);
/* The same claim, and who waits for it, in another place. */
void idempotent_move(struct idempotents *all, struct idempotent *from,
	struct idempotent *to);
/* Give the key back, or step out of the line; fine on what has neither. */
void idempotent_release(struct idempotents *all, struct idempotent *i);

enum idempotent_kind {
	IDEMPOTENT_JSON,   /* a body */
	IDEMPOTENT_STREAM, /* the id of a stream */
	IDEMPOTENT_EVENTS, /* a stream's bytes */
};

struct idempotent_answer {
	unsigned status;
	enum idempotent_kind kind;
	struct buf body;
};

/* 1 and *answer (its body is the caller's); 0: none. ERROR_UNPROCESSABLE when
 * it was given to another body. Reads the store: a worker's work. */
int idempotent_find(const struct idempotent *i, struct sessions *s,
	struct idempotent_answer *answer, struct error *err);

/* The change that stores an answer; key and value are the caller's memory. */
int idempotent_change(const struct idempotent *i, unsigned status,
	enum idempotent_kind kind, const char *body, size_t len, int64_t ttl,
	char key[STORE_KEY_MAX + 1], struct buf *value,
	struct store_change *change, struct error *err);

/* The change that removes it. */
void idempotent_unchange(const struct idempotent *i,
	char key[STORE_KEY_MAX + 1], struct store_change *change);

#define IDEMPOTENT_REPLAYED "Idempotent-Replayed"

#endif
