/* A file of any bytes: opened as safetensors, then as a checkpoint. What is
 * accepted must hold what it promises. */
#include "nn/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct safetensors *s)
{
	for (size_t i = 0; i < s->n_entries; i++) {
		const struct safetensors_entry *e = &s->entries[i];
		size_t n = safetensors_count(e);
		float *values;

		if (n * safetensors_dtype_size(e->dtype) != e->bytes ||
			(const uint8_t *)e->data + e->bytes >
				s->map.data + s->map.len ||
			!safetensors_find(s, e->name))
			abort();
		values = malloc(n * sizeof(*values) + 1);
		if (values)
			safetensors_floats(e, values, NULL);
		free(values);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct safetensors s;
	struct checkpoint c;
	struct error err;
	char path[64];

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (safetensors_open(&s, path, &err) == 0) {
		use(&s);
		safetensors_close(&s);
	}
	if (checkpoint_load(&c, path, &err) == 0) {
		checkpoint_fingerprint(&c.parameters);
		checkpoint_release(&c);
	}
	close(fd);
	return 0;
}
