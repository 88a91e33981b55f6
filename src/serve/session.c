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
	buf_init(&h->before, SESSION_BLOB_MAX);
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
	buf_release(&h->before);
	h->session = (struct session){ .sessions = s };
	buf_init(&h->before, SESSION_BLOB_MAX);
	h->before_position = 0;
	h->creating = false;
	pthread_mutex_lock(&s->lock);
	h->swept = false;
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

void session_uncount(struct holder *h, bool failed)
{
	unsigned gone =
		(h->creating && failed) + (h->swept && (h->creating || failed));

	if (gone)
		atomic_fetch_sub(&h->session.sessions->count, gone);
}

bool sessions_tell_swept(struct sessions *s, const char *id)
{
	struct holder *h;

	pthread_mutex_lock(&s->lock);
	h = *find(s, id);
	if (h)
		h->swept = true;
	pthread_mutex_unlock(&s->lock);
	return h != NULL;
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

void session_snapshot_key(
	const char *id, const char *name, char key[STORE_KEY_MAX + 1])
{
	snprintf(key, STORE_KEY_MAX + 1, SNAPSHOT_PREFIX "%.*s/%.*s",
		SESSION_ID_MAX, id, SESSION_ID_MAX, name);
}

void session_boundary_key(
	const char *id, uint32_t slot, char key[STORE_KEY_MAX + 1])
{
	snprintf(key, STORE_KEY_MAX + 1, BOUNDARY_PREFIX "%.*s/%u",
		SESSION_ID_MAX, id, slot);
}

int64_t session_expiry(int64_t used, int64_t ttl)
{
	return ttl && ttl < STORE_NEVER - used ? used + ttl : STORE_NEVER;
}

int session_read(
	struct sessions *s, const char *id, struct buf *blob, struct error *err)
{
	char key[STORE_KEY_MAX + 1];
	struct error why = { 0 };

	if (s->resident && resident_get(s->resident, id, store_now(), blob))
		return 0;
	session_key(id, key);
	if (store_writer_get(s->writer, key, store_now(), blob, &why) == 0)
		return 0;
	if (why.code == ERROR_NOT_FOUND)
		return session_missing(id, err);
	if (err)
		*err = why;
	return -1;
}

static int decode(const char *id, const struct buf *blob,
	struct session_info *info, struct session_state *state,
	struct error *err)
{
	if (session_decode(blob->data, blob->len, info, state, err) == 0)
		return 0;
	return error_prefix(err, "session %s", id);
}

int session_fetch(struct sessions *s, const char *id, struct session_info *info,
	struct session_state *state, struct error *err)
{
	struct buf blob;
	int result;

	buf_init(&blob, SESSION_BLOB_MAX);
	result = session_read(s, id, &blob, err);
	if (!result)
		result = decode(id, &blob, info, state, err);
	buf_release(&blob);
	return result;
}

int session_fetch_held(struct holder *h, struct error *err)
{
	struct session *s = &h->session;
	struct resident *r = s->sessions->resident;

	if (session_read(s->sessions, h->id, &h->before, err) < 0 ||
		decode(h->id, &h->before, &s->info, &s->state, err) < 0)
		return -1;
	h->before_position = s->state.position;
	if (r)
		resident_put(r, h->id, h->before.data, h->before.len,
			s->info.expires);
	return 0;
}

static int open_resident(struct sessions *s, struct error *err)
{
	const struct resident_limits l = { s->options.resident,
		s->options.resident_bytes };

	return l.sessions ? resident_open(&s->resident, &l, err) : 0;
}

int sessions_open(struct sessions **sessions, struct store_writer *w,
	const struct sessions_options *o, struct error *err)
{
	struct sessions *s = calloc(1, sizeof(*s));
	struct error why = { 0 };

	if (!s)
		return error_set_memory(err, "sessions", sizeof(*s));
	s->writer = w;
	s->options = *o;
	if (s->options.boundaries > SESSION_BOUNDARIES_MAX)
		s->options.boundaries = SESSION_BOUNDARIES_MAX;
	atomic_init(&s->uncounted, true);
	pthread_mutex_init(&s->counting, NULL);
	pthread_mutex_init(&s->owning, NULL);
	if (open_resident(s, &why) < 0 ||
		(sessions_be_counted(s, &why) < 0 &&
			why.code != ERROR_NO_SPACE &&
			why.code != ERROR_UNAVAILABLE)) {
		resident_close(s->resident);
		pthread_mutex_destroy(&s->counting);
		pthread_mutex_destroy(&s->owning);
		free(s);
		if (err)
			*err = why;
		return -1;
	}
	pthread_mutex_init(&s->lock, NULL);
	store_writer_on_sweep(w, session_on_swept, s);
	*sessions = s;
	return 0;
}

void sessions_close(struct sessions *s)
{
	if (!s)
		return;
	store_writer_on_sweep(s->writer, NULL, NULL);
	store_writer_flush(s->writer); /* callbacks still hold ids */
	resident_close(s->resident);
	pthread_mutex_destroy(&s->counting);
	pthread_mutex_destroy(&s->owning);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

uint64_t sessions_count(struct sessions *s)
{
	return atomic_load(&s->count);
}

int sessions_metrics(struct sessions *s, struct buf *out)
{
	return store_writer_metrics(s->writer, out);
}

void sessions_stats(struct sessions *s, struct sessions_stats *stats)
{
	struct resident_stats r = { 0 };

	if (s->resident)
		resident_stats(s->resident, &r);
	*stats = (struct sessions_stats){
		.resident = r.sessions,
		.resident_bytes = r.bytes,
		.hits = r.hits,
		.misses = r.misses,
		.spilled = r.spilled,
		.expired = atomic_load(&s->expired),
		.deleted = atomic_load(&s->deleted),
		.evicted = atomic_load(&s->evicted),
	};
}

static int post_blob(struct sessions *s, const struct session_info *i,
	const struct buf *blob, const struct store_change *with, size_t n_with,
	store_done_fn *done, void *arg, struct error *err)
{
	struct store_change *changes = calloc(n_with + 1, sizeof(*changes));
	char key[STORE_KEY_MAX + 1];
	int result;

	if (!changes)
		return error_set_memory(
			err, "session", (n_with + 1) * sizeof(*changes));
	session_key(i->id, key);
	changes[0] =
		(struct store_change){ key, blob->data, blob->len, i->expires };
	if (n_with)
		memcpy(changes + 1, with, n_with * sizeof(*changes));
	/* Before it is posted: a failure that comes at once drops it again. */
	if (s->resident)
		resident_put(
			s->resident, i->id, blob->data, blob->len, i->expires);
	result = store_writer_post(
		s->writer, changes, n_with + 1, done, arg, err);
	if (result < 0 && s->resident)
		resident_drop(s->resident, i->id);
	free(changes);
	return result;
}

int session_post(struct sessions *s, const struct session_info *i,
	const struct session_state *state, const struct store_change *with,
	size_t n_with, size_t *bytes, store_done_fn *done, void *arg,
	struct error *err)
{
	struct buf blob;
	int result;

	buf_init(&blob, SESSION_BLOB_MAX);
	result = session_encode(i, state, &blob, err);
	*bytes = blob.len;
	if (!result)
		result = post_blob(s, i, &blob, with, n_with, done, arg, err);
	buf_release(&blob);
	return result;
}

int sessions_keep(struct sessions *s, const char *session,
	const struct store_change *changes, size_t n, store_done_fn *done,
	void *arg, struct error *err)
{
	bool relaxed = s->options.durability == SESSION_RELAXED;
	struct belongings b;

	if (session && *session) {
		session_belong(&b, session, changes, n);
		changes = b.changes;
		n = b.n;
	}
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

/* A free place for one more boundary: the oldest one's when there is none. */
static uint32_t boundary_slot(struct session_info *i, size_t limit)
{
	uint32_t slot = 0;

	while (i->n_boundaries >= limit)
		memmove(i->boundaries, i->boundaries + 1,
			--i->n_boundaries * sizeof(*i->boundaries));
	for (size_t k = 0; k < i->n_boundaries; k++)
		if (i->boundaries[k].slot == slot) {
			slot++;
			k = (size_t)-1; /* look at all again */
		}
	return slot;
}

/* Whether the state before is to be kept: then it is the newest boundary. An
 * empty timeline needs no row to go back to. */
static bool add_boundary(struct holder *h, char key[STORE_KEY_MAX + 1])
{
	struct session *s = &h->session;
	size_t limit = s->sessions->options.boundaries;
	struct session_info *i = &s->info;
	uint32_t slot;

	if (!limit || !h->before.len || !h->before_position ||
		s->change == SESSION_RESTARTED ||
		s->state.position <= h->before_position)
		return false;
	slot = boundary_slot(i, limit);
	i->boundaries[i->n_boundaries++] =
		(struct session_boundary){ h->before_position, slot };
	session_boundary_key(h->id, slot, key);
	return true;
}

int session_post_held(struct holder *h, const struct store_change *with,
	size_t n_with, store_done_fn *done, void *arg, struct error *err)
{
	struct session *s = &h->session;
	struct store_change *all = calloc(n_with + 1, sizeof(*all));
	struct session_info *i = &s->info;
	char key[STORE_KEY_MAX + 1];
	int result;

	if (!all)
		return error_set_memory(
			err, "session", (n_with + 1) * sizeof(*all));
	if (n_with)
		memcpy(all, with, n_with * sizeof(*all));
	i->position = s->state.position;
	i->used = store_now();
	i->expires = session_expiry(i->used, i->ttl);
	if (add_boundary(h, key))
		all[n_with++] = (struct store_change){ key, h->before.data,
			h->before.len, STORE_NEVER };
	result = session_post(s->sessions, i, &s->state, all, n_with, &i->bytes,
		done, arg, err);
	free(all);
	return result;
}

int session_begin_held(struct session *s, struct registry *r,
	const char *model_name, uint64_t expected_position,
	struct registry_entry **model, struct error *err)
{
	struct holder *h = (struct holder *)s;
	struct registry_entry *m;

	if (session_fetch_held(h, err) < 0)
		return -1;
	if (expected_position != SESSION_ANY_POSITION &&
		expected_position != s->state.position)
		return error_set_param(err, ERROR_CONFLICT, "expected_position",
			"session %s is at position %llu, not %llu", h->id,
			(unsigned long long)s->state.position,
			(unsigned long long)expected_position);
	m = session_model(s, r, model_name, err);
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
	struct sessions *s = h->session.sessions;
	store_done_fn *done = h->done;
	void *arg = h->arg;

	if (err && s->resident)
		resident_drop(s->resident, h->id);
	session_uncount(h, err != NULL);
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

static int commit_relaxed(struct holder *h, const struct store_change *with,
	size_t n_with, struct error *err)
{
	struct session_waiter *w = session_waiter_new(h->session.sessions,
		h->id, on_relaxed, NULL, h->creating ? -1 : 0, err);

	if (!w)
		return -1;
	if (session_post_held(h, with, n_with, session_waiter_done, w, err) ==
		0)
		return 0;
	free(w);
	return -1;
}

void session_commit(struct session *session, const char *kernels,
	const struct store_change *with, size_t n_with, store_done_fn *done,
	void *arg)
{
	struct holder *h = (struct holder *)session;
	bool relaxed = session->sessions->options.durability == SESSION_RELAXED;
	struct session_info *i = &session->info;
	struct belongings b;
	struct error err;

	h->done = done;
	h->arg = arg;
	snprintf(i->kernels, sizeof(i->kernels), "%s", kernels);
	session_belong(&b, h->id, with, n_with);
	if (relaxed ? commit_relaxed(h, b.changes, b.n, &err) < 0
		    : session_post_held(
			      h, b.changes, b.n, on_committed, h, &err) < 0)
		end_commit(h, &err);
	else if (relaxed)
		end_commit(h, NULL);
}

void session_abort(struct session *session)
{
	struct holder *h = (struct holder *)session;

	session_uncount(h, true);
	sessions_let_go(h);
}
