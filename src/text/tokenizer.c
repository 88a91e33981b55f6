#include "text/tokenizer.h"

#include "text/tokenizer_ops.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct tokenizer_ops *const kinds[] = {
	&tokenizer_byte,
	&tokenizer_char,
	&tokenizer_word,
	&tokenizer_bpe,
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static const char *names[N_KINDS + 1];
static pthread_once_t names_once = PTHREAD_ONCE_INIT;

static void list_names(void)
{
	for (size_t i = 0; i < N_KINDS; i++)
		names[i] = kinds[i]->name;
}

const char *const *tokenizer_kinds(void)
{
	pthread_once(&names_once, list_names);
	return names;
}

static const struct tokenizer_ops *find_kind(
	const char *name, struct error *err)
{
	char known[128] = "";
	size_t len = 0;

	for (size_t i = 0; i < N_KINDS; i++)
		if (!strcmp(kinds[i]->name, name))
			return kinds[i];
	for (size_t i = 0; i < N_KINDS && len < sizeof(known); i++)
		len += (size_t)snprintf(known + len, sizeof(known) - len,
			"%s%s", i ? ", " : "", kinds[i]->name);
	error_set_param(err, ERROR_INVALID, "tokenizer",
		"tokenizer: kind \"%.64s\", expected one of %s", name, known);
	return NULL;
}

bool tokenizer_kind_learns(const char *kind)
{
	const struct tokenizer_ops *ops = find_kind(kind, NULL);

	return ops && ops->learns;
}

static void adopt(struct tokenizer *t, const struct tokenizer_ops *ops)
{
	t->ops = ops;
	atomic_init(&t->references, 1);
}

/* A new text most often begins as a new line does. */
static uint32_t default_start(const struct tokenizer *t)
{
	size_t len;
	const char *bytes;

	for (uint32_t id = 0; id < t->vocab; id++) {
		bytes = tokenizer_bytes(t, id, &len);
		if (len == 1 && bytes[0] == '\n')
			return id;
	}
	return 0;
}

int tokenizer_builder_nothing(struct tokenizer_builder *b, struct error *err)
{
	return 0;
}

static int check_options(const struct tokenizer_ops *ops,
	const struct tokenizer_options *o, struct error *err)
{
	const struct {
		bool told;
		unsigned takes;
		const char *name;
	} rows[] = {
		{ o->min_count > 1, TAKES_MIN_COUNT, "min-count" },
		{ o->max_vocab > 0, TAKES_MAX_VOCAB, "max-vocab" },
		{ o->lower_case, TAKES_LOWER_CASE, "lower-case" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].told && !(ops->takes & rows[i].takes))
			return error_set_param(err, ERROR_INVALID, rows[i].name,
				"tokenizer %s takes no %s", ops->name,
				rows[i].name);
	return 0;
}

int tokenizer_builder_open(struct tokenizer_builder **b, const char *kind,
	const struct tokenizer_options *options, struct error *err)
{
	const struct tokenizer_ops *ops = find_kind(kind, err);

	*b = NULL;
	if (!ops || (options && check_options(ops, options, err) < 0))
		return -1;
	*b = calloc(1, ops->builder_size);
	if (!*b)
		return error_set_memory(err, "tokenizer", ops->builder_size);
	(*b)->ops = ops;
	if (options)
		(*b)->options = *options;
	if (ops->builder_open(*b, err) == 0)
		return 0;
	tokenizer_builder_abort(*b);
	*b = NULL;
	return -1;
}

int tokenizer_builder_feed(struct tokenizer_builder *b, const char *text,
	size_t len, struct error *err)
{
	if (b->ops->feed(b, text, len, err) < 0)
		return -1;
	b->bytes += len;
	return 0;
}

int tokenizer_builder_finish(
	struct tokenizer_builder *b, struct tokenizer **t, struct error *err)
{
	const struct tokenizer_ops *ops = b->ops;
	int failed = ops->finish(b, t, err);

	tokenizer_builder_abort(b);
	if (failed)
		return -1;
	adopt(*t, ops);
	(*t)->start = default_start(*t);
	return 0;
}

void tokenizer_builder_abort(struct tokenizer_builder *b)
{
	if (!b)
		return;
	b->ops->builder_release(b);
	free(b);
}

static int check_fields(
	const struct tokenizer_ops *ops, const json_t *json, struct error *err)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)json, key, value)
	{
		const char *const *field = ops->fields;

		if (!strcmp(key, "kind") || !strcmp(key, "start"))
			continue;
		while (*field && strcmp(*field, key) != 0)
			field++;
		if (!*field)
			return error_set_param(err, ERROR_INVALID, key,
				"tokenizer: unknown field \"%.64s\"", key);
	}
	return 0;
}

