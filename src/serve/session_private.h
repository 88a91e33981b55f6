/* What the session*.c share: session.c opens and reads, session_hold.c keeps
 * others off, session_commit.c writes, session_manage.c creates, lists and
 * deletes, session_branch.c forks, rewinds and moves, session_limits.c counts,
 * session_model.c picks the model, and session_belongings.c ties other rows to
 * a session. */
#ifndef SERVE_SESSION_PRIVATE_H
#define SERVE_SESSION_PRIVATE_H

#include "serve/resident.h"
#include "serve/session.h"

#include <pthread.h>
#include <stdatomic.h>

#define SESSION_PREFIX "session/"
#define SNAPSHOT_PREFIX "snapshot/" /* ID/NAME */
#define BOUNDARY_PREFIX "boundary/" /* ID/SLOT */
#define BELONGS_PREFIX "belongs/"   /* ID/KEY: of a row that goes, too */
/* Rows of a session are PREFIX ID "/" ...: they go when it goes. */
#define SESSION_DEPENDENTS SNAPSHOT_PREFIX, BOUNDARY_PREFIX, BELONGS_PREFIX

#define SESSION_BUCKETS 1024 /* of busy ids: requests under way */
#define SESSION_BLOB_MAX (64u << 20)

struct holder {
	struct session session; /* first: the handle */
	struct holder *next;	/* in its bucket */
	char id[SESSION_ID_MAX + 1];
	struct buf before;	  /* its row as it was at begin, or empty */
	uint64_t before_position; /* of that */
	bool creating;		  /* counted beside its row, if it has one */
	bool swept;	     /* its row expired meanwhile, and counts yet */
	store_done_fn *done; /* of the commit under way */
	void *arg;
	struct session_wait *line; /* first come, first served */
};

/* Sessions of one owner, as they were counted and made since. */
struct owned {
	char owner[SESSION_OWNER_MAX + 1];
	uint64_t count;
	uint64_t gone; /* of all sessions, when they were counted */
};
#define SESSION_OWNERS 64 /* counts kept; others are counted each time */

struct sessions {
	struct store_writer *writer; /* borrowed */
	struct sessions_options options;
	struct resident *resident; /* NULL: none */
	atomic_ullong count;
	atomic_bool uncounted;	  /* the store could not be asked yet */
	pthread_mutex_t counting; /* held while it is asked */
	pthread_mutex_t owning;	  /* guards owned */
	struct owned owned[SESSION_OWNERS];
	size_t n_owned, next_owned;
	atomic_ullong expired, deleted, evicted;
	pthread_mutex_t lock; /* guards busy */
	struct holder *busy[SESSION_BUCKETS];
};

/* Take the id for a while: ERROR_CONFLICT when somebody has it. */
struct holder *sessions_hold(
	struct sessions *s, const char *id, struct error *err);
void sessions_let_go(struct holder *h);
/* What the holder was counted for and did not come to be, or has gone. */
void session_uncount(struct holder *h, bool failed);
bool sessions_busy(struct sessions *s, const char *id);
/* Whether somebody has it, who then hears that its row expired. */
bool sessions_tell_swept(struct sessions *s, const char *id);

/* ERROR_NOT_FOUND. */
int session_missing(const char *id, struct error *err);
int session_check_id(const char *id, struct error *err);
void session_key(const char *id, char key[STORE_KEY_MAX + 1]);
void session_snapshot_key(
	const char *id, const char *name, char key[STORE_KEY_MAX + 1]);
void session_boundary_key(
	const char *id, uint32_t slot, char key[STORE_KEY_MAX + 1]);
int64_t session_expiry(int64_t used, int64_t ttl);
size_t session_window_length(uint64_t position);

/* Its row, from memory or the store. ERROR_NOT_FOUND. */
int session_read(struct sessions *s, const char *id, struct buf *blob,
	struct error *err);
/* That, decoded; state may be NULL. */
int session_fetch(struct sessions *s, const char *id, struct session_info *info,
	struct session_state *state, struct error *err);
/* The same for who holds it: h->session and h->before, and it is resident from
 * now on. */
int session_fetch_held(struct holder *h, struct error *err);

/* Encode and post, `with` [n_with] in the same transaction. *bytes gets the
 * blob's size. Should the commit fail, the row is no longer resident. */
int session_post(struct sessions *s, const struct session_info *i,
	const struct session_state *state, const struct store_change *with,
	size_t n_with, size_t *bytes, store_done_fn *done, void *arg,
	struct error *err);
/* A commit, boundary rows included, whose handle stays. */
int session_post_held(struct holder *h, const struct store_change *with,
	size_t n_with, store_done_fn *done, void *arg, struct error *err);

/* session_belongings.c: `with`, and what makes it go with the session. Borrows
 * from `with`. */
struct belongings {
	struct store_change changes[2 * SESSION_MAX_WITH];
	char keys[SESSION_MAX_WITH][STORE_KEY_MAX + 1];
	size_t n;
};
void session_belong(struct belongings *b, const char *id,
	const struct store_change *with, size_t n);
/* The KEY of a row belongs/ID/KEY, else NULL. */
const char *session_belonging(const char *key);

/* session_manage.c */
struct holder *session_begin_new(
	struct sessions *s, const struct session_options *o, struct error *err);
int session_check_metadata(const char *text, struct error *err);
/* ERROR_CONFLICT when the id is taken. */
int session_check_absent(struct sessions *s, const char *id, struct error *err);
void session_fresh_id(char id[SESSION_ID_MAX + 1]);
/* Delete the row of a held session and what belongs to it. */
int session_delete_held(
	struct holder *h, store_done_fn *done, void *arg, struct error *err);

/* done(arg), but if it failed `undo` is added to the count first and the row,
 * if id isn't NULL, is no longer resident. Freed by being called. */
struct session_waiter;
struct session_waiter *session_waiter_new(struct sessions *s, const char *id,
	store_done_fn *done, void *arg, long long undo, struct error *err);
void session_waiter_done(void *waiter, const struct error *err);

/* session_limits.c: room for n more sessions of that owner; makes it where
 * when_full says so. ERROR_NO_SPACE names the option. Reads the store. */
int session_make_room(
	struct sessions *s, const char *owner, uint64_t n, struct error *err);
/* A row expired: store_writer_on_sweep's. */
void session_on_swept(void *sessions, const char *key);
/* Post the deletion of its dependents, with row NULL, or of a row as well. */
int session_post_removal(struct sessions *s, const char *id, const char *row,
	store_done_fn *done, void *arg, struct error *err);
/* Asks the store how many there are, if that isn't known yet. */
int sessions_be_counted(struct sessions *s, struct error *err);

/* session_model.c: the model that a held session goes on with, as a reference;
 * what its policy did to info and state is in `change`. */
struct registry_entry *session_model(struct session *s, struct registry *r,
	const char *name, struct error *err);

#endif
