#include "base/options.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "test.h"

struct values {
	char *address;
	uint64_t port;
	int64_t offset;
	bool tied;
	bool log;
	double rate;
	uint64_t body;
	uint64_t timeout;
	int split;
	struct option_list origins;
	char *key;
	char *output;
};

#define AT(field) offsetof(struct values, field)

static const struct option rows[] = {
	{ .name = "http", .type = OPTION_HEADING, .help = "HTTP server" },
	{ .name = "http.address",
		.type = OPTION_STRING,
		.offset = AT(address),
		.value = "127.0.0.1",
		.help = "address to listen on" },
	{ .name = "http.port",
		.type = OPTION_UINT,
		.offset = AT(port),
		.value = "8080",
		.min = "1",
		.max = "65535",
		.help = "port to listen on" },
	{ .name = "http.body_limit",
		.type = OPTION_SIZE,
		.offset = AT(body),
		.value = "1M",
		.min = "1K",
		.max = "1G",
		.help = "largest body of a request" },
	{ .name = "http.write_timeout",
		.type = OPTION_DURATION,
		.offset = AT(timeout),
		.value = "30s",
		.help = "how long a client may take to read what it was sent, "
			"before its request is cancelled and its slot is "
			"given to another" },
	{ .name = "http.origins",
		.type = OPTION_LIST,
		.offset = AT(origins),
		.help = "web pages that may call" },
	{ .name = "auth.key",
		.type = OPTION_STRING,
		.offset = AT(key),
		.flags = OPTION_SECRET,
		.help = "the key" },
	{ .name = "log.access",
		.type = OPTION_BOOL,
		.offset = AT(log),
		.value = "true",
		.help = "log each request" },
	{ .name = "train", .type = OPTION_HEADING, .help = "Training" },
	{ .name = "learning-rate",
		.type = OPTION_DOUBLE,
		.offset = AT(rate),
		.value = "2e-3",
		.min = "0",
		.max = "100",
		.help = "step size" },
	{ .name = "offset",
		.type = OPTION_INT,
		.offset = AT(offset),
		.value = "-3",
		.help = "an offset" },
	{ .name = "tied",
		.type = OPTION_BOOL,
		.offset = AT(tied),
		.help = "tie the output to the embedding" },
	{ .name = "validation-split",
		.type = OPTION_ENUM,
		.offset = AT(split),
		.value = "tail",
		.choices = "tail|stream",
		.help = "what is held out" },
	{ .name = "output",
		.type = OPTION_STRING,
		.offset = AT(output),
		.letter = 'o',
		.argument = "FILE",
		.flags = OPTION_COMMAND_LINE,
		.help = "where to write" },
};

static struct values v;
static struct options o;
static struct error err;

static int setup(void **state)
{
	memset(&err, 0, sizeof(err));
	return options_init(&o, rows, sizeof(rows) / sizeof(rows[0]), &v, &err);
}

static int teardown(void **state)
{
	options_release(&o);
	return 0;
}

/* Words separated by spaces. */
static int parse(const char *words, struct option_list *positional)
{
	char *copy = strdup(words), *rest = copy, *argv[32] = { copy };
	int argc = 1, rc;

	while ((argv[argc] = strsep(&rest, " ")))
		argc++;
	rc = options_parse_arguments(&o, argc, argv, positional, &err);
	free(copy);
	return rc;
}

static int load_file(const char *text)
{
	char name[] = "/tmp/unrolld.conf.XXXXXX";
	int fd = mkstemp(name), rc;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	rc = options_load_file(&o, name, &err);
	unlink(name);
	/* Messages begin with the name: compare what is after it. */
	if (rc < 0 && strncmp(err.message, name, strlen(name)) == 0)
		memmove(err.message, err.message + strlen(name),
			strlen(err.message + strlen(name)) + 1);
	return rc;
}

static int load_environment(const char *const *env, const char *const *allowed)
{
	return options_load_environment(
		&o, (char *const *)env, "UNROLLD_", allowed, &err);
}