static int load_start(
	struct tokenizer *t, const json_t *json, struct error *err)
{
	const json_t *start = json_object_get(json, "start");
	json_int_t id;

	if (!start) {
		t->start = default_start(t);
		return 0;
	}
	id = json_integer_value(start);
	if (!json_is_integer(start))
		return error_set_param(err, ERROR_INVALID, "start",
			"tokenizer: start is not an integer");
	if (id < 0 || (uint64_t)id >= t->vocab)
		return error_set_param(err, ERROR_INVALID, "start",
			"tokenizer: start %lld, expected 0 to %zu",
			(long long)id, t->vocab - 1);
	t->start = (uint32_t)id;
	return 0;
}

int tokenizer_load(struct tokenizer **t, const json_t *json, struct error *err)
{
	const json_t *kind = json_object_get(json, "kind");
	const struct tokenizer_ops *ops;

	*t = NULL;
	if (!json_is_object(json))
		return error_set_param(err, ERROR_INVALID, "tokenizer",
			"tokenizer: not an object");
	if (!json_is_string(kind))
		return error_set_param(err, ERROR_INVALID, "kind",
			"tokenizer: kind is missing or not a string");
	ops = find_kind(json_string_value(kind), err);
	if (!ops || check_fields(ops, json, err) < 0 ||
		ops->load(t, json, err) < 0)
		return -1;
	adopt(*t, ops);
	if (load_start(*t, json, err) < 0) {
		tokenizer_unref(*t);
		*t = NULL;
		return -1;
	}
	return 0;
}

json_t *tokenizer_save(const struct tokenizer *t)
{
	json_t *json = json_object();

	if (json_object_set_new(json, "kind", json_string(t->ops->name)) < 0 ||
		t->ops->save(t, json) < 0 ||
		json_object_set_new(json, "start", json_integer(t->start)) <
			0) {
		json_decref(json);
		return NULL;
	}
	return json;
}

struct tokenizer *tokenizer_ref(struct tokenizer *t)
{
	atomic_fetch_add_explicit(&t->references, 1, memory_order_relaxed);
	return t;
}

void tokenizer_unref(struct tokenizer *t)
{
	if (t && atomic_fetch_sub_explicit(
			 &t->references, 1, memory_order_acq_rel) == 1)
		t->ops->release(t);
}

const char *tokenizer_kind(const struct tokenizer *t)
{
	return t->ops->name;
}

size_t tokenizer_vocab(const struct tokenizer *t)
{
	return t->vocab;
}

uint32_t tokenizer_start(const struct tokenizer *t)
{
	return t->start;
}

uint32_t tokenizer_unknown(const struct tokenizer *t)
{
	return t->has_unknown ? t->unknown : TOKENIZER_NONE;
}

int tokenizer_invalid_utf8(const char *s, size_t len, const char *unit,
	uint64_t offset, struct error *err)
{
	char hex[4 * 5 + 1] = "";

	for (size_t i = 0; i < len && i < 4; i++)
		snprintf(hex + i * 5, sizeof(hex) - i * 5, " 0x%02x",
			(unsigned char)s[i]);
	return error_set(err, ERROR_UNPROCESSABLE,
		"invalid UTF-8 at %s %llu:%s", unit, (unsigned long long)offset,
		hex);
}

int tokenizer_encode_part(const struct tokenizer *t, const char *text,
	size_t len, enum unknown_policy policy, struct tokenizer_count *count,
	struct token_buf *out, struct error *err)
{
	return t->ops->encode(t, text, len, policy, count, out, err);
}

size_t tokenizer_boundary(
	const struct tokenizer *t, const char *text, size_t len)
{
	return t->ops->boundary(t, text, len);
}

int tokenizer_encode(const struct tokenizer *t, const char *text, size_t len,
	enum unknown_policy policy, struct token_buf *out, size_t *skipped,
	struct error *err)
{
	struct tokenizer_count count = { 0 };
	int failed = t->ops->encode(t, text, len, policy, &count, out, err);

	if (skipped)
		*skipped = count.skipped;
	return failed;
}

const char *tokenizer_bytes(const struct tokenizer *t, uint32_t id, size_t *len)
{
	if (id >= t->vocab) {
		*len = 0;
		return NULL;
	}
	return t->ops->bytes(t, id, len);
}
