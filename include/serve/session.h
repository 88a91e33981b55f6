/*
 * A session is one timeline of tokens, kept as a recurrent state of a few KiB.
 * Between requests it is a checksummed blob in the store; during a request it
 * is a handle that one writer holds. It advances at the request's end, whole,
 * or not at all.
 *
 *   stored -> BUSY [session_begin]
 *   BUSY -> stored, advanced [session_commit, after COMMIT]
 *   BUSY -> stored, as before [session_abort, or a commit that failed]
 *
 * Any thread may call anything here. What is marked "reads the store" may wait
 * for the disk: not on the loop nor on an engine.
 */
#ifndef SERVE_SESSION_H
#define SERVE_SESSION_H

#include "base/error.h"
#include "serve/registry.h"
#include "store/writer.h"
#include "text/decoder.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SESSION_ID_MAX 64  /* bytes: [A-Za-z0-9._-]{1,64} */
#define SESSION_WINDOW 256 /* recent tokens that penalties count */
#define SESSION_METADATA_MAX 16384
#define SESSION_OWNER_MAX 64
#define SESSION_SNAPSHOTS_MAX 64  /* of one session */
#define SESSION_BOUNDARIES_MAX 16 /* of one session */
#define SESSION_ANY_POSITION UINT64_MAX

/* All that the next token depends on, besides the model and the seed. */
struct session_state {
	uint64_t position; /* tokens of the timeline, prompts and generated */
	uint32_t pending;  /* drawn or primed last, not fed yet; at position 0
			    * the implicit start token */
	struct decoder decoder;		 /* bytes of a cut code point */
	uint32_t window[SESSION_WINDOW]; /* token p is at [p % 256] */
	size_t n_hidden;
	real *hidden; /* [n_hidden] owned; see model_state_floats */
};

/* The state of an empty timeline. */
int session_state_init(struct session_state *s, const struct registry_entry *m,
	struct error *err);
void session_state_release(struct session_state *s);
/* Both initialised, of equal n_hidden. */
void session_state_copy(
	struct session_state *to, const struct session_state *from);

/* What happens when the model of its name has become another. */
enum session_policy {
	SESSION_PIN,   /* go on with the version it was made with, or 409 */
	SESSION_CARRY, /* take the state to a model of the same shape */
	SESSION_RESET, /* start anew at the model's initial state */
};
/* "pin", "carry", "reset", as one text for tables of choices. */
#define SESSION_POLICIES "pin|carry|reset"

/* What a policy did at session_begin. */
enum session_change { SESSION_SAME, SESSION_CARRIED, SESSION_RESTARTED };

/* A state before one of the last requests, in a row of its own. */
struct session_boundary {
	uint64_t position;
	uint32_t slot; /* of its key */
};

struct session_snapshot {
	char name[SESSION_ID_MAX + 1];
	uint64_t position;
	int64_t created;
	uint64_t bytes;
};

/* What may be shown of a session. */
struct session_info {
	char id[SESSION_ID_MAX + 1];
	char model[REGISTRY_NAME_MAX + 1];
	char owner[SESSION_OWNER_MAX + 1]; /* the API key's name; "" while
					    * there are no keys */
	uint64_t fingerprint;		   /* of the model it was made with */
	uint64_t shape;	  /* of that model, see registry_entry; 0 = a blob
			   * of version 1, of which it isn't known */
	uint32_t start;	  /* the token that is pending in an empty timeline
			   * of that model; UINT32_MAX likewise */
	char kernels[24]; /* kernel set that computed it last */
	uint64_t position;
	uint64_t seed;
	int64_t created; /* Unix milliseconds, as all times here */
	int64_t used;
	int64_t ttl;	 /* of idleness; 0 = for ever */
	int64_t expires; /* used + ttl, or STORE_NEVER */
	size_t bytes;	 /* of its blob */
	bool busy;
	char *metadata; /* owned; JSON text, or NULL */
	enum session_policy policy;
	/* Positions strictly rise; position 0 needs no row. */
	struct session_boundary boundaries[SESSION_BOUNDARIES_MAX];
	size_t n_boundaries;
	struct session_snapshot *snapshots; /* [n_snapshots] owned, by age */
	size_t n_snapshots;
};
void session_info_release(struct session_info *i);
int session_info_copy(struct session_info *to, const struct session_info *from,
	struct error *err);

