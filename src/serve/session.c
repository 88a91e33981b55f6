/* Sessions between requests: blobs behind the store's writer, by key. */
#include "serve/session_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
