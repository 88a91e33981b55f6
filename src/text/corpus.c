/* Pass one learns the vocabulary, pass two writes the ids; with a tokenizer
 * that is known there is only the second. */
#include "text/corpus.h"

#include "text/corpus_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#define CARRY_MAX (32u << 20) /* of text that waits for what follows it */
#define PART (8u << 20)	      /* tokens: more than a chunk of text has */

/* Ids on their way to where they stay. */
struct writer {
	const struct corpus_options *options;
	unsigned width;
	char *memory; /* [cap] owned, NULL once there is a file */
	size_t len;   /* bytes */
	size_t cap;
	int fd; /* or -1 */
};

struct pass {
	struct tokenizer_builder *builder; /* in pass one */
	struct tokenizer *tokenizer;	   /* in pass two */
	enum unknown_policy unknown;
	struct tokenizer_count count; /* of the file `input` */
	uint64_t characters;	      /* of those before it */
	size_t input;
	struct token_buf ids;
	struct buf carry; /* the end of a part, cut from what follows */
	struct writer *writer;
	XXH3_state_t *hash;
	uint64_t bytes;
};

static int spill(struct writer *w, struct error *err)
{
	w->fd = corpus_scratch_file(w->options->cache_dir, err);
	if (w->fd < 0)
		return -1;
	if (corpus_write(w->fd, w->memory, w->len, w->options->cache_dir, err) <
		0)
		return -1;
	free(w->memory);
	w->memory = NULL;
	return 0;
}

static int write_bytes(
	struct writer *w, const void *bytes, size_t len, struct error *err)
{
	size_t limit = w->options->memory ? w->options->memory : CORPUS_MEMORY;
	size_t cap = w->cap ? w->cap : 1u << 16;
	char *memory;

	if (w->fd < 0 && len > limit - w->len && spill(w, err) < 0)
		return -1;
	if (w->fd >= 0) {
		w->len += len;
		return corpus_write(
			w->fd, bytes, len, w->options->cache_dir, err);
	}
	while (cap - w->len < len)
		cap *= 2;
	if (cap != w->cap) {
		memory = realloc(w->memory, cap);
		if (!memory)
			return error_set_memory(err, "corpus", cap);
		w->memory = memory;
		w->cap = cap;
	}
	memcpy(w->memory + w->len, bytes, len);
	w->len += len;
	return 0;
}

/* Narrow in place: an id's new bytes never pass its old ones. */
static int write_ids(struct writer *w, struct token_buf *b, struct error *err)
{
	uint8_t *narrow = (uint8_t *)b->ids;
	size_t n = b->len;
	uint16_t id;

	if (w->width == 1)
		for (size_t i = 0; i < n; i++)
			narrow[i] = (uint8_t)b->ids[i];
	if (w->width == 2) {
		for (size_t i = 0; i < n; i++) {
			id = (uint16_t)b->ids[i];
			memcpy(narrow + 2 * i, &id, sizeof(id));
		}
	}
	b->len = 0;
	return n ? write_bytes(w, b->ids, n * w->width, err) : 0;
}

static int encode(
	struct pass *p, const char *text, size_t len, struct error *err)
{
	if (tokenizer_encode_part(p->tokenizer, text, len, p->unknown,
		    &p->count, &p->ids, err) < 0)
		return -1;
	return write_ids(p->writer, &p->ids, err);
}

/* Encode up to the last safe cut; the rest waits. */
static int encode_part(
	struct pass *p, const char *text, size_t len, struct error *err)
{
	size_t n;

	if (p->carry.len) {
		if (buf_append(&p->carry, text, len) < 0)
			return error_set_memory(
				err, "text", p->carry.len + len);
		text = p->carry.data;
		len = p->carry.len;
	}
	n = tokenizer_boundary(p->tokenizer, text, len);
	if (encode(p, text, n, err) < 0)
		return -1;
	if (p->carry.len)
		buf_consume(&p->carry, n);
	else if (buf_append(&p->carry, text + n, len - n) < 0)
		return error_set_memory(err, "text", len - n);
	return 0;
}

static int take(void *arg, size_t input, const char *text, size_t len,
	struct error *err)
{
	struct pass *p = arg;

	p->bytes += len;
	XXH3_64bits_update(p->hash, text, len);
	if (p->builder)
		return tokenizer_builder_feed(p->builder, text, len, err);
	if (input != p->input) {
		/* Errors count from the start of the file they name. */
		p->characters += p->count.characters;
		p->count.characters = 0;
		p->input = input;
	}
	return encode_part(p, text, len, err);
}

static int empty(const struct corpus_options *o, struct error *err)
{
	return error_set_param(err, ERROR_INVALID, "text",
		"%s: the text is empty%s", o->paths[0],
		o->n_paths > 1 ? ", and so are the other files" : "");
}

