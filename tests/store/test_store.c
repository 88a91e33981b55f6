/* One conformance test over every kind of store, then what is SQLite's own. */
#include "store/fixture.h"

static int join_keys(void *arg, const char *key, const void *value, size_t len,
	int64_t expires)
{
	strcat(strcat((char *)arg, key), " ");
	return 0;
}

static int stop_at_first(void *arg, const char *key, const void *value,
	size_t len, int64_t expires)
{
	join_keys(arg, key, value, len, expires);
	return 1;
}

static void expect_keys(struct store *s, const char *prefix, const char *after,
	size_t limit, const char *keys)
{
	char got[256] = "";

	assert_int_equal(
		store_list(s, prefix, after, limit, NOW, join_keys, got, NULL),
		0);
	assert_string_equal(got, keys);
}

static void check_values(struct store *s)
{
	struct error err = { 0 };
	struct buf small;

	expect(s, "a", NOW, NULL);
	put(s, "a", "one", STORE_NEVER);
	expect(s, "a", NOW, "one");
	put(s, "a", "two and longer", STORE_NEVER);
	expect(s, "a", NOW, "two and longer");
	put(s, "empty", "", STORE_NEVER);
	expect(s, "empty", NOW, "");
	assert_int_equal(store_put(s, "zero", "a\0b", 3, STORE_NEVER, NULL), 0);
	buf_init(&small, 2);
	assert_int_equal(store_get(s, "zero", NOW, &small, &err), -1);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	buf_release(&small);
	assert_int_equal(store_delete(s, "a", NULL), 0);
	expect(s, "a", NOW, NULL);
	assert_int_equal(store_delete(s, "a", NULL), 0); /* absent is fine */
	assert_int_equal(store_delete(s, "empty", NULL), 0);
	assert_int_equal(store_delete(s, "zero", NULL), 0);
}

