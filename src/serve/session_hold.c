/*
 * The ids that requests hold are in a table. Its lock is held for moments,
 * never while the store is read or a blob encoded. Creation and deletion hold
 * the id for their moment too, so that nobody begins what is half there.
 */
#include "serve/session_private.h"

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
	return error_set_param(err, ERROR_BUSY, "session",
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
	struct holder *h = NULL;
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

void session_abort(struct session *session)
{
	struct holder *h = (struct holder *)session;

	session_uncount(h, true);
	sessions_let_go(h);
}