static int learn(struct corpus *c, const struct corpus_options *o,
	struct corpus_source *s, struct pass *p, struct error *err)
{
	const char *kind = o->tokenizer ? o->tokenizer : "char";

	if (tokenizer_builder_open(&p->builder, kind, &o->learn, err) < 0)
		return -1;
	if (tokenizer_kind_learns(kind) &&
		corpus_source_read(s, take, p, err) < 0) {
		tokenizer_builder_abort(p->builder);
		return -1;
	}
	if (tokenizer_kind_learns(kind) && !p->bytes) {
		tokenizer_builder_abort(p->builder);
		return empty(o, err);
	}
	c->bytes = p->bytes;
	c->hash = XXH3_64bits_digest(p->hash);
	return tokenizer_builder_finish(p->builder, &c->tokenizer, err);
}

static int changed(const struct corpus_options *o, struct error *err)
{
	return error_set(err, ERROR_CONFLICT,
		"%s: the text changed while it was read", o->paths[0]);
}

/* Pass two; learnt says that pass one saw the same text. */
static int write_corpus(struct corpus *c, const struct corpus_options *o,
	struct corpus_source *s, struct pass *p, bool learnt, struct error *err)
{
	p->builder = NULL;
	p->bytes = 0;
	XXH3_64bits_reset(p->hash);
	p->tokenizer = c->tokenizer;
	p->writer->width = tokenizer_vocab(c->tokenizer) <= 1u << 8    ? 1
			   : tokenizer_vocab(c->tokenizer) <= 1u << 16 ? 2
								       : 4;
	if (corpus_source_read(s, take, p, err) < 0 ||
		encode(p, p->carry.data, p->carry.len, err) < 0) {
		if (learnt && err && err->code == ERROR_UNPROCESSABLE)
			return changed(o, err);
		return -1;
	}
	if (!p->bytes)
		return empty(o, err);
	if (learnt && XXH3_64bits_digest(p->hash) != c->hash)
		return changed(o, err);
	if (!p->writer->len)
		return error_set(err, ERROR_UNPROCESSABLE,
			"%s: none of its characters is in the vocabulary",
			o->paths[0]);
	c->bytes = p->bytes;
	c->faults = s->faults;
	c->charset = s->inputs[0].charset;
	c->hash = XXH3_64bits_digest(p->hash);
	c->characters = p->characters + p->count.characters;
	c->skipped = p->count.skipped;
	c->unknown = p->count.unknown;
	c->unknown_characters = p->count.unknown_characters;
	return 0;
}

/* The ids change hands from the writer to the corpus. */
static int keep(struct corpus *c, struct writer *w, struct error *err)
{
	void *data = w->memory;

	if (w->fd >= 0) {
		data = mmap(NULL, w->len, PROT_READ, MAP_SHARED, w->fd, 0);
		if (data == MAP_FAILED)
			return error_set_errno(err,
				"%s: cannot map a temporary file of %zu bytes",
				w->options->cache_dir, w->len);
		c->storage_mapped = true;
	} else {
		data = realloc(data, w->len);
		if (!data)
			data = w->memory;
		w->memory = NULL;
	}
	c->storage = data;
	c->storage_bytes = w->len;
	c->tokens = (struct tokens_view){ data, w->width, w->len / w->width };
	return 0;
}

int corpus_open(struct corpus *c, const struct corpus_options *o,
	struct tokenizer *known, struct error *err)
{
	bool learns = !known && tokenizer_kind_learns(
					o->tokenizer ? o->tokenizer : "char");
	struct writer w = { .options = o, .fd = -1 };
	struct pass p = { .writer = &w, .unknown = o->unknown };
	struct corpus_source s;
	int failed = -1;

	*c = (struct corpus){ 0 };
	if (corpus_source_open(&s, o, learns, err) < 0)
		return -1;
	token_buf_init(&p.ids, PART);
	buf_init(&p.carry, CARRY_MAX);
	p.hash = XXH3_createState();
	if (!p.hash) {
		error_set(err, ERROR_NO_MEMORY, "hash: out of memory");
		goto out;
	}
	XXH3_64bits_reset(p.hash);
	if (known)
		c->tokenizer = tokenizer_ref(known);
	else if (learn(c, o, &s, &p, err) < 0)
		goto out;
	if (write_corpus(c, o, &s, &p, learns, err) < 0 || keep(c, &w, err) < 0)
		goto out;
	failed = 0;
out:
	XXH3_freeState(p.hash);
	buf_release(&p.carry);
	token_buf_release(&p.ids);
	corpus_source_close(&s);
	free(w.memory);
	if (w.fd >= 0)
		close(w.fd);
	if (failed)
		corpus_release(c);
	return failed;
}

void corpus_release(struct corpus *c)
{
	tokenizer_unref(c->tokenizer);
	if (c->storage_mapped)
		munmap(c->storage, c->storage_bytes);
	else
		free(c->storage);
	*c = (struct corpus){ 0 };
}