static void test_defaults(void **state)
{
	assert_string_equal(v.address, "127.0.0.1");
	assert_int_equal(v.port, 8080);
	assert_int_equal(v.body, 1 << 20);
	assert_int_equal(v.timeout, 30000);
	assert_int_equal(v.origins.n, 0);
	assert_null(v.key);
	assert_true(v.log);
	assert_false(v.tied);
	assert_true(v.rate == 2e-3);
	assert_int_equal(v.offset, -3);
	assert_int_equal(v.split, 0);
	assert_null(options_source(&o, "http.port"));
}

static void test_arguments(void **state)
{
	struct option_list rest = { 0 };

	assert_int_equal(parse("a.txt --http.port=9000 --http.address ::1 "
			       "--tied --no-log.access -o m.safetensors "
			       "--validation-split stream --offset -7 - "
			       "-- --tied",
				 &rest),
		0);
	assert_int_equal(v.port, 9000);
	assert_string_equal(v.address, "::1");
	assert_true(v.tied);
	assert_false(v.log);
	assert_string_equal(v.output, "m.safetensors");
	assert_int_equal(v.split, 1);
	assert_int_equal(v.offset, -7);
	assert_int_equal(rest.n, 3);
	assert_string_equal(rest.items[0], "a.txt");
	assert_string_equal(rest.items[1], "-");
	assert_string_equal(rest.items[2], "--tied");
	assert_string_equal(options_source(&o, "http.port"), "--http.port");
	assert_string_equal(options_source(&o, "output"), "-o");
	option_list_release(&rest);
	assert_int_equal(parse("-obehind", NULL), 0);
	assert_string_equal(v.output, "behind");
}

