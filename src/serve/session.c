/*
 * Sessions between requests are blobs behind the store's writer; those that a
 * request holds are in a table of busy ids. Its lock is held for moments, never
 * while the store is read or a blob encoded. Creation and deletion hold the id
 * for their moment too, so that nobody begins what is half there.
 */
#include "serve/session.h"

#include "base/log.h"
#include "base/rng.h"
#include "math/kernels.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define PREFIX "session/"
#define BUCKETS 1024 /* of busy ids: requests under way */
#define BLOB_MAX (64u << 20)

struct holder {
	struct session session; /* first: the handle */
	struct holder *next;	/* in its bucket */
	char id[SESSION_ID_MAX + 1];
	store_done_fn *done; /* of the commit under way */
	void *arg;
};

struct sessions {
	struct store_writer *writer; /* borrowed */
	struct sessions_options options;
	atomic_ullong count;
	atomic_bool recount;  /* the count may be off: rows expired */
	pthread_mutex_t lock; /* guards busy */
	struct holder *busy[BUCKETS];
};

static struct holder **bucket(struct sessions *s, const char *id)
{
	return &s->busy[XXH3_64bits(id, strlen(id)) % BUCKETS];
}

static struct holder **find(struct sessions *s, const char *id)
{
	struct holder **h = bucket(s, id);

	while (*h && strcmp((*h)->id, id) != 0)
		h = &(*h)->next;
	return h;
}

static bool is_busy(struct sessions *s, const char *id)
{
	bool busy;

	pthread_mutex_lock(&s->lock);
	busy = *find(s, id) != NULL;
	pthread_mutex_unlock(&s->lock);
	return busy;
}

static struct holder *hold(
	struct sessions *s, const char *id, struct error *err)
{
	struct holder *h = calloc(1, sizeof(*h));
	struct holder **at;

	if (!h) {
		error_set_memory(err, "session", sizeof(*h));
		return NULL;
	}
	snprintf(h->id, sizeof(h->id), "%s", id);
	h->session.sessions = s;
	pthread_mutex_lock(&s->lock);
	at = find(s, id);
	if (!*at) {
		*at = h;
		pthread_mutex_unlock(&s->lock);
		return h;
	}
	pthread_mutex_unlock(&s->lock);
	free(h);
	error_set_param(err, ERROR_CONFLICT, "session",
		"session %s is busy with another request", id);
	return NULL;
}

static void let_go(struct holder *h)
{
	struct sessions *s = h->session.sessions;
	struct holder **at;

	pthread_mutex_lock(&s->lock);
	at = find(s, h->id);
	*at = h->next;
	pthread_mutex_unlock(&s->lock);
	session_info_release(&h->session.info);
	session_state_release(&h->session.state);
	free(h);
}

static int check_id(const char *id, struct error *err)
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

static void fresh_id(char id[SESSION_ID_MAX + 1])
{
	static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
	unsigned __int128 bits =
		(unsigned __int128)rng_entropy() << 64 | rng_entropy();
	char *p = id + sprintf(id, "sess_");

	for (int i = 0; i < 26; i++, bits >>= 5)
		*p++ = digits[bits & 31];
	*p = '\0';
}

static void key_of(const char *id, char key[STORE_KEY_MAX + 1])
{
	snprintf(key, STORE_KEY_MAX + 1, PREFIX "%.*s", SESSION_ID_MAX, id);
}

static int64_t expiry(int64_t used, int64_t ttl)
{
	return ttl && ttl < STORE_NEVER - used ? used + ttl : STORE_NEVER;
}

/* The blob and its decoded form; state may be NULL. */
static int fetch(struct sessions *s, const char *id, struct session_info *info,
	struct session_state *state, struct error *err)
{
	char key[STORE_KEY_MAX + 1];
	struct error why = { 0 };
	struct buf blob;
	int result;

