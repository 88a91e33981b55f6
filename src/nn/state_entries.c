#include "nn/state_entries.h"

#include <string.h>

void state_entry(struct safetensors_entry *entries, size_t *n, const char *name,
	enum safetensors_dtype dtype, const void *data, size_t count)
{
	entries[(*n)++] = (struct safetensors_entry){ .name = (char *)name,
		.dtype = dtype,
		.n_dims = 1,
		.shape = { count },
		.data = data,
		.bytes = count * safetensors_dtype_size(dtype) };
}

/* NULL: it is missing or of another size, and *err says so. */
static const struct safetensors_entry *find(const struct safetensors *file,
	const char *path, const struct safetensors_entry *wanted,
	const char *hint, struct error *err)
{
	const struct safetensors_entry *e =
		safetensors_find(file, wanted->name);

	if (!e)
		error_set_param(err, ERROR_CORRUPT, wanted->name,
			"%s: tensor %s is missing: %s", path, wanted->name,
			hint);
	else if (e->dtype != wanted->dtype || e->bytes != wanted->bytes)
		error_set_param(err, ERROR_CORRUPT, wanted->name,
			"%s: tensor %s: %s of %zu bytes, expected %s of %zu",
			path, wanted->name, safetensors_dtype_name(e->dtype),
			e->bytes, safetensors_dtype_name(wanted->dtype),
			wanted->bytes);
	else
		return e;
	return NULL;
}

int state_restore(const struct safetensors *file, const char *path,
	const struct safetensors_entry *entries, size_t n, const char *hint,
	struct error *err)
{
	for (size_t i = 0; i < n; i++)
		if (!find(file, path, &entries[i], hint, err))
			return -1;
	for (size_t i = 0; i < n; i++)
		memcpy((void *)entries[i].data,
			safetensors_find(file, entries[i].name)->data,
			entries[i].bytes);
	return 0;
}
