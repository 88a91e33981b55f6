/* How many sessions there may be, and what goes when there are too many or
 * their time has come. */
#include "serve/session_private.h"

#include "base/log.h"
#include "base/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FEW 64	    /* of so many sessions all are looked at */
#define DRAWS 3	    /* else so many places in the order of ids */
#define DRAW_ROWS 8 /* and so many sessions from each */
#define BATCH 1000  /* one in so many is evicted at once */
#define TALLY_ROWS 256

/* What expired counts until it is swept: each sweep then takes one away. */
int sessions_be_counted(struct sessions *s, struct error *err)
{
	int result = 0;
	uint64_t n;

	if (!atomic_load(&s->uncounted))
		return 0;
	pthread_mutex_lock(&s->counting);
	if (atomic_load(&s->uncounted)) {
		result = store_writer_count(
			s->writer, SESSION_PREFIX, 0, &n, err);
		if (!result) {
			atomic_store(&s->count, n);
			atomic_store(&s->uncounted, false);
		}
	}
	pthread_mutex_unlock(&s->counting);
	return result;
}

/* --- removal ---------------------------------------------------------- */

struct removal {
	struct store_change *changes; /* [n] keys owned, but the first */
	size_t n, cap;
	bool failed;
};

static void remove_key(struct removal *r, char *key)
{
	size_t cap = r->cap ? r->cap * 2 : 16;
	struct store_change *more;

	if (r->n == r->cap) {
		more = realloc(r->changes, cap * sizeof(*more));
		if (!more) {
			free(key);
			r->failed = true;
			return;
		}
		r->changes = more;
		r->cap = cap;
	}
	r->failed |= !key;
	if (key)
		r->changes[r->n++] = (struct store_change){ .key = key,
			.expires = STORE_NEVER };
}

static int remove_row(void *arg, const char *key, const void *value, size_t len,
	int64_t expires)
{
	const char *other = session_belonging(key);

	remove_key(arg, strdup(key));
	if (other)
		remove_key(arg, strdup(other));
	return ((struct removal *)arg)->failed;
}

/* Without a row there is nobody who could post more of them: what is committed
 * is all there is. */
static int find_dependents(struct sessions *s, const char *id, bool committed,
	struct removal *r, struct error *err)
{
	static const char *const prefixes[] = { SESSION_DEPENDENTS };
	char prefix[STORE_KEY_MAX + 1];

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++) {
		snprintf(prefix, sizeof(prefix), "%s%.*s/", prefixes[i],
			SESSION_ID_MAX, id);
		if ((committed ? store_writer_list_committed
			       : store_writer_list)(s->writer, prefix, "",
			    SIZE_MAX, 0, remove_row, r, err) < 0)
			return -1;
	}
	return r->failed ? error_set_memory(err, "session", r->n) : 0;
}

int session_post_removal(struct sessions *s, const char *id, const char *row,
	store_done_fn *done, void *arg, struct error *err)
{
	struct removal r = { 0 };
	int result = -1;

	if (row)
		remove_key(&r, strdup(row));
	if (find_dependents(s, id, !row, &r, err) == 0)
		result = r.n ? store_writer_post(s->writer, r.changes, r.n,
				       done, arg, err)
			     : 0;
	for (size_t i = 0; i < r.n; i++)
		free((void *)r.changes[i].key);
	free(r.changes);
	return result;
}

/* On the writer's thread. Who made it anew in the meantime keeps all. */
static void remove_dependents(struct sessions *s, const char *id)
{
	struct holder *h = sessions_hold(s, id, NULL);
	struct error err;

	if (!h)
		return;
	if (session_check_absent(s, id, NULL) == 0 &&
		session_post_removal(s, id, NULL, NULL, NULL, &err) < 0)
		log_warn("what an expired session left is not deleted",
			log_text("session", id), log_fault(&err));
	sessions_let_go(h);
}

