/*
 * Sessions between requests are blobs behind the store's writer; those that a
 * request holds are in a table of busy ids. Its lock is held for moments, never
 * while the store is read or a blob encoded. Creation and deletion hold the id
 * for their moment too, so that nobody begins what is half there.
 */
#include "serve/session_private.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static struct holder **bucket(struct sessions *s, const char *id)
{
	return &s->busy[XXH3_64bits(id, strlen(id)) % SESSION_BUCKETS];
}

static struct holder **find(struct sessions *s, const char *id)
{
	struct holder **h = bucket(s, id);

	while (*h && strcmp((*h)->id, id) != 0)
		h = &(*h)->next;
	return h;
}

bool sessions_busy(struct sessions *s, const char *id)
{
	bool busy;

	pthread_mutex_lock(&s->lock);
	busy = *find(s, id) != NULL;
	pthread_mutex_unlock(&s->lock);
	return busy;
}

static void join_line(struct holder *h, struct session_wait *w, bool first)
{
	struct session_wait **at = &h->line;

	while (*at && !first)
		at = &(*at)->next;
	w->next = *at;
	*at = w;
}

/* Take the id, or get into line for it; h is for who takes it. */
static bool take(struct sessions *s, struct holder *h, struct session_wait *w,
	bool first)
{
	struct holder **at;
	bool taken;

	pthread_mutex_lock(&s->lock);
	at = find(s, h->id);
	taken = !*at;
	if (taken)
		*at = h;
	else if (w)
		join_line(*at, w, first);
	pthread_mutex_unlock(&s->lock);
	return taken;
}

static int hold(struct sessions *s, const char *id, struct session_wait *w,
	bool first, struct holder **holder, struct error *err)
{
	struct holder *h = calloc(1, sizeof(*h));

	if (!h)
		return error_set_memory(err, "session", sizeof(*h));
	snprintf(h->id, sizeof(h->id), "%s", id);
	h->session.sessions = s;
	if (take(s, h, w, first)) {
		*holder = h;
		return 0;
	}
	free(h);
	if (w)
		return 1;
	return error_set_param(err, ERROR_CONFLICT, "session",
		"session %s is busy with another request", id);
}

struct holder *sessions_hold(
	struct sessions *s, const char *id, struct error *err)
{
	struct holder *h = NULL;

	return hold(s, id, NULL, false, &h, err) < 0 ? NULL : h;
}

int session_hold(struct sessions *s, const char *id, struct session_wait *w,
	bool first, struct session **session, struct error *err)
{
	struct holder *h;
	int held;

	if (session_check_id(id, NULL) < 0)
		return session_missing(id, err);
	held = hold(s, id, w, first, &h, err);
	if (!held)
		*session = &h->session;
	return held;
}

bool session_leave(struct sessions *s, const char *id, struct session_wait *w)
{
	struct session_wait **at = NULL;
	struct holder *h;
	bool left;

	pthread_mutex_lock(&s->lock);
	h = *find(s, id);
	if (h)
		for (at = &h->line; *at && *at != w;)
			at = &(*at)->next;
	left = at && *at;
	if (left)
		*at = w->next;
	pthread_mutex_unlock(&s->lock);
	return left;
}

/* The id is never free between two of a line. */
void sessions_let_go(struct holder *h)
{
	struct sessions *s = h->session.sessions;
	struct session_wait *w;

	session_info_release(&h->session.info);
	session_state_release(&h->session.state);
	h->session = (struct session){ .sessions = s };
	pthread_mutex_lock(&s->lock);
	w = h->line;
	if (w)
		h->line = w->next;
	else
		*find(s, h->id) = h->next;
	pthread_mutex_unlock(&s->lock);
	if (!w) {
		free(h);
		return;
	}
	w->session = &h->session;
	w->granted(w);
}

int session_missing(const char *id, struct error *err)
{
	return error_set_param(err, ERROR_NOT_FOUND, "session",
		"session '%.*s' does not exist", SESSION_ID_MAX, id);
}

