/* A session as bytes that travel between machines, and a look at what one would
 * say next. */
#include "serve/session_branch_private.h"

#include "base/team.h"
#include "serve/sequence.h"

#include <fenv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int session_export(struct sessions *s, const char *id,
	const struct session_point *from, struct buf *blob,
	struct session_info *info, struct error *err)
{
	struct session_state state;
	size_t start = blob->len;
	int result;

	if (session_fetch_point(s, id, from, info, &state, err) < 0)
		return -1;
	session_forget_rows(info);
	info->owner[0] = '\0'; /* nobody else's business */
	result = session_encode(info, &state, blob, err);
	info->bytes = blob->len - start;
	session_state_release(&state);
	if (result < 0)
		session_info_release(info);
	return result;
}

/* Somebody else's fault, not the server's. */
static int blame_blob(struct error *err)
{
	if (!err)
		return -1;
	if (err->code == ERROR_CORRUPT)
		err->code = ERROR_UNPROCESSABLE;
	if (err->code == ERROR_UNPROCESSABLE || err->code == ERROR_UNSUPPORTED)
		snprintf(err->param, sizeof(err->param), "blob");
	return -1;
}

static struct registry_entry *model_of(
	const struct session_info *i, struct registry *r, struct error *err)
{
	struct registry_entry *m =
		registry_find(r, i->model, i->fingerprint, NULL);
	struct registry_entry *named;

	if (m)
		return m;
	named = registry_get(r, i->model, NULL);
	if (named)
		error_set_param(err, ERROR_CONFLICT, "model",
			"the blob is of model %s %016llx, but %s here is"
			" %016llx",
			i->model, (unsigned long long)i->fingerprint,
			named->name, (unsigned long long)named->fingerprint);
	else
		error_set_param(err, ERROR_CONFLICT, "model",
			"the blob is of model %s %016llx, and no model here"
			" has that name or fingerprint",
			i->model, (unsigned long long)i->fingerprint);
	registry_unref(named);
	return NULL;
}

static int check_blob(struct session_info *i, const struct session_state *state,
	struct registry *r, struct error *err)
{
	struct registry_entry *m;
	int result;

	if (session_check_metadata(i->metadata, err) < 0) {
		if (err)
			err->code = ERROR_UNPROCESSABLE;
		return blame_blob(err);
	}
	m = model_of(i, r, err);
	if (!m)
		return -1;
	result = session_state_check(state, m, err);
	i->shape = m->shape;
	i->start = tokenizer_start(m->tokenizer);
	registry_unref(m);
	return result < 0 ? blame_blob(err) : 0;
}

static int apply_options(struct session_info *i,
	const struct session_import_options *o, struct error *err)
{
	session_forget_rows(i);
	if (o->id)
		snprintf(i->id, sizeof(i->id), "%s", o->id);
	snprintf(i->owner, sizeof(i->owner), "%s", o->owner ? o->owner : "");
	if (o->ttl >= 0)
		i->ttl = o->ttl;
	if (o->seed)
		i->seed = *o->seed;
	if (!o->metadata)
		return 0;
	free(i->metadata);
	i->metadata = strdup(o->metadata);
	return i->metadata
		       ? 0
		       : error_set_memory(err, "metadata", strlen(o->metadata));
}

/* info and state move into the handle; h goes in any case. */
static int store_new(struct holder *h, struct session_info *info,
	struct session_state *state, store_done_fn *done, void *arg,
	struct error *err)
{
	struct sessions *s = h->session.sessions;
	struct session_waiter *w =
		session_waiter_new(s, h->id, done, arg, -1, err);
	int result = -1;

	if (w && session_info_copy(&h->session.info, info, err) == 0) {
		h->session.state = *state;
		state->hidden = NULL;
		atomic_fetch_add(&s->count, 1);
		result = session_post_held(
			h, NULL, 0, session_waiter_done, w, err);
		if (result < 0)
			atomic_fetch_sub(&s->count, 1);
		info->used = h->session.info.used;
		info->expires = h->session.info.expires;
		info->bytes = h->session.info.bytes;
	}
	if (result < 0)
		free(w);
	sessions_let_go(h);
	return result;
}