	key_of(id, key);
	buf_init(&blob, BLOB_MAX);
	result = store_writer_get(s->writer, key, store_now(), &blob, &why);
	if (result < 0 && why.code == ERROR_NOT_FOUND) {
		error_set_param(err, ERROR_NOT_FOUND, "session",
			"session '%.*s' does not exist", SESSION_ID_MAX, id);
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

static int count_again(struct sessions *s, struct error *err)
{
	uint64_t n;

	atomic_store(&s->recount, false);
	if (store_writer_count(s->writer, PREFIX, store_now(), &n, err) < 0)
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
	if (count_again(s, err) < 0) {
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

static int check_quota(struct sessions *s, struct error *err)
{
	if (!s->options.max || atomic_load(&s->count) < s->options.max)
		return 0;
	if (atomic_load(&s->recount) && count_again(s, err) < 0)
		return -1;
	if (atomic_load(&s->count) < s->options.max)
		return 0;
	return error_set(err, ERROR_NO_SPACE,
		"%llu sessions are stored, sessions.max is %llu",
		(unsigned long long)atomic_load(&s->count),
		(unsigned long long)s->options.max);
}

static int check_metadata(const char *text, struct error *err)
{
	json_error_t why;
	json_t *json;

	if (!text)
		return 0;
	if (strlen(text) > SESSION_METADATA_MAX)
		return error_set_param(err, ERROR_INVALID, "metadata",
			"metadata has %zu bytes, at most %d are kept",
			strlen(text), SESSION_METADATA_MAX);
	json = json_loads(text, JSON_DECODE_ANY, &why);
	if (!json)
		return error_set_param(err, ERROR_INVALID, "metadata",
			"metadata is not JSON: %s", why.text);
	json_decref(json);
	return 0;
}

static int describe(struct sessions *s, const struct session_options *o,
	struct session_info *i, struct error *err)
{
	int64_t now = store_now();
	int64_t ttl = o->ttl < 0 ? s->options.ttl : o->ttl;

	*i = (struct session_info){ .fingerprint = o->model->fingerprint,
		.seed = o->has_seed ? o->seed : rng_entropy(),
		.created = now,
		.used = now,
		.ttl = ttl };
	if (o->id)
		snprintf(i->id, sizeof(i->id), "%s", o->id);
	else
		fresh_id(i->id);
	strcpy(i->model, o->model->name);
	snprintf(i->kernels, sizeof(i->kernels), "%s", o->model->system);
	i->expires = expiry(now, ttl);
	if (!o->metadata)
		return 0;
	i->metadata = strdup(o->metadata);
	return i->metadata
		       ? 0
		       : error_set_memory(err, "metadata", strlen(o->metadata));
}

/* Encode and post. *bytes gets the blob's size. */
static int post(struct sessions *s, const struct session_info *i,
	const struct session_state *state, size_t *bytes, store_done_fn *done,
	void *arg, struct error *err)
{
	char key[STORE_KEY_MAX + 1];
	struct buf blob;
	int result;

	key_of(i->id, key);
	buf_init(&blob, BLOB_MAX);
	result = session_encode(i, state, &blob, err);
	if (!result) {
		const struct store_change c = { key, blob.data, blob.len,
			i->expires };

		*bytes = blob.len;
		result = store_writer_post(s->writer, &c, 1, done, arg, err);
	}
	buf_release(&blob);
	return result;
}

/* Of a posted creation or deletion. */
struct waiter {
	struct sessions *sessions;
	store_done_fn *done;
	void *arg;
	int undo; /* to the count, should it fail */
};

static void on_posted(void *arg, const struct error *err)
{
	struct waiter *w = arg;

	if (err)
		atomic_fetch_add(&w->sessions->count,
			(unsigned long long)(long long)w->undo);
	if (w->done)
		w->done(w->arg, err);
	free(w);
}

static struct waiter *waiter_new(struct sessions *s, store_done_fn *done,
	void *arg, int undo, struct error *err)
{
	struct waiter *w = malloc(sizeof(*w));

	if (!w) {
		error_set_memory(err, "session", sizeof(*w));
		return NULL;
	}
	*w = (struct waiter){ s, done, arg, undo };
	return w;
}

static int check_absent(struct sessions *s, const char *id, struct error *err)
{
	char key[STORE_KEY_MAX + 1];
	struct error why = { 0 };
	struct buf blob;
	int result;

	key_of(id, key);
	buf_init(&blob, BLOB_MAX);
	result = store_writer_get(s->writer, key, store_now(), &blob, &why);
	buf_release(&blob);
	if (result < 0 && why.code == ERROR_NOT_FOUND)
		return 0;
	if (result < 0) {
		if (err)
			*err = why;
		return -1;
	}
	return error_set_param(
		err, ERROR_CONFLICT, "id", "session '%s' exists already", id);
}

static int create_held(struct sessions *s, const struct registry_entry *model,
	struct session_info *info, store_done_fn *done, void *arg,
	struct error *err)
{
	struct session_state state = { 0 };
	struct waiter *w = NULL;
	int result = -1;

	if (check_absent(s, info->id, err) < 0 ||
		session_state_init(&state, model, err) < 0)
		goto out;
	w = waiter_new(s, done, arg, -1, err);
	if (!w)
		goto out;
	/* Counted first: the writer may fail it before post returns. */
	atomic_fetch_add(&s->count, 1);
	result = post(s, info, &state, &info->bytes, on_posted, w, err);
	if (result != 0) {
		atomic_fetch_sub(&s->count, 1);
		free(w);
	}
out:
	session_state_release(&state);
	return result;
}

int session_create(struct sessions *s, const struct session_options *o,
	struct session_info *info, store_done_fn *done, void *arg,
	struct error *err)
{
	struct holder *h;
	int result = -1;

	if ((o->id && check_id(o->id, err) < 0) ||
		check_metadata(o->metadata, err) < 0 || check_quota(s, err) < 0)
		return -1;
	if (describe(s, o, info, err) < 0)
		return -1;
	h = hold(s, info->id, err);
	if (h) {
		result = create_held(s, o->model, info, done, arg, err);
		let_go(h);
	}
	if (result < 0)
		session_info_release(info);
	return result;
}

int session_get(struct sessions *s, const char *id, struct session_info *info,
	struct error *err)
{
	if (fetch(s, id, info, NULL, err) < 0)
		return -1;
	info->busy = is_busy(s, id);
	return 0;
}

struct listing {
	struct sessions *sessions;
	struct session_info *infos; /* [limit] */
	size_t n, limit;
	bool more;
};

static int list_row(void *arg, const char *key, const void *value, size_t len,
	int64_t expires)
{
	struct listing *l = arg;
	struct error err = { 0 };

	if (l->n == l->limit) {
		l->more = true;
		return 1;
	}
	if (session_decode(value, len, &l->infos[l->n], NULL, &err) < 0) {
		log_warn("session is damaged", log_text("key", key),
			log_fault(&err));
		return 0;
	}
	l->n++;
	return 0;
}

int session_list(struct sessions *s, const char *after, size_t limit,
	struct session_info **infos, size_t *n, bool *more, struct error *err)
{
	struct listing l = { .sessions = s, .limit = limit };
	char key[STORE_KEY_MAX + 1] = "";

	if (!limit || limit > 1000)
		return error_set_param(err, ERROR_INVALID, "limit",
			"limit is %zu, expected 1 to 1000", limit);
	if (after && *after)
		key_of(after, key);
	l.infos = calloc(limit, sizeof(*l.infos));
	if (!l.infos)
		return error_set_memory(
			err, "sessions", limit * sizeof(*l.infos));
	/* Not as many rows as asked for, but as many good ones. */
	if (store_writer_list(s->writer, PREFIX, key, SIZE_MAX, store_now(),
		    list_row, &l, err) < 0) {
		for (size_t i = 0; i < l.n; i++)
			session_info_release(&l.infos[i]);
		free(l.infos);
		return -1;
	}
	for (size_t i = 0; i < l.n; i++)
		l.infos[i].busy = is_busy(s, l.infos[i].id);
	*infos = l.infos;
	*n = l.n;
	*more = l.more;
	return 0;
}

static int delete_held(struct sessions *s, const char *id, store_done_fn *done,
	void *arg, struct error *err)
{
	char key[STORE_KEY_MAX + 1];
	const struct store_change c = { .key = key, .expires = STORE_NEVER };
	struct error why = { 0 };
	struct waiter *w;

	/* A damaged one can be deleted too: its blob is not looked into. */
	if (check_absent(s, id, &why) == 0)
		return error_set_param(err, ERROR_NOT_FOUND, "session",
			"session '%.*s' does not exist", SESSION_ID_MAX, id);
	if (why.code != ERROR_CONFLICT) {
		if (err)
			*err = why;
		return -1;
	}
	w = waiter_new(s, done, arg, 1, err);
	if (!w)
		return -1;
	key_of(id, key);
	atomic_fetch_sub(&s->count, 1);
	if (store_writer_post(s->writer, &c, 1, on_posted, w, err) < 0) {
		atomic_fetch_add(&s->count, 1);
		free(w);
		return -1;
	}
	return 0;
}

int session_delete(struct sessions *s, const char *id, store_done_fn *done,
	void *arg, struct error *err)
{
	struct holder *h;
	int result;

	if (check_id(id, NULL) < 0)
		return error_set_param(err, ERROR_NOT_FOUND, "session",
			"session '%.*s' does not exist", SESSION_ID_MAX, id);
	h = hold(s, id, err);
	if (!h)
		return -1;
	result = delete_held(s, id, done, arg, err);
	let_go(h);
	return result;
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

static int begin_held(struct holder *h, struct registry *r,
	const char *model_name, uint64_t expected_position,
	struct registry_entry **model, struct error *err)
{
	struct session *s = &h->session;
	struct registry_entry *m;

	if (fetch(s->sessions, h->id, &s->info, &s->state, err) < 0)
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
	s->kernels_changed = s->state.position &&
			     strcmp(s->info.kernels, m->system) != 0;
	*model = m;
	return 0;
}

int session_begin(struct sessions *s, struct registry *r, const char *id,
	const char *model_name, uint64_t expected_position,
	struct session **session, struct registry_entry **model,
	struct error *err)
{
	struct holder *h;

	if (check_id(id, NULL) < 0)
		return error_set_param(err, ERROR_NOT_FOUND, "session",
			"session '%.*s' does not exist", SESSION_ID_MAX, id);
	h = hold(s, id, err);
	if (!h)
		return -1;
	if (begin_held(h, r, model_name, expected_position, model, err) < 0) {
		let_go(h);
		return -1;
	}
	*session = &h->session;
	return 0;
}

static void end_commit(struct holder *h, const struct error *err)
{
	store_done_fn *done = h->done;
	void *arg = h->arg;

	/* Free for others before anyone hears that it is done. */
	let_go(h);
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
	store_done_fn *done, void *arg)
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
	i->expires = expiry(i->used, i->ttl);
	snprintf(i->kernels, sizeof(i->kernels), "%s", kernels);
	if (post(s, i, &session->state, &i->bytes,
		    relaxed ? on_relaxed : on_committed, h, &err) < 0)
		end_commit(h, &err);
	else if (relaxed)
		end_commit(h, NULL);
}

void session_abort(struct session *session)
{
	let_go((struct holder *)session);
}