void session_on_swept(void *sessions, const char *key)
{
	struct sessions *s = sessions;
	const char *id = key + strlen(SESSION_PREFIX);

	if (strncmp(key, SESSION_PREFIX, strlen(SESSION_PREFIX)) != 0)
		return;
	if (sessions_tell_swept(s, id))
		return;
	if (!atomic_load(&s->uncounted))
		atomic_fetch_sub(&s->count, 1);
	atomic_fetch_add(&s->expired, 1);
	if (s->resident)
		resident_drop(s->resident, id);
	remove_dependents(s, id);
}

/* --- room ------------------------------------------------------------- */

struct candidate {
	char id[SESSION_ID_MAX + 1];
	int64_t used;
};

struct draw {
	struct candidate all[FEW];
	size_t n, rows;
	const char *owner; /* or NULL: anybody's */
};

static int draw_row(void *arg, const char *key, const void *value, size_t len,
	int64_t expires)
{
	struct draw *d = arg;
	struct candidate *c = &d->all[d->n];
	struct session_info info;

	if (d->n == FEW)
		return 1;
	if (session_decode(value, len, &info, NULL, NULL) < 0)
		return 0;
	if (!d->owner || !strcmp(d->owner, info.owner)) {
		snprintf(c->id, sizeof(c->id), "%s", info.id);
		c->used = info.used;
		d->n++;
	}
	session_info_release(&info);
	return 0;
}

/* Ids that we made are even in their order: a place by chance is one of them
 * by chance. Past the last one it goes on with the first. */
static int draw(struct sessions *s, struct draw *d, struct error *err)
{
	bool all = atomic_load(&s->count) <= FEW;
	char after[STORE_KEY_MAX + 1] = "", id[SESSION_ID_MAX + 1];

	for (size_t i = 0; i < (all ? 1 : DRAWS); i++) {
		size_t before = d->n;

		session_fresh_id(id);
		if (!all)
			session_key(id, after);
		if (store_writer_list(s->writer, SESSION_PREFIX, after,
			    all ? FEW : DRAW_ROWS, store_now(), draw_row, d,
			    err) < 0)
			return -1;
		if (d->n == before && !all &&
			store_writer_list(s->writer, SESSION_PREFIX, "",
				DRAW_ROWS, store_now(), draw_row, d, err) < 0)
			return -1;
	}
	return 0;
}

static int by_use(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return x->used < y->used ? -1 : x->used > y->used;
}

static bool evict_one(struct sessions *s, const char *id)
{
	struct holder *h = sessions_hold(s, id, NULL);
	bool gone;

	if (!h)
		return false; /* it is in use */
	gone = session_delete_held(h, NULL, NULL, NULL) == 0;
	sessions_let_go(h);
	if (gone)
		atomic_fetch_add(&s->evicted, 1);
	return gone;
}

/* Of those drawn the ones that were used longest ago, n at most. */
static size_t evict(struct sessions *s, const char *owner, size_t n)
{
	struct draw *d = calloc(1, sizeof(*d));
	size_t gone = 0;
	struct error err;

	if (!d)
		return 0;
	d->owner = owner;
	if (draw(s, d, &err) < 0)
		log_warn("no session is evicted", log_fault(&err));
	qsort(d->all, d->n, sizeof(*d->all), by_use);
	for (size_t i = 0; i < d->n && gone < n; i++)
		gone += evict_one(s, d->all[i].id);
	free(d);
	return gone;
}

static int over_count(uint64_t have, uint64_t more, uint64_t max,
	const char *option, struct error *err)
{
	if (!max || (have < max && more <= max - have))
		return 0;
	return error_set(err, ERROR_NO_SPACE,
		"%llu sessions are stored, %llu more are asked for, %s is %llu",
		(unsigned long long)have, (unsigned long long)more, option,
		(unsigned long long)max);
}

struct tally {
	const char *owner;
	uint64_t count, rows;
	char last[STORE_KEY_MAX + 1];
};

static int tally_row(void *arg, const char *key, const void *value, size_t len,
	int64_t expires)
{
	struct tally *t = arg;
	struct session_info info;

	(void)expires;
	t->rows++;
	snprintf(t->last, sizeof(t->last), "%s", key);
	if (session_decode(value, len, &info, NULL, NULL) < 0)
		return 0;
	t->count += !strcmp(info.owner, t->owner);
	session_info_release(&info);
	return 0;
}