static void test_argument_errors(void **state)
{
	static const struct {
		const char *words, *message;
	} bad[] = {
		{ "--http.prot 1", "unknown option '--http.prot', did you mean "
				   "'--http.port'?" },
		{ "--port 1", "unknown option '--port', did you mean "
			      "'--http.port'?" },
		{ "--zzzzzzzz", "unknown option '--zzzzzzzz'" },
		{ "-z", "unknown option '-z'" },
		{ "--http.port", "--http.port needs a value, expected an "
				 "unsigned integer from 1 to 65535" },
		{ "--http.port 0", "--http.port is '0', expected an unsigned "
				   "integer from 1 to 65535" },
		{ "--http.port 65536", "--http.port is '65536', expected an "
				       "unsigned integer from 1 to 65535" },
		{ "--http.port 80x", "--http.port is '80x', expected an "
				     "unsigned integer from 1 to 65535" },
		{ "--http.port -1", "--http.port is '-1', expected an unsigned "
				    "integer from 1 to 65535" },
		{ "--http.port=", "--http.port is '', expected an unsigned "
				  "integer from 1 to 65535" },
		{ "--offset 99999999999999999999",
			"--offset is '99999999999999999999', expected an "
			"integer" },
		{ "--tied=maybe", "--tied is 'maybe', expected true or false" },
		{ "--no-tied=true", "unknown option '--no-tied', did you mean "
				    "'--tied'?" },
		{ "--no-offset", "unknown option '--no-offset', did you mean "
				 "'--offset'?" },
		{ "--learning-rate nan", "--learning-rate is 'nan', expected a "
					 "number from 0 to 100" },
		{ "--learning-rate 1e999", "--learning-rate is '1e999', "
					   "expected a number from 0 to 100" },
		{ "--learning-rate -1", "--learning-rate is '-1', expected a "
					"number from 0 to 100" },
		{ "--validation-split tai",
			"--validation-split is 'tai', expected one of tail "
			"stream" },
		{ "--http.body_limit 1MB",
			"--http.body_limit is '1MB', expected a size such as "
			"4096, 64K, 8M or 2G from 1K to 1G" },
		{ "--http.write_timeout 30",
			"--http.write_timeout is '30', expected a duration "
			"such as 500ms, 30s, 5m, 2h or 7d" },
		{ "stray", "unexpected argument 'stray'" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(parse(bad[i].words, NULL), -1);
		assert_error(err, ERROR_INVALID, bad[i].message);
	}
	assert_int_equal(v.port, 8080);
	assert_int_equal(parse("--http.port 0", NULL), -1);
	assert_string_equal(err.param, "http.port");
}

static void test_numbers(void **state)
{
	assert_int_equal(parse("--http.body_limit 64K --http.write_timeout "
			       "500ms --learning-rate .5",
				 NULL),
		0);
	assert_int_equal(v.body, 65536);
	assert_int_equal(v.timeout, 500);
	assert_true(v.rate == .5);
	assert_int_equal(parse("--http.write_timeout 2h", NULL), 0);
	assert_int_equal(v.timeout, 7200000);
	assert_int_equal(parse("--http.write_timeout 0", NULL), 0);
	assert_int_equal(v.timeout, 0);
	/* A factor that would overflow. */
	assert_int_equal(
		parse("--http.write_timeout 18446744073709551615d", NULL), -1);
}

static void test_file(void **state)
{
	assert_int_equal(load_file("; comment\n# comment\n"
				   "learning-rate = 0.1\n"
				   "[http]\n"
				   "port = 9000 ; a comment\r\n"
				   "  address = ::1\n"
				   "origins = http://a\norigins = http://b\n"
				   "[log]\naccess=off"),
		0);
	assert_int_equal(v.port, 9000);
	assert_string_equal(v.address, "::1");
	assert_true(v.rate == 0.1);
	assert_false(v.log);
	assert_int_equal(v.origins.n, 2);
	assert_string_equal(v.origins.items[1], "http://b");
}

static void test_file_errors(void **state)
{
	static const struct {
		const char *text, *message;
	} bad[] = {
		{ "\n[http]\nprot = 1\n", ":3: unknown option 'http.prot', did "
					  "you mean 'http.port'?" },
		{ "[http]\nport = 99999\n",
			":2: http.port is '99999', expected an unsigned "
			"integer from 1 to 65535" },
		{ "[http]\nport 80\n[x]\ny = 1\n",
			":2: expected 'name = value' or '[section]'" },
		{ "[http\nport = 80\n",
			":1: expected 'name = value' or '[section]'" },
		{ "[auth]\nkey = a\n[http]\nport = x\nprot = y\n",
			":4: http.port is 'x', expected an unsigned integer "
			"from 1 to 65535" },
		{ "output = x\n", ":1: output is only for the command line" },
	};
	char line[9000];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(load_file(bad[i].text), -1);
		assert_error(err, ERROR_INVALID, bad[i].message);
	}
	memset(line, 'x', sizeof(line) - 1);
	memcpy(line, "[http]\naddress = ", 17);
	line[sizeof(line) - 1] = '\0';
	assert_int_equal(load_file(line), -1);
	assert_error(err, ERROR_INVALID,
		":2: line of 8991 bytes, expected at most 8190");
	assert_int_equal(options_load_file(&o, "/none/unrolld.conf", &err), -1);
	assert_error(err, ERROR_NOT_FOUND, "/none/unrolld.conf: no such file");
}

