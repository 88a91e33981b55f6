#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "test.h"

static char dir[] = "/tmp/unrolld-file-XXXXXX";

static int make_dir(void **state)
{
	return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int remove_dir(void **state)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", dir);
	return chdir("/") || system(command);
}

static void put(const char *path, const char *text)
{
	struct file_writer w;
	struct error err;

	assert_int_equal(file_writer_open(&w, path, 0644, &err), 0);
	assert_int_equal(file_writer_write(&w, text, strlen(text), &err), 0);
	assert_int_equal(file_writer_commit(&w, &err), 0);
}

static void assert_holds(const char *path, const char *text)
{
	struct error err;
	char *data;
	size_t len;

	assert_int_equal(file_read(path, 1 << 20, &data, &len, &err), 0);
	assert_int_equal(len, strlen(text));
	assert_string_equal(data, text);
	free(data);
}

/* Nothing but what is named may be left in the directory. */
static void assert_entries(const char *path, int expected)
{
	DIR *d = opendir(path);
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	assert_int_equal(n - 2, expected);
}

static void test_replaces_whole(void **state)
{
	struct stat st;

	mkdir("replace", 0755);
	put("replace/model", "old");
	put("replace/model", "new");
	assert_holds("replace/model", "new");
	assert_entries("replace", 1);
	put("plain", "in the working directory");
	assert_holds("plain", "in the working directory");
	assert_int_equal(stat("replace/model", &st), 0);
	assert_int_equal(st.st_mode & 0600, 0600);
	assert_int_equal(st.st_mode & 0022, 0);
}

static void test_old_file_until_commit(void **state)
{
	struct file_writer w;

	mkdir("abort", 0755);
	put("abort/model", "old");
	assert_int_equal(file_writer_open(&w, "abort/model", 0644, NULL), 0);
	assert_int_equal(file_writer_write(&w, "half", 4, NULL), 0);
	assert_holds("abort/model", "old");
	assert_entries("abort", 2);
	file_writer_abort(&w);
	assert_holds("abort/model", "old");
	assert_entries("abort", 1);
}

/* A write that the system refuses, as on a full disk. */
static void test_full_disk(void **state)
{
	struct rlimit old, small = { 8192, RLIM_INFINITY };
	static char big[100000];
	struct file_writer w;
	struct error err;
	int rc;

	mkdir("full", 0755);
	put("full/model", "old");
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	assert_int_equal(file_writer_open(&w, "full/model", 0644, &err), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	rc = file_writer_write(&w, big, sizeof(big), &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(rc, -1);
	assert_int_equal(err.code, ERROR_IO);
	assert_non_null(strstr(err.message, "full/model: cannot write"));
	file_writer_abort(&w);
	assert_holds("full/model", "old");
	assert_entries("full", 1);
}

static void test_dev_full(void **state)
{
	struct file_writer w = { .path = strdup("/dev/full") };
	struct error err;

	w.fd = open("/dev/full", O_WRONLY);
	if (w.fd < 0) {
		free(w.path);
		skip();
	}
	assert_int_equal(file_writer_write(&w, "x", 1, &err), -1);
	assert_error(err, ERROR_NO_SPACE,
		"/dev/full: cannot write: No space left on device");
	file_writer_abort(&w);
}

static void test_bad_targets(void **state)
{
	struct file_writer w;
	struct error err;

	mkdir("target", 0755);
	assert_int_equal(file_writer_open(&w, "target", 0644, &err), -1);
	assert_error(err, ERROR_INVALID,
		"target: is a directory, expected a regular file");
	assert_int_equal(file_writer_open(&w, "/dev/null", 0644, &err), -1);
	assert_error(err, ERROR_INVALID,
		"/dev/null: is a device or pipe, expected a regular file");
	assert_int_equal(file_writer_open(&w, "", 0644, &err), -1);
	assert_error(err, ERROR_INVALID, "the file name is empty");
	assert_int_equal(file_writer_open(&w, "none/model", 0644, &err), -1);
	assert_error(err, ERROR_IO,
		"none/model: cannot create a file beside it: "
		"No such file or directory");
}

static void test_links_are_followed(void **state)
{
	struct stat st;

	mkdir("real", 0755);
	put("real/model", "old");
	assert_int_equal(symlink("real/model", "link"), 0);
	put("link", "new");
	assert_holds("real/model", "new");
	assert_int_equal(lstat("link", &st), 0);
	assert_true(S_ISLNK(st.st_mode));
}

static void test_long_names(void **state)
{
	char name[256];

	memset(name, 'm', 255);
	name[255] = '\0';
	put(name, "text");
	assert_holds(name, "text");
}

static void test_read_limits(void **state)
{
	struct error err;
	char *data;
	size_t len;
	int fds[2];
	char path[64];

	put("ten", "0123456789");
	assert_int_equal(file_read("ten", 10, &data, &len, &err), 0);
	assert_int_equal(len, 10);
	free(data);
	assert_int_equal(file_read("ten", 9, &data, &len, &err), -1);
	assert_error(err, ERROR_TOO_LARGE, "ten: over the limit of 9 bytes");
	assert_int_equal(file_read("none", 9, &data, &len, &err), -1);
	assert_error(err, ERROR_NOT_FOUND, "none: no such file");
	assert_int_equal(file_read(".", 9, &data, &len, &err), -1);
	assert_error(err, ERROR_IO, ".: cannot read: Is a directory");
	put("empty", "");
	assert_holds("empty", "");
	/* Sizes of pipes and /proc are not known before. */
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "through", 7), 7);
	close(fds[1]);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[0]);
	assert_holds(path, "through");
	close(fds[0]);
}

static void test_map(void **state)
{
	struct file_map m;
	struct error err;

	put("mapped", "abc");
	assert_int_equal(file_map_open(&m, "mapped", &err), 0);
	assert_int_equal(m.len, 3);
	put("mapped", "replaced later");
	assert_memory_equal(m.data, "abc", 3);
	file_map_close(&m);
	file_map_close(&m);
	put("none-mapped", "");
	assert_int_equal(file_map_open(&m, "none-mapped", &err), 0);
	assert_null(m.data);
	assert_int_equal(m.len, 0);
	file_map_close(&m);
	assert_int_equal(file_map_open(&m, ".", &err), -1);
	assert_error(err, ERROR_INVALID, ".: not a regular file");
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_int_equal(file_map_open(&m, "fifo", &err), -1);
	assert_error(err, ERROR_INVALID, "fifo: not a regular file");
}

static void test_make_directories(void **state)
{
	struct error err;
	struct stat st;
	char path[128];

	assert_int_equal(file_make_directories("a/b//c/", 0755, &err), 0);
	assert_int_equal(file_make_directories("a/b/c", 0755, &err), 0);
	assert_int_equal(stat("a/b/c", &st), 0);
	snprintf(path, sizeof(path), "%s/x/y", dir);
	assert_int_equal(file_make_directories(path, 0755, &err), 0);
	assert_int_equal(file_make_directories("/", 0755, &err), 0);
	put("a/file", "");
	assert_int_equal(file_make_directories("a/file/d", 0755, &err), -1);
	assert_error(err, ERROR_IO, "a/file: exists and is not a directory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replaces_whole),
		cmocka_unit_test(test_old_file_until_commit),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_dev_full),
		cmocka_unit_test(test_bad_targets),
		cmocka_unit_test(test_links_are_followed),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_read_limits),
		cmocka_unit_test(test_map),
		cmocka_unit_test(test_make_directories),
	};

	return cmocka_run_group_tests_name("file", tests, make_dir, remove_dir);
}
