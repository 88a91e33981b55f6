#include "base/log.h"

#include "base/log_private.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "test.h"

static const struct timespec when = { 1767225599, 123456789 };

static void expect(
	enum log_format format, struct log_field field, const char *expected)
{
	char line[LOG_LINE_MAX];
	size_t n = log_line(line, format, when, LOG_LEVEL_WARN, "m", &field, 1);

	assert_int_equal(line[n - 1], '\n');
	line[n - 1] = '\0';
	assert_string_equal(line, expected);
}

#define TEXT_HEAD "2025-12-31T23:59:59.123Z level=warn msg=m "
#define JSON_HEAD                                                    \
	"{\"time\":\"2025-12-31T23:59:59.123Z\",\"level\":\"warn\"," \
	"\"msg\":\"m\","

static void test_text_lines(void **state)
{
	const enum log_format f = LOG_FORMAT_TEXT;

	expect(f, log_text("k", "plain-1.5/x"), TEXT_HEAD "k=plain-1.5/x");
	expect(f, log_text("k", "two words"), TEXT_HEAD "k=\"two words\"");
	expect(f, log_text("k", ""), TEXT_HEAD "k=\"\"");
	expect(f, log_text("k", NULL), TEXT_HEAD "k=\"\"");
	expect(f, log_text("k", "a=b"), TEXT_HEAD "k=\"a=b\"");
	expect(f, log_int("k", -5), TEXT_HEAD "k=-5");
	expect(f, log_uint("k", UINT64_MAX),
		TEXT_HEAD "k=18446744073709551615");
	expect(f, log_real("k", 1.5), TEXT_HEAD "k=1.5");
	expect(f, log_bool("k", true), TEXT_HEAD "k=true");
	expect(LOG_FORMAT_JOURNALD, log_int("k", 1), "<4>level=warn msg=m k=1");
}

