/* What a person does with sessions: create, get, list, delete. */
#include "serve/session_private.h"

#include "base/log.h"
#include "base/rng.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fresh_id(char id[SESSION_ID_MAX + 1])
{
	rng_name(stpcpy(id, "sess_"));
}

static int check_quota(struct sessions *s, struct error *err)
{
	if (!s->options.max || atomic_load(&s->count) < s->options.max)
		return 0;
	if (atomic_load(&s->recount) && sessions_recount(s, err) < 0)
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
	snprintf(i->model, sizeof(i->model), "%s", o->model->name);
	snprintf(i->kernels, sizeof(i->kernels), "%s", o->model->system);
	i->expires = session_expiry(now, ttl);
	if (!o->metadata)
		return 0;
	i->metadata = strdup(o->metadata);
	return i->metadata
		       ? 0
		       : error_set_memory(err, "metadata", strlen(o->metadata));
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

	session_key(id, key);
	buf_init(&blob, SESSION_BLOB_MAX);
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
	result = session_post(
		s, info, &state, &info->bytes, NULL, 0, on_posted, w, err);
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

	if ((o->id && session_check_id(o->id, err) < 0) ||
		check_metadata(o->metadata, err) < 0 || check_quota(s, err) < 0)
		return -1;
	if (describe(s, o, info, err) < 0)
		return -1;
	h = sessions_hold(s, info->id, err);
	if (h) {
		result = create_held(s, o->model, info, done, arg, err);
		sessions_let_go(h);
	}
	if (result < 0)
		session_info_release(info);
	return result;
}

int session_get(struct sessions *s, const char *id, struct session_info *info,
	struct error *err)
{
	if (session_check_id(id, NULL) < 0)
		return session_missing(id, err);
	if (session_fetch(s, id, info, NULL, err) < 0)
		return -1;
	info->busy = sessions_busy(s, id);
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
		session_key(after, key);
	l.infos = calloc(limit, sizeof(*l.infos));
	if (!l.infos)
		return error_set_memory(
			err, "sessions", limit * sizeof(*l.infos));
	/* Not as many rows as asked for, but as many good ones. */
	if (store_writer_list(s->writer, SESSION_PREFIX, key, SIZE_MAX,
		    store_now(), list_row, &l, err) < 0) {
		for (size_t i = 0; i < l.n; i++)
			session_info_release(&l.infos[i]);
		free(l.infos);
		return -1;
	}
	for (size_t i = 0; i < l.n; i++)
		l.infos[i].busy = sessions_busy(s, l.infos[i].id);
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
		return session_missing(id, err);
	if (why.code != ERROR_CONFLICT) {
		if (err)
			*err = why;
		return -1;
	}
	w = waiter_new(s, done, arg, 1, err);
	if (!w)
		return -1;
	session_key(id, key);
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

	if (session_check_id(id, NULL) < 0)
		return session_missing(id, err);
	h = sessions_hold(s, id, err);
	if (!h)
		return -1;
	result = delete_held(s, id, done, arg, err);
	sessions_let_go(h);
	return result;
}
