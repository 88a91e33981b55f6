/*
 * A session as bytes, little-endian:
 *   magic, version, checksum of all that follows, length, then the fields in
 *   the order of put_fields, strings and arrays with their lengths before.
 */
#include "serve/session_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define MAGIC 0x53524e55u /* "UNRS" */
#define VERSION 2
#define HEADER 16 /* magic, version, checksum */
/* Version 1 had no owner, shape, policy, boundaries and snapshots. */
#define OLDEST 1

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	"blobs are written in the machine's order");
_Static_assert(sizeof(real) == 4, "blobs hold floats");

void session_info_release(struct session_info *i)
{
	free(i->metadata);
	free(i->snapshots);
	i->metadata = NULL;
	i->snapshots = NULL;
	i->n_snapshots = 0;
}

/* The writing side: the first failure sticks. */
struct writer {
	struct buf *out;
	int failed;
};

static void put(struct writer *w, const void *bytes, size_t n)
{
	if (buf_append(w->out, bytes, n) < 0)
		w->failed = -1;
}

static void put32(struct writer *w, uint32_t v)
{
	put(w, &v, sizeof(v));
}

static void put64(struct writer *w, uint64_t v)
{
	put(w, &v, sizeof(v));
}

static void put_text(struct writer *w, const char *text)
{
	uint32_t len = text ? (uint32_t)strlen(text) : UINT32_MAX;

	put32(w, len);
	if (text)
		put(w, text, len);
}

static void put_directory(struct writer *w, const struct session_info *i)
{
	put32(w, (uint32_t)i->n_boundaries);
	for (size_t k = 0; k < i->n_boundaries; k++) {
		put64(w, i->boundaries[k].position);
		put32(w, i->boundaries[k].slot);
	}
	put32(w, (uint32_t)i->n_snapshots);
	for (size_t k = 0; k < i->n_snapshots; k++) {
		put_text(w, i->snapshots[k].name);
		put64(w, i->snapshots[k].position);
		put64(w, (uint64_t)i->snapshots[k].created);
		put64(w, i->snapshots[k].bytes);
	}
}

static void put_fields(struct writer *w, const struct session_info *i,
	const struct session_state *s)
{
	put_text(w, i->id);
	put_text(w, i->model);
	put_text(w, i->kernels);
	put_text(w, i->metadata);
	put_text(w, i->owner);
	put64(w, i->fingerprint);
	put64(w, i->shape);
	put32(w, i->start);
	put64(w, i->seed);
	put64(w, (uint64_t)i->created);
	put64(w, (uint64_t)i->used);
	put64(w, (uint64_t)i->ttl);
	put32(w, i->policy);
	put_directory(w, i);
	put64(w, s->position);
	put32(w, s->pending);
	put32(w, s->decoder.n_held);
	put(w, s->decoder.held, sizeof(s->decoder.held));
	put(w, s->window,
		session_window_length(s->position) * sizeof(*s->window));
	put32(w, (uint32_t)s->n_hidden);
	put(w, s->hidden, s->n_hidden * sizeof(real));
}

static int check_finite(const struct session_state *s, struct error *err)
{
	for (size_t i = 0; i < s->n_hidden; i++)
		if (!isfinite(s->hidden[i]))
			return error_set(err, ERROR_CORRUPT,
				"hidden state %zu is %g, expected a finite"
				" number",
				i, (double)s->hidden[i]);
	return 0;
}

int session_encode(const struct session_info *info,
	const struct session_state *state, struct buf *blob, struct error *err)
{
	size_t start = blob->len;
	struct writer w = { .out = blob };
	uint64_t sum;

	if (info->metadata && strlen(info->metadata) > SESSION_METADATA_MAX)
		return error_set_param(err, ERROR_TOO_LARGE, "metadata",
			"metadata has %zu bytes, at most %d are kept",
			strlen(info->metadata), SESSION_METADATA_MAX);
	if (check_finite(state, err) < 0)
		return error_prefix(err, "session %s", info->id);
	put32(&w, MAGIC);
	put32(&w, VERSION);
	put64(&w, 0);
	put_fields(&w, info, state);
	if (w.failed)
		return error_set_memory(err, "session blob", blob->len - start);
	sum = XXH3_64bits_withSeed(blob->data + start + HEADER,
		blob->len - start - HEADER, VERSION);
	memcpy(blob->data + start + 8, &sum, sizeof(sum));
	return 0;
}