/* A held session. state and info are the holder's to change until commit. */
struct session {
	struct session_info info;
	struct session_state state;
	bool kernels_changed;	    /* computed by another kernel set before */
	enum session_change change; /* what its policy did */
	struct sessions *sessions;
};

/* The blob: versioned, checksummed. info and state are both written;
 * SESSION_METADATA_MAX and widths are checked. */
int session_encode(const struct session_info *info,
	const struct session_state *state, struct buf *blob, struct error *err);
/* ERROR_CORRUPT (checksum, lengths, values not finite) or ERROR_UNSUPPORTED (a
 * newer version), naming why. state may be NULL, else it is initialised here.
 * On success the caller releases both. */
int session_decode(const void *blob, size_t len, struct session_info *info,
	struct session_state *state, struct error *err);

/* Whether the model can go on from it: sizes, tokens below the vocabulary,
 * |h| <= 1. ERROR_CORRUPT names what is not so. */
int session_state_check(const struct session_state *state,
	const struct registry_entry *model, struct error *err);

enum session_durability {
	SESSION_DURABLE, /* done after COMMIT: `request` */
	SESSION_RELAXED, /* done at once, commits behind */
};

enum session_when_full {
	SESSION_REFUSE, /* ERROR_NO_SPACE */
	SESSION_EVICT,	/* delete sessions that were not used for longest: of
			 * up to 64 all are looked at, of more two dozen drawn
			 * at random */
};

struct sessions_options {
	uint64_t max;		/* sessions stored; 0 = no limit */
	uint64_t max_bytes;	/* that the store takes; 0 = no limit */
	uint64_t max_per_owner; /* sessions of one owner; 0 = no limit */
	enum session_when_full when_full;
	int64_t ttl; /* default idle milliseconds; 0 = for ever */
	enum session_durability durability;
	unsigned boundaries; /* states kept before the last so many requests,
			      * <= SESSION_BOUNDARIES_MAX */
	/* Blobs kept in memory before the store; 0 sessions = none. */
	size_t resident;
	size_t resident_bytes; /* 0 = no limit */
};

struct sessions;

/* The writer is borrowed: closed by the caller, after this. */
int sessions_open(struct sessions **s, struct store_writer *w,
	const struct sessions_options *o, struct error *err);
/* All handles must be back. */
void sessions_close(struct sessions *s);
/* Sessions stored, what expired lately perhaps included. */
uint64_t sessions_count(struct sessions *s);
/* Append those of the store's writer; -1 when out is full. */
int sessions_metrics(struct sessions *s, struct buf *out);

struct sessions_stats {
	uint64_t resident, resident_bytes;  /* now */
	uint64_t hits, misses, spilled;	    /* of the resident ones */
	uint64_t expired, deleted, evicted; /* sessions */
};
void sessions_stats(struct sessions *s, struct sessions_stats *stats);

struct session_options {
	const char *id; /* or NULL: sess_ + 26 base32 digits, 128 random bits */
	const struct registry_entry *model;
	const char *model_name; /* that it was asked for by: an alias is kept as
				 * one; or NULL */
	uint64_t seed;
	bool has_seed;	      /* else a fresh one */
	int64_t ttl;	      /* -1 = the default */
	const char *metadata; /* JSON text or NULL; copied */
	const char *owner;    /* or NULL */
	enum session_policy policy;
};

/* A new session at the model's initial state: held, and not stored before
 * session_commit; session_abort leaves no trace. ERROR_INVALID (id, metadata),
 * ERROR_CONFLICT (id taken), ERROR_NO_SPACE (a limit). Reads the store. */
int session_create(struct sessions *s, const struct session_options *o,
	struct session **session, struct error *err);

/* ERROR_NOT_FOUND with param `session`. Reads the store. */
int session_get(struct sessions *s, const char *id, struct session_info *info,
	struct error *err);

/* ERROR_NOT_FOUND when it is another's, as if it did not exist; an owner of ""
 * may see all. Reads the store. */
int session_check_owner(struct sessions *s, const char *id, const char *owner,
	struct error *err);

