/* What a SQLite store does for its file: migration, counts, space, damage, and
 * disks that are full or read-only. */
#include "store/fixture.h"
#include "store/vfs.h"
#include "store/writer.h"

#define BIG 3000

static int64_t ask(const char *path, const char *sql)
{
	sqlite3_stmt *q;
	int64_t answer;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	answer = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	sqlite3_close(db);
	return answer;
}

static off_t size_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void expect_count(struct store *s, const char *prefix, uint64_t expected)
{
	uint64_t n = 0;

	assert_int_equal(store_count(s, prefix, NOW, &n, NULL), 0);
	assert_int_equal(n, expected);
}

/* One row of BIG bytes that are its number, so that none is like another. */
static void put_big(struct store *s, unsigned i)
{
	char key[24], value[BIG];

	snprintf(key, sizeof(key), "session/%04u", i);
	memset(value, (int)i, sizeof(value));
	memcpy(value, &i, sizeof(i));
	assert_int_equal(
		store_put(s, key, value, sizeof(value), STORE_NEVER, NULL), 0);
}

static bool has_big(struct store *s, unsigned i)
{
	char key[24], value[BIG];
	struct buf b;
	bool has;

	snprintf(key, sizeof(key), "session/%04u", i);
	memset(value, (int)i, sizeof(value));
	memcpy(value, &i, sizeof(i));
	buf_init(&b, 1 << 20);
	has = store_get(s, key, NOW, &b, NULL) == 0;
	if (has) {
		assert_int_equal(b.len, BIG);
		assert_memory_equal(b.data, value, BIG);
	}
	buf_release(&b);
	return has;
}

static void copy_file(const char *from, const char *to)
{
	char bytes[65536];
	int fd = open(from, O_RDONLY);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, bytes, sizeof(bytes));
	assert_true(n > 0 && n < (ssize_t)sizeof(bytes));
	close(fd);
	write_file(to, bytes, (size_t)n, 0);
}

/* version1.db was written by the first release's store. */
static void test_version_1_is_migrated(void **state)
{
	struct fixture f;
	char key[16], value[16];

	fixture_init(&f, &store_sqlite);
	copy_file("tests/store/version1.db", f.path);
	assert_int_equal(ask(f.path, "PRAGMA user_version"), 1);
	fixture_open(&f);
	for (int i = 0; i < 5; i++) {
		snprintf(key, sizeof(key), "session/%d", i);
		snprintf(value, sizeof(value), "value %d", i);
		expect(f.store, key, NOW, value);
	}
	expect(f.store, "plain", NOW, "x");
	expect(f.store, "session/4", 4102444800000, NULL); /* its expiry */
	expect_count(f.store, "session/", 5);
	put(f.store, "session/5", "new", STORE_NEVER);
	expect_count(f.store, "session/", 6);
	expect_count(f.store, "", 7);
	store_close(f.store);
	assert_int_equal(ask(f.path, "PRAGMA user_version"), 2);
	assert_int_equal(ask(f.path, "PRAGMA auto_vacuum"), 2);
	fixture_open(&f);
	expect(f.store, "session/5", NOW, "new");
	expect_count(f.store, "session/", 6);
	fixture_release(&f);
}

