#include "nn/safetensors.h"

#include <endian.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER == __LITTLE_ENDIAN,
	"tensors are used as the file holds them, little-endian");

static const struct {
	const char *name;
	size_t size;
} dtypes[] = {
	[SAFETENSORS_F64] = { "F64", 8 },
	[SAFETENSORS_F32] = { "F32", 4 },
	[SAFETENSORS_F16] = { "F16", 2 },
	[SAFETENSORS_BF16] = { "BF16", 2 },
	[SAFETENSORS_I64] = { "I64", 8 },
	[SAFETENSORS_U64] = { "U64", 8 },
	[SAFETENSORS_U32] = { "U32", 4 },
	[SAFETENSORS_U8] = { "U8", 1 },
};

#define N_DTYPES (sizeof(dtypes) / sizeof(dtypes[0]))

const char *safetensors_dtype_name(enum safetensors_dtype dtype)
{
	return dtypes[dtype].name;
}

size_t safetensors_dtype_size(enum safetensors_dtype dtype)
{
	return dtypes[dtype].size;
}

size_t safetensors_count(const struct safetensors_entry *e)
{
	size_t n = 1;

	for (size_t i = 0; i < e->n_dims; i++)
		n *= e->shape[i];
	return n;
}

void safetensors_shape_text(
	const struct safetensors_entry *e, char *out, size_t size)
{
	size_t len = (size_t)snprintf(out, size, "[");

	for (size_t i = 0; i < e->n_dims && len < size; i++)
		len += (size_t)snprintf(out + len, size - len, "%s%zu",
			i ? "," : "", e->shape[i]);
	if (len < size)
		snprintf(out + len, size - len, "]");
}

#define corrupt(name, err, ...) \
	error_set_param(err, ERROR_CORRUPT, name, "tensor " __VA_ARGS__)

static int parse_dtype(
	struct safetensors_entry *e, const json_t *json, struct error *err)
{
	const char *dtype = json_string_value(json_object_get(json, "dtype"));

	if (!dtype)
		return corrupt(e->name, err,
			"%s: dtype is missing or not a string", e->name);
	for (size_t i = 0; i < N_DTYPES; i++) {
		e->dtype = (enum safetensors_dtype)i;
		if (!strcmp(dtypes[i].name, dtype))
			return 0;
	}
	return error_set_param(err, ERROR_UNSUPPORTED, e->name,
		"tensor %s: dtype \"%.32s\", expected F64, F32, F16, BF16, "
		"I64, U64, U32 or U8",
		e->name, dtype);
}

static int parse_shape(
	struct safetensors_entry *e, const json_t *json, struct error *err)
{
	const json_t *shape = json_object_get(json, "shape"), *dim;

	if (!json_is_array(shape))
		return corrupt(e->name, err,
			"%s: shape is missing or not an array", e->name);
	e->n_dims = json_array_size(shape);
	if (e->n_dims > SAFETENSORS_MAX_DIMS)
		return corrupt(e->name, err,
			"%s: shape has %zu dimensions, expected at most %d",
			e->name, e->n_dims, SAFETENSORS_MAX_DIMS);
	for (size_t i = 0; i < e->n_dims; i++) {
		dim = json_array_get(shape, i);
		if (!json_is_integer(dim) || json_integer_value(dim) < 0)
			return corrupt(e->name, err,
				"%s: shape[%zu] is not a whole number", e->name,
				i);
		e->shape[i] = (size_t)json_integer_value(dim);
	}
	return 0;
}

static int parse_offsets(const struct safetensors_entry *e, const json_t *json,
	size_t offsets[2], struct error *err)
{
	const json_t *pair = json_object_get(json, "data_offsets"), *offset;

	if (json_array_size(pair) != 2)
		return corrupt(e->name, err,
			"%s: data_offsets is missing or not an array of two",
			e->name);
	for (size_t i = 0; i < 2; i++) {
		offset = json_array_get(pair, i);
		if (!json_is_integer(offset) || json_integer_value(offset) < 0)
			return corrupt(e->name, err,
				"%s: data_offsets[%zu] is not a whole number",
				e->name, i);
		offsets[i] = (size_t)json_integer_value(offset);
	}
	return 0;
}

static int check_size(const struct safetensors_entry *e, struct error *err)
{
	size_t bytes = dtypes[e->dtype].size;
	bool overflow = false;
	char shape[96];

	for (size_t i = 0; i < e->n_dims; i++)
		overflow |= __builtin_mul_overflow(bytes, e->shape[i], &bytes);
	if (!overflow && bytes == e->bytes)
		return 0;
	safetensors_shape_text(e, shape, sizeof(shape));
	if (overflow)
		return corrupt(e->name, err,
			"%s: shape %s is larger than memory", e->name, shape);
	return corrupt(e->name, err,
		"%s: shape %s of %s is %zu bytes, but data_offsets span %zu",
		e->name, shape, dtypes[e->dtype].name, bytes, e->bytes);
}

/* One tensor of the header; data is where offsets count from, [len]. */
static int parse_entry(struct safetensors_entry *e, const char *name,
	const json_t *json, const uint8_t *data, size_t len, struct error *err)
{
	size_t at[2] = { 0 };

	e->name = strdup(name);
	if (!e->name)
		return error_set_memory(err, "tensor name", strlen(name));
	if (!json_is_object(json))
		return corrupt(name, err, "%s: not an object", name);
	if (parse_dtype(e, json, err) < 0 || parse_shape(e, json, err) < 0 ||
		parse_offsets(e, json, at, err) < 0)
		return -1;
	if (at[0] > at[1])
		return corrupt(name, err,
			"%s: data_offsets [%zu,%zu] are reversed", name, at[0],
			at[1]);
	if (at[1] > len)
		return corrupt(name, err,
			"%s: data_offsets [%zu,%zu] pass the end of the data, "
			"%zu bytes: the file may be truncated",
			name, at[0], at[1], len);
	e->data = data + at[0];
	e->bytes = at[1] - at[0];
	return check_size(e, err);
}

