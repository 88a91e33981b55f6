/* Files are made in a directory of the test's own, which is its current one. */
#include "nn/safetensors.h"

#include <fcntl.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char home[] = "/tmp/unrolld-safetensors.XXXXXX";

static void make(const void *bytes, size_t len)
{
	int fd = open("file", O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
}

/* A file of this header, its right length, and `data` zero bytes. */
static void make_file(const char *header, size_t data)
{
	uint64_t len = strlen(header);
	char *bytes = calloc(1, 8 + len + data);

	memcpy(bytes, &len, 8);
	memcpy(bytes + 8, header, len);
	make(bytes, 8 + len + data);
	free(bytes);
}

static void assert_refused(const char *message)
{
	struct safetensors s;
	struct error err;

	assert_int_equal(safetensors_open(&s, "file", &err), -1);
	assert_true(err.code == ERROR_CORRUPT || err.code == ERROR_UNSUPPORTED);
	if (strncmp(err.message, "file: ", 6) || !strstr(err.message, message))
		fail_msg("%s\nexpected %s", err.message, message);
	assert_null(s.entries);
}

struct bad_header {
	const char *header;
	size_t data;
	const char *message;
};

#define ENTRY(dtype, shape, offsets)                \
	"{\"dtype\":\"" dtype "\",\"shape\":" shape \
	",\"data_offsets\":" offsets "}"

static const struct bad_header bad_headers[] = {
	{ "[]", 0, "header does not begin with '{'" },
	{ " {}", 0, "header does not begin with '{'" },
	{ "{x}", 0, "header is not valid JSON" },
	{ "{} x", 0, "header is not valid JSON" },
	{ "{\"a\":\"\xff\"}", 0, "header is not valid JSON" },
	{ "{\"a\":" ENTRY("F32", "[1]", "[0,4]") ",\"a\":" ENTRY(
		  "F32", "[1]", "[4,8]") "}",
		8, "duplicate object key" },
	{ "{\"__metadata__\":[]}", 0, "__metadata__: not an object" },
	{ "{\"__metadata__\":{\"k\":1}}", 0,
		"__metadata__: \"k\" is not a string" },
	{ "{\"a\":1}", 0, "tensor a: not an object" },
	{ "{\"a\":{}}", 0, "tensor a: dtype is missing or not a string" },
	{ "{\"a\":{\"dtype\":4}}", 0,
		"tensor a: dtype is missing or not a string" },
	{ "{\"a\":" ENTRY("I3", "[1]", "[0,4]") "}", 4,
		"tensor a: dtype \"I3\", expected F64, F32" },
	{ "{\"a\":{\"dtype\":\"F32\"}}", 0,
		"tensor a: shape is missing or not an array" },
	{ "{\"a\":" ENTRY("F32", "{}", "[0,4]") "}", 4,
		"tensor a: shape is missing or not an array" },
	{ "{\"a\":" ENTRY("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4,
		"tensor a: shape has 9 dimensions, expected at most 8" },
	{ "{\"a\":" ENTRY("F32", "[-1]", "[0,4]") "}", 4,
		"tensor a: shape[0] is not a whole number" },
	{ "{\"a\":" ENTRY("F32", "[1,1.0]", "[0,4]") "}", 4,
		"tensor a: shape[1] is not a whole number" },
	{ "{\"a\":" ENTRY("F32", "[99999999999999999999]", "[0,4]") "}", 4,
		"header is not valid JSON: too big integer" },
	{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4,
		"tensor a: data_offsets is missing or not an array of two" },
	{ "{\"a\":" ENTRY("F32", "[1]", "[0,4,8]") "}", 8,
		"tensor a: data_offsets is missing or not an array of two" },
	{ "{\"a\":" ENTRY("F32", "[1]", "[0,\"4\"]") "}", 4,
		"tensor a: data_offsets[1] is not a whole number" },
	{ "{\"a\":" ENTRY("F32", "[1]", "[-4,0]") "}", 4,
		"tensor a: data_offsets[0] is not a whole number" },
	{ "{\"a\":" ENTRY("F32", "[1]", "[4,0]") "}", 4,
		"tensor a: data_offsets [4,0] are reversed" },
	{ "{\"a\":" ENTRY("F32", "[2]", "[0,8]") "}", 7,
		"tensor a: data_offsets [0,8] pass the end of the data, 7 "
		"bytes: the file may be truncated" },
	{ "{\"a\":" ENTRY("F32", "[1]", "[0,9223372036854775807]") "}", 4,
		"tensor a: data_offsets [0,9223372036854775807] pass the end" },
	{ "{\"a\":" ENTRY("F32", "[2,3]", "[0,20]") "}", 20,
		"tensor a: shape [2,3] of F32 is 24 bytes, but data_offsets "
		"span 20" },
	{ "{\"a\":" ENTRY("BF16", "[2,3]", "[0,24]") "}", 24,
		"tensor a: shape [2,3] of BF16 is 12 bytes" },
	{ "{\"a\":" ENTRY("F32", "[4294967296,4294967296]", "[0,0]") "}", 0,
		"tensor a: shape [4294967296,4294967296] is larger than "
		"memory" },
	{ "{\"a\":" ENTRY("F32", "[4611686018427387905]", "[0,4]") "}", 4,
		"is larger than memory" },
	{ "{\"a\":" ENTRY("F32", "[2]", "[0,8]") ",\"b\":" ENTRY(
		  "F32", "[2]", "[4,12]") "}",
		12,
		"tensor b: begins at byte 4 of the data, inside tensor a, "
		"which ends at 8" },
	{ "{\"a\":" ENTRY("F32", "[2]", "[0,8]") ",\"b\":" ENTRY(
		  "F32", "[2]", "[0,8]") "}",
		8, "begins at byte 0 of the data, inside tensor" },
	{ "{\"b\":" ENTRY("F32", "[1]", "[8,12]") ",\"a\":" ENTRY(
		  "F32", "[1]", "[0,4]") "}",
		12,
		"tensor b: begins at byte 8 of the data, expected 4: there is "
		"a gap" },
	{ "{\"a\":" ENTRY("F32", "[1]", "[4,8]") "}", 8,
		"tensor a: begins at byte 4 of the data, expected 0" },
	{ "{\"a\":" ENTRY("F32", "[1]", "[0,4]") "}", 9,
		"5 bytes after the last tensor" },
};

static void test_bad_headers(void **state)
{
	for (size_t i = 0; i < sizeof(bad_headers) / sizeof(*bad_headers);
		i++) {
		make_file(bad_headers[i].header, bad_headers[i].data);
		assert_refused(bad_headers[i].message);
	}
}

static void test_bad_lengths(void **state)
{
	struct {
		uint64_t len;
		char text[24];
	} file = { .text = "{}" };

	make("", 0);
	assert_refused("0 bytes, too short for a safetensors file");
	make("1234567", 7);
	assert_refused("7 bytes, too short for a safetensors file");
	make(&file, 10);
	assert_refused("header of 0 bytes, expected at least 2");
	file.len = 3;
	make(&file, 10);
	assert_refused("header of 3 bytes in a file of 10: the file is "
		       "truncated");
	file.len = SAFETENSORS_MAX_HEADER + 1;
	make(&file, 10);
	assert_refused("expected at most 104857600: this is no safetensors "
		       "file");
	file.len = UINT64_MAX;
	make(&file, 10);
	assert_refused("header of 18446744073709551615 bytes");
}

/* Every prefix of a good file is refused, none crashes. */
static void test_every_truncation(void **state)
{
	static const float values[3] = { 1, 2, 3 };
	const struct safetensors_entry e = { .name = (char *)"t",
		.dtype = SAFETENSORS_F32,
		.n_dims = 1,
		.shape = { 3 },
		.data = values,
		.bytes = 12 };
	struct safetensors s;
	char *whole;
	size_t len;

	assert_int_equal(safetensors_write("file", NULL, &e, 1, NULL), 0);
	assert_int_equal(file_read("file", 1 << 20, &whole, &len, NULL), 0);
	for (size_t n = 0; n < len; n++) {
		make(whole, n);
		assert_refused("");
	}
	make(whole, len);
	assert_int_equal(safetensors_open(&s, "file", NULL), 0);
	safetensors_close(&s);
	free(whole);
}

static void test_not_a_file(void **state)
{
	struct safetensors s;
	struct error err;

	assert_int_equal(safetensors_open(&s, "nowhere", &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_int_equal(safetensors_open(&s, ".", &err), -1);
	assert_non_null(strstr(err.message, "not a regular file"));
}

/* Mixed widths are laid out aligned, with the header padded by spaces, as
 * Python's reader and writer have it. */
static void test_round_trip(void **state)
{
	static const uint8_t bytes[3] = { 7, 8, 9 };
	static const double wide[2] = { 1.5, -2.25 };
	static const uint16_t half[4] = { 0x3c00, 0xc000, 0x0001, 0x7bff };
	const struct safetensors_entry in[] = {
		{ (char *)"bytes", SAFETENSORS_U8, 1, { 3 }, bytes, 3 },
		{ (char *)"wide", SAFETENSORS_F64, 2, { 2, 1 }, wide, 16 },
		{ (char *)"none", SAFETENSORS_F32, 2, { 0, 5 }, NULL, 0 },
		{ (char *)"half", SAFETENSORS_F16, 1, { 4 }, half, 8 },
		{ (char *)"scalar", SAFETENSORS_U8, 0, { 0 }, bytes, 1 },
	};
	json_t *metadata = json_pack("{s:s}", "key", "v\"alue\n");
	const struct safetensors_entry *e;
	struct safetensors s;
	uint64_t header;
	float floats[4];

	assert_int_equal(safetensors_write("file", metadata, in, 5, NULL), 0);
	assert_int_equal(safetensors_open(&s, "file", NULL), 0);
	memcpy(&header, s.map.data, 8);
	assert_int_equal(header % 8, 0);
	assert_int_equal(s.n_entries, 5);
	assert_true(json_equal(metadata, s.metadata));
	for (size_t i = 0; i < 5; i++) {
		e = safetensors_find(&s, in[i].name);
		assert_non_null(e);
		assert_int_equal(e->dtype, in[i].dtype);
		assert_int_equal(e->n_dims, in[i].n_dims);
		assert_memory_equal(
			e->shape, in[i].shape, e->n_dims * sizeof(*e->shape));
		assert_int_equal(e->bytes, in[i].bytes);
		if (e->bytes)
			assert_memory_equal(e->data, in[i].data, e->bytes);
		assert_int_equal(
			(uintptr_t)e->data % safetensors_dtype_size(e->dtype),
			0);
	}
	assert_null(safetensors_find(&s, "nothing"));
	assert_int_equal(safetensors_count(safetensors_find(&s, "scalar")), 1);
	assert_int_equal(
		safetensors_floats(safetensors_find(&s, "wide"), floats, NULL),
		0);
	assert_true(floats[0] == 1.5f && floats[1] == -2.25f);
	assert_int_equal(
		safetensors_floats(safetensors_find(&s, "half"), floats, NULL),
		0);
	assert_true(floats[0] == 1 && floats[1] == -2 &&
		    floats[2] == 0x1p-24f && floats[3] == 65504);
	safetensors_close(&s);
	json_decref(metadata);
}

/* A header of odd length leaves the data unaligned: read all the same. */
static void test_unaligned(void **state)
{
	struct safetensors s;
	float value = 1;

	make_file("{\"a\":" ENTRY("F32", "[1]", "[0,4]") " }", 4);
	assert_int_equal(safetensors_open(&s, "file", NULL), 0);
	assert_int_not_equal((uintptr_t)s.entries[0].data % 2, 0);
	assert_int_equal(safetensors_floats(&s.entries[0], &value, NULL), 0);
	assert_true(value == 0);
	safetensors_close(&s);
}

static double to_and_back(enum safetensors_dtype dtype, float value)
{
	uint16_t stored;
	struct safetensors_entry e = { .name = (char *)"t",
		.dtype = dtype,
		.n_dims = 0,
		.data = &stored,
		.bytes = 2 };
	float back;

	if (safetensors_from_floats("t", dtype, &value, 1, &stored, NULL) < 0)
		return INFINITY;
	assert_int_equal(safetensors_floats(&e, &back, NULL), 0);
	assert_true(!signbit(back) == !signbit(value));
	return (double)back;
}

/* What the format's grid of values says: the nearest one, ties to even. The
 * grid has `bits` bits of mantissa and its least denormal is 2^least. */
static double nearest(double value, int bits, int least)
{
	double unit = ldexp(1, least);
	int exponent;

	frexp(value, &exponent);
	if (value != 0 && exponent - 1 - bits > least)
		unit = ldexp(1, exponent - 1 - bits);
	return nearbyint(value / unit) * unit;
}

static void test_rounding(void **state)
{
	uint32_t bits = 12345;
	float value;

	for (int i = 0; i < 200000; i++) {
		bits = bits * 1664525 + 1013904223;
		/* Exponents around F16's range, and any mantissa; every other
		 * one is a tie or near to one. */
		uint32_t x = (bits & 0x807fffff) | (100 + bits % 45) << 23;

		if (i % 2)
			x = (x & 0xffffe000) | 0x1000;
		memcpy(&value, &x, sizeof(value));
		if (fabs((double)value) < 65520)
			assert_true(to_and_back(SAFETENSORS_F16, value) ==
				    nearest((double)value, 10, -24));
		assert_true(to_and_back(SAFETENSORS_BF16, value) ==
			    nearest((double)value, 7, -133));
		x = bits & 0x80ffffff; /* denormals and the least normals */
		if (i % 2)
			x = (x & 0xffff0000) | 0x8000;
		memcpy(&value, &x, sizeof(value));
		assert_true(to_and_back(SAFETENSORS_BF16, value) ==
			    nearest((double)value, 7, -133));
	}
	assert_true(to_and_back(SAFETENSORS_F16, 0x1p-25f) == 0);
	assert_true(to_and_back(SAFETENSORS_F16, 0x1.002p-25f) == 0x1p-24);
	assert_true(to_and_back(SAFETENSORS_F16, 65519.99f) == 65504);
	assert_true(to_and_back(SAFETENSORS_F16, 65520) == INFINITY);
	assert_true(to_and_back(SAFETENSORS_BF16, FLT_MAX) == INFINITY);
	assert_true(to_and_back(SAFETENSORS_BF16, 0x1.fep127f) == 0x1.fep127);
}

/* All 65536 values of each narrow type survive to float and back. */
static void test_narrow_values_are_exact(void **state)
{
	static const enum safetensors_dtype types[] = { SAFETENSORS_F16,
		SAFETENSORS_BF16 };

	for (size_t k = 0; k < 2; k++) {
		for (uint32_t i = 0; i < 65536; i++) {
			uint16_t h = (uint16_t)i, back;
			const struct safetensors_entry e = {
				.name = (char *)"t",
				.dtype = types[k],
				.data = &h,
				.bytes = 2
			};
			uint16_t top = k ? 0x7f80 : 0x7c00;
			float value;
			struct error err;
			int failed = safetensors_floats(&e, &value, &err);

			assert_int_equal(failed, (h & top) == top ? -1 : 0);
			if (failed)
				continue;
			assert_int_equal(safetensors_from_floats("t", types[k],
						 &value, 1, &back, NULL),
				0);
			assert_int_equal(back, h);
		}
	}
}

static void test_not_finite(void **state)
{
	const float bad[] = { 1, 2, NAN, INFINITY };
	const double huge[] = { 1, -1e300 };
	struct safetensors_entry e = { .name = (char *)"output.bias",
		.dtype = SAFETENSORS_F32,
		.n_dims = 1,
		.shape = { 4 },
		.data = bad,
		.bytes = 16 };
	struct error err;
	float out[4];

	assert_int_equal(safetensors_floats(&e, out, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	assert_string_equal(err.param, "output.bias");
	assert_string_equal(err.message, "tensor output.bias: value 2 is NaN");
	e = (struct safetensors_entry){ .name = (char *)"w",
		.dtype = SAFETENSORS_F64,
		.n_dims = 1,
		.shape = { 2 },
		.data = huge,
		.bytes = 16 };
	assert_int_equal(safetensors_floats(&e, out, &err), -1);
	assert_string_equal(err.message, "tensor w: value 1 is minus infinite");
	assert_int_equal(safetensors_from_floats(
				 "w", SAFETENSORS_F32, bad + 3, 1, out, &err),
		-1);
	assert_string_equal(err.message, "tensor w: value 0 is infinite");
	out[0] = 70000;
	assert_int_equal(safetensors_from_floats(
				 "w", SAFETENSORS_F16, out, 1, out + 1, &err),
		-1);
	assert_string_equal(
		err.message, "tensor w: value 0 is 70000, too large for F16");
	e.dtype = SAFETENSORS_U8;
	assert_int_equal(safetensors_floats(&e, out, &err), -1);
	assert_int_equal(err.code, ERROR_UNSUPPORTED);
}

static void test_writer_refuses(void **state)
{
	static const uint8_t data[8];
	const struct safetensors_entry wrong = { (char *)"t", SAFETENSORS_F32,
		1, { 3 }, data, 8 };
	const struct safetensors_entry twice[] = {
		{ (char *)"t", SAFETENSORS_F32, 1, { 1 }, data, 4 },
		{ (char *)"t", SAFETENSORS_F32, 1, { 1 }, data, 4 },
	};
	const struct safetensors_entry odd[] = {
		{ (char *)"a", SAFETENSORS_U8, 1, { 1 }, data, 1 },
		{ (char *)"b", SAFETENSORS_F32, 1, { 1 }, data, 4 },
	};
	struct safetensors_writer w;
	struct error err;
	char *old;
	size_t len;

	make("old", 3);
	assert_int_equal(safetensors_write("file", NULL, &wrong, 1, &err), -1);
	assert_int_equal(err.code, ERROR_INTERNAL);
	assert_int_equal(safetensors_write("file", NULL, twice, 2, &err), -1);
	assert_non_null(strstr(err.message, "used twice"));
	assert_int_equal(
		safetensors_writer_open(&w, "file", NULL, odd, 2, &err), -1);
	assert_non_null(strstr(err.message, "unaligned"));
	assert_int_equal(
		safetensors_writer_open(&w, "file", NULL, twice, 1, &err), 0);
	assert_int_equal(safetensors_writer_commit(&w, &err), -1);
	assert_int_equal(
		safetensors_writer_open(&w, "file", NULL, twice, 1, &err), 0);
	assert_int_equal(safetensors_writer_put(&w, data, &err), 0);
	assert_int_equal(safetensors_writer_put(&w, data, &err), -1);
	safetensors_writer_abort(&w);
	assert_int_equal(
		safetensors_write("no/such/dir", NULL, odd, 2, &err), -1);
	assert_non_null(strstr(err.message, "no/such/dir"));
	assert_int_equal(file_read("file", 100, &old, &len, NULL), 0);
	assert_string_equal(old, "old");
	free(old);
}

static int enter(void **state)
{
	return mkdtemp(home) && chdir(home) == 0 ? 0 : -1;
}

static int leave(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", home);
	return chdir("/") || system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_headers),
		cmocka_unit_test(test_bad_lengths),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_not_a_file),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_unaligned),
		cmocka_unit_test(test_rounding),
		cmocka_unit_test(test_narrow_values_are_exact),
		cmocka_unit_test(test_not_finite),
		cmocka_unit_test(test_writer_refuses),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
