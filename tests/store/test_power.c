/*
 * The power is cut while changes are committed. In a child: what was said to be
 * committed is noted in memory that the parent shares, then the file system of
 * vfs.h drops what was not synced. The parent opens what is left.
 */
#include "store/fixture.h"
#include "store/vfs.h"
#include "store/writer.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define KEYS 8
#define ROUNDS 24

/* Told to be committed, so far. */
struct shared {
	atomic_uint version[KEYS];
	atomic_uint commits;
	atomic_uint failed;
};

struct ticket {
	struct shared *shared;
	unsigned key, version;
};

static void on_committed(void *arg, const struct error *err)
{
	struct ticket *t = arg;

	if (err) {
		atomic_fetch_add(&t->shared->failed, 1);
	} else {
		/* In order of posting, so it only grows. */
		atomic_store(&t->shared->version[t->key], t->version);
		atomic_fetch_add(&t->shared->commits, 1);
	}
	free(t);
}

/* Both halves in one transaction, large enough to fill some pages. */
static void post_version(struct store_writer *w, struct shared *shared,
	unsigned key, unsigned version)
{
	static char value[3000];
	char names[2][16];
	struct store_change c[2];
	struct ticket *t = malloc(sizeof(*t));

	*t = (struct ticket){ shared, key, version };
	memset(value, (int)version, sizeof(value));
	memcpy(value, &version, sizeof(version));
	for (int half = 0; half < 2; half++) {
		snprintf(names[half], sizeof(names[half]), "%c/%u", "ab"[half],
			key);
		c[half] = (struct store_change){ names[half], value,
			sizeof(value) - key * 100, STORE_NEVER };
	}
	if (store_writer_post(w, c, 2, on_committed, t, NULL) < 0)
		abort();
}

/* Never returns: writes until the power goes, at a commit that random says. */
static void live(const char *path, enum store_sync sync, struct shared *shared,
	unsigned random)
{
	struct store_options o = { .path = path, .sync = sync };
	struct store_writer_options wo = { .idle_ms = 1 };
	unsigned last = 3 + random % 60, versions[KEYS];
	struct store_writer *w;
	struct store *s;

	vfs_install();
	if (store_open(&s, "sqlite", &o, NULL) < 0 ||
		store_writer_open(&w, s, &wo, NULL) < 0)
		_exit(2);
	for (int i = 0; i < KEYS; i++)
		versions[i] = atomic_load(&shared->version[i]);
	for (unsigned i = 0; atomic_load(&shared->commits) < last; i++) {
		random = random * 1103515245 + 12345;
		post_version(w, shared, random >> 16 & 7,
			++versions[random >> 16 & 7]);
		if (i % 16 == 15)
			usleep(random >> 20 & 4095); /* upkeep comes in */
	}
	vfs_crash(random & 1 << 19 ? (random >> 20 & 255) / 256.0 : 0);
	_exit(atomic_load(&shared->failed) ? 3 : 0);
}

/* The version of one half, 0 when it isn't there. */
static unsigned version_of(struct store *s, char half, unsigned key)
{
	unsigned version = 0;
	char name[16];
	struct buf b;

	snprintf(name, sizeof(name), "%c/%u", half, key);
	buf_init(&b, 4096);
	if (store_get(s, name, NOW, &b, NULL) == 0) {
		assert_int_equal(b.len, 3000 - key * 100);
		memcpy(&version, b.data, sizeof(version));
	}
	buf_release(&b);
	return version;
}

/* How many acknowledged versions are gone. */
static unsigned look(const char *path, struct shared *shared)
{
	struct store_options o = { .path = path };
	struct error err = { 0 };
	unsigned lost = 0;
	struct store *s;
	char shm[128];

	snprintf(shm, sizeof(shm), "%s-shm", path);
	unlink(shm);
	if (store_open(&s, "sqlite", &o, &err) < 0)
		fail_msg("%s", err.message);
	for (unsigned i = 0; i < KEYS; i++) {
		unsigned version = version_of(s, 'a', i);

		assert_int_equal(version_of(s, 'b', i), version);
		lost += version < atomic_load(&shared->version[i]);
		atomic_store(&shared->version[i], version);
	}
	store_close(s);
	return lost;
}

static unsigned run_rounds(enum store_sync sync)
{
	struct shared *shared = mmap(NULL, sizeof(*shared),
		PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned lost = 0, commits = 0;
	struct fixture f;

	assert_ptr_not_equal(shared, MAP_FAILED);
	fixture_init(&f, &store_sqlite);
	for (unsigned round = 0; round < ROUNDS; round++) {
		pid_t child = fork();
		int status;

		if (!child)
			live(f.path, sync, shared, round * 2654435761u + 1);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
		commits += atomic_load(&shared->commits);
		atomic_store(&shared->commits, 0);
		lost += look(f.path, shared);
	}
	assert_true(commits >= 3 * ROUNDS);
	fixture_release(&f);
	munmap(shared, sizeof(*shared));
	return lost;
}

static void test_full_loses_nothing(void **state)
{
	assert_int_equal(run_rounds(STORE_SYNC_FULL), 0);
}

/* The test can fail: this is what a missing sync looks like. */
static void test_normal_loses(void **state)
{
	assert_int_not_equal(run_rounds(STORE_SYNC_NORMAL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_loses_nothing),
		cmocka_unit_test(test_normal_loses),
	};

	alarm(240); /* a test that hangs has failed */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
