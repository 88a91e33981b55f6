/*
 * Usage: bench_sessions MODEL FILE N
 * N sessions of the model in a new SQLite store, as creating them with a text
 * does it: a random id that is looked up first, a prompt of its own fed from
 * the initial state, the blob posted to the writer, which commits in groups
 * with full sync. Feeding is part of the time. Prints one JSON line.
 */
#include "base/rng.h"
#include "serve/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define PROMPT 4 /* tokens: 65^4 prompts are 17 million */
#define PENDING (64u << 20)

struct bench {
	struct registry *registry;
	struct registry_entry *model;
	struct store *store;
	struct store_writer *writer;
	struct model_scratch *scratch;
	struct session_state states[BATCH];
	uint64_t blob_bytes;
	double feeding; /* seconds of the model's steps, the writer at work */
};

static void must(int rc, const struct error *err)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "bench_sessions: %s\n", err->message);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void set_up(struct bench *b, const char *model, const char *file)
{
	const struct registry_options ro = {
		.paths = &model, .n_paths = 1, .weights = WEIGHTS_INT8
	};
	const struct store_options so = { .path = file };
	const struct store_writer_options wo = { .max_bytes = PENDING };
	struct error err;

	must(registry_open(&b->registry, &ro, &err), &err);
	b->model = registry_get(b->registry, NULL, &err);
	must(b->model ? 0 : -1, &err);
	must(model_scratch_open(&b->scratch, b->model->model, BATCH, &err),
		&err);
	must(store_open(&b->store, "sqlite", &so, &err), &err);
	must(store_writer_open(&b->writer, b->store, &wo, &err), &err);
	for (int i = 0; i < BATCH; i++)
		must(session_state_init(&b->states[i], b->model, &err), &err);
}

/* Sequence i of the batch gets prompt number `first + i`. */
static void feed(struct bench *b, uint64_t first, size_t n)
{
	double start = now();
	uint32_t tokens[BATCH];
	real *hidden[BATCH], *no_logits[BATCH] = { NULL };

	for (size_t i = 0; i < n; i++) {
		struct session_state *s = &b->states[i];

		hidden[i] = s->hidden;
		memset(s->hidden, 0, s->n_hidden * sizeof(real));
		s->position = 0;
		s->pending = tokenizer_start(b->model->tokenizer);
	}
	for (int step = 0; step < PROMPT; step++) {
		for (size_t i = 0; i < n; i++)
			tokens[i] = b->states[i].pending;
		model_step(b->model->model, b->scratch, n, tokens, hidden,
			no_logits);
		for (size_t i = 0; i < n; i++) {
			struct session_state *s = &b->states[i];
			uint64_t number = first + i;

			for (int digit = 0; digit < step; digit++)
				number /= b->model->vocab;
			s->pending = (uint32_t)(number % b->model->vocab);
			s->window[s->position++] = s->pending;
		}
	}
	b->feeding += now() - start;
}

static void random_id(char id[SESSION_ID_MAX + 1])
{
	static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
	uint64_t bits = 0;
	char *p = id + sprintf(id, "sess_");

	for (int i = 0; i < 26; i++, bits >>= 5) {
		if (i % 12 == 0)
			bits = rng_entropy();
		*p++ = digits[bits & 31];
	}
	*p = '\0';
}

static void on_committed(void *arg, const struct error *err)
{
	must(err ? -1 : 0, err);
}

static void create(struct bench *b, const struct session_state *state)
{
	struct session_info info = { .fingerprint = b->model->fingerprint,
		.position = state->position,
		.seed = rng_entropy(),
		.created = store_now(),
		.used = store_now() };
	struct store_change c = { .expires = STORE_NEVER };
	char key[STORE_KEY_MAX + 1];
	struct error err;
	struct buf blob;

	random_id(info.id);
	snprintf(info.model, sizeof(info.model), "%s", b->model->name);
	snprintf(info.kernels, sizeof(info.kernels), "%s", b->model->system);
	snprintf(key, sizeof(key), "session/%s", info.id);
	buf_init(&blob, 1 << 20);
	if (!store_writer_get(b->writer, key, store_now(), &blob, &err) ||
		err.code != ERROR_NOT_FOUND)
		must(-1, &err);
	must(session_encode(&info, state, &blob, &err), &err);
	c.key = key;
	c.value = blob.data;
	c.len = blob.len;
	b->blob_bytes += blob.len;
	while (store_writer_post(b->writer, &c, 1, on_committed, NULL, &err) <
		0) {
		must(err.code == ERROR_OVERLOADED ? 0 : -1, &err);
		usleep(1000); /* the disk is behind */
	}
	buf_release(&blob);
}

static double metric_sum(struct bench *b, const char *name)
{
	const char *line;
	double v = 0;
	struct buf out;

	buf_init(&out, 1 << 20);
	if (store_writer_metrics(b->writer, &out) == 0) {
		line = strstr(out.data, name);
		if (line)
			v = strtod(line + strlen(name), NULL);
	}
	buf_release(&out);
	return v;
}

static uint64_t size_of(const char *file, const char *suffix)
{
	char path[4096];
	struct stat st;

	snprintf(path, sizeof(path), "%s%s", file, suffix);
	return stat(path, &st) < 0 ? 0 : (uint64_t)st.st_size;
}

/* By this process, to whatever file. */
static double written(void)
{
	FILE *f = fopen("/proc/self/io", "r");
	char line[80];
	double bytes = 0;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "write_bytes:", 12))
			bytes = strtod(line + 12, NULL);
	if (f)
		fclose(f);
	return bytes;
}

static void report(struct bench *b, const char *file, uint64_t n, double took,
	double commits)
{
	uint64_t disk;

	store_writer_close(b->writer);
	disk = size_of(file, "") + size_of(file, "-wal") +
	       size_of(file, "-shm");
	store_close(b->store);
	printf("{\"bench\":\"sessions\",\"what\":\"create\",\"sessions\":%llu,"
	       "\"seconds\":%.1f,\"per_second\":%.0f,\"feeding_seconds\":%.1f,"
	       "\"target\":8000,"
	       "\"commits\":%.0f,\"blob_bytes\":%.0f,\"disk_mb\":%.1f,"
	       "\"written_to_blobs\":%.2f,\"disk_to_blobs\":%.3f,\"target_disk_"
	       "to_blobs\":1.4}\n",
		(unsigned long long)n, took, (double)n / took, b->feeding,
		commits, (double)b->blob_bytes / (double)n, (double)disk / 1e6,
		written() / (double)b->blob_bytes,
		(double)disk / (double)b->blob_bytes);
}

int main(int argc, char **argv)
{
	struct bench b = { 0 };
	uint64_t n = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
	double start, took;

	if (!n) {
		fputs("usage: bench_sessions MODEL FILE N\n", stderr);
		return 2;
	}
	set_up(&b, argv[1], argv[2]);
	start = now();
	for (uint64_t i = 0; i < n; i += BATCH) {
		size_t rows = n - i < BATCH ? (size_t)(n - i) : BATCH;

		feed(&b, i, rows);
		for (size_t k = 0; k < rows; k++)
			create(&b, &b.states[k]);
	}
	store_writer_flush(b.writer);
	took = now() - start;
	report(&b, argv[2], n, took,
		metric_sum(&b, "unrolld_store_commits_total{outcome=\"ok\"} "));
	for (int i = 0; i < BATCH; i++)
		session_state_release(&b.states[i]);
	model_scratch_close(b.scratch);
	registry_unref(b.model);
	registry_close(b.registry);
	return 0;
}
