/*
 * An unfinished request is its own record: what a stream is generated again
 * from, when its client comes back after a crash or a dropped connection. Its
 * tokens follow from model, start state, parameters, prompt and seed alone.
 *
 *   OPEN -> ENDED [the end]; OPEN -> CANCELLED [the client left]
 *   CANCELLED -> ENDED or CANCELLED [resumed, then as above]
 *
 * While a request on a session is OPEN, the session stands where it began, and
 * its own blob is the start state. Whoever commits the session stores the
 * record with it: from then on the record holds the start state itself.
 */
#ifndef SERVE_RECORD_H
#define SERVE_RECORD_H

#include "base/buf.h"
#include "serve/session.h"

#define RECORD_ID_MAX 40
#define RECORD_BODY_MAX (8u << 20) /* larger requests have no record */

enum record_phase { RECORD_OPEN, RECORD_ENDED, RECORD_CANCELLED };

struct request_record {
	char id[RECORD_ID_MAX + 1];	  /* the stream's */
	char session[SESSION_ID_MAX + 1]; /* or "" */
	char owner[SESSION_OWNER_MAX + 1];
	char model[REGISTRY_NAME_MAX + 1];
	char system[64]; /* system fingerprint of what computed it */
	uint64_t start;	 /* the session's position before it */
	uint64_t seed;
	int64_t created; /* Unix milliseconds, as `ttl` */
	int64_t ttl;	 /* how long after its end it is kept */
	enum record_phase phase;
	int finish;    /* ENDED: an enum generate_finish */
	uint64_t kept; /* tokens drawn that are part of the timeline */
	uint64_t sent; /* >= kept: those of the events that the client has */
	uint64_t end;  /* the timeline's position with them */
	char *body;    /* owned: the request as JSON */
	size_t body_len;
};

/* "strm_" and 128 random bits. */
void record_name(char id[RECORD_ID_MAX + 1]);
void record_free(struct request_record *r);
void record_key(const char *id, char key[STORE_KEY_MAX + 1]);

/* Append it as bytes, with the start state or NULL. */
int record_encode(const struct request_record *r,
	const struct session_state *state, struct buf *out, struct error *err);
/* On success the caller frees *r, and if *has_state releases *state. Either
 * ERROR_CORRUPT or ERROR_UNSUPPORTED. */
int record_decode(const void *bytes, size_t len, struct request_record **r,
	struct session_state *state, bool *has_state, struct error *err);

/* Store it now as it is, without a start state: relaxed, since what is lost
 * in a crash can be asked for again. Kept for `ms`. `with` (or NULL) in the
 * same transaction. */
int record_post(struct sessions *s, const struct request_record *r, int64_t ms,
	const struct store_change *with, struct error *err);
void record_drop(struct sessions *s, const char *id, const char *session,
	const struct store_change *with);
/* ERROR_NOT_FOUND with param `stream`. */
int record_missing(const char *id, struct error *err);
/* That, too. *state is released by the caller if
 * *has_state. Reads the store. */
int record_read(struct sessions *s, const char *id, struct request_record **r,
	struct session_state *state, bool *has_state, struct error *err);

#endif