int session_check_id(const char *id, struct error *err)
{
	size_t len = strnlen(id, SESSION_ID_MAX + 1);

	if (!len || len > SESSION_ID_MAX ||
		strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvw"
			   "xyz0123456789._-") < len)
		return error_set_param(err, ERROR_INVALID, "id",
			"session id '%.*s' is invalid, expected 1 to %d of"
			" A-Z a-z 0-9 . _ -",
			SESSION_ID_MAX, id, SESSION_ID_MAX);
	return 0;
}

void session_key(const char *id, char key[STORE_KEY_MAX + 1])
{
	snprintf(key, STORE_KEY_MAX + 1, SESSION_PREFIX "%.*s", SESSION_ID_MAX,
		id);
}

int64_t session_expiry(int64_t used, int64_t ttl)
{
	return ttl && ttl < STORE_NEVER - used ? used + ttl : STORE_NEVER;
}

int session_fetch(struct sessions *s, const char *id, struct session_info *info,
	struct session_state *state, struct error *err)
{
	char key[STORE_KEY_MAX + 1];
	struct error why = { 0 };
	struct buf blob;
	int result;

	session_key(id, key);
	buf_init(&blob, SESSION_BLOB_MAX);
	result = store_writer_get(s->writer, key, store_now(), &blob, &why);
	if (result < 0 && why.code == ERROR_NOT_FOUND) {
		session_missing(id, err);
	} else if (result < 0) {
		if (err)
			*err = why;
	} else {
		result = session_decode(blob.data, blob.len, info, state, err);
		if (result < 0)
			error_prefix(err, "session %s", id);
	}
	buf_release(&blob);
	return result;
}

static void on_swept(void *arg, size_t removed)
{
	struct sessions *s = arg;

	atomic_fetch_sub(&s->count, removed);
	atomic_store(&s->recount, true);
}

int sessions_recount(struct sessions *s, struct error *err)
{
	uint64_t n;

	atomic_store(&s->recount, false);
	if (store_writer_count(
		    s->writer, SESSION_PREFIX, store_now(), &n, err) < 0)
		return -1;
	atomic_store(&s->count, n);
	return 0;
}

int sessions_open(struct sessions **sessions, struct store_writer *w,
	const struct sessions_options *o, struct error *err)
{
	struct sessions *s = calloc(1, sizeof(*s));

	if (!s)
		return error_set_memory(err, "sessions", sizeof(*s));
	s->writer = w;
	s->options = *o;
	if (sessions_recount(s, err) < 0) {
		free(s);
		return -1;
	}
	pthread_mutex_init(&s->lock, NULL);
	store_writer_on_sweep(w, on_swept, s);
	*sessions = s;
	return 0;
}

void sessions_close(struct sessions *s)
{
	if (!s)
		return;
	store_writer_on_sweep(s->writer, NULL, NULL);
	store_writer_flush(s->writer); /* callbacks still hold ids */
	pthread_mutex_destroy(&s->lock);
	free(s);
}

uint64_t sessions_count(struct sessions *s)
{
	return atomic_load(&s->count);
}

int session_post(struct sessions *s, const struct session_info *i,
	const struct session_state *state, size_t *bytes,
	const struct store_change *with, size_t n_with, store_done_fn *done,
	void *arg, struct error *err)
{
	struct store_change changes[1 + SESSION_MAX_WITH];
	char key[STORE_KEY_MAX + 1];
	struct buf blob;
	int result;

	session_key(i->id, key);
	buf_init(&blob, SESSION_BLOB_MAX);
	result = session_encode(i, state, &blob, err);
	if (!result) {
		changes[0] = (struct store_change){ key, blob.data, blob.len,
			i->expires };
		if (n_with)
			memcpy(changes + 1, with, n_with * sizeof(*with));
		*bytes = blob.len;
		result = store_writer_post(
			s->writer, changes, 1 + n_with, done, arg, err);
	}
	buf_release(&blob);
	return result;
}

