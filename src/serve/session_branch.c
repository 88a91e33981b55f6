/* Points of a timeline: going to one, keeping one. */
#include "serve/session_branch_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- points ----------------------------------------------------------- */

static int no_position(const char *id, const struct session_info *i,
	uint64_t position, struct error *err)
{
	char known[256] = "0";
	size_t used = 1;

	for (size_t k = 0; k < i->n_boundaries && used < sizeof(known); k++)
		used += (size_t)snprintf(known + used, sizeof(known) - used,
			" %llu", (unsigned long long)i->boundaries[k].position);
	return error_set_param(err, ERROR_NOT_FOUND, "position",
		"session %s has no state of position %llu: it is at %llu and"
		" keeps %s",
		id, (unsigned long long)position,
		(unsigned long long)i->position, known);
}

static int point_key(const char *id, const struct session_info *i,
	const struct session_point *p, char key[STORE_KEY_MAX + 1],
	struct error *err)
{
	if (p->snapshot) {
		for (size_t k = 0; k < i->n_snapshots; k++)
			if (!strcmp(i->snapshots[k].name, p->snapshot)) {
				session_snapshot_key(id, p->snapshot, key);
				return 0;
			}
		return error_set_param(err, ERROR_NOT_FOUND, "snapshot",
			"session %s has no snapshot '%.64s'", id, p->snapshot);
	}
	for (size_t k = 0; k < i->n_boundaries; k++)
		if (i->boundaries[k].position == p->position) {
			session_boundary_key(id, i->boundaries[k].slot, key);
			return 0;
		}
	return no_position(id, i, p->position, err);
}

/* Another row's state in the place of this one; whose model it is of comes
 * with it. */
static int read_point(struct sessions *s, const char *key,
	struct session_info *i, struct session_state *state, struct error *err)
{
	struct session_state other = { 0 };
	struct session_info from = { 0 };
	struct buf blob;
	int result;

	buf_init(&blob, SESSION_BLOB_MAX);
	result = store_writer_get(s->writer, key, 0, &blob, err);
	if (!result)
		result =
			session_decode(blob.data, blob.len, &from, &other, err);
	buf_release(&blob);
	if (result < 0)
		return error_prefix(err, "%s", key);
	session_state_release(state);
	*state = other;
	i->fingerprint = from.fingerprint;
	i->shape = from.shape;
	i->start = from.start;
	memcpy(i->model, from.model, sizeof(i->model));
	memcpy(i->kernels, from.kernels, sizeof(i->kernels));
	i->position = other.position;
	session_info_release(&from);
	return 0;
}

/* The one state that no row is needed for. */
static void empty_timeline(struct session_info *i, struct session_state *state)
{
	real *hidden = state->hidden;

	memset(hidden, 0, state->n_hidden * sizeof(*hidden));
	*state = (struct session_state){ .pending = i->start,
		.n_hidden = state->n_hidden,
		.hidden = hidden };
	i->position = 0;
}

int session_go_to(struct sessions *s, const char *id,
	const struct session_point *p, struct session_info *i,
	struct session_state *state, struct error *err)
{
	char key[STORE_KEY_MAX + 1];

	if (!p->snapshot && (p->position == SESSION_ANY_POSITION ||
				    p->position == i->position))
		return 0;
	if (!p->snapshot && !p->position && i->start != UINT32_MAX) {
		empty_timeline(i, state);
		return 0;
	}
	if (point_key(id, i, p, key, err) < 0)
		return -1;
	return read_point(s, key, i, state, err);
}

int session_fetch_point(struct sessions *s, const char *id,
	const struct session_point *p, struct session_info *i,
	struct session_state *state, struct error *err)
{
	if (session_check_id(id, NULL) < 0)
		return session_missing(id, err);
	if (session_fetch(s, id, i, state, err) < 0)
		return -1;
	if (session_go_to(s, id, p, i, state, err) == 0)
		return 0;
	session_info_release(i);
	session_state_release(state);
	return -1;
}

void session_forget_rows(struct session_info *i)
{
	free(i->snapshots);
	i->snapshots = NULL;
	i->n_snapshots = 0;
	i->n_boundaries = 0;
}

/* --- snapshots and rewinds -------------------------------------------- */

/* Held, with info and state as they are stored. */
static struct holder *hold_stored(
	struct sessions *s, const char *id, struct error *err)
{
	struct holder *h;

	if (session_check_id(id, NULL) < 0) {
		session_missing(id, err);
		return NULL;
	}
	h = sessions_hold(s, id, err);
	if (!h || session_fetch_held(h, err) == 0)
		return h;
	sessions_let_go(h);
	return NULL;
}

static size_t find_snapshot(const struct session_info *i, const char *name)
{
	size_t k = 0;

	while (k < i->n_snapshots && strcmp(i->snapshots[k].name, name) != 0)
		k++;
	return k;
}

static int name_snapshot(const struct session_info *i, const char *name,
	bool replace, struct session_snapshot *made, struct error *err)
{
	if (name && session_check_id(name, NULL) < 0)
		return error_set_param(err, ERROR_INVALID, "name",
			"snapshot name '%.64s' is invalid, expected 1 to %d of"
			" A-Z a-z 0-9 . _ -",
			name, SESSION_ID_MAX);
	if (name)
		snprintf(made->name, sizeof(made->name), "%s", name);
	else
		for (unsigned k = 1;
			!*made->name ||
			find_snapshot(i, made->name) < i->n_snapshots;
			k++)
			snprintf(made->name, sizeof(made->name), "snapshot-%u",
				k);
	if (find_snapshot(i, made->name) < i->n_snapshots && !replace)
		return error_set_param(err, ERROR_CONFLICT, "name",
			"session %s has a snapshot '%s' already; `replace`"
			" takes its place",
			i->id, made->name);
	return 0;
}