/* The reading side: past the end all is zero, and failed. */
struct reader {
	const char *at, *end;
	uint32_t version;
	int failed;
};

static void take(struct reader *r, void *to, size_t n)
{
	if (r->failed || n > (size_t)(r->end - r->at)) {
		r->failed = -1;
		memset(to, 0, n);
		return;
	}
	memcpy(to, r->at, n);
	r->at += n;
}

static uint32_t take32(struct reader *r)
{
	uint32_t v;

	take(r, &v, sizeof(v));
	return v;
}

static uint64_t take64(struct reader *r)
{
	uint64_t v;

	take(r, &v, sizeof(v));
	return v;
}

/* Into a field of `size` bytes, its NUL included. */
static void take_text(struct reader *r, char *text, size_t size)
{
	uint32_t len = take32(r);

	if (len >= size)
		r->failed = -1;
	take(r, text, r->failed ? 0 : len);
	text[r->failed ? 0 : len] = '\0';
	if (strlen(text) != (r->failed ? 0 : len))
		r->failed = -1;
}

static char *take_metadata(struct reader *r)
{
	uint32_t len = take32(r);
	char *text;

	if (len == UINT32_MAX || r->failed)
		return NULL;
	if (len > SESSION_METADATA_MAX) {
		r->failed = -1;
		return NULL;
	}
	text = malloc(len + 1);
	if (!text) {
		r->failed = -1;
		return NULL;
	}
	take(r, text, len);
	text[len] = '\0';
	return text;
}

static void take_boundaries(struct reader *r, struct session_info *i)
{
	uint32_t n = take32(r);

	if (n > SESSION_BOUNDARIES_MAX)
		r->failed = -1;
	for (uint32_t k = 0; k < n && !r->failed; k++) {
		struct session_boundary *b = &i->boundaries[k];

		b->position = take64(r);
		b->slot = take32(r);
		if (b->slot >= SESSION_BOUNDARIES_MAX)
			r->failed = -1;
		i->n_boundaries++;
	}
}

static void take_snapshots(struct reader *r, struct session_info *i)
{
	uint32_t n = take32(r);

	if (n > SESSION_SNAPSHOTS_MAX)
		r->failed = -1;
	if (r->failed || !n)
		return;
	i->snapshots = calloc(n, sizeof(*i->snapshots));
	if (!i->snapshots) {
		r->failed = -1;
		return;
	}
	for (; i->n_snapshots < n && !r->failed; i->n_snapshots++) {
		struct session_snapshot *s = &i->snapshots[i->n_snapshots];

		take_text(r, s->name, sizeof(s->name));
		s->position = take64(r);
		s->created = (int64_t)take64(r);
		s->bytes = take64(r);
	}
}

/* Times are added up later on: none may be out of the world. */
static void check_info(struct reader *r, const struct session_info *i)
{
	if (i->created < 0 || i->used < 0 || i->ttl < 0 ||
		i->used > STORE_NEVER / 2 || i->policy > SESSION_RESET)
		r->failed = -1;
	for (const char *p = i->kernels; *p; p++)
		if (*p < ' ' || *p > '~')
			r->failed = -1;
	for (const char *p = i->id; *p; p++)
		if (*p < ' ' || *p > '~')
			r->failed = -1;
	for (const char *p = i->model; *p; p++)
		if (*p < ' ' || *p > '~')
			r->failed = -1;
}