static void test_environment(void **state)
{
	const char *const env[] = { "PATH=/bin", "UNROLLD_HTTP_PORT=9001",
		"UNROLLD_LEARNING_RATE=1", "UNROLLD_EXE=x",
		"UNROLLD_HTTP_ORIGINS=http://a,http://b", NULL };
	const char *const unknown[] = { "UNROLLD_HTTP_PROT=1", NULL };
	const char *const range[] = { "UNROLLD_HTTP_PORT=0", NULL };
	const char *const flag[] = { "UNROLLD_OUTPUT=x", NULL };
	const char *const allowed[] = { "UNROLLD_EXE", NULL };

	assert_int_equal(load_environment(env, allowed), 0);
	assert_int_equal(v.port, 9001);
	assert_true(v.rate == 1);
	assert_int_equal(v.origins.n, 2);
	assert_string_equal(options_source(&o, "http.port"),
		"environment UNROLLD_HTTP_PORT");
	assert_int_equal(load_environment(env, NULL), -1);
	assert_error(err, ERROR_INVALID,
		"environment UNROLLD_EXE: unknown option 'exe'");
	assert_int_equal(load_environment(unknown, NULL), -1);
	assert_error(err, ERROR_INVALID,
		"environment UNROLLD_HTTP_PROT: unknown option 'http.prot', "
		"did you mean 'http.port'?");
	assert_int_equal(load_environment(range, NULL), -1);
	assert_error(err, ERROR_INVALID,
		"environment UNROLLD_HTTP_PORT: http.port is '0', expected an "
		"unsigned integer from 1 to 65535");
	assert_int_equal(load_environment(flag, NULL), -1);
}

/* File, then environment, then arguments; lists are replaced, not joined. */
static void test_later_sources_win(void **state)
{
	const char *const env[] = { "UNROLLD_HTTP_PORT=2",
		"UNROLLD_HTTP_ORIGINS=c", NULL };

	assert_int_equal(
		load_file("[http]\nport=1\norigins=a\norigins=b\n"), 0);
	assert_int_equal(load_environment(env, NULL), 0);
	assert_int_equal(v.port, 2);
	assert_int_equal(v.origins.n, 1);
	assert_int_equal(parse("--http.port 3 --http.origins d "
			       "--http.origins e",
				 NULL),
		0);
	assert_int_equal(v.port, 3);
	assert_int_equal(v.origins.n, 2);
	assert_string_equal(v.origins.items[0], "d");
	assert_int_equal(
		options_set(&o, "http.port", "4", "preset x", &err), 0);
	assert_string_equal(options_source(&o, "http.port"), "preset x");
	assert_int_equal(
		options_set(&o, "http.port", "y", "preset x", &err), -1);
	assert_error(err, ERROR_INVALID,
		"preset x: http.port is 'y', expected an unsigned integer "
		"from 1 to 65535");
}

static void test_help(void **state)
{
	struct buf out;

	buf_init(&out, 1 << 16);
	assert_int_equal(options_print_help(&o, &out), 0);
	assert_non_null(strstr(out.data,
		"HTTP server:\n"
		"      --http.address TEXT     address to listen on (default "
		"127.0.0.1)\n"
		"      --http.port N           port to listen on (default "
		"8080, from 1 to 65535)\n"));
	assert_non_null(strstr(out.data,
		"      --http.write_timeout TIME\n"
		"                              how long a client may take to "
		"read what it was\n"
		"                              sent, before its request is "));
	assert_non_null(strstr(out.data, "--[no-]log.access "));
	assert_non_null(
		strstr(out.data, "\n\nTraining:\n      --learning-rate X "));
	assert_non_null(
		strstr(out.data, "      --validation-split tail|stream\n"));
	assert_non_null(strstr(out.data, "  -o, --output FILE           "));
	for (char *line = strtok(out.data, "\n"); line;
		line = strtok(NULL, "\n"))
		assert_true(strlen(line) <= 80);
	buf_release(&out);
}

