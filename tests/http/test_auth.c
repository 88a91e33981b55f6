/* API keys: what a file may hold, and who comes in. */
#include "test.h"

#include "http/auth.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALICE "alice-secret-0123456789"
/* SHA-256 of "bob-secret-0123456789": sha256sum's. */
#define BOB "bob-secret-0123456789"
#define BOB_HEX \
	"ce669b4c4a3b3e0beabf49e3e032ed3e668f1f4b79d17c90de6d40ca3ee1e5c3"
#define BOB_HASH "sha256:" BOB_HEX

static struct auth *from_text(const char *text)
{
	struct auth_options o = { .text = text };
	struct auth *a = NULL;
	struct error err;

	if (auth_open(&a, &o, &err) < 0)
		fail_msg("%s", err.message);
	assert_non_null(a);
	return a;
}

static void test_keys_are_found_by_their_hash(void **state)
{
	struct auth *a = from_text("# ours\n\n alice sample,train " ALICE
				   "\nbob admin " BOB_HASH "\n"
				   "alice sample next-secret-0123456789");
	struct auth_identity who;

	(void)state;
	assert_int_equal(auth_count(a), 3);
	assert_true(auth_find(a, ALICE, &who));
	assert_string_equal(who.name, "alice");
	assert_int_equal(who.scopes, AUTH_SAMPLE | AUTH_TRAIN);
	assert_true(auth_find(a, BOB, &who));
	assert_string_equal(who.name, "bob");
	assert_int_equal(who.scopes, AUTH_ADMIN);
	assert_true(auth_find(a, "next-secret-0123456789", &who));
	assert_string_equal(who.name, "alice");
	assert_int_equal(who.scopes, AUTH_SAMPLE);
	assert_false(auth_find(a, "", &who));
	assert_false(auth_find(a, ALICE "x", &who));
	assert_false(auth_find(a, "alice-secret-012345678", &who));
	assert_false(auth_find(a, BOB_HASH, &who));
	auth_close(a);
}

static void expect_fault(const char *text, const char *part)
{
	struct auth_options o = { .text = text };
	struct auth *a;
	struct error err;

	assert_int_equal(auth_open(&a, &o, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
	if (!strstr(err.message, part))
		fail_msg("no '%s' in: %s", part, err.message);
	/* It may end up in a log. */
	assert_null(strstr(err.message, "secret"));
}

static void test_faults_name_the_line_and_no_key(void **state)
{
	(void)state;
	expect_fault("alice sample " ALICE "\nbob", "line 2: ");
	expect_fault("alice", "expected NAME SCOPES KEY");
	expect_fault("al/ice sample " ALICE, "name is 1 to 64");
	expect_fault("alice root " ALICE, "scope 'root'");
	expect_fault("alice sample,root " ALICE, "scope 'root'");
	expect_fault("alice sample short-secret", "12 characters, expected 16");
	expect_fault("alice sample", "0 characters, expected 16");
	expect_fault("alice sample " ALICE " more", "no more");
	expect_fault("alice sample sha256:12", "64 hexadecimal digits");
	expect_fault("alice sample sha256:zz" BOB_HEX, "hexadecimal digits");
	expect_fault("alice sample " ALICE ";bob train " ALICE,
		"the key of bob is that of alice");
	expect_fault("# nothing\n", "no key");
	expect_fault("alice sample caf\xc3\xa9-secret-012345", "visible ASCII");
}

static void test_without_file_and_text_nobody_is_asked(void **state)
{
	struct auth_options o = { 0 };
	struct auth *a = (struct auth *)&o;

	(void)state;
	assert_int_equal(auth_open(&a, &o, NULL), 0);
	assert_null(a);
	assert_int_equal(auth_count(a), 0);
}

static void test_a_file_that_others_can_read_is_refused(void **state)
{
	static const struct {
		mode_t mode;
		int result;
	} rows[] = { { 0600, 0 }, { 0400, 0 }, { 0640, 0 }, { 0644, -1 },
		{ 0604, -1 }, { 0602, -1 }, { 0660, -1 }, { 0601, -1 } };
	char path[] = "/tmp/unrolld-keys-XXXXXX";
	struct auth_options o = { .file = path };
	int fd = mkstemp(path);

	(void)state;
	assert_true(dprintf(fd, "alice sample %s\n", ALICE) > 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct auth *a;
		struct error err;

		assert_int_equal(fchmod(fd, rows[i].mode), 0);
		assert_int_equal(auth_open(&a, &o, &err), rows[i].result);
		if (rows[i].result < 0) {
			assert_string_equal(err.param, "auth.keys_file");
			assert_non_null(strstr(err.message, path));
		}
		auth_close(a);
	}
	close(fd);
	unlink(path);
	assert_int_equal(
		auth_open(&(struct auth *){ NULL }, &o, &(struct error){ 0 }),
		-1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys_are_found_by_their_hash),
		cmocka_unit_test(test_faults_name_the_line_and_no_key),
		cmocka_unit_test(test_without_file_and_text_nobody_is_asked),
		cmocka_unit_test(test_a_file_that_others_can_read_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