int sessions_keep(struct sessions *s, const struct store_change *changes,
	size_t n, store_done_fn *done, void *arg, struct error *err)
{
	bool relaxed = s->options.durability == SESSION_RELAXED;

	if (store_writer_post(
		    s->writer, changes, n, relaxed ? NULL : done, arg, err) < 0)
		return -1;
	if (relaxed && done)
		done(arg, NULL);
	return 0;
}

int sessions_look_up(struct sessions *s, const char *key, struct buf *value,
	struct error *err)
{
	return store_writer_get(s->writer, key, store_now(), value, err);
}

/* The model that a session goes on with, as a reference. */
static struct registry_entry *model_for(const struct session *s,
	struct registry *r, const char *name, struct error *err)
{
	struct registry_entry *m;

	m = registry_get(r, name && *name ? name : s->info.model, err);
	if (!m || m->fingerprint == s->info.fingerprint)
		return m;
	error_set_param(err, ERROR_CONFLICT, "model",
		"session %s was made with model %s %016llx, but %s is %016llx",
		s->info.id, s->info.model,
		(unsigned long long)s->info.fingerprint, m->name,
		(unsigned long long)m->fingerprint);
	registry_unref(m);
	return NULL;
}

int session_begin_held(struct session *s, struct registry *r,
	const char *model_name, uint64_t expected_position,
	struct registry_entry **model, struct error *err)
{
	struct holder *h = (struct holder *)s;
	struct registry_entry *m;

	if (session_fetch(s->sessions, h->id, &s->info, &s->state, err) < 0)
		return -1;
	if (expected_position != SESSION_ANY_POSITION &&
		expected_position != s->state.position)
		return error_set_param(err, ERROR_CONFLICT, "expected_position",
			"session %s is at position %llu, not %llu", h->id,
			(unsigned long long)s->state.position,
			(unsigned long long)expected_position);
	m = model_for(s, r, model_name, err);
	if (!m)
		return -1;
	if (session_state_check(&s->state, m, err) < 0) {
		registry_unref(m);
		return error_prefix(err, "session %s", h->id);
	}
	s->kernels_changed =
		s->state.position && strcmp(s->info.kernels, m->system) != 0;
	*model = m;
	return 0;
}

int session_begin(struct sessions *s, struct registry *r, const char *id,
	const char *model_name, uint64_t expected_position,
	struct session **session, struct registry_entry **model,
	struct error *err)
{
	struct session *held = NULL;

	if (session_hold(s, id, NULL, false, &held, err) < 0)
		return -1;
	if (session_begin_held(
		    held, r, model_name, expected_position, model, err) < 0) {
		session_abort(held);
		return -1;
	}
	*session = held;
	return 0;
}

static void end_commit(struct holder *h, const struct error *err)
{
	store_done_fn *done = h->done;
	void *arg = h->arg;

	/* Free for others before anyone hears that it is done. */
	sessions_let_go(h);
	if (done)
		done(arg, err);
}

static void on_committed(void *arg, const struct error *err)
{
	end_commit(arg, err);
}

static void on_relaxed(void *arg, const struct error *err)
{
	if (err)
		log_error("session was not stored", log_fault(err));
}

void session_commit(struct session *session, const char *kernels,
	const struct store_change *with, size_t n_with, store_done_fn *done,
	void *arg)
{
	struct holder *h = (struct holder *)session;
	struct sessions *s = session->sessions;
	bool relaxed = s->options.durability == SESSION_RELAXED;
	struct session_info *i = &session->info;
	struct error err;

	h->done = done;
	h->arg = arg;
	i->position = session->state.position;
	i->used = store_now();
	i->expires = session_expiry(i->used, i->ttl);
	snprintf(i->kernels, sizeof(i->kernels), "%s", kernels);
	if (session_post(s, i, &session->state, &i->bytes, with, n_with,
		    relaxed ? on_relaxed : on_committed, h, &err) < 0)
		end_commit(h, &err);
	else if (relaxed)
		end_commit(h, NULL);
}

void session_abort(struct session *session)
{
	sessions_let_go((struct holder *)session);
}