/* What is printed gives the same values when it is read back. */
static void test_file_round_trip(void **state)
{
	struct buf first, second;

	buf_init(&first, 1 << 16);
	buf_init(&second, 1 << 16);
	assert_int_equal(options_print_file(&o, &first), 0);
	assert_non_null(strstr(first.data, "\n[http]\n"));
	assert_non_null(strstr(first.data, "\n;port = 8080\n"));
	assert_null(strstr(first.data, "where to write"));
	assert_int_equal(load_file(first.data), 0);
	assert_null(options_source(&o, "http.port"));

	assert_int_equal(parse("--http.port 9 --http.body_limit 3K "
			       "--http.write_timeout 90s --learning-rate 0.1 "
			       "--http.origins a --http.origins b --auth.key s",
				 NULL),
		0);
	buf_clear(&first);
	assert_int_equal(options_print_file(&o, &first), 0);
	assert_non_null(strstr(first.data, "\nport = 9\n"));
	assert_non_null(strstr(first.data, "\nbody_limit = 3K\n"));
	assert_non_null(strstr(first.data, "\nwrite_timeout = 90s\n"));
	assert_non_null(strstr(first.data, "\norigins = a\norigins = b\n"));
	assert_non_null(strstr(first.data, "\n;key = (set)\n"));
	assert_non_null(strstr(first.data, "\n;access = true\n"));
	options_release(&o);
	setup(state);
	assert_int_equal(load_file(first.data), 0);
	assert_int_equal(v.port, 9);
	assert_true(v.rate == 0.1);
	assert_int_equal(v.timeout, 90000);
	assert_int_equal(v.origins.n, 2);
	buf_release(&first);
	buf_release(&second);
}

/* A semicolon after a space begins a comment: it is said, not lost. */
static void test_awkward_texts(void **state)
{
	struct buf out;

	buf_init(&out, 1 << 16);
	assert_int_equal(
		options_set(&o, "http.address", ";a", "test", &err), 0);
	assert_int_equal(options_print_file(&o, &out), 0);
	assert_non_null(strstr(out.data, "\naddress =;a\n"));
	assert_int_equal(load_file(out.data), 0);
	assert_string_equal(v.address, ";a");
	assert_int_equal(
		options_set(&o, "http.address", "a ;b", "test", &err), 0);
	buf_clear(&out);
	assert_int_equal(options_print_file(&o, &out), 0);
	assert_non_null(strstr(out.data, "\n; address is set by test to a text "
					 "that no file can hold\n"));
	buf_release(&out);
}

static void test_secrets_stay_secret(void **state)
{
	struct buf out;

	buf_init(&out, 1 << 16);
	assert_int_equal(parse("--auth.key hunter2", NULL), 0);
	assert_string_equal(v.key, "hunter2");
	assert_int_equal(options_print_value(&o, "auth.key", &out), 0);
	assert_string_equal(out.data, "(set)");
	assert_int_equal(options_print_file(&o, &out), 0);
	assert_int_equal(options_print_help(&o, &out), 0);
	assert_null(strstr(out.data, "hunter2"));
	buf_release(&out);
}

static void test_values_as_text(void **state)
{
	static const char *const shown[][2] = {
		{ "http.port", "8080" },
		{ "http.body_limit", "1M" },
		{ "http.write_timeout", "30s" },
		{ "learning-rate", "0.002" },
		{ "tied", "false" },
		{ "validation-split", "tail" },
		{ "offset", "-3" },
	};

	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
		struct buf out;

		buf_init(&out, 100);
		assert_int_equal(options_print_value(&o, shown[i][0], &out), 0);
		assert_string_equal(out.data, shown[i][1]);
		buf_release(&out);
	}
}

static void test_faulty_table(void **state)
{
	const struct option bad[] = {
		{ .name = "s",
			.type = OPTION_STRING,
			.offset = AT(address),
			.value = "text",
			.help = "" },
		{ .name = "n",
			.type = OPTION_UINT,
			.offset = AT(port),
			.value = "7",
			.max = "6",
			.help = "" },
	};
	struct values w;
	struct options p;

	assert_int_equal(options_init(&p, bad, 2, &w, &err), -1);
	assert_error(err, ERROR_INTERNAL,
		"default: n is '7', expected an unsigned integer of at most 6");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_defaults),
		TEST(test_arguments),
		TEST(test_argument_errors),
		TEST(test_numbers),
		TEST(test_file),
		TEST(test_file_errors),
		TEST(test_environment),
		TEST(test_later_sources_win),
		TEST(test_help),
		TEST(test_file_round_trip),
		TEST(test_awkward_texts),
		TEST(test_secrets_stay_secret),
		TEST(test_values_as_text),
		cmocka_unit_test(test_faulty_table),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