static void take_info(struct reader *r, struct session_info *i)
{
	take_text(r, i->id, sizeof(i->id));
	take_text(r, i->model, sizeof(i->model));
	take_text(r, i->kernels, sizeof(i->kernels));
	i->metadata = take_metadata(r);
	if (r->version > 1)
		take_text(r, i->owner, sizeof(i->owner));
	i->fingerprint = take64(r);
	i->start = UINT32_MAX;
	if (r->version > 1) {
		i->shape = take64(r);
		i->start = take32(r);
	}
	i->seed = take64(r);
	i->created = (int64_t)take64(r);
	i->used = (int64_t)take64(r);
	i->ttl = (int64_t)take64(r);
	if (r->version > 1) {
		i->policy = take32(r);
		take_boundaries(r, i);
		take_snapshots(r, i);
	}
	check_info(r, i);
	i->expires = r->failed ? 0 : session_expiry(i->used, i->ttl);
}

static void take_state(struct reader *r, struct session_state *s)
{
	uint32_t n_held;

	s->position = take64(r);
	s->pending = take32(r);
	n_held = take32(r);
	if (n_held >= sizeof(s->decoder.held) || s->position > INT64_MAX)
		r->failed = -1;
	s->decoder.n_held = (uint8_t)n_held;
	take(r, s->decoder.held, sizeof(s->decoder.held));
	if (r->failed || !decoder_valid(&s->decoder)) {
		r->failed = -1;
		return;
	}
	take(r, s->window,
		session_window_length(s->position) * sizeof(*s->window));
	s->n_hidden = take32(r);
	if (s->n_hidden != (size_t)(r->end - r->at) / sizeof(real))
		r->failed = -1;
	if (r->failed)
		return;
	s->hidden = malloc(s->n_hidden ? s->n_hidden * sizeof(real) : 1);
	if (!s->hidden) {
		r->failed = -1;
		return;
	}
	take(r, s->hidden, s->n_hidden * sizeof(real));
	if (r->at != r->end)
		r->failed = -1;
}

static int check_header(const char *blob, size_t len, struct error *err)
{
	uint32_t magic, version;
	uint64_t sum;

	if (len < HEADER || len > SESSION_BLOB_MAX)
		return error_set(err, ERROR_CORRUPT,
			"session blob of %zu bytes, expected %d to %u", len,
			HEADER, SESSION_BLOB_MAX);
	memcpy(&magic, blob, 4);
	memcpy(&version, blob + 4, 4);
	memcpy(&sum, blob + 8, 8);
	if (magic != MAGIC)
		return error_set(err, ERROR_CORRUPT,
			"session blob begins with %08x, expected %08x", magic,
			MAGIC);
	if (version < OLDEST || version > VERSION)
		return error_set(err, ERROR_UNSUPPORTED,
			"session blob has version %u, this program knows %d to"
			" %d",
			version, OLDEST, VERSION);
	if (sum != XXH3_64bits_withSeed(blob + HEADER, len - HEADER, version))
		return error_set(
			err, ERROR_CORRUPT, "session blob fails its checksum");
	return 0;
}

int session_decode(const void *blob, size_t len, struct session_info *info,
	struct session_state *state, struct error *err)
{
	struct reader r = { .at = (const char *)blob + HEADER,
		.end = (const char *)blob + len };
	struct session_state s = { 0 };
	int result = -1;

	*info = (struct session_info){ 0 };
	if (check_header(blob, len, err) < 0)
		return -1;
	memcpy(&r.version, (const char *)blob + 4, sizeof(r.version));
	take_info(&r, info);
	take_state(&r, &s);
	info->position = s.position;
	info->bytes = len;
	if (r.failed)
		error_set(err, ERROR_CORRUPT,
			"session blob's fields don't fit its %zu bytes", len);
	else
		result = check_finite(&s, err);
	if (result < 0 || !state)
		session_state_release(&s);
	if (result < 0)
		session_info_release(info);
	else if (state)
		*state = s;
	return result;
}