static void test_nobody_forges_a_line(void **state)
{
	const enum log_format f = LOG_FORMAT_TEXT;

	expect(f, log_text("k", "x\nlevel=error msg=\"pwned\""),
		TEXT_HEAD "k=\"x\\nlevel=error msg=\\\"pwned\\\"\"");
	expect(f, log_text("k", "\x1b[2J\r\x7f"),
		TEXT_HEAD "k=\"\\u001b[2J\\r\\u007f\"");
	expect(f, log_bytes("k", "a\0b", 3), TEXT_HEAD "k=\"a\\u0000b\"");
	expect(f,
		log_text("k", "\xC2\x9B"
			      "31m"),
		TEXT_HEAD "k=\"\\u009b31m\"");
	expect(f,
		log_text("k", "\xE2\x80\xAE"
			      "evil"),
		TEXT_HEAD "k=\"\\u202eevil\"");
	expect(f, log_text("k", "\xC3\xA9\xFF\xE2\x82"),
		TEXT_HEAD "k=\"\xC3\xA9\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

static void test_json_lines(void **state)
{
	const enum log_format f = LOG_FORMAT_JSON;

	expect(f, log_text("k", "a\"\\\n\x01"),
		JSON_HEAD "\"k\":\"a\\\"\\\\\\n\\u0001\"}");
	expect(f, log_int("k", -1), JSON_HEAD "\"k\":-1}");
	expect(f, log_bool("k", false), JSON_HEAD "\"k\":false}");
	expect(f, log_real("k", NAN), JSON_HEAD "\"k\":null}");
}

static void test_long_lines_are_cut(void **state)
{
	struct log_field fields[10];
	char text[3000], line[LOG_LINE_MAX];
	size_t n;

	memset(text, 'a', sizeof(text));
	for (int i = 0; i < 10; i++)
		fields[i] = log_bytes("k", text, sizeof(text));
	n = log_line(
		line, LOG_FORMAT_TEXT, when, LOG_LEVEL_INFO, "m", fields, 10);
	assert_true(n <= LOG_LINE_MAX);
	assert_memory_equal(line + n - 10, " cut=true\n", 10);
	n = log_line(
		line, LOG_FORMAT_JSON, when, LOG_LEVEL_INFO, "m", fields, 10);
	assert_memory_equal(line + n - 13, ",\"cut\":true}\n", 13);
}

/* The log writes to a temporary file; its text is read back. */
static char text[4 << 20];

static int open_log(enum log_level level, const char *name)
{
	struct log_options o;

	log_defaults(&o);
	o.level = level;
	o.fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(o.fd >= 0);
	assert_int_equal(log_open(&o, NULL), 0);
	return o.fd;
}

static void read_log(int fd)
{
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
}

static void test_levels(void **state)
{
	char name[] = "/tmp/unrolld-log-XXXXXX";
	int fd;

	close(mkstemp(name));
	log_error("before");
	assert_false(log_enabled(LOG_LEVEL_ERROR));
	fd = open_log(LOG_LEVEL_INFO, name);
	log_info("shown", log_int("n", 1));
	log_debug("hidden");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("debugging");
	log_set_level(LOG_LEVEL_ERROR);
	log_warn("quiet");
	log_error("broken");
	log_flush();
	read_log(fd);
	assert_non_null(strstr(text, " level=info msg=shown n=1\n"));
	assert_non_null(strstr(text, " level=debug msg=debugging\n"));
	assert_non_null(strstr(text, " level=error msg=broken\n"));
	assert_null(strstr(text, "hidden"));
	assert_null(strstr(text, "quiet"));
	assert_null(strstr(text, "before"));
	log_close();
	log_close();
	log_error("after");
	log_set_level(LOG_LEVEL_DEBUG);
	assert_false(log_enabled(LOG_LEVEL_ERROR));
	close(fd);
	unlink(name);
}

static void *log_many(void *arg)
{
	for (int i = 0; i < 500; i++)
		log_info("line", log_int("thread", (intptr_t)arg),
			log_int("i", i));
	return NULL;
}

static void test_threads_write_whole_lines(void **state)
{
	char name[] = "/tmp/unrolld-log-XXXXXX";
	uint64_t before = log_dropped();
	pthread_t threads[4];
	int fd, lines = 0;

	close(mkstemp(name));
	fd = open_log(LOG_LEVEL_INFO, name);
	for (intptr_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, log_many, (void *)i);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	log_close();
	read_log(fd);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (strstr(line, "dropped"))
			continue;
		assert_non_null(strstr(line, "level=info msg=line thread="));
		lines++;
	}
	assert_int_equal(lines + (log_dropped() - before), 2000);
	close(fd);
	unlink(name);
}

/* Nobody reads the pipe: callers must go on, and what was lost is counted. */
static void test_never_blocks(void **state)
{
	uint64_t before = log_dropped();
	struct log_options o;
	int fds[2];
	ssize_t n;

	assert_int_equal(pipe(fds), 0);
	log_defaults(&o);
	o.fd = fds[1];
	o.buffer = 64 << 10;
	assert_int_equal(log_open(&o, NULL), 0);
	for (int i = 0; i < 10000; i++)
		log_info("into the void", log_int("i", i));
	assert_true(log_dropped() > before);
	/* Once it is read again, the loss is told. */
	n = read(fds[0], text, 65536);
	assert_true(n > 0);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 200; i++) {
		n = read(fds[0], text, sizeof(text) - 1);
		if (n > 0) {
			text[n] = '\0';
			if (strstr(text, "msg=\"log lines dropped\" lines="))
				break;
		}
		usleep(10000);
		assert_true(i < 199);
	}
	log_close();
	close(fds[0]);
	close(fds[1]);
}

static void test_close_gives_up_on_a_stuck_reader(void **state)
{
	struct log_options o;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	log_defaults(&o);
	o.fd = fds[1];
	assert_int_equal(log_open(&o, NULL), 0);
	for (int i = 0; i < 10000; i++)
		log_info("into the void", log_int("i", i));
	log_close();
	close(fds[0]);
	close(fds[1]);
}

static void test_journal_is_recognised(void **state)
{
	char name[] = "/tmp/unrolld-log-XXXXXX", stream[64];
	struct stat st;
	int fd = mkstemp(name);

	assert_int_equal(fstat(fd, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu",
		(unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	close(fd);
	setenv("JOURNAL_STREAM", stream, 1);
	fd = open_log(LOG_LEVEL_INFO, name);
	log_error("told");
	log_close();
	read_log(fd);
	assert_string_equal(text, "<3>level=error msg=told\n");
	close(fd);
	setenv("JOURNAL_STREAM", "1:1", 1);
	fd = open_log(LOG_LEVEL_INFO, name);
	log_error("told");
	log_close();
	read_log(fd);
	assert_string_equal(text + 24, " level=error msg=told\n");
	close(fd);
	unsetenv("JOURNAL_STREAM");
	unlink(name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_lines),
		cmocka_unit_test(test_nobody_forges_a_line),
		cmocka_unit_test(test_json_lines),
		cmocka_unit_test(test_long_lines_are_cut),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_threads_write_whole_lines),
		cmocka_unit_test(test_never_blocks),
		cmocka_unit_test(test_close_gives_up_on_a_stuck_reader),
		cmocka_unit_test(test_journal_is_recognised),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
