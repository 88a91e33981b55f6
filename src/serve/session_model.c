/* Which model a session goes on with once its own was replaced: its policy. */
#include "serve/session_private.h"

#include <stdio.h>
#include <string.h>

static int refuse(const struct session_info *i, const struct registry_entry *m,
	const char *why, struct error *err)
{
	return error_set_param(err, ERROR_CONFLICT, "model",
		"session %s was made with model %s %016llx, but %s is "
		"%016llx%s",
		i->id, i->model, (unsigned long long)i->fingerprint, m->name,
		(unsigned long long)m->fingerprint, why);
}

/* Its own version, wherever it is. NULL without an error: there is none. */
static struct registry_entry *pinned(
	const struct session_info *i, struct registry *r, const char *name)
{
	if (name && *name && strcmp(name, i->model) != 0)
		return NULL; /* another one was asked for */
	return registry_find(r, i->model, i->fingerprint, NULL);
}

/* Under the name that it was found by, which may be an alias. */
static void move_to(struct session_info *i, const struct registry_entry *m,
	const char *name)
{
	i->fingerprint = m->fingerprint;
	i->shape = m->shape;
	i->start = tokenizer_start(m->tokenizer);
	if (name && *name)
		snprintf(i->model, sizeof(i->model), "%s", name);
}

static int carry(struct session *s, const struct registry_entry *m,
	const char *name, struct error *err)
{
	struct session_info *i = &s->info;

	if (i->shape != m->shape)
		return refuse(i, m,
			", of another architecture or vocabulary: its state"
			" can't be carried over",
			err);
	move_to(i, m, name);
	s->change = SESSION_CARRIED;
	return 0;
}

static int reset(struct session *s, const struct registry_entry *m,
	const char *name, struct error *err)
{
	struct session_state fresh;

	if (session_state_init(&fresh, m, err) < 0)
		return -1;
	session_state_release(&s->state);
	s->state = fresh;
	s->info.n_boundaries = 0; /* of a timeline that ended */
	move_to(&s->info, m, name);
	s->change = SESSION_RESTARTED;
	return 0;
}

static int follow(struct session *s, const struct registry_entry *m,
	const char *name, struct error *err)
{
	switch (s->info.policy) {
	case SESSION_CARRY:
		return carry(s, m, name, err);
	case SESSION_RESET:
		return reset(s, m, name, err);
	case SESSION_PIN:
		break;
	}
	return refuse(&s->info, m, "", err);
}

struct registry_entry *session_model(struct session *s, struct registry *r,
	const char *name, struct error *err)
{
	const struct session_info *i = &s->info;
	struct registry_entry *m, *own = NULL;
	struct error why;

	m = registry_get(r, name && *name ? name : i->model, &why);
	if (m && m->fingerprint == i->fingerprint)
		return m;
	if (i->policy == SESSION_PIN)
		own = pinned(i, r, name);
	if (own) {
		registry_unref(m);
		return own;
	}
	if (m && follow(s, m, name, err) == 0)
		return m;
	if (!m && err)
		*err = why;
	registry_unref(m);
	return NULL;
}
