/* A held session's state becomes its row, with what goes in the same
 * transaction. */
#include "serve/session_private.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