static int list_snapshot(struct session_info *i,
	const struct session_snapshot *made, struct error *err)
{
	size_t at = find_snapshot(i, made->name);
	struct session_snapshot *more;

	if (at < i->n_snapshots) {
		memmove(i->snapshots + at, i->snapshots + at + 1,
			(--i->n_snapshots - at) * sizeof(*more));
	} else if (i->n_snapshots == SESSION_SNAPSHOTS_MAX) {
		return error_set(err, ERROR_NO_SPACE,
			"session %s has %zu snapshots, at most %d are kept",
			i->id, i->n_snapshots, SESSION_SNAPSHOTS_MAX);
	}
	more = realloc(i->snapshots, (i->n_snapshots + 1) * sizeof(*more));
	if (!more)
		return error_set_memory(err, "snapshots", sizeof(*more));
	i->snapshots = more;
	more[i->n_snapshots++] = *made;
	return 0;
}

/* A change of a held session that nobody waits for as a request would: `done`
 * hears of it, and others may have the session at once. */
static int post_change(struct holder *h, const struct store_change *with,
	store_done_fn *done, void *arg, struct error *err)
{
	struct session_waiter *w = session_waiter_new(
		h->session.sessions, h->id, done, arg, 0, err);

	if (!w)
		return -1;
	h->before_position = 0; /* no request: no boundary */
	if (session_post_held(
		    h, with, with != NULL, session_waiter_done, w, err) == 0)
		return 0;
	free(w);
	return -1;
}

static int snapshot_held(struct holder *h, const char *name, bool replace,
	struct session_snapshot *made, store_done_fn *done, void *arg,
	struct error *err)
{
	struct session_info *i = &h->session.info;
	char key[STORE_KEY_MAX + 1];
	const struct store_change row = { key, h->before.data, h->before.len,
		STORE_NEVER };

	*made = (struct session_snapshot){ .position = i->position,
		.created = store_now(),
		.bytes = h->before.len };
	if (name_snapshot(i, name, replace, made, err) < 0 ||
		list_snapshot(i, made, err) < 0)
		return -1;
	session_snapshot_key(h->id, made->name, key);
	return post_change(h, &row, done, arg, err);
}

int session_snapshot(struct sessions *s, const char *id, const char *name,
	bool replace, struct session_snapshot *made, store_done_fn *done,
	void *arg, struct error *err)
{
	struct holder *h = hold_stored(s, id, err);
	int result;

	if (!h)
		return -1;
	result = snapshot_held(h, name, replace, made, done, arg, err);
	sessions_let_go(h);
	return result;
}

int session_snapshot_delete(struct sessions *s, const char *id,
	const char *name, store_done_fn *done, void *arg, struct error *err)
{
	struct holder *h = hold_stored(s, id, err);
	struct session_info *i;
	char key[STORE_KEY_MAX + 1];
	const struct store_change row = { key, NULL, 0, STORE_NEVER };
	int result;
	size_t at;

	if (!h)
		return -1;
	i = &h->session.info;
	at = find_snapshot(i, name);
	if (at == i->n_snapshots) {
		result = error_set_param(err, ERROR_NOT_FOUND, "snapshot",
			"session %s has no snapshot '%.64s'", id, name);
	} else {
		memmove(i->snapshots + at, i->snapshots + at + 1,
			(--i->n_snapshots - at) * sizeof(*i->snapshots));
		session_snapshot_key(id, name, key);
		result = post_change(h, &row, done, arg, err);
	}
	sessions_let_go(h);
	return result;
}

/* Boundaries of what is undone are of a future that will not be. A snapshot may
 * be of another timeline than all of them. */
static void trim_boundaries(struct session_info *i, const char *snapshot)
{
	while (i->n_boundaries &&
		(snapshot || i->boundaries[i->n_boundaries - 1].position >=
				     i->position))
		i->n_boundaries--;
}

static int rewind_held(struct holder *h, const struct session_point *to,
	const uint64_t *seed, struct session_info *info, store_done_fn *done,
	void *arg, struct error *err)
{
	struct session *s = &h->session;

	if (session_go_to(s->sessions, h->id, to, &s->info, &s->state, err) < 0)
		return -1;
	trim_boundaries(&s->info, to->snapshot);
	if (seed)
		s->info.seed = *seed;
	if (session_info_copy(info, &s->info, err) < 0)
		return -1;
	if (post_change(h, NULL, done, arg, err) == 0) {
		info->used = s->info.used;
		info->expires = s->info.expires;
		info->bytes = s->info.bytes;
		return 0;
	}
	session_info_release(info);
	return -1;
}

int session_rewind(struct sessions *s, const char *id,
	const struct session_point *to, const uint64_t *seed,
	struct session_info *info, store_done_fn *done, void *arg,
	struct error *err)
{
	struct holder *h = hold_stored(s, id, err);
	int result;

	if (!h)
		return -1;
	result = rewind_held(h, to, seed, info, done, arg, err);
	sessions_let_go(h);
	return result;
}
