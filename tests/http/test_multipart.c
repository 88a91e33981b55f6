/* Bodies of multipart/form-data, whole and cut at every byte. */
#include "http/multipart.h"

#include "test.h"

#include <stdio.h>
#include <string.h>

#define TYPE "multipart/form-data; boundary=xyz"

/* What the parser told, as text. */
struct told {
	char text[4096];
	size_t len;
};

static void tell(struct told *t, const char *bytes, size_t len)
{
	assert_true(t->len + len < sizeof(t->text));
	memcpy(t->text + t->len, bytes, len);
	t->len += len;
	t->text[t->len] = '\0';
}

static int on_begin(
	void *arg, const struct multipart_part *part, struct error *err)
{
	char line[512];

	(void)err;
	snprintf(line, sizeof(line), "<%s|%s|%s|%d>", part->name,
		part->filename, part->charset, part->is_file);
	tell(arg, line, strlen(line));
	return 0;
}

static int on_data(void *arg, const char *bytes, size_t len, struct error *err)
{
	(void)err;
	assert_true(len > 0);
	tell(arg, bytes, len);
	return 0;
}

static int on_end(void *arg, struct error *err)
{
	(void)err;
	tell(arg, "</>", 3);
	return 0;
}

static const struct multipart_ops ops = {
	.begin = on_begin, .data = on_data, .end = on_end
};

/* Fed in two pieces, the second from `cut` on. */
static int parse_cut(const char *type, const char *body, size_t len, size_t cut,
	struct told *told, struct error *err)
{
	struct multipart m;
	int rc;

	told->len = 0;
	told->text[0] = '\0';
	rc = multipart_init(&m, type, &ops, told, err);
	if (!rc)
		rc = multipart_feed(&m, body, cut, err);
	if (!rc)
		rc = multipart_feed(&m, body + cut, len - cut, err);
	if (!rc)
		rc = multipart_finish(&m, err);
	multipart_release(&m);
	return rc;
}

static void gives(const char *body, const char *expected)
{
	size_t len = strlen(body);
	struct error err = { 0 };
	struct told told;

	for (size_t cut = 0; cut <= len; cut++) {
		if (parse_cut(TYPE, body, len, cut, &told, &err) < 0)
			fail_msg("cut at %zu: %s", cut, err.message);
		assert_string_equal(told.text, expected);
	}
}

static void fails(const char *type, const char *body, enum error_code code,
	const char *message)
{
	struct error err = { 0 };
	struct told told;

	assert_int_equal(
		parse_cut(type, body, strlen(body), 0, &told, &err), -1);
	assert_error(err, code, message);
}

#define FIELD(name) "Content-Disposition: form-data; name=\"" name "\"\r\n\r\n"

static void test_parts(void **state)
{
	(void)state;
	gives("--xyz\r\n" FIELD("a") "1\r\n--xyz\r\n" FIELD(
		      "b") "\r\n--xyz--\r\n",
		"<a|||0>1</><b|||0></>");
	gives("preamble\r\n--xyz \t\r\n" FIELD("a") "\r\n\r\n--xyz--epilogue",
		"<a|||0>\r\n</>");
	/* An empty form. */
	gives("--xyz--", "");
}

static void test_near_misses(void **state)
{
	(void)state;
	gives("--xyz\r\n" FIELD("a") "--xyz\r\r\n\r\n-\r\n--xy\r\n--\r\n"
				     "\r\n--xyz--\r\n",
		"<a|||0>--xyz\r\r\n\r\n-\r\n--xy\r\n--\r\n</>");
	gives("--xy\r\n--xyz\r\n" FIELD("a") "\r\r\n--xyz--", "<a|||0>\r</>");
	gives("--xyz\r\n" FIELD("a") "\n--xyz\n\r\n--xyz--",
		"<a|||0>\n--xyz\n</>");
}

