/* Files on disk and their records: limits, holds, lists, and what a crash
 * leaves. */
#include "serve/files.h"

#include "test.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define must(call)                                                \
	do {                                                      \
		struct error fault = { 0 };                       \
		if ((call) < 0)                                   \
			fail_msg("%s: %s", #call, fault.message); \
	} while (0)

struct place {
	char dir[64], files_dir[80], store_path[80];
	struct store_shared *store;
	struct files *files;
	struct files_options o;
};

static void place_open(struct place *p)
{
	struct store_options so = { .path = p->store_path };

	must(store_shared_open(&p->store, "sqlite", &so, &fault));
	p->o.dir = p->files_dir;
	p->o.store = p->store;
	must(files_open(&p->files, &p->o, &fault));
}

static void place_close(struct place *p)
{
	files_close(p->files);
	store_shared_close(p->store);
}

static void place_init(struct place *p)
{
	*p = (struct place){ .o = { .max_size = 1000, .max = 10 } };
	strcpy(p->dir, "/tmp/unrolld-files-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->files_dir, sizeof(p->files_dir), "%s/files", p->dir);
	snprintf(p->store_path, sizeof(p->store_path), "%s/jobs.db", p->dir);
	place_open(p);
}

static void place_release(struct place *p)
{
	char command[128];

	place_close(p);
	snprintf(command, sizeof(command), "rm -rf '%s'", p->dir);
	assert_int_equal(system(command), 0);
}

static struct file_info put(
	struct place *p, const char *owner, const char *text)
{
	struct file_about about = { .name = "a.txt" };
	struct file_upload *u;
	struct file_info info;

	must(files_begin(p->files, owner, &u, &fault));
	must(files_append(u, text, strlen(text), &fault));
	must(files_finish(u, &about, &info, &fault));
	return info;
}

static size_t count_files(const struct place *p)
{
	DIR *d = opendir(p->files_dir);
	const struct dirent *e;
	size_t n = 0;

	assert_non_null(d);
	while ((e = readdir(d)))
		n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
	closedir(d);
	return n;
}

static void test_stays(void **state)
{
	struct file_info a, got;
	struct error err = { 0 };
	char path[256], text[16] = "";
	struct place p;
	FILE *file;

	(void)state;
	place_init(&p);
	a = put(&p, "ann", "hello");
	place_close(&p);
	place_open(&p);
	must(files_find(p.files, "ann", a.id, &got, &fault));
	assert_memory_equal(&a, &got, sizeof(a));
	assert_int_equal(got.bytes, 5);
	/* xxhsum -H2 */
	assert_string_equal(got.hash, "b5e9c1ad071b3e7fc779cfaa5e523818");
	assert_string_equal(got.encoding, "utf-8");
	must(files_path(p.files, a.id, path, sizeof(path)));
	file = fopen(path, "r");
	assert_non_null(file);
	assert_non_null(fgets(text, sizeof(text), file));
	fclose(file);
	assert_string_equal(text, "hello");
	assert_int_equal(files_find(p.files, "bob", a.id, &got, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	place_release(&p);
}

static void test_held(void **state)
{
	struct file_info a, got;
	struct error err = { 0 };
	struct place p;

	(void)state;
	place_init(&p);
	a = put(&p, "", "hello");
	must(files_hold(p.files, "", a.id, &got, &fault));
	must(files_hold(p.files, "", a.id, &got, &fault));
	files_release(p.files, a.id);
	assert_int_equal(files_delete(p.files, "", a.id, &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	assert_int_equal(count_files(&p), 1);
	files_release(p.files, a.id);
	must(files_delete(p.files, "", a.id, &fault));
	assert_int_equal(count_files(&p), 0);
	assert_int_equal(files_delete(p.files, "", a.id, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	place_release(&p);
}

/* A transfer of `n` bytes: 0, or the code of what ends it. */
static enum error_code try(struct place *p, const char *owner, size_t n)
{
	struct file_about about = { .name = "b" };
	struct error err = { 0 };
	struct file_upload *u;
	struct file_info info;

	if (files_begin(p->files, owner, &u, &err) < 0)
		return err.code;
	for (size_t i = 0; i < n; i++)
		if (files_append(u, "x", 1, &err) < 0) {
			files_abort(u);
			return err.code;
		}
	return files_finish(u, &about, &info, &err) < 0 ? err.code : ERROR_NONE;
}

static void test_limits(void **state)
{
	struct files_stats stats;
	struct place p;

	(void)state;
	place_init(&p);
	place_close(&p);
	p.o.max_size = 50;
	p.o.quota = 120;
	p.o.quota_per_owner = 80;
	p.o.max = 4;
	place_open(&p);
	assert_int_equal(try(&p, "ann", 0), ERROR_INVALID);
	assert_int_equal(try(&p, "ann", 51), ERROR_TOO_LARGE);
	assert_int_equal(try(&p, "ann", 50), ERROR_NONE);
	assert_int_equal(try(&p, "ann", 31), ERROR_NO_SPACE);
	assert_int_equal(try(&p, "ann", 30), ERROR_NONE);
	assert_int_equal(try(&p, "bob", 41), ERROR_NO_SPACE);
	assert_int_equal(try(&p, "bob", 39), ERROR_NONE);
	assert_int_equal(try(&p, "bob", 1), ERROR_NONE);
	assert_int_equal(try(&p, "eve", 0), ERROR_NO_SPACE);
	files_stats(p.files, &stats);
	assert_int_equal(stats.files, 4);
	assert_int_equal(stats.bytes, 120);
	/* Refused ones left nothing, and the sums are found again. */
	assert_int_equal(count_files(&p), 4);
	place_close(&p);
	p.o.max = 9;
	place_open(&p);
	assert_int_equal(try(&p, "bob", 1), ERROR_NO_SPACE);
	place_release(&p);
}

static void check_list(struct place *p, const char *after, bool newest,
	size_t limit, const char *expected, bool expected_more)
{
	struct file_info infos[8];
	char got[16] = "";
	size_t n;
	bool more;

	must(files_list(p->files, "ann", after, newest, limit, infos, &n, &more,
		&fault));
	for (size_t i = 0; i < n; i++)
		snprintf(got + i, sizeof(got) - i, "%d", (int)infos[i].bytes);
	assert_string_equal(got, expected);
	assert_int_equal(more, expected_more);
}

static void test_list(void **state)
{
	static const char *const texts[] = { "a", "bb", "ccc", "dddd" };
	struct file_info files[4], infos[1];
	struct error err = { 0 };
	struct place p;
	size_t n;
	bool more;

	(void)state;
	place_init(&p);
	for (int i = 0; i < 4; i++) {
		files[i] = put(&p, "ann", texts[i]);
		put(&p, "bob", "-----");
	}
	for (int again = 0; again < 2; again++) {
		check_list(&p, "", true, 8, "4321", false);
		check_list(&p, "", false, 3, "123", true);
		check_list(&p, files[2].id, false, 1, "4", false);
		check_list(&p, files[2].id, true, 1, "2", true);
		check_list(&p, files[0].id, true, 1, "", false);
		place_close(&p);
		place_open(&p);
	}
	assert_int_equal(files_list(p.files, "bob", files[0].id, true, 1, infos,
				 &n, &more, &err),
		-1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	place_release(&p);
}

static void touch(const struct place *p, const char *name)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", p->files_dir, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fclose(file);
}

static void test_recovery(void **state)
{
	struct file_info kept, vanished, got;
	struct file_upload *half;
	struct error err = { 0 };
	struct place p;
	char path[256];

	(void)state;
	place_init(&p);
	kept = put(&p, "", "kept");
	vanished = put(&p, "", "vanished");
	must(files_begin(p.files, "", &half, &fault));
	must(files_append(half, "half", 4, &fault));
	/* As a kill would leave it, beside a file whose record is gone and
	 * what isn't ours. */
	store_shared_close(p.store);
	must(files_path(p.files, vanished.id, path, sizeof(path)));
	assert_int_equal(truncate(path, 3), 0);
	touch(&p, "file-orphan");
	touch(&p, "README");
	assert_int_equal(count_files(&p), 5);
	struct files *before = p.files;

	place_open(&p);
	assert_int_equal(count_files(&p), 2);
	must(files_find(p.files, "", kept.id, &got, &fault));
	assert_int_equal(files_find(p.files, "", vanished.id, &got, &err), -1);
	files_abort(half);
	files_close(before);
	place_release(&p);
}

static void refuses(struct place *p, const char *text, size_t len,
	const struct file_about *about, enum error_code code,
	const char *message)
{
	struct error err = { 0 };
	struct file_upload *u;
	struct file_info info;

	must(files_begin(p->files, "", &u, &fault));
	must(files_append(u, text, len, &fault));
	assert_int_equal(files_finish(u, about, &info, &err), -1);
	assert_error(err, code, message);
	assert_int_equal(count_files(p), 0);
}

static void test_refused_texts(void **state)
{
	struct file_about about = { .name = "x" };
	struct place p;

	(void)state;
	place_init(&p);
	refuses(&p, "ab\xff", 3, &about, ERROR_UNPROCESSABLE,
		"invalid UTF-8 at byte 2: 0xff");
	refuses(&p, "a\0b", 3, &about, ERROR_UNPROCESSABLE,
		"character 2 is a NUL: this is no text, or not in this "
		"encoding");
	about.encoding = "klingon";
	refuses(&p, "abc", 3, &about, ERROR_INVALID,
		"encoding: unknown charset \"klingon\", expected utf-8, bytes, "
		"auto or a name that `iconv -l` lists, such as latin1, "
		"windows-1252, gbk, gb18030, shift_jis, utf-16");
	about.encoding = "gbk";
	about.format = FILE_JSONL;
	refuses(&p, "{}", 2, &about, ERROR_UNPROCESSABLE,
		"line 1: `text` is missing or no string, expected a JSON "
		"object with a string `text`");
	place_release(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stays),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_recovery),
		cmocka_unit_test(test_refused_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
