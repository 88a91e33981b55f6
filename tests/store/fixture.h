/* What store tests stand on: a store in a directory of its own. */
#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW 1000

struct fixture {
	char dir[64];
	char path[96];
	const struct store_ops *ops;
	struct store *store;
};

static inline void fixture_open(struct fixture *f)
{
	struct error err = { 0 };
	struct store_options o = { .path = f->path };

	if (store_open(&f->store, f->ops->name, &o, &err) < 0)
		fail_msg("%s", err.message);
}

static inline void fixture_init(struct fixture *f, const struct store_ops *ops)
{
	memset(f, 0, sizeof(*f));
	f->ops = ops;
	strcpy(f->dir, "/tmp/unrolld-test-store-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/s.db", f->dir);
}

static inline void fixture_release(struct fixture *f)
{
	struct dirent *e;
	DIR *d;

	store_close(f->store);
	d = opendir(f->dir);
	while ((e = readdir(d)))
		unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	rmdir(f->dir);
}

static inline void expect(
	struct store *s, const char *key, int64_t now, const char *value)
{
	struct error err = { 0 };
	struct buf b;
	int rc;

	buf_init(&b, 1 << 20);
	rc = store_get(s, key, now, &b, &err);
	if (!value) {
		assert_int_equal(rc, -1);
		assert_int_equal(err.code, ERROR_NOT_FOUND);
	} else {
		assert_int_equal(rc, 0);
		assert_int_equal(b.len, strlen(value));
		assert_memory_equal(b.data ? b.data : "", value, b.len);
	}
	buf_release(&b);
}

static inline void put(
	struct store *s, const char *key, const char *value, int64_t expires)
{
	assert_int_equal(
		store_put(s, key, value, strlen(value), expires, NULL), 0);
}

static inline void write_file(
	const char *path, const char *bytes, size_t len, off_t at)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, at), len);
	close(fd);
}

static inline void run_sql(const char *path, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

#endif
