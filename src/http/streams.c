#include "http/streams.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static struct stream **find(struct streams *t, const char *id)
{
	struct stream **at =
		&t->buckets[XXH3_64bits(id, strlen(id)) % STREAMS_BUCKETS];

	while (*at && strcmp((*at)->id, id) != 0)
		at = &(*at)->next;
	return at;
}

struct stream *streams_find(struct streams *t, const char *id)
{
	return *find(t, id);
}

static void unlink_over(struct streams *t, struct stream *s)
{
	if (!s->over)
		return;
	s->over = false;
	if (s->older)
		s->older->newer = s->newer;
	else
		t->oldest = s->newer;
	if (s->newer)
		s->newer->older = s->older;
	else
		t->newest = s->older;
	s->older = s->newer = NULL;
}

static size_t weight(const struct stream *s)
{
	return s->log.len + s->marks.len;
}

static void clear(struct streams *t, struct stream *s)
{
	t->bytes -= weight(s);
	buf_release(&s->log);
	buf_release(&s->marks);
}

struct stream *streams_begin(
	struct streams *t, const char *id, uint64_t base, bool from_start)
{
	struct stream **at = find(t, id), *s = *at;

	if (s) {
		unlink_over(t, s);
		clear(t, s);
	} else {
		s = calloc(1, sizeof(*s));
		if (!s)
			return NULL;
		snprintf(s->id, sizeof(s->id), "%s", id);
		*at = s;
		t->count++;
	}
	buf_init(&s->log, t->max + STREAMS_FRAME);
	buf_init(&s->marks, t->max + STREAMS_FRAME);
	s->base = base;
	s->from_start = from_start;
	s->live = NULL;
	return s;
}

void streams_forget(struct streams *t, struct stream *s)
{
	struct stream **at = find(t, s->id);

	unlink_over(t, s);
	clear(t, s);
	*at = s->next;
	t->count--;
	free(s);
}

void streams_release(struct streams *t)
{
	for (size_t i = 0; i < STREAMS_BUCKETS; i++)
		while (t->buckets[i])
			streams_forget(t, t->buckets[i]);
}

static void forget_oldest(struct streams *t)
{
	struct stream *s = t->oldest;

	t->oldest = s->newer;
	if (t->oldest)
		t->oldest->older = NULL;
	else
		t->newest = NULL;
	s->newer = NULL;
	s->over = false;
	streams_forget(t, s);
}

void streams_forget_session(struct streams *t, const char *session)
{
	struct stream *newer;

	for (struct stream *s = t->oldest; s; s = newer) {
		newer = s->newer;
		if (!strcmp(s->session, session))
			streams_forget(t, s);
	}
}

void streams_sweep(struct streams *t, uint64_t now)
{
	while (t->oldest && t->oldest->until <= now)
		forget_oldest(t);
}

static size_t n_marks(const struct stream *s)
{
	return s->marks.len / sizeof(struct stream_mark);
}

static struct stream_mark *mark_at(const struct stream *s, size_t i)
{
	return (struct stream_mark *)s->marks.data + i;
}

/* What stays when mark i and all before it go. */
static size_t weight_after(const struct stream *s, size_t i)
{
	return s->log.len - mark_at(s, i)->end +
	       (n_marks(s) - i - 1) * sizeof(struct stream_mark);
}

/* Keep the newest `room` bytes at most, from a frame's end on. */
static void trim(struct streams *t, struct stream *s, size_t room)
{
	size_t n = n_marks(s), drop = 0, bytes;

	while (drop < n && weight_after(s, drop) > room)
		drop++;
	t->bytes -= weight(s);
	s->from_start = false;
	if (drop == n) { /* not even the last frame fits */
		s->base = n ? mark_at(s, n - 1)->tokens : s->base;
		buf_clear(&s->log);
		buf_clear(&s->marks);
		return;
	}
	bytes = mark_at(s, drop)->end;
	s->base = mark_at(s, drop)->tokens;
	buf_consume(&s->log, bytes);
	buf_consume(&s->marks, (drop + 1) * sizeof(struct stream_mark));
	for (size_t i = 0; i < n_marks(s); i++)
		mark_at(s, i)->end -= bytes;
	t->bytes += weight(s);
}

void stream_log(struct streams *t, struct stream *s, const char *bytes,
	size_t len, bool has_id, uint64_t tokens, uint64_t settled)
{
	struct stream_mark m = { .tokens = tokens, .settled = settled };
	size_t before = weight(s);

	if (buf_append(&s->log, bytes, len) < 0) {
		s->base = has_id ? tokens : s->base;
		trim(t, s, 0);
		return;
	}
	m.end = s->log.len;
	if (has_id && buf_append(&s->marks, &m, sizeof(m)) < 0) {
		t->bytes += weight(s) - before;
		trim(t, s, 0);
		s->base = tokens;
		return;
	}
	t->bytes += weight(s) - before;
	/* By more than the one frame: moving the rest is not free. */
	if (weight(s) > t->max)
		trim(t, s, t->max / 2);
	while (t->bytes > t->max_total && t->oldest)
		forget_oldest(t);
	if (t->bytes > t->max_total)
		trim(t, s, 0);
}

void stream_over(struct streams *t, struct stream *s, uint64_t now)
{
	s->live = NULL;
	s->over = true;
	s->until = now + t->ttl;
	s->older = t->newest;
	if (s->older)
		s->older->newer = s;
	else
		t->oldest = s;
	t->newest = s;
}

/* The last mark at or before the token; -1 when there is none. */
static ptrdiff_t last_mark(const struct stream *s, uint64_t tokens)
{
	size_t low = 0, high = n_marks(s);

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (mark_at(s, mid)->tokens <= tokens)
			low = mid + 1;
		else
			high = mid;
	}
	return (ptrdiff_t)low - 1;
}

int stream_seek(const struct stream *s, const uint64_t *from, size_t *offset,
	struct error *err)
{
	size_t n = n_marks(s);
	ptrdiff_t i;

	*offset = 0;
	if (!from)
		return s->from_start ? 0 : 1;
	i = last_mark(s, *from);
	if (i >= 0 && mark_at(s, (size_t)i)->tokens == *from) {
		*offset = mark_at(s, (size_t)i)->end;
		return 0;
	}
	if (i < 0 && *from == s->base)
		return 0;
	if (*from < s->base)
		return 1;
	if ((size_t)i + 1 == n)
		return error_set_param(err, ERROR_INVALID, "from",
			"from is %llu, but the last event that was sent is "
			"%llu",
			(unsigned long long)*from,
			(unsigned long long)(n ? mark_at(s, n - 1)->tokens
					       : s->base));
	return error_set_param(err, ERROR_INVALID, "from",
		"from is %llu, expected the id of an event that was sent: the "
		"nearest are %llu and %llu",
		(unsigned long long)*from,
		(unsigned long long)(i < 0 ? s->base
					   : mark_at(s, (size_t)i)->tokens),
		(unsigned long long)mark_at(s, (size_t)(i + 1))->tokens);
}
