/* What a person does with sessions: create, get, list, delete. */
#include "serve/session_private.h"

#include "base/log.h"
#include "base/rng.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void session_fresh_id(char id[SESSION_ID_MAX + 1])
{
	rng_name(stpcpy(id, "sess_"));
}

int session_check_metadata(const char *text, struct error *err)
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
		.ttl = ttl,
		.shape = o->model->shape,
		.start = tokenizer_start(o->model->tokenizer),
		.policy = o->policy };
	if (o->id)
		snprintf(i->id, sizeof(i->id), "%s", o->id);
	else
		session_fresh_id(i->id);
	snprintf(i->model, sizeof(i->model), "%s", o->model->name);
	snprintf(i->kernels, sizeof(i->kernels), "%s", o->model->system);
	snprintf(i->owner, sizeof(i->owner), "%s", o->owner ? o->owner : "");
	i->expires = session_expiry(now, ttl);
	if (!o->metadata)
		return 0;
	i->metadata = strdup(o->metadata);
	return i->metadata
		       ? 0
		       : error_set_memory(err, "metadata", strlen(o->metadata));
}

struct session_waiter {
	struct sessions *sessions;
	store_done_fn *done;
	void *arg;
	long long undo; /* to the count, should it fail */
	char id[SESSION_ID_MAX + 1];
};

void session_waiter_done(void *waiter, const struct error *err)
{
	struct session_waiter *w = waiter;
	struct sessions *s = w->sessions;

	if (err)
		atomic_fetch_add(&s->count, (unsigned long long)w->undo);
	if (err && s->resident && *w->id)
		resident_drop(s->resident, w->id);
	if (w->done)
		w->done(w->arg, err);
	free(w);
}

struct session_waiter *session_waiter_new(struct sessions *s, const char *id,
	store_done_fn *done, void *arg, long long undo, struct error *err)
{
	struct session_waiter *w = malloc(sizeof(*w));

	if (!w) {
		error_set_memory(err, "session", sizeof(*w));
		return NULL;
	}
	*w = (struct session_waiter){ s, done, arg, undo, "" };
	if (id)
		snprintf(w->id, sizeof(w->id), "%s", id);
	return w;
}

int session_check_absent(struct sessions *s, const char *id, struct error *err)
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

/* A new id needs no look into the store. */
static int fill_new(struct holder *h, const struct session_options *o,
	struct session_info *info, struct error *err)
{
	struct session *s = &h->session;

	if ((o->id && session_check_absent(s->sessions, h->id, err) < 0) ||
		session_state_init(&s->state, o->model, err) < 0)
		return -1;
	s->info = *info;
	info->metadata = NULL;
	return 0;
}

/* Expired or not. */
static bool has_row(struct sessions *s, const char *id)
{
	char key[STORE_KEY_MAX + 1];
	struct buf blob;
	bool found;

	session_key(id, key);
	buf_init(&blob, SESSION_BLOB_MAX);
	found = store_writer_get(s->writer, key, 0, &blob, NULL) == 0;
	buf_release(&blob);
	return found;
}

struct holder *session_begin_new(
	struct sessions *s, const struct session_options *o, struct error *err)
{
	struct session_info info;
	struct holder *h;
	bool good;

	if ((o->id && session_check_id(o->id, err) < 0) ||
		session_check_metadata(o->metadata, err) < 0 ||
		describe(s, o, &info, err) < 0)
		return NULL;
	h = sessions_hold(s, info.id, err);
	good = h && fill_new(h, o, &info, err) == 0 &&
	       session_make_room(s, o->owner, 1, err) == 0;
	session_info_release(&info);
	if (good) {
		/* Counted first: the writer may fail before post returns. A
		 * row whose time is over still counts, as what takes its
		 * place. */
		h->creating = !o->id || !has_row(s, h->id);
		atomic_fetch_add(&s->count, h->creating);
		return h;
	}
	if (h)
		sessions_let_go(h);
	return NULL;
}

int session_check_owner(struct sessions *s, const char *id, const char *owner,
	struct error *err)
{
	struct session_info info;
	bool owned;

	if (!*owner)
		return 0;
	if (session_check_id(id, NULL) < 0)
		return session_missing(id, err);
	if (session_fetch(s, id, &info, NULL, err) < 0)
		return -1;
	owned = !strcmp(info.owner, owner);
	session_info_release(&info);
	return owned ? 0 : session_missing(id, err);
}