static void check_bad_keys(struct store *s)
{
	struct error err = { 0 };
	char longest[STORE_KEY_MAX + 2];

	assert_int_equal(store_put(s, "", "x", 1, STORE_NEVER, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
	assert_int_equal(store_put(s, "\xff", "x", 1, STORE_NEVER, &err), -1);
	memset(longest, 'k', sizeof(longest));
	longest[STORE_KEY_MAX + 1] = '\0';
	assert_int_equal(store_put(s, longest, "x", 1, STORE_NEVER, &err), -1);
	longest[STORE_KEY_MAX] = '\0';
	put(s, longest, "x", STORE_NEVER);
	expect(s, longest, NOW, "x");
	expect_keys(s, "kk", longest, 9, "");
	assert_int_equal(store_delete(s, longest, NULL), 0);
}

static void check_listing(struct store *s)
{
	char got[64] = "";
	uint64_t n;

	put(s, "s/b", "2", STORE_NEVER);
	put(s, "s/a", "1", STORE_NEVER);
	put(s, "s/\xc3\xa9", "4", STORE_NEVER);
	put(s, "s/c", "3", NOW + 5);
	put(s, "s/gone", "5", NOW);
	put(s, "r", "0", STORE_NEVER);
	put(s, "t", "9", STORE_NEVER);
	expect_keys(s, "s/", "", 9, "s/a s/b s/c s/\xc3\xa9 ");
	expect_keys(s, "s/", "", 2, "s/a s/b ");
	expect_keys(s, "s/", "s/b", 9, "s/c s/\xc3\xa9 ");
	expect_keys(s, "s/", "s/bb", 1, "s/c ");
	expect_keys(s, "s/", "z", 9, "");
	expect_keys(s, "s/", "a", 1, "s/a ");
	expect_keys(s, "s/", "", 0, "");
	expect_keys(s, "x", "", 9, "");
	expect_keys(s, "", "s/b", 9, "s/c s/\xc3\xa9 t ");
	assert_int_equal(
		store_list(s, "", "", 9, NOW, stop_at_first, got, NULL), 0);
	assert_string_equal(got, "r ");
	assert_int_equal(store_count(s, "s/", NOW, &n, NULL), 0);
	assert_int_equal(n, 4);
	assert_int_equal(store_count(s, "s/", NOW + 5, &n, NULL), 0);
	assert_int_equal(n, 3);
}

static void check_expiry(struct store *s)
{
	uint64_t before, after;
	struct buf keys;
	size_t removed;

	buf_init(&keys, 64);
	assert_int_equal(store_bytes(s, &before, NULL), 0);
	assert_true(before > 0);

	expect(s, "s/c", NOW + 4, "3");
	expect(s, "s/c", NOW + 5, NULL);
	put(s, "s/x", "x", NOW + 1);
	assert_int_equal(store_expire(s, NOW, 9, NULL, &removed, NULL), 0);
	assert_int_equal(removed, 1); /* s/gone */
	assert_int_equal(store_expire(s, NOW + 9, 1, &keys, &removed, NULL), 0);
	assert_int_equal(removed, 1);
	assert_int_equal(keys.len, 4);
	assert_true(!strcmp(keys.data, "s/c") || !strcmp(keys.data, "s/x"));
	buf_release(&keys);
	assert_int_equal(store_expire(s, NOW + 9, 9, NULL, &removed, NULL), 0);
	assert_int_equal(removed, 1);
	assert_int_equal(store_expire(s, NOW + 9, 9, NULL, &removed, NULL), 0);
	assert_int_equal(removed, 0);
	assert_int_equal(store_bytes(s, &after, NULL), 0);
	assert_true(after <= before + 65536);
	put(s, "s/x", "again", NOW + 1);
	put(s, "s/x", "for ever", STORE_NEVER);
	assert_int_equal(store_expire(s, NOW + 9, 9, NULL, &removed, NULL), 0);
	assert_int_equal(removed, 0);
	expect(s, "s/x", NOW + 9, "for ever");
}

static void check_transaction(struct store *s)
{
	const struct store_change good[] = {
		{ "t1", "1", 1, STORE_NEVER },
		{ "t2", "2", 1, STORE_NEVER },
		{ "t1", "3", 1, STORE_NEVER },
		{ "t2", NULL, 0, STORE_NEVER },
	};
	const struct store_change bad[] = {
		{ "t1", "4", 1, STORE_NEVER },
		{ "", "5", 1, STORE_NEVER },
	};

	assert_int_equal(store_apply(s, good, 4, NULL), 0);
	expect(s, "t1", NOW, "3");
	expect(s, "t2", NOW, NULL);
	assert_int_equal(store_apply(s, bad, 2, NULL), -1);
	expect(s, "t1", NOW, "3");
	assert_int_equal(store_apply(s, NULL, 0, NULL), 0);
}

/* Random changes against an array that is obviously right. */
static void check_against_model(struct store *s)
{
	char model[100][16] = { "" };
	unsigned random = 12345;
	char key[16], keys[1024] = "", got[1024] = "";

	for (int i = 0; i < 1000; i++) {
		unsigned k, drop;

		random = random * 1103515245 + 12345;
		k = random >> 16 & 0x7fff;
		drop = k % 3 == 0;
		k %= 100;
		snprintf(key, sizeof(key), "m/%02u", k);
		model[k][0] = '\0';
		if (!drop)
			snprintf(model[k], sizeof(model[k]), "v%d", i);
		if (drop)
			assert_int_equal(store_delete(s, key, NULL), 0);
		else
			put(s, key, model[k], STORE_NEVER);
	}
	for (int k = 0; k < 100; k++) {
		snprintf(key, sizeof(key), "m/%02d", k);
		expect(s, key, NOW, *model[k] ? model[k] : NULL);
		if (*model[k])
			strcat(strcat(keys, key), " ");
	}
	assert_int_equal(
		store_list(s, "m/", "", 200, NOW, join_keys, got, NULL), 0);
	assert_string_equal(got, keys);
}

static void test_conformance(void **state)
{
	for (size_t i = 0; store_kinds[i]; i++) {
		struct fixture f;

		fixture_init(&f, store_kinds[i]);
		fixture_open(&f);
		check_values(f.store);
		check_bad_keys(f.store);
		check_listing(f.store);
		check_expiry(f.store);
		check_transaction(f.store);
		check_against_model(f.store);
		fixture_release(&f);
	}
}

static void test_unknown_kind(void **state)
{
	struct store_options o = { 0 };
	struct error err = { 0 };
	struct store *s;

	assert_int_equal(store_open(&s, "redis", &o, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
	assert_non_null(strstr(err.message, "redis"));
}

static void test_sqlite_survives_reopening(void **state)
{
	struct fixture f;
	struct stat st;

	fixture_init(&f, &store_sqlite);
	fixture_open(&f);
	put(f.store, "kept", "value", STORE_NEVER);
	assert_int_equal(stat(f.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	store_close(f.store);
	fixture_open(&f);
	expect(f.store, "kept", NOW, "value");
	fixture_release(&f);
}

static void test_sqlite_is_locked(void **state)
{
	struct store_options o;
	struct error err = { 0 };
	struct store *second;
	struct fixture f;
	char pid[32];

	fixture_init(&f, &store_sqlite);
	fixture_open(&f);
	o.path = f.path;
	assert_int_equal(store_open(&second, "sqlite", &o, &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	assert_non_null(strstr(err.message, f.path));
	snprintf(pid, sizeof(pid), "process %ld", (long)getpid());
	assert_non_null(strstr(err.message, pid));
	put(f.store, "still", "works", STORE_NEVER);
	fixture_release(&f);
}

static void expect_refused(struct fixture *f, enum error_code code)
{
	struct store_options o = { .path = f->path };
	struct error err = { 0 };
	struct stat before, after;

	assert_int_equal(stat(f->path, &before), 0);
	assert_int_equal(store_open(&f->store, "sqlite", &o, &err), -1);
	f->store = NULL;
	assert_int_equal(err.code, code);
	assert_non_null(strstr(err.message, f->path));
	assert_int_equal(stat(f->path, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
}

static void test_sqlite_refuses_what_is_no_database(void **state)
{
	struct fixture f;
	char text[4096];

	memset(text, 'x', sizeof(text));
	fixture_init(&f, &store_sqlite);
	write_file(f.path, text, sizeof(text), 0);
	expect_refused(&f, ERROR_CORRUPT);
	fixture_release(&f);
}

static void test_sqlite_refuses_damage(void **state)
{
	struct fixture f;
	char junk[8192], key[16];

	memset(junk, 0xa5, sizeof(junk));
	fixture_init(&f, &store_sqlite);
	fixture_open(&f);
	for (int i = 0; i < 40; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		assert_int_equal(
			store_put(f.store, key, junk, 2000, STORE_NEVER, NULL),
			0);
	}
	store_close(f.store);
	write_file(f.path, junk, sizeof(junk), 8192);
	expect_refused(&f, ERROR_CORRUPT);
	fixture_release(&f);
}

static void test_sqlite_refuses_strangers_and_the_future(void **state)
{
	struct fixture f;

	fixture_init(&f, &store_sqlite);
	run_sql(f.path, "CREATE TABLE bookmarks (url TEXT)");
	expect_refused(&f, ERROR_UNSUPPORTED);
	unlink(f.path);
	fixture_open(&f);
	store_close(f.store);
	run_sql(f.path, "PRAGMA user_version = 99");
	expect_refused(&f, ERROR_UNSUPPORTED);
	fixture_release(&f);
}

static void test_sqlite_failed_transaction_changes_nothing(void **state)
{
	char big[65536];
	struct fixture f;
	struct error err = { 0 };
	const struct store_change changes[] = {
		{ "a", "new", 3, STORE_NEVER },
		{ "b", big, sizeof(big), STORE_NEVER },
	};

	memset(big, 'b', sizeof(big));
	fixture_init(&f, &store_sqlite);
	f.ops = &store_sqlite;
	fixture_open(&f);
	put(f.store, "a", "old", STORE_NEVER);
	store_close(f.store);
	run_sql(f.path, "CREATE TRIGGER t BEFORE INSERT ON entries"
			" WHEN new.key = 'b'"
			" BEGIN SELECT raise(ABORT, 'no room'); END");
	fixture_open(&f);
	assert_int_equal(store_apply(f.store, changes, 2, &err), -1);
	assert_non_null(strstr(err.message, "no room"));
	expect(f.store, "a", NOW, "old");
	put(f.store, "c", "goes on", STORE_NEVER);
	expect(f.store, "c", NOW, "goes on");
	fixture_release(&f);
}

static void test_sqlite_missing_directory(void **state)
{
	struct store_options o = { .path = "/nonexistent/dir/s.db" };
	struct error err = { 0 };
	struct store *s;

	assert_int_equal(store_open(&s, "sqlite", &o, &err), -1);
	assert_int_equal(err.code, ERROR_IO);
	assert_non_null(strstr(err.message, "/nonexistent/dir/s.db"));
	o.path = "";
	assert_int_equal(store_open(&s, "sqlite", &o, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conformance),
		cmocka_unit_test(test_unknown_kind),
		cmocka_unit_test(test_sqlite_survives_reopening),
		cmocka_unit_test(test_sqlite_is_locked),
		cmocka_unit_test(test_sqlite_refuses_what_is_no_database),
		cmocka_unit_test(test_sqlite_refuses_damage),
		cmocka_unit_test(test_sqlite_refuses_strangers_and_the_future),
		cmocka_unit_test(
			test_sqlite_failed_transaction_changes_nothing),
		cmocka_unit_test(test_sqlite_missing_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