static int import_as(struct sessions *s, struct session_info *info,
	struct session_state *state, store_done_fn *done, void *arg,
	struct error *err)
{
	struct holder *h;

	if (session_check_id(info->id, err) < 0)
		return -1;
	h = sessions_hold(s, info->id, err);
	if (!h)
		return -1;
	if (session_check_absent(s, info->id, err) < 0 ||
		session_make_room(s, info->owner, 1, err) < 0) {
		sessions_let_go(h);
		return -1;
	}
	return store_new(h, info, state, done, arg, err);
}

int session_import(struct sessions *s, struct registry *r, const void *blob,
	size_t len, const struct session_import_options *o,
	struct session_info *info, store_done_fn *done, void *arg,
	struct error *err)
{
	struct session_state state;
	int result;

	if ((o->id && session_check_id(o->id, err) < 0) ||
		session_check_metadata(o->metadata, err) < 0)
		return -1;
	if (session_decode(blob, len, info, &state, err) < 0)
		return blame_blob(err);
	result = check_blob(info, &state, r, err);
	if (!result)
		result = apply_options(info, o, err);
	if (!result)
		result = import_as(s, info, &state, done, arg, err);
	session_state_release(&state);
	if (result < 0)
		session_info_release(info);
	return result;
}

/* --- peek ------------------------------------------------------------- */

static int step(const struct registry_entry *m, struct session_state *state,
	real *logits, struct error *err)
{
	struct model_scratch *scratch;
	real *hidden = state->hidden;
	fenv_t environment;

	if (model_scratch_open(&scratch, m->model, 1, err) < 0)
		return -1;
	/* As in engine threads: denormals would differ in their bits. */
	fegetenv(&environment);
	team_flush_denormals();
	model_step(m->model, scratch, 1, &state->pending, &hidden, &logits);
	fesetenv(&environment);
	model_scratch_close(scratch);
	return 0;
}

static int predict(struct session_peek *p, struct session_state *state,
	size_t n, struct error *err)
{
	size_t vocab = p->model->vocab;
	real *logits = malloc(vocab * sizeof(*logits));
	int result = -1;

	p->n = n < vocab ? n : vocab;
	p->top = calloc(p->n, sizeof(*p->top));
	if (!logits || !p->top)
		error_set_memory(err, "logits", vocab * sizeof(*logits));
	else
		result = step(p->model, state, logits, err);
	if (!result)
		sequence_top(logits, vocab, p->top, (unsigned)p->n);
	free(logits);
	return result;
}

int session_look(struct sessions *s, struct registry *r, const char *id,
	const struct session_point *from, struct session_info *info,
	struct session_state *state, struct registry_entry **model,
	struct error *err)
{
	struct session copy = { .sessions = s };

	if (session_fetch_point(s, id, from, &copy.info, &copy.state, err) < 0)
		return -1;
	*model = session_model(&copy, r, NULL, err);
	if (*model && !session_state_check(&copy.state, *model, err)) {
		copy.info.position = copy.state.position;
		*info = copy.info;
		*state = copy.state;
		return 0;
	}
	registry_unref(*model);
	session_info_release(&copy.info);
	session_state_release(&copy.state);
	return -1;
}

int session_peek(struct sessions *s, struct registry *r, const char *id,
	const struct session_point *from, size_t n, struct session_peek *peek,
	struct error *err)
{
	struct session_state state;
	int result;

	*peek = (struct session_peek){ 0 };
	if (!n || n > SESSION_PEEK_MAX)
		return error_set_param(err, ERROR_INVALID, "top",
			"top is %zu, expected 1 to %d", n, SESSION_PEEK_MAX);
	if (session_look(s, r, id, from, &peek->info, &state, &peek->model,
		    err) < 0) {
		*peek = (struct session_peek){ 0 };
		return -1;
	}
	result = predict(peek, &state, n, err);
	session_state_release(&state);
	if (result < 0)
		session_peek_release(peek);
	return result;
}

void session_peek_release(struct session_peek *p)
{
	session_info_release(&p->info);
	registry_unref(p->model);
	free(p->top);
	*p = (struct session_peek){ 0 };
}
