#include "text/vocabulary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void vocabulary_counts_release(struct vocabulary_counts *c)
{
	string_table_release(&c->strings);
	free(c->counts);
	*c = (struct vocabulary_counts){ 0 };
}

int vocabulary_count(struct vocabulary_counts *c, const char *s, size_t len,
	uint64_t times, struct error *err)
{
	uint32_t id = string_table_add(
		&c->strings, s, len, VOCABULARY_MAX_COUNTED, err);
	uint64_t *counts;

	if (id == VOCABULARY_NONE)
		return -1;
	if (c->strings.cap > c->cap) {
		counts = reallocarray(
			c->counts, c->strings.cap, sizeof(*counts));
		if (!counts)
			return error_set_memory(err, "vocabulary",
				c->strings.cap * sizeof(*counts));
		memset(counts + c->cap, 0,
			(c->strings.cap - c->cap) * sizeof(*counts));
		c->counts = counts;
		c->cap = c->strings.cap;
	}
	c->counts[id] += times;
	return 0;
}

struct counted {
	const char *s;
	size_t len;
	uint64_t count;
};

static int by_count(const void *x, const void *y)
{
	const struct counted *a = x, *b = y;
	int order;

	if (a->count != b->count)
		return a->count > b->count ? -1 : 1;
	order = memcmp(a->s, b->s, a->len < b->len ? a->len : b->len);
	return order ? order : (a->len > b->len) - (a->len < b->len);
}

static int add(
	struct vocabulary *v, const char *s, size_t len, struct error *err)
{
	uint32_t id =
		string_table_add(&v->strings, s, len, VOCABULARY_MAX, err);

	if (id == VOCABULARY_NONE)
		return -1;
	if (len > v->longest)
		v->longest = len;
	if (len == strlen(VOCABULARY_UNKNOWN) &&
		!memcmp(s, VOCABULARY_UNKNOWN, len)) {
		v->has_unknown = true;
		v->unknown = id;
	}
	return 0;
}

/* The frequent ones, sorted, into `list`: how many. */
static size_t select_frequent(const struct vocabulary_counts *c,
	uint64_t min_count, struct counted *list)
{
	size_t n = 0;

	for (uint32_t id = 0; id < c->strings.n; id++) {
		struct counted *e = &list[n];

		e->count = c->counts[id];
		e->s = string_table_get(&c->strings, id, &e->len);
		n += e->count >= min_count;
	}
	qsort(list, n, sizeof(*list), by_count);
	return n;
}

int vocabulary_learn(struct vocabulary *v, const struct vocabulary_counts *c,
	uint64_t min_count, size_t max, struct error *err)
{
	struct counted *list = calloc(c->strings.n + 1, sizeof(*list));
	size_t n;
	int failed = 0;

	*v = (struct vocabulary){ 0 };
	if (!list)
		return error_set_memory(
			err, "vocabulary", (c->strings.n + 1) * sizeof(*list));
	n = select_frequent(c, min_count, list);
	if (max && n + (n < c->strings.n) > max)
		n = max - 1;
	if (!n)
		failed = error_set_param(err, ERROR_INVALID, "min-count",
			"none of %zu distinct tokens came %llu times: nothing "
			"is left to learn",
			c->strings.n, (unsigned long long)min_count);
	if (!failed && n < c->strings.n)
		failed = add(
			v, VOCABULARY_UNKNOWN, strlen(VOCABULARY_UNKNOWN), err);
	for (size_t i = 0; i < n && !failed; i++)
		failed = add(v, list[i].s, list[i].len, err);
	free(list);
	if (failed)
		vocabulary_release(v);
	return failed;
}

static int wrong_entry(size_t id, const char *what, struct error *err)
{
	return error_set_param(err, ERROR_INVALID, "vocabulary",
		"tokenizer: vocabulary[%zu] is %s", id, what);
}

static int load_entry(
	struct vocabulary *v, const json_t *entry, size_t id, struct error *err)
{
	const char *s = json_string_value(entry);
	size_t len = json_string_length(entry);
	char what[128];
	uint32_t other;

	if (!json_is_string(entry))
		return wrong_entry(id, "not a string", err);
	if (!len)
		return wrong_entry(id, "empty", err);
	if (len > VOCABULARY_MAX_STRING) {
		snprintf(what, sizeof(what),
			"%zu bytes long, expected at most %u", len,
			VOCABULARY_MAX_STRING);
		return wrong_entry(id, what, err);
	}
	if (len > 1 && memchr(s, 0, len))
		return wrong_entry(id,
			"a string with a NUL in it, expected none but alone",
			err);
	other = string_table_find(&v->strings, s, len);
	if (other != VOCABULARY_NONE) {
		snprintf(what, sizeof(what), "\"%.40s\", as is vocabulary[%u]",
			s, other);
		return wrong_entry(id, what, err);
	}
	return add(v, s, len, err);
}

int vocabulary_load(struct vocabulary *v, const json_t *list, struct error *err)
{
	size_t n = json_array_size(list);

	*v = (struct vocabulary){ 0 };
	if (!json_is_array(list))
		return error_set_param(err, ERROR_INVALID, "vocabulary",
			"tokenizer: vocabulary is missing or not an array");
	if (!n || n > VOCABULARY_MAX)
		return error_set_param(err, ERROR_INVALID, "vocabulary",
			"tokenizer: vocabulary of %zu tokens, expected 1 to %u",
			n, VOCABULARY_MAX);
	for (size_t id = 0; id < n; id++) {
		if (load_entry(v, json_array_get(list, id), id, err) < 0) {
			vocabulary_release(v);
			return -1;
		}
	}
	return 0;
}

json_t *vocabulary_save(const struct vocabulary *v)
{
	json_t *list = json_array();

	for (uint32_t id = 0; id < v->strings.n; id++) {
		size_t len;
		const char *s = string_table_get(&v->strings, id, &len);

		if (json_array_append_new(list, json_stringn(s, len)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

void vocabulary_release(struct vocabulary *v)
{
	string_table_release(&v->strings);
	*v = (struct vocabulary){ 0 };
}