static void test_headers(void **state)
{
	(void)state;
	gives("--xyz\r\ncontent-disposition:form-data;name=file; "
	      "filename=\"C:\\dir\\a \\\"b\\\".txt\"\r\n"
	      "CONTENT-TYPE: text/plain; format=flowed; Charset=\"gb18030\"\r\n"
	      "Content-Transfer-Encoding: binary\r\nX-Other: y\r\n\r\n"
	      "z\r\n--xyz--",
		"<file|a \"b\".txt|gb18030|1>z</>");
	gives("--xyz\r\nContent-Disposition: form-data; name=\"f\"; "
	      "filename=\"../../etc/\xc3\xa9\"\r\n\r\n\r\n--xyz--",
		"<f|\xc3\xa9||1></>");
}

static void test_faults(void **state)
{
	char many[4096] = "--xyz";

	(void)state;
	fails(NULL, "", ERROR_UNSUPPORTED,
		"Content-Type is '', expected multipart/form-data");
	fails("application/json", "", ERROR_UNSUPPORTED,
		"Content-Type is 'application/json', expected "
		"multipart/form-data");
	fails("multipart/form-data", "", ERROR_INVALID,
		"Content-Type 'multipart/form-data' has no boundary of 1 to 70 "
		"characters");
	fails("multipart/form-data; boundary=a\x01", "", ERROR_INVALID,
		"Content-Type 'multipart/form-data; boundary=a\x01' has no "
		"boundary of 1 to 70 characters");
	fails(TYPE, "", ERROR_INVALID,
		"the multipart body is malformed: it ends before its last "
		"boundary");
	fails(TYPE, "--xyz\r\n" FIELD("a") "1\r\n--xyz", ERROR_INVALID,
		"the multipart body is malformed: it ends before its last "
		"boundary");
	fails(TYPE, "--xyz\r\n" FIELD("a") "1\r\n--xyzz\r\n", ERROR_INVALID,
		"the multipart body is malformed: a boundary is followed by "
		"neither a line's end nor '--'");
	fails(TYPE, "--xyz\r\nContent-Type: text/plain\r\n\r\n", ERROR_INVALID,
		"the multipart body is malformed: a part has no name");
	fails(TYPE, "--xyz\r\nContent-Disposition: attachment\r\n\r\n",
		ERROR_INVALID,
		"the multipart body is malformed: a part is no form-data: "
		"'attachment'");
	fails(TYPE, "--xyz\r\nContent-Disposition: form-data; name=\"a\r\n\r\n",
		ERROR_INVALID,
		"the multipart body is malformed: Content-Disposition: "
		"'form-data; name=\"a'");
	fails(TYPE,
		"--xyz\r\nContent-Disposition: form-data; name=\"\xff\""
		"\r\n\r\n",
		ERROR_INVALID,
		"the multipart body is malformed: a part's name is too long or "
		"no text: 'form-data; name=\"?\"'");
	fails(TYPE,
		"--xyz\r\nContent-Disposition: form-data; name=a\r\n"
		"Content-Transfer-Encoding: base64\r\n\r\n",
		ERROR_INVALID,
		"the multipart body is malformed: Content-Transfer-Encoding, "
		"expected binary: 'base64'");
	for (int i = 0; i < MULTIPART_PARTS_MAX + 1; i++)
		strcat(many, "\r\n" FIELD("a") "\r\n--xyz");
	strcat(many, "--");
	fails(TYPE, many, ERROR_INVALID,
		"the multipart body is malformed: it has too many parts");
}

static void test_long_headers(void **state)
{
	char body[MULTIPART_HEADERS_MAX + 64];
	int n = snprintf(body, sizeof(body), "--xyz\r\nX: ");

	(void)state;
	memset(body + n, 'a', sizeof(body) - (size_t)n);
	body[sizeof(body) - 1] = '\0';
	fails(TYPE, body, ERROR_INVALID,
		"the multipart body is malformed: a part's headers are too "
		"long");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_near_misses),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_long_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