struct session_filter {
	const char *after;  /* ids greater than this; or NULL */
	const char *prefix; /* of ids; or NULL */
	size_t limit;	    /* 1..1000 */
	const char *model;  /* of this name; or NULL */
	/* Whether to list it; NULL: all. */
	bool (*wants)(void *arg, const struct session_info *info);
	void *arg;
};

struct session_page {
	struct session_info *infos; /* [n] owned, by id */
	size_t n;
	bool more;		       /* there may be others */
	char next[SESSION_ID_MAX + 1]; /* list after this to see them */
};

/* Looks at SESSION_SCAN_MAX sessions at most, so that a filter that few pass
 * costs no more than that: a page may then be short, even empty, with `more`.
 * A blob that fails its checks is logged and left out. Reads the store. */
#define SESSION_SCAN_MAX 10000
int session_list(struct sessions *s, const struct session_filter *filter,
	struct session_page *page, struct error *err);
void session_page_release(struct session_page *p);

/* With all that belongs to it: snapshots, boundaries, what SESSION_DEPENDENTS
 * names. ERROR_NOT_FOUND; ERROR_BUSY (param `session`). done(arg) comes after
 * COMMIT, on the writer's thread, exactly once when 0 is returned; it may be
 * NULL. Reads the store. */
int session_delete(struct sessions *s, const char *id, store_done_fn *done,
	void *arg, struct error *err);

/*
 * Hold a session for one request. Its model is looked up under model_name, or
 * with NULL or "" under the name it was made with; *model is a reference for
 * the caller. If that is another model by now, the session's policy decides
 * and `change` says what it did. ERROR_NOT_FOUND (session, or model);
 * ERROR_BUSY (param `session`); ERROR_CONFLICT: a model of another fingerprint
 * (param `model`, both in the message), or not at expected_position unless
 * that is SESSION_ANY_POSITION (param `expected_position`, both numbers).
 * Reads the store, perhaps a model's file.
 */
int session_begin(struct sessions *s, struct registry *r, const char *id,
	const char *model_name, uint64_t expected_position,
	struct session **session, struct registry_entry **model,
	struct error *err);

/* Who stands in line for a busy session: the caller's memory until granted
 * was called, or session_leave took it out. */
struct session_wait {
	/* The session is yours now: on the thread of whoever let go of it.
	 * Must not block, nor let go of it at once. */
	void (*granted)(struct session_wait *w);
	struct session *session;   /* filled before granted */
	struct session_wait *next; /* private */
};

/*
 * The two halves of session_begin, for who would rather wait in line than be
 * refused, and can't wait for the disk where it stands. session_hold does
 * not read the store: 0 and *session (all but unread); or, with w, 1 when the
 * session is busy: then in line, or with `first` in front of it. Without w busy
 * is ERROR_BUSY. What session_begin_held refuses is still held.
 */
int session_hold(struct sessions *s, const char *id, struct session_wait *w,
	bool first, struct session **session, struct error *err);
int session_begin_held(struct session *session, struct registry *r,
	const char *model_name, uint64_t expected_position,
	struct registry_entry **model, struct error *err);
/* Out of the line. False: granted was called, or is about to be. */
bool session_leave(struct sessions *s, const char *id, struct session_wait *w);

/*
 * Store the handle's info and state, and in the same transaction `with`
 * (n_with <= SESSION_MAX_WITH), which goes when the session goes; then let
 * others have the session; the handle is gone in any case. done comes exactly
 * once: on the writer's thread after COMMIT, or when relaxed or at once
 * failing, before the return. Never waits for the disk.
 */
#define SESSION_MAX_WITH 4
void session_commit(struct session *session, const char *kernels,
	const struct store_change *with, size_t n_with, store_done_fn *done,
	void *arg);
/* Let go of it as it was. */
void session_abort(struct session *session);

/* Changes beside sessions (n <= SESSION_MAX_WITH): records of requests, stored
 * answers. They go when the session of that id goes, if one is named (or NULL
 * or ""). As durable as sessions are: done as in session_commit, but only when
 * 0 is returned. */
int sessions_keep(struct sessions *s, const char *session,
	const struct store_change *changes, size_t n, store_done_fn *done,
	void *arg, struct error *err);
/* Appends what is stored, or about to be. ERROR_NOT_FOUND. Reads the store. */
int sessions_look_up(struct sessions *s, const char *key, struct buf *value,
	struct error *err);

#endif
