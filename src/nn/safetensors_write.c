#include "nn/safetensors.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check_entry(
	const struct safetensors_entry *e, size_t offset, struct error *err)
{
	size_t bytes = safetensors_dtype_size(e->dtype);
	bool overflow = false;

	for (size_t i = 0; i < e->n_dims; i++)
		overflow |= __builtin_mul_overflow(bytes, e->shape[i], &bytes);
	if (overflow || bytes != e->bytes)
		return error_set_param(err, ERROR_INTERNAL, e->name,
			"tensor %s: %zu bytes, but its shape has %zu", e->name,
			e->bytes, bytes);
	if (offset % safetensors_dtype_size(e->dtype))
		return error_set_param(err, ERROR_INTERNAL, e->name,
			"tensor %s: would begin unaligned, at byte %zu",
			e->name, offset);
	return 0;
}

static json_t *entry_json(const struct safetensors_entry *e, size_t offset)
{
	json_t *shape = json_array();

	for (size_t i = 0; i < e->n_dims; i++)
		json_array_append_new(
			shape, json_integer((json_int_t)e->shape[i]));
	return json_pack("{s:s, s:o, s:[I,I]}", "dtype",
		safetensors_dtype_name(e->dtype), "shape", shape,
		"data_offsets", (json_int_t)offset,
		(json_int_t)(offset + e->bytes));
}

static json_t *header_json(const json_t *metadata,
	const struct safetensors_entry *entries, size_t n, struct error *err)
{
	json_t *header = json_object();
	const struct safetensors_entry *e;
	size_t offset = 0;
	int failed = 0;

	if (metadata)
		failed = json_object_set(
			header, "__metadata__", (json_t *)metadata);
	for (e = entries; e < entries + n && !failed; e++) {
		if (check_entry(e, offset, err) < 0)
			goto fail;
		if (json_object_get(header, e->name)) {
			error_set_param(err, ERROR_INTERNAL, e->name,
				"tensor %s: the name is used twice", e->name);
			goto fail;
		}
		failed = json_object_set_new(
			header, e->name, entry_json(e, offset));
		offset += e->bytes;
	}
	if (!failed)
		return header;
	error_set(err, ERROR_NO_MEMORY,
		"header: out of memory, or a name that is not UTF-8");
fail:
	json_decref(header);
	return NULL;
}

/* The header's text after its length, padded so that the data is aligned. */
static int write_header(
	struct safetensors_writer *w, const char *json, struct error *err)
{
	uint64_t len = (strlen(json) + 7) & ~(uint64_t)7;
	static const char spaces[] = "       ";

	if (len > SAFETENSORS_MAX_HEADER)
		return error_set(err, ERROR_TOO_LARGE,
			"header of %llu bytes, expected at most %u",
			(unsigned long long)len, SAFETENSORS_MAX_HEADER);
	if (file_writer_write(&w->file, &len, sizeof(len), err) < 0 ||
		file_writer_write(&w->file, json, strlen(json), err) < 0)
		return -1;
	return file_writer_write(&w->file, spaces, len - strlen(json), err);
}

int safetensors_writer_open(struct safetensors_writer *w, const char *path,
	const json_t *metadata, const struct safetensors_entry *entries,
	size_t n, struct error *err)
{
	json_t *header = header_json(metadata, entries, n, err);
	char *text;
	int failed;

	*w = (struct safetensors_writer){ .entries = entries, .n = n };
	if (!header)
		return error_prefix(err, "%s", path);
	text = json_dumps(header, JSON_COMPACT);
	json_decref(header);
	if (!text)
		return error_set(err, ERROR_NO_MEMORY,
			"%s: header: out of memory", path);
	failed = file_writer_open(&w->file, path, 0644, err);
	if (!failed && write_header(w, text, err) < 0) {
		file_writer_abort(&w->file);
		failed = -1;
	}
	free(text);
	return failed;
}

int safetensors_writer_put(
	struct safetensors_writer *w, const void *data, struct error *err)
{
	if (w->next == w->n)
		return error_set(err, ERROR_INTERNAL,
			"more tensors than the %zu of the header", w->n);
	return file_writer_write(
		&w->file, data, w->entries[w->next++].bytes, err);
}

int safetensors_writer_commit(struct safetensors_writer *w, struct error *err)
{
	if (w->next == w->n)
		return file_writer_commit(&w->file, err);
	file_writer_abort(&w->file);
	return error_set(err, ERROR_INTERNAL, "%zu tensors of the header's %zu",
		w->next, w->n);
}

void safetensors_writer_abort(struct safetensors_writer *w)
{
	file_writer_abort(&w->file);
}

/* Stable, and few widths: entries of each in turn. */
static struct safetensors_entry *widest_first(
	const struct safetensors_entry *entries, size_t n)
{
	struct safetensors_entry *sorted = calloc(n + 1, sizeof(*sorted));
	size_t placed = 0;

	for (size_t size = 8; sorted && size; size /= 2)
		for (size_t i = 0; i < n; i++)
			if (safetensors_dtype_size(entries[i].dtype) == size)
				sorted[placed++] = entries[i];
	return sorted;
}

int safetensors_write(const char *path, const json_t *metadata,
	const struct safetensors_entry *entries, size_t n, struct error *err)
{
	struct safetensors_entry *sorted = widest_first(entries, n);
	struct safetensors_writer w;
	int failed;

	if (!sorted)
		return error_set_memory(
			err, "tensor table", n * sizeof(*sorted));
	failed = safetensors_writer_open(&w, path, metadata, sorted, n, err);
	if (failed)
		goto out;
	for (size_t i = 0; i < n && !failed; i++)
		failed = safetensors_writer_put(&w, sorted[i].data, err);
	if (failed)
		safetensors_writer_abort(&w);
	else
		failed = safetensors_writer_commit(&w, err);
out:
	free(sorted);
	return failed;
}