/* A page of rows at a time: others use the store in between. */
static int count_rows(struct sessions *s, const char *owner, uint64_t *count,
	struct error *err)
{
	struct tally t = { .owner = owner };
	char after[STORE_KEY_MAX + 1];

	do {
		t.rows = 0;
		memcpy(after, t.last, sizeof(after));
		if (store_writer_list(s->writer, SESSION_PREFIX, after,
			    TALLY_ROWS, store_now(), tally_row, &t, err) < 0)
			return -1;
	} while (t.rows == TALLY_ROWS);
	*count = t.count;
	return 0;
}

static struct owned *find_owned(struct sessions *s, const char *owner)
{
	struct owned *o;

	for (size_t i = 0; i < s->n_owned; i++)
		if (!strcmp(s->owned[i].owner, owner))
			return &s->owned[i];
	if (s->n_owned < SESSION_OWNERS)
		s->n_owned++;
	o = &s->owned[s->next_owned++ % SESSION_OWNERS];
	/* Not counted yet: no number of sessions has gone so far. */
	*o = (struct owned){ .count = UINT64_MAX / 2, .gone = UINT64_MAX };
	snprintf(o->owner, sizeof(o->owner), "%s", owner);
	return o;
}

static uint64_t all_gone(struct sessions *s)
{
	return atomic_load(&s->expired) + atomic_load(&s->deleted) +
	       atomic_load(&s->evicted);
}

/* Without keys all are one owner's. Else those that were made are added to what
 * was counted, and when that comes to the limit, and sessions have gone since,
 * they are counted again. */
static int over_owned(struct sessions *s, const char *owner, uint64_t n,
	uint64_t max, struct error *err)
{
	const char *option = "sessions.max_per_owner";
	struct owned *o;
	uint64_t gone;
	int over;

	if (!owner || !*owner)
		return over_count(atomic_load(&s->count), n, max, option, err);
	pthread_mutex_lock(&s->owning);
	o = find_owned(s, owner);
	gone = all_gone(s);
	over = over_count(o->count, n, max, option, err);
	if (over && o->gone != gone && !count_rows(s, owner, &o->count, err)) {
		o->gone = gone;
		over = over_count(o->count, n, max, option, err);
	}
	if (!over)
		o->count += n;
	pthread_mutex_unlock(&s->owning);
	return over;
}

static int over_bytes(struct sessions *s, struct error *err)
{
	uint64_t bytes, max = s->options.max_bytes;

	if (!max)
		return 0;
	if (store_writer_bytes(s->writer, &bytes, err) < 0)
		return -1;
	if (bytes < max)
		return 0;
	return error_set(err, ERROR_NO_SPACE,
		"sessions take %llu bytes, sessions.max_bytes is %llu",
		(unsigned long long)bytes, (unsigned long long)max);
}

/* *whose gets who is to make room: NULL is anybody. */
static int over(struct sessions *s, const char *owner, uint64_t n,
	const char **whose, struct error *err)
{
	*whose = NULL;
	if (over_count(atomic_load(&s->count), n, s->options.max,
		    "sessions.max", err) < 0 ||
		over_bytes(s, err) < 0)
		return -1;
	*whose = owner;
	return over_owned(s, owner, n, s->options.max_per_owner, err);
}

int session_make_room(
	struct sessions *s, const char *owner, uint64_t n, struct error *err)
{
	uint64_t batch =
		n > s->options.max / BATCH ? n : s->options.max / BATCH;
	const char *whose;
	struct error why;

	if (sessions_be_counted(s, err) < 0)
		return -1;
	while (over(s, owner, n, &whose, &why) < 0) {
		if (why.code != ERROR_NO_SPACE ||
			s->options.when_full != SESSION_EVICT ||
			(s->options.max && n > s->options.max) ||
			!evict(s, whose, whose ? n : batch)) {
			if (err)
				*err = why;
			return -1;
		}
		store_writer_flush(s->writer); /* bytes come free there */
	}
	return 0;
}