static int by_offset(const void *a, const void *b)
{
	const struct safetensors_entry *x = a, *y = b;
	uintptr_t p = (uintptr_t)x->data, q = (uintptr_t)y->data;

	if (p != q)
		return p < q ? -1 : 1;
	return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* The format wants every byte to belong to one tensor. */
static int check_cover(const struct safetensors *s, const uint8_t *data,
	size_t len, struct error *err)
{
	const struct safetensors_entry *e, *last = NULL;
	size_t end = 0, begin;

	for (size_t i = 0; i < s->n_entries; i++, last = e) {
		e = &s->entries[i];
		begin = (size_t)((const uint8_t *)e->data - data);
		if (begin < end)
			return corrupt(e->name, err,
				"%s: begins at byte %zu of the data, inside "
				"tensor %s, which ends at %zu",
				e->name, begin, last->name, end);
		if (begin > end)
			return corrupt(e->name, err,
				"%s: begins at byte %zu of the data, expected "
				"%zu: there is a gap",
				e->name, begin, end);
		end = begin + e->bytes;
	}
	if (end < len)
		return error_set(err, ERROR_CORRUPT,
			"%zu bytes after the last tensor", len - end);
	return 0;
}

static int parse_metadata(
	struct safetensors *s, json_t *metadata, struct error *err)
{
	const char *key;
	json_t *value;

	if (!json_is_object(metadata))
		return error_set_param(err, ERROR_CORRUPT, "__metadata__",
			"__metadata__: not an object");
	json_object_foreach(metadata, key, value)
	{
		if (!json_is_string(value))
			return error_set_param(err, ERROR_CORRUPT, key,
				"__metadata__: \"%.64s\" is not a string", key);
	}
	s->metadata = json_incref(metadata);
	return 0;
}

static int parse_header(struct safetensors *s, json_t *header,
	const uint8_t *data, size_t len, struct error *err)
{
	const char *name;
	json_t *json;

	s->entries = calloc(json_object_size(header) + 1, sizeof(*s->entries));
	if (!s->entries)
		return error_set_memory(err, "tensor table",
			json_object_size(header) * sizeof(*s->entries));
	json_object_foreach(header, name, json)
	{
		if (!strcmp(name, "__metadata__")) {
			if (parse_metadata(s, json, err) < 0)
				return -1;
			continue;
		}
		if (parse_entry(&s->entries[s->n_entries++], name, json, data,
			    len, err) < 0)
			return -1;
	}
	if (!s->metadata)
		s->metadata = json_object();
	if (!s->metadata)
		return error_set_memory(err, "metadata", 0);
	qsort(s->entries, s->n_entries, sizeof(*s->entries), by_offset);
	return check_cover(s, data, len, err);
}

/* The length of the header, believed only as far as the file goes. */
static int header_length(
	const struct file_map *map, size_t *len, struct error *err)
{
	uint64_t n;

	if (map->len < sizeof(n))
		return error_set(err, ERROR_CORRUPT,
			"%zu bytes, too short for a safetensors file",
			map->len);
	memcpy(&n, map->data, sizeof(n));
	if (n < 2)
		return error_set(err, ERROR_CORRUPT,
			"header of %llu bytes, expected at least 2",
			(unsigned long long)n);
	if (n > SAFETENSORS_MAX_HEADER)
		return error_set(err, ERROR_CORRUPT,
			"header of %llu bytes, expected at most %u: this is no "
			"safetensors file",
			(unsigned long long)n, SAFETENSORS_MAX_HEADER);
	if (n > map->len - sizeof(n))
		return error_set(err, ERROR_CORRUPT,
			"header of %llu bytes in a file of %zu: the file is "
			"truncated",
			(unsigned long long)n, map->len);
	*len = (size_t)n;
	return 0;
}

static int parse(struct safetensors *s, struct error *err)
{
	json_error_t fault;
	const char *text;
	json_t *header;
	size_t len = 0;
	int failed;

	if (header_length(&s->map, &len, err) < 0)
		return -1;
	text = (const char *)s->map.data + 8;
	/* The format asks for this, so that no file is two things at once. */
	if (text[0] != '{')
		return error_set(
			err, ERROR_CORRUPT, "header does not begin with '{'");
	header = json_loadb(text, len, JSON_REJECT_DUPLICATES, &fault);
	if (!header)
		return error_set(err, ERROR_CORRUPT,
			"header is not valid JSON: %s (byte %d)", fault.text,
			fault.position);
	failed = parse_header(
		s, header, s->map.data + 8 + len, s->map.len - 8 - len, err);
	json_decref(header);
	return failed;
}

int safetensors_open(struct safetensors *s, const char *path, struct error *err)
{
	*s = (struct safetensors){ 0 };
	if (file_map_open(&s->map, path, err) < 0)
		return -1;
	if (parse(s, err) == 0)
		return 0;
	safetensors_close(s);
	return error_prefix(err, "%s", path);
}

void safetensors_close(struct safetensors *s)
{
	for (size_t i = 0; i < s->n_entries; i++)
		free(s->entries[i].name);
	free(s->entries);
	json_decref(s->metadata);
	file_map_close(&s->map);
	*s = (struct safetensors){ 0 };
}

const struct safetensors_entry *safetensors_find(
	const struct safetensors *s, const char *name)
{
	for (size_t i = 0; i < s->n_entries; i++)
		if (!strcmp(s->entries[i].name, name))
			return &s->entries[i];
	return NULL;
}
