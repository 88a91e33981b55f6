/* Many sessions of one, in one transaction. */
#include "serve/session_branch_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fork {
	struct sessions *sessions;
	const struct session_fork_options *o;
	struct session_info parent; /* as its children begin */
	struct session_state state;
	struct session_info *infos; /* [o->n] the caller's */
	size_t n_infos;		    /* of them filled */
	struct holder **holders;    /* [o->n] of ids that were given */
	size_t n_holders;
	struct store_change *changes; /* [o->n] keys and values owned */
	size_t n_changes;
};

static int child_id(struct fork *f, size_t k, char id[SESSION_ID_MAX + 1],
	struct error *err)
{
	const struct session_fork_options *o = f->o;
	char long_id[2 * SESSION_ID_MAX + 32];
	struct holder *h;

	if (!o->ids && !o->prefix) {
		session_fresh_id(id);
		return 0;
	}
	if (o->ids)
		snprintf(long_id, sizeof(long_id), "%.*s", SESSION_ID_MAX + 1,
			o->ids[k]);
	else
		snprintf(long_id, sizeof(long_id), "%.*s-%zu",
			SESSION_ID_MAX + 1, o->prefix, k);
	if (session_check_id(long_id, err) < 0)
		return -1;
	h = sessions_hold(f->sessions, long_id, err);
	if (!h) {
		for (size_t i = 0; i < k; i++)
			if (!strcmp(f->infos[i].id, long_id))
				return error_set_param(err, ERROR_INVALID,
					"ids", "id '%s' is given twice",
					long_id);
		return -1;
	}
	f->holders[f->n_holders++] = h;
	snprintf(id, SESSION_ID_MAX + 1, "%s", long_id);
	return session_check_absent(f->sessions, id, err);
}

static int fill_child(struct fork *f, size_t k, struct error *err)
{
	const struct session_fork_options *o = f->o;
	struct session_info *i = &f->infos[k];

	if (session_info_copy(i, &f->parent, err) < 0)
		return -1;
	f->n_infos++;
	if (o->seeds)
		i->seed = o->seeds[k];
	if (child_id(f, k, i->id, err) == 0)
		return 0;
	/* The field that the id was made of. */
	if (err && o->prefix && !strcmp(err->param, "id"))
		strcpy(err->param, "prefix");
	return -1;
}

static int encode_child(struct fork *f, size_t k, struct error *err)
{
	struct session_info *i = &f->infos[k];
	struct store_change *c = &f->changes[k];
	char key[STORE_KEY_MAX + 1];
	struct buf blob;

	session_key(i->id, key);
	buf_init(&blob, SESSION_BLOB_MAX);
	f->n_changes++;
	c->key = strdup(key);
	if (!c->key || session_encode(i, &f->state, &blob, err) < 0) {
		buf_release(&blob);
		return c->key ? -1 : error_set_memory(err, "fork", sizeof(key));
	}
	c->value = blob.data;
	c->len = i->bytes = blob.len;
	c->expires = i->expires;
	if (blob.len * f->o->n <= SESSION_FORK_BYTES)
		return 0;
	return error_set_param(err, ERROR_TOO_LARGE, "n",
		"%zu children of %zu bytes are more than %u bytes at once",
		f->o->n, blob.len, SESSION_FORK_BYTES);
}

static int fill_children(struct fork *f, struct error *err)
{
	for (size_t k = 0; k < f->o->n; k++)
		if (fill_child(f, k, err) < 0 || encode_child(f, k, err) < 0)
			return -1;
	return 0;
}

static int open_fork(struct fork *f, struct error *err)
{
	size_t n = f->o->n;

	f->holders = calloc(n, sizeof(struct holder *));
	f->changes = calloc(n, sizeof(*f->changes));
	if (!f->holders || !f->changes)
		return error_set_memory(err, "fork", n * sizeof(*f->changes));
	return 0;
}

static void close_fork(struct fork *f, bool failed)
{
	for (size_t k = 0; k < f->n_holders; k++)
		sessions_let_go(f->holders[k]);
	for (size_t k = 0; k < f->n_changes; k++) {
		free((void *)f->changes[k].key);
		free((void *)f->changes[k].value);
	}
	for (size_t k = 0; failed && k < f->n_infos; k++)
		session_info_release(&f->infos[k]);
	free(f->holders);
	free(f->changes);
	session_info_release(&f->parent);
	session_state_release(&f->state);
}

static int post_fork(
	struct fork *f, store_done_fn *done, void *arg, struct error *err)
{
	struct sessions *s = f->sessions;
	long long n = (long long)f->o->n;
	struct session_waiter *w;

	w = session_waiter_new(s, NULL, done, arg, -n, err);
	if (!w)
		return -1;
	atomic_fetch_add(&s->count, f->o->n);
	if (store_writer_post(s->writer, f->changes, f->o->n,
		    session_waiter_done, w, err) == 0)
		return 0;
	atomic_fetch_sub(&s->count, f->o->n);
	free(w);
	return -1;
}

/* What all children have in common. */
static int prepare_parent(struct fork *f, const char *id, struct error *err)
{
	const struct session_fork_options *o = f->o;
	struct session_info *p = &f->parent;

	if (session_fetch_point(f->sessions, id, &o->from, p, &f->state, err) <
		0)
		return -1;
	session_forget_rows(p);
	p->created = p->used = store_now();
	if (o->ttl >= 0)
		p->ttl = o->ttl;
	p->expires = session_expiry(p->used, p->ttl);
	if (!o->metadata)
		return 0;
	free(p->metadata);
	p->metadata = strdup(o->metadata);
	return p->metadata
		       ? 0
		       : error_set_memory(err, "metadata", strlen(o->metadata));
}

int session_fork(struct sessions *s, const char *id,
	const struct session_fork_options *o, struct session_info *infos,
	store_done_fn *done, void *arg, struct error *err)
{
	struct fork f = { .sessions = s, .o = o, .infos = infos };
	int result = -1;

	if (!o->n || o->n > SESSION_FORK_MAX)
		return error_set_param(err, ERROR_INVALID, "n",
			"n is %zu, expected 1 to %d", o->n, SESSION_FORK_MAX);
	if (session_check_metadata(o->metadata, err) < 0 ||
		prepare_parent(&f, id, err) < 0)
		return -1;
	if (session_make_room(s, f.parent.owner, o->n, err) == 0 &&
		open_fork(&f, err) == 0 && fill_children(&f, err) == 0)
		result = post_fork(&f, done, arg, err);
	close_fork(&f, result < 0);
	return result;
}
