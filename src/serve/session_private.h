/* What session.c (holding, committing) and session_manage.c (creating, listing,
 * deleting) share. */
#ifndef SERVE_SESSION_PRIVATE_H
#define SERVE_SESSION_PRIVATE_H

#include "serve/session.h"

#include <pthread.h>
#include <stdatomic.h>

#define SESSION_PREFIX "session/"
#define SESSION_BUCKETS 1024 /* of busy ids: requests under way */
#define SESSION_BLOB_MAX (64u << 20)

struct holder {
	struct session session; /* first: the handle */
	struct holder *next;	/* in its bucket */
	char id[SESSION_ID_MAX + 1];
	store_done_fn *done; /* of the commit under way */
	void *arg;
	struct session_wait *line; /* first come, first served */
};

struct sessions {
	struct store_writer *writer; /* borrowed */
	struct sessions_options options;
	atomic_ullong count;
	atomic_bool recount;  /* the count may be off: rows expired */
	pthread_mutex_t lock; /* guards busy */
	struct holder *busy[SESSION_BUCKETS];
};

/* Take the id for a while: ERROR_CONFLICT when somebody has it. */
struct holder *sessions_hold(
	struct sessions *s, const char *id, struct error *err);
void sessions_let_go(struct holder *h);
bool sessions_busy(struct sessions *s, const char *id);

/* Ask the store how many there are. */
int sessions_recount(struct sessions *s, struct error *err);

/* ERROR_NOT_FOUND. */
int session_missing(const char *id, struct error *err);
int session_check_id(const char *id, struct error *err);
void session_key(const char *id, char key[STORE_KEY_MAX + 1]);
int64_t session_expiry(int64_t used, int64_t ttl);

/* The stored blob, decoded; state may be NULL. */
int session_fetch(struct sessions *s, const char *id, struct session_info *info,
	struct session_state *state, struct error *err);
/* Encode and post, `with` in the same transaction. *bytes gets the blob's
 * size. */
int session_post(struct sessions *s, const struct session_info *i,
	const struct session_state *state, size_t *bytes,
	const struct store_change *with, size_t n_with, store_done_fn *done,
	void *arg, struct error *err);

#endif
