/*
 * What one state can become: copies (fork), points to come back to (snapshot,
 * rewind), bytes that travel (export, import), and a look at what would come
 * next (peek). Each is O(size of the state). Forks, exports and peeks take the
 * state of the last commit, also while a request is under way; what changes a
 * session needs it free (ERROR_BUSY, param `session`).
 *
 * Any thread; all read the store: not on the loop nor on an engine. done comes
 * after COMMIT, on the writer's thread, exactly once when 0 is returned; it
 * may be NULL. An info that was filled is the caller's to release.
 */
#ifndef SERVE_SESSION_BRANCH_H
#define SERVE_SESSION_BRANCH_H

#include "serve/generate.h"
#include "serve/session.h"

#define SESSION_FORK_MAX 10000
#define SESSION_FORK_BYTES (128u << 20) /* of all children together */
#define SESSION_PEEK_MAX 1024

/* A point of a session's timeline: a snapshot's name, or with NULL a position:
 * that of a boundary, 0 (the empty timeline), or where it stands
 * (SESSION_ANY_POSITION, too). */
struct session_point {
	const char *snapshot;
	uint64_t position;
};

struct session_fork_options {
	struct session_point from;
	size_t n;		/* children, 1..SESSION_FORK_MAX */
	const char *const *ids; /* [n]; or NULL */
	const char *prefix;	/* PREFIX-0, PREFIX-1, ...; or NULL: both NULL
				 * means fresh ids */
	const uint64_t *seeds;	/* [n]; or NULL: the parent's */
	int64_t ttl;		/* -1: the parent's */
	const char *metadata;	/* JSON text; NULL: the parent's */
};

/* All children or none, in one transaction. infos [n] are filled.
 * ERROR_NOT_FOUND (session, snapshot, position), ERROR_CONFLICT (an id is
 * taken or given twice), ERROR_NO_SPACE, ERROR_TOO_LARGE. */
int session_fork(struct sessions *s, const char *id,
	const struct session_fork_options *o, struct session_info *infos,
	store_done_fn *done, void *arg, struct error *err);

/* Keep the state as it is under a name (NULL: one is made up). An existing
 * name is ERROR_CONFLICT unless `replace`; more than SESSION_SNAPSHOTS_MAX
 * ERROR_NO_SPACE. */
int session_snapshot(struct sessions *s, const char *id, const char *name,
	bool replace, struct session_snapshot *made, store_done_fn *done,
	void *arg, struct error *err);
/* ERROR_NOT_FOUND with param `snapshot`. */
int session_snapshot_delete(struct sessions *s, const char *id,
	const char *name, store_done_fn *done, void *arg, struct error *err);

/* Go back (or forth, to a snapshot); the seed stays unless a new one is given.
 * Boundaries of what is undone go; a snapshot's timeline has none. */
int session_rewind(struct sessions *s, const char *id,
	const struct session_point *to, const uint64_t *seed,
	struct session_info *info, store_done_fn *done, void *arg,
	struct error *err);

/* Append the portable blob: its metadata and seed, no snapshots nor
 * boundaries. */
int session_export(struct sessions *s, const char *id,
	const struct session_point *from, struct buf *blob,
	struct session_info *info, struct error *err);

struct session_import_options {
	const char *id;	      /* NULL: the blob's own */
	const char *owner;    /* or NULL */
	int64_t ttl;	      /* -1: the blob's */
	const char *metadata; /* JSON text; NULL: the blob's */
	const uint64_t *seed; /* NULL: the blob's */
};

/* ERROR_UNPROCESSABLE (damaged, or what the model cannot go on from) and
 * ERROR_UNSUPPORTED (a newer version) with param `blob`; ERROR_CONFLICT when
 * no model of its fingerprint is here (param `model`, both in the message) or
 * the id is taken; ERROR_NO_SPACE. */
int session_import(struct sessions *s, struct registry *r, const void *blob,
	size_t len, const struct session_import_options *o,
	struct session_info *info, store_done_fn *done, void *arg,
	struct error *err);

/* A copy of its info and state, and the model that it would go on with (a
 * reference), which the state was checked against. The caller releases all
 * three. Reads the store, perhaps a model's file. */
int session_look(struct sessions *s, struct registry *r, const char *id,
	const struct session_point *from, struct session_info *info,
	struct session_state *state, struct registry_entry **model,
	struct error *err);

struct session_peek {
	struct session_info info;
	struct registry_entry *model; /* a reference */
	struct generate_top *top;     /* [n] owned, most probable first */
	size_t n;
};

/* The n (1..SESSION_PEEK_MAX) most probable next tokens by the unmodified
 * softmax, the same bits as /sample gives as log-probabilities: one step on a
 * copy of the state. */
int session_peek(struct sessions *s, struct registry *r, const char *id,
	const struct session_point *from, size_t n, struct session_peek *peek,
	struct error *err);
void session_peek_release(struct session_peek *p);

#endif