/* Counts follow puts, overwriting, deletes, expiry and what is rolled back. */
static void test_counts(void **state)
{
	const struct store_change some[] = {
		{ "a/1", "x", 1, STORE_NEVER },
		{ "b/1", "x", 1, STORE_NEVER },
		{ "a/2", "x", 1, NOW + 5 },
		{ "a/1", "y", 1, STORE_NEVER },
		{ "a/1", NULL, 0, STORE_NEVER },
		{ "a/1", NULL, 0, STORE_NEVER },
		{ "b", "x", 1, NOW },
		{ "a/3", "x", 1, STORE_NEVER },
	};
	struct fixture f;
	size_t removed;
	uint64_t n;

	fixture_init(&f, &store_sqlite);
	fixture_open(&f);
	assert_int_equal(store_apply(f.store, some, 8, NULL), 0);
	expect_count(f.store, "a/", 2);
	expect_count(f.store, "b/", 1);
	expect_count(f.store, "c/", 0);
	expect_count(f.store, "a", 2);
	expect_count(f.store, "", 3); /* b is expired */
	assert_int_equal(store_count(f.store, "a/", NOW + 5, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_int_equal(
		store_expire(f.store, NOW + 5, 9, NULL, &removed, NULL), 0);
	assert_int_equal(removed, 2);
	expect_count(f.store, "a/", 1);
	store_close(f.store);
	run_sql(f.path, "CREATE TRIGGER t BEFORE INSERT ON entries"
			" WHEN new.key = 'b/9'"
			" BEGIN SELECT raise(ABORT, 'no'); END");
	fixture_open(&f);
	assert_int_equal(
		store_apply(f.store,
			(struct store_change[]){ { "a/9", "x", 1, STORE_NEVER },
				{ "b/9", "x", 1, STORE_NEVER } },
			2, NULL),
		-1);
	expect_count(f.store, "a/", 1);
	put(f.store, "a/8", "x", STORE_NEVER);
	expect_count(f.store, "a/", 2);
	store_close(f.store);
	assert_int_equal(ask(f.path, "SELECT sum(n) FROM counts"), 3);
	fixture_open(&f);
	fixture_release(&f);
}

/* Of 400 entries 10 stay: so does a tenth of the file, at most. */
static void test_space_is_given_back(void **state)
{
	const struct store_writer_options wo = { .idle_ms = 1 };
	struct store_writer *w;
	struct fixture f;
	char key[24];
	off_t full;

	fixture_init(&f, &store_sqlite);
	fixture_open(&f);
	for (unsigned i = 0; i < 400; i++)
		put_big(f.store, i);
	while (store_tend(f.store, true, NULL) > 0)
		;
	full = size_of(f.path);
	assert_true(full >= 400 * BIG);
	assert_int_equal(store_writer_open(&w, f.store, &wo, NULL), 0);
	for (unsigned i = 0; i < 400; i++) {
		const struct store_change c = { key, NULL, 0, STORE_NEVER };

		snprintf(key, sizeof(key), "session/%04u", i);
		if (i % 40)
			store_writer_post(w, &c, 1, NULL, NULL, NULL);
	}
	for (int i = 0; i < 1000 && size_of(f.path) > full / 2; i++)
		usleep(10000);
	store_writer_close(w);
	assert_true(size_of(f.path) <= full / 2);
	for (unsigned i = 0; i < 400; i += 40)
		assert_true(has_big(f.store, i));
	fixture_release(&f);
}

/* Rows on one page of the table are made unreadable. */
static void damage(struct fixture *f)
{
	char junk[200];
	int64_t page;

	fixture_open(f);
	for (unsigned i = 0; i < 40; i++)
		put_big(f->store, i);
	store_close(f->store);
	f->store = NULL;
	memset(junk, 0xa5, sizeof(junk));
	page = ask(f->path, "SELECT pageno FROM dbstat WHERE name = 'entries'"
			    " AND pagetype = 'leaf' ORDER BY pageno"
			    " LIMIT 1 OFFSET 5");
	write_file(f->path, junk, sizeof(junk),
		(page - 1) * ask(f->path, "PRAGMA page_size"));
}

static void test_damage_is_told(void **state)
{
	struct store_options o;
	struct error err = { 0 };
	struct fixture f;
	off_t size;

	fixture_init(&f, &store_sqlite);
	damage(&f);
	size = size_of(f.path);
	o = (struct store_options){ .path = f.path };
	assert_int_equal(store_open(&f.store, "sqlite", &o, &err), -1);
	f.store = NULL;
	assert_int_equal(err.code, ERROR_CORRUPT);
	assert_non_null(strstr(err.message, f.path));
	assert_non_null(strstr(err.message, "39 entries can be read, 1 can't: "
					    "session/00"));
	assert_non_null(strstr(err.message, "set_aside"));
	assert_int_equal(size_of(f.path), size);
	fixture_release(&f);
}

/* Of a file that is too large to be checked whole, some rows are read. */
static void test_a_large_file_is_sampled(void **state)
{
	static struct store_change rows[1000];
	static char keys[1000][16], value[80000];
	struct store_options o;
	struct error err = { 0 };
	struct fixture f;

	fixture_init(&f, &store_sqlite);
	fixture_open(&f);
	for (int i = 0; i < 1000; i++) {
		snprintf(keys[i], sizeof(keys[i]), "s/%d", i);
		rows[i] = (struct store_change){ keys[i], value, sizeof(value),
			STORE_NEVER };
	}
	assert_int_equal(store_apply(f.store, rows, 1000, NULL), 0);
	store_close(f.store);
	assert_true(size_of(f.path) > 64 << 20);
	fixture_open(&f);
	expect_count(f.store, "s/", 1000);
	store_close(f.store);
	/* Its end is missing. */
	assert_int_equal(truncate(f.path, size_of(f.path) / 2), 0);
	o = (struct store_options){ .path = f.path };
	assert_int_equal(store_open(&f.store, "sqlite", &o, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	f.store = NULL;
	fixture_release(&f);
}

static unsigned count_files(const char *dir, const char *part)
{
	struct dirent *e;
	DIR *d = opendir(dir);
	unsigned n = 0;

	while ((e = readdir(d)))
		n += strstr(e->d_name, part) != NULL;
	closedir(d);
	return n;
}

static void test_damage_is_set_aside(void **state)
{
	struct store_options o;
	struct error err = { 0 };
	struct fixture f;
	unsigned kept = 0;

	fixture_init(&f, &store_sqlite);
	damage(&f);
	o = (struct store_options){ .path = f.path,
		.on_corruption = STORE_SET_ASIDE };
	if (store_open(&f.store, "sqlite", &o, &err) < 0)
		fail_msg("%s", err.message);
	for (unsigned i = 0; i < 40; i++)
		kept += has_big(f.store, i);
	assert_int_equal(kept, 39);
	expect_count(f.store, "session/", 39);
	put_big(f.store, 77);
	assert_true(has_big(f.store, 77));
	assert_true(count_files(f.dir, ".damaged-") >= 1);
	assert_int_equal(count_files(f.dir, ".salvage"), 0);
	store_close(f.store);
	fixture_open(&f); /* sound again */
	fixture_release(&f);
}

/* A file of which nothing can be read is set aside, too. */
static void test_junk_is_set_aside(void **state)
{
	struct store_options o;
	struct error err = { 0 };
	struct fixture f;
	char junk[20000];

	fixture_init(&f, &store_sqlite);
	memset(junk, 'x', sizeof(junk));
	write_file(f.path, junk, sizeof(junk), 0);
	o = (struct store_options){ .path = f.path,
		.on_corruption = STORE_SET_ASIDE };
	if (store_open(&f.store, "sqlite", &o, &err) < 0)
		fail_msg("%s", err.message);
	expect_count(f.store, "", 0);
	assert_true(count_files(f.dir, ".damaged-") >= 1);
	assert_int_equal(count_files(f.dir, ".salvage"), 0);
	fixture_release(&f);
}

static int put_one(struct store *s, const char *key, struct error *err)
{
	static const char value[20000];

	*err = (struct error){ 0 };
	return store_put(s, key, value, sizeof(value), STORE_NEVER, err);
}

static void expect_fault(
	struct fixture *f, int fault, enum error_code code, const char *text)
{
	struct error err;

	vfs_set_fault(fault);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(put_one(f->store, "lost", &err), -1);
		assert_int_equal(err.code, code);
		assert_non_null(strstr(err.message, text));
		expect(f->store, "kept", NOW, "value");
		expect(f->store, "lost", NOW, NULL);
	}
	store_tend(f->store, true, NULL);
	vfs_set_fault(0);
	assert_int_equal(put_one(f->store, "after", &err), 0);
	assert_int_equal(store_delete(f->store, "after", NULL), 0);
	expect_count(f->store, "", 1);
}

static void test_disk_that_fails(void **state)
{
	struct fixture f;

	fixture_init(&f, &store_sqlite);
	fixture_open(&f);
	put(f.store, "kept", "value", STORE_NEVER);
	expect_fault(&f, ENOSPC, ERROR_NO_SPACE, "full");
	expect_fault(&f, EROFS, ERROR_UNAVAILABLE, "cannot write");
	expect_fault(&f, EIO, ERROR_UNAVAILABLE, "cannot write");
	store_close(f.store);
	fixture_open(&f);
	expect(f.store, "kept", NOW, "value");
	fixture_release(&f);
}

/* It opens on a full disk, and works once there is room. */
static void test_patience(void **state)
{
	struct store_options o = { .patient = true };
	struct error err = { 0 };
	struct fixture f;
	uint64_t n;
	int rc = -1;

	fixture_init(&f, &store_sqlite);
	o.path = f.path;
	vfs_set_fault(ENOSPC);
	assert_int_equal(store_open(&f.store, "sqlite", &o, &err), 0);
	assert_int_equal(put_one(f.store, "a", &err), -1);
	assert_int_equal(err.code, ERROR_NO_SPACE);
	assert_int_equal(store_count(f.store, "", NOW, &n, &err), -1);
	assert_int_equal(err.code, ERROR_NO_SPACE);
	vfs_set_fault(0);
	for (int i = 0; i < 1000 && rc < 0; i++) {
		usleep(10000);
		rc = put_one(f.store, "a", &err);
	}
	assert_int_equal(rc, 0);
	expect_count(f.store, "", 1);
	store_close(f.store);
	o.patient = false;
	vfs_set_fault(ENOSPC);
	unlink(f.path);
	assert_int_equal(store_open(&f.store, "sqlite", &o, &err), -1);
	assert_int_equal(err.code, ERROR_NO_SPACE);
	f.store = NULL;
	vfs_set_fault(0);
	fixture_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_version_1_is_migrated),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_space_is_given_back),
		cmocka_unit_test(test_damage_is_told),
		cmocka_unit_test(test_a_large_file_is_sampled),
		cmocka_unit_test(test_damage_is_set_aside),
		cmocka_unit_test(test_junk_is_set_aside),
		cmocka_unit_test(test_disk_that_fails),
		cmocka_unit_test(test_patience),
	};

	vfs_install();
	alarm(120); /* a test that hangs has failed */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