int session_info_copy(struct session_info *to, const struct session_info *from,
	struct error *err)
{
	size_t bytes = from->n_snapshots * sizeof(*from->snapshots);

	*to = *from;
	to->metadata = from->metadata ? strdup(from->metadata) : NULL;
	to->snapshots = bytes ? malloc(bytes) : NULL;
	if ((from->metadata && !to->metadata) || (bytes && !to->snapshots)) {
		session_info_release(to);
		return error_set_memory(err, "session", bytes);
	}
	if (bytes)
		memcpy(to->snapshots, from->snapshots, bytes);
	return 0;
}

int session_create(struct sessions *s, const struct session_options *o,
	struct session **session, struct error *err)
{
	struct holder *h = session_begin_new(s, o, err);

	if (!h)
		return -1;
	*session = &h->session;
	return 0;
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
	const struct session_filter *filter;
	struct session_page *page;
	size_t seen;
};

static bool wanted(const struct session_filter *f, const struct session_info *i)
{
	return (!f->model || !strcmp(f->model, i->model)) &&
	       (!f->wants || f->wants(f->arg, i));
}

static int list_row(void *arg, const char *key, const void *value, size_t len,
	int64_t expires)
{
	struct listing *l = arg;
	struct session_page *p = l->page;
	struct session_info *i = &p->infos[p->n];
	struct error err = { 0 };

	if (p->n == l->filter->limit || l->seen++ == SESSION_SCAN_MAX) {
		p->more = true;
		return 1;
	}
	snprintf(p->next, sizeof(p->next), "%s", key + strlen(SESSION_PREFIX));
	if (session_decode(value, len, i, NULL, &err) < 0)
		log_warn("session is damaged", log_text("key", key),
			log_fault(&err));
	else if (wanted(l->filter, i))
		p->n++;
	else
		session_info_release(i);
	return 0;
}

void session_page_release(struct session_page *p)
{
	for (size_t i = 0; i < p->n; i++)
		session_info_release(&p->infos[i]);
	free(p->infos);
	*p = (struct session_page){ 0 };
}

int session_list(struct sessions *s, const struct session_filter *f,
	struct session_page *page, struct error *err)
{
	struct listing l = { .filter = f, .page = page };
	char after[STORE_KEY_MAX + 1] = "", prefix[STORE_KEY_MAX + 1];

	*page = (struct session_page){ 0 };
	if (!f->limit || f->limit > 1000)
		return error_set_param(err, ERROR_INVALID, "limit",
			"limit is %zu, expected 1 to 1000", f->limit);
	session_key(f->prefix ? f->prefix : "", prefix);
	if (f->after && *f->after)
		session_key(f->after, after);
	/* One more than asked for: what is looked at has a place. */
	page->infos = calloc(f->limit + 1, sizeof(*page->infos));
	if (!page->infos)
		return error_set_memory(
			err, "sessions", f->limit * sizeof(*page->infos));
	/* Not as many rows as asked for, but as many good ones. */
	if (store_writer_list(s->writer, prefix, after, SIZE_MAX, store_now(),
		    list_row, &l, err) < 0) {
		session_page_release(page);
		return -1;
	}
	for (size_t i = 0; i < page->n; i++)
		page->infos[i].busy = sessions_busy(s, page->infos[i].id);
	if (!page->more)
		page->next[0] = '\0';
	return 0;
}

int session_delete_held(
	struct holder *h, store_done_fn *done, void *arg, struct error *err)
{
	struct sessions *s = h->session.sessions;
	char key[STORE_KEY_MAX + 1];
	struct session_waiter *w;
	struct error why = { 0 };

	/* A damaged one can be deleted too: its blob is not looked into. */
	if (session_check_absent(s, h->id, &why) == 0)
		return session_missing(h->id, err);
	if (why.code != ERROR_CONFLICT) {
		if (err)
			*err = why;
		return -1;
	}
	if (sessions_be_counted(s, err) < 0)
		return -1;
	w = session_waiter_new(s, NULL, done, arg, 1, err);
	if (!w)
		return -1;
	session_key(h->id, key);
	if (s->resident)
		resident_drop(s->resident, h->id);
	atomic_fetch_sub(&s->count, 1);
	if (session_post_removal(s, h->id, key, session_waiter_done, w, err) ==
		0)
		return 0;
	atomic_fetch_add(&s->count, 1);
	free(w);
	return -1;
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
	result = session_delete_held(h, done, arg, err);
	if (!result)
		atomic_fetch_add(&s->deleted, 1);
	sessions_let_go(h);
	return result;
}
