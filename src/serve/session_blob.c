/*
 * A session as bytes, little-endian:
 *   magic, version, checksum of all that follows, length, then the fields in
 *   the order of put_fields, strings and arrays with their lengths before.
 */
#include "serve/session.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define MAGIC 0x53524e55u /* "UNRS" */
#define VERSION 1
#define HEADER 16 /* magic, version, checksum */
#define BLOB_MAX (64u << 20)

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	"blobs are written in the machine's order");
_Static_assert(sizeof(real) == 4, "blobs hold floats");

int session_state_init(struct session_state *s, const struct registry_entry *m,
	struct error *err)
{
	*s = (struct session_state){ .n_hidden = m->state_floats,
		.pending = tokenizer_start(m->tokenizer) };
	s->hidden = calloc(s->n_hidden ? s->n_hidden : 1, sizeof(real));
	if (!s->hidden)
		return error_set_memory(
			err, "session state", s->n_hidden * sizeof(real));
	return 0;
}

void session_state_release(struct session_state *s)
{
	free(s->hidden);
	s->hidden = NULL;
}

void session_state_copy(
	struct session_state *to, const struct session_state *from)
{
	real *hidden = to->hidden;

	memcpy(hidden, from->hidden, from->n_hidden * sizeof(real));
	*to = *from;
	to->hidden = hidden;
}

void session_info_release(struct session_info *i)
{
	free(i->metadata);
	i->metadata = NULL;
}

static size_t window_length(uint64_t position)
{
	return position < SESSION_WINDOW ? (size_t)position : SESSION_WINDOW;
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

static void put_fields(struct writer *w, const struct session_info *i,
	const struct session_state *s)
{
	put_text(w, i->id);
	put_text(w, i->model);
	put_text(w, i->kernels);
	put_text(w, i->metadata);
	put64(w, i->fingerprint);
	put64(w, i->seed);
	put64(w, (uint64_t)i->created);
	put64(w, (uint64_t)i->used);
	put64(w, (uint64_t)i->ttl);
	put64(w, s->position);
	put32(w, s->pending);
	put32(w, s->decoder.n_held);
	put(w, s->decoder.held, sizeof(s->decoder.held));
	put(w, s->window, window_length(s->position) * sizeof(*s->window));
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

static void take_info(struct reader *r, struct session_info *i)
{
	take_text(r, i->id, sizeof(i->id));
	take_text(r, i->model, sizeof(i->model));
	take_text(r, i->kernels, sizeof(i->kernels));
	i->metadata = take_metadata(r);
	i->fingerprint = take64(r);
	i->seed = take64(r);
	i->created = (int64_t)take64(r);
	i->used = (int64_t)take64(r);
	i->ttl = (int64_t)take64(r);
	i->expires = i->ttl ? i->used + i->ttl : STORE_NEVER;
}

static void take_state(struct reader *r, struct session_state *s)
{
	uint32_t n_held;

	s->position = take64(r);
	s->pending = take32(r);
	n_held = take32(r);
	if (n_held >= sizeof(s->decoder.held))
		r->failed = -1;
	s->decoder.n_held = (uint8_t)n_held;
	take(r, s->decoder.held, sizeof(s->decoder.held));
	take(r, s->window, window_length(s->position) * sizeof(*s->window));
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

	if (len < HEADER || len > BLOB_MAX)
		return error_set(err, ERROR_CORRUPT,
			"session blob of %zu bytes, expected %d to %u", len,
			HEADER, BLOB_MAX);
	memcpy(&magic, blob, 4);
	memcpy(&version, blob + 4, 4);
	memcpy(&sum, blob + 8, 8);
	if (magic != MAGIC)
		return error_set(err, ERROR_CORRUPT,
			"session blob begins with %08x, expected %08x", magic,
			MAGIC);
	if (version != VERSION)
		return error_set(err, ERROR_UNSUPPORTED,
			"session blob has version %u, this program knows %d",
			version, VERSION);
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

/* Where h lies in [layers][states][hidden]. */
static int check_hidden(const struct session_state *s,
	const struct architecture *a, struct error *err)
{
	size_t stride = s->n_hidden / a->layers;

	for (size_t l = 0; l < a->layers; l++)
		for (size_t j = 0; j < a->hidden; j++) {
			real h = s->hidden[l * stride + j];

			if (!(fabsf(h) <= 1))
				return error_set(err, ERROR_CORRUPT,
					"hidden state of layer %zu, unit %zu"
					" is %g, expected -1 to 1",
					l, j, (double)h);
		}
	return 0;
}

int session_state_check(const struct session_state *s,
	const struct registry_entry *model, struct error *err)
{
	size_t n = window_length(s->position);

	if (s->n_hidden != model->state_floats)
		return error_set(err, ERROR_CORRUPT,
			"hidden state has %zu values, expected %zu",
			s->n_hidden, model->state_floats);
	if (s->pending >= model->vocab)
		return error_set(err, ERROR_CORRUPT,
			"pending token %u is not below the vocabulary's %zu",
			s->pending, model->vocab);
	for (size_t i = 0; i < n; i++)
		if (s->window[i] >= model->vocab)
			return error_set(err, ERROR_CORRUPT,
				"recent token %u is not below the vocabulary's"
				" %zu",
				s->window[i], model->vocab);
	return check_hidden(s, model_architecture(model->model), err);
}
