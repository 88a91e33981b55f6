/*
 * Runs a fuzz target without libFuzzer: every file of its corpus, then a few
 * thousand mutations of them that a fixed seed decides, so that `make test`
 * keeps what fuzzing found, under whatever sanitizer the tree has.
 */
#include "base/file.h"
#include "base/rng.h"

#include <dirent.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUTATIONS 4000
#define INPUT_MAX (64u << 10)
#define SEEDS_MAX 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seed {
	uint8_t *data; /* [INPUT_MAX] */
	size_t size;
};

static struct seed seeds[SEEDS_MAX + 1];
static size_t n_seeds;

/* Malloced to its size, so that a read past its end is seen. */
static void run(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void add_seed(const char *bytes, size_t len)
{
	struct seed *s = &seeds[n_seeds];

	if (len > INPUT_MAX || n_seeds > SEEDS_MAX)
		return;
	s->data = malloc(INPUT_MAX);
	if (!s->data)
		abort();
	memcpy(s->data, bytes, len);
	s->size = len;
	n_seeds++;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void load_corpus(const char *dir)
{
	struct dirent **names;
	char path[4096], *data;
	size_t len;
	int n = scandir(dir, &names, NULL, by_name);

	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
		if (names[i]->d_name[0] != '.' &&
			file_read(path, INPUT_MAX, &data, &len, NULL) == 0) {
			add_seed(data, len);
			free(data);
		}
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

/* One edit: flip, set, insert, delete, or copy a stretch elsewhere. */
static size_t mutate(uint8_t *data, size_t size, struct philox r)
{
	static const uint8_t telling[] = { 0, 0xFF, 0x7F, 0x80, '"', '{', '[',
		'\\', '\n', '=', '-', '9' };
	size_t at = size ? r.v[1] % size : 0, len = r.v[2] % 16 + 1;

	switch (size ? r.v[0] % 5 : 2) {
	case 0:
		data[at] ^= (uint8_t)(1u << r.v[3] % 8);
		return size;
	case 1:
		data[at] = telling[r.v[3] % sizeof(telling)];
		return size;
	case 2:
		if (size == INPUT_MAX)
			return size;
		memmove(data + at + 1, data + at, size - at);
		data[at] = (uint8_t)r.v[3];
		return size + 1;
	case 3:
		len = len < size - at ? len : size - at;
		memmove(data + at, data + at + len, size - at - len);
		return size - len;
	default:
		len = len < size - at ? len : size - at;
		memmove(data + r.v[3] % (size - len + 1), data + at, len);
		return size;
	}
}

int main(int argc, char **argv)
{
	char corpus[4096], *name = basename(argv[0]);
	uint8_t *work = malloc(INPUT_MAX);

	if (!work)
		return 1;
	if (strncmp(name, "fuzz_", 5) == 0)
		name += 5;
	snprintf(corpus, sizeof(corpus), "tests/fuzz/corpus/%s", name);
	load_corpus(argc > 1 ? argv[1] : corpus);
	add_seed("", 0);
	for (size_t i = 0; i < n_seeds; i++)
		run(seeds[i].data, seeds[i].size);
	for (uint32_t i = 0; i < MUTATIONS; i++) {
		const struct seed *s = &seeds[i % n_seeds];
		size_t size = s->size;

		memcpy(work, s->data, size);
		for (uint32_t k = 0; k <= i / n_seeds % 8; k++)
			size = mutate(work, size, rng_block(1, RNG_SEED, i, k));
		run(work, size);
	}
	for (size_t i = 0; i < n_seeds; i++)
		free(seeds[i].data);
	free(work);
	printf("1..1\nok 1 - %s: %zu seeds, %d mutations\n", name, n_seeds,
		MUTATIONS);
	return 0;
}
