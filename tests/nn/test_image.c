/* Images of every kind against what Pillow and torchvision make of them
 * (tests/golden/make_images.py), and files that are not what they say. */
#include "test.h"

#include "base/file.h"
#include "nn/image.h"
#include "nn/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define IMAGES "tests/golden/images/"
#define GOLDENS "tests/golden/images.safetensors"
#define SIDE 32
#define CROP 28

static struct safetensors goldens;

static int open_goldens(void **unused)
{
	return safetensors_open(&goldens, GOLDENS, NULL);
}

static int close_goldens(void **unused)
{
	safetensors_close(&goldens);
	return 0;
}

static char *slurp(const char *name, size_t *len)
{
	char path[128], *data;

	snprintf(path, sizeof(path), IMAGES "%s", name);
	assert_int_equal(file_read(path, 1u << 20, &data, len, NULL), 0);
	return data;
}

static void open_file(const char *name, struct image *image)
{
	struct error err;
	size_t len;
	char *data = slurp(name, &len);

	if (image_decode(image, data, len, IMAGE_MAX_PIXELS, &err) < 0)
		fail_msg("%s: %s", name, err.message);
	free(data);
}

static const struct safetensors_entry *golden(const char *name, const char *of)
{
	char full[128];
	const struct safetensors_entry *e;

	snprintf(full, sizeof(full), "%s.%s", name, of);
	e = safetensors_find(&goldens, full);
	assert_non_null(e);
	return e;
}

static void check_pixels(const char *name, const char *of,
	const struct image *image, const struct safetensors_entry *e)
{
	const uint8_t *expected = e->data;

	assert_int_equal(e->n_dims, 3);
	assert_int_equal(e->shape[0], image->height);
	assert_int_equal(e->shape[1], image->width);
	for (size_t i = 0; i < e->bytes; i++)
		if (image->rgb[i] != expected[i])
			fail_msg("%s.%s[%zu] is %u, expected %u", name, of, i,
				image->rgb[i], expected[i]);
}

static struct image_form form_of_goldens(void)
{
	struct image_form form;

	image_form_defaults(&form);
	form.side = SIDE;
	form.crop = CROP;
	return form;
}

/* Every golden, to the bit. */
static void pixels_are_pillows(void **unused)
{
	const struct image_form form = form_of_goldens();
	size_t seen = 0;

	for (size_t i = 0; i < goldens.n_entries; i++) {
		const struct safetensors_entry *e = &goldens.entries[i];
		size_t len = strlen(e->name);
		struct image image, fitted;
		char name[64];

		if (len < 5 || strcmp(e->name + len - 4, ".rgb") != 0)
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)len - 4, e->name);
		open_file(name, &image);
		check_pixels(name, "rgb", &image, e);
		assert_int_equal(image_fit(&image, &form, &fitted, NULL), 0);
		check_pixels(name, "fit", &fitted, golden(name, "fit"));
		image_release(&image);
		image_release(&fitted);
		seen++;
	}
	assert_int_equal(seen, 26);
}

static void input_is_torchvisions(void **unused)
{
	const struct image_form form = form_of_goldens();
	const struct safetensors_entry *e = golden("colour.jpg", "input");
	float expected[3 * CROP * CROP];
	real input[3 * CROP * CROP];
	struct image image, fitted;

	assert_int_equal(safetensors_count(e), 3 * CROP * CROP);
	assert_int_equal(safetensors_floats(e, expected, NULL), 0);
	open_file("colour.jpg", &image);
	assert_int_equal(image_fit(&image, &form, &fitted, NULL), 0);
	image_normalise(&fitted, &form, input);
	for (size_t i = 0; i < CROP * CROP; i++)
		for (size_t c = 0; c < 3; c++)
			assert_true(
				fabs((double)(input[3 * i + c] -
					      expected[c * CROP * CROP + i])) <
				1e-5);
	image_release(&image);
	image_release(&fitted);
}

static void what_is_no_image_is_refused(void **unused)
{
	struct image image;
	struct error err;

	assert_int_equal(image_decode(&image, "", 0, 100, &err), -1);
	assert_error(err, ERROR_INVALID,
		"image: 0 bytes that are neither JPEG nor PNG");
	assert_string_equal(err.param, "image");
	assert_int_equal(image_decode(&image, "GIF89a..", 8, 100, &err), -1);
	assert_error(err, ERROR_INVALID,
		"image: 8 bytes that are neither JPEG nor PNG");
	assert_int_equal(
		image_decode(&image, "\xff\xd8\xff\xe0", 4, 100, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
}

/* At every length: an error, nothing leaked, no picture half grey. */
static void check_cuts(const char *name)
{
	struct image image;
	struct error err;
	size_t len;
	char *data = slurp(name, &len);

	/* The last bytes may be an end mark that nobody misses. */
	for (size_t cut = 0; cut + 16 < len; cut += 1 + cut / 16) {
		char *part = malloc(cut + 1);

		memcpy(part, data, cut);
		assert_int_equal(
			image_decode(&image, part, cut, 1u << 20, &err), -1);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_null(image.rgb);
		free(part);
	}
	free(data);
}

static void files_cut_short_are_refused(void **unused)
{
	check_cuts("colour.jpg");
	check_cuts("progressive.jpg");
	check_cuts("cmyk.jpg");
	check_cuts("colour.png");
	check_cuts("adam7.png");
}

/* A PNG's width and height, and the CRC of their chunk, by hand. */
static void extents_are_checked_first(void **unused)
{
	static const uint8_t bomb[] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a,
		'\n', 0, 0, 0, 13, 'I', 'H', 'D', 'R', 0, 0, 0xc3, 0x50, 0, 0,
		0xc3, 0x50, 8, 2, 0, 0, 0, 0xc4, 0xcd, 0xaa, 0x9d, 0, 0, 0, 0,
		'I', 'D', 'A', 'T', 0x35, 0xaf, 0x06, 0x1e };
	struct image image;
	struct error err;
	size_t len;
	char *data;

	assert_int_equal(
		image_decode(&image, bomb, sizeof(bomb), 100u << 20, &err), -1);
	assert_error(err, ERROR_TOO_LARGE,
		"image: 50000 x 50000 pixels, expected at most 104857600");
	data = slurp("colour.jpg", &len);
	assert_int_equal(
		image_decode(&image, data, len, 61 * 47 - 1, &err), -1);
	assert_error(err, ERROR_TOO_LARGE,
		"image: 61 x 47 pixels, expected at most 2866");
	assert_int_equal(image_decode(&image, data, len, 61 * 47, &err), 0);
	image_release(&image);
	free(data);
}

static void no_pixels_are_refused(void **unused)
{
	struct image image;
	struct error err;
	size_t len, at;
	char *data = slurp("colour.jpg", &len);

	for (at = 0; memcmp(data + at, "\xff\xc0", 2) != 0; at++)
		assert_true(at + 10 < len);
	/* SOF0: length, precision, height, width. */
	memset(data + at + 7, 0, 2);
	assert_int_equal(image_decode(&image, data, len, 1u << 20, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
	free(data);
}

/* However long it is, no more is made of it than the crop. */
static void a_strip_costs_its_crop(void **unused)
{
	struct image_form form;
	struct image strip, fitted;

	image_form_defaults(&form);
	assert_int_equal(image_open(&strip, 1u << 22, 1, NULL), 0);
	memset(strip.rgb, 200, 3u << 22);
	assert_int_equal(image_fit(&strip, &form, &fitted, NULL), 0);
	assert_int_equal(fitted.width, 224);
	assert_int_equal(fitted.height, 224);
	for (size_t i = 0; i < 3 * 224 * 224; i++)
		assert_int_equal(fitted.rgb[i], 200);
	image_release(&strip);
	image_release(&fitted);
}

static void forms_are_checked(void **unused)
{
	struct image_form form;
	struct error err;

	image_form_defaults(&form);
	assert_int_equal(image_form_check(&form, &err), 0);
	form.crop = 257;
	assert_int_equal(image_form_check(&form, &err), -1);
	assert_error(
		err, ERROR_INVALID, "crop is 257, expected 1 to side, 256");
	form.crop = 224;
	form.std[1] = 0;
	assert_int_equal(image_form_check(&form, &err), -1);
	assert_error(
		err, ERROR_INVALID, "std 1 is 0, expected a number above 0");
	form.std[1] = 1;
	form.mean[2] = NAN;
	assert_int_equal(image_form_check(&form, &err), -1);
	assert_string_equal(err.param, "mean");
	form.side = 0;
	assert_int_equal(image_form_check(&form, &err), -1);
	assert_error(err, ERROR_INVALID, "side is 0, expected 1 to 4096");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pixels_are_pillows),
		cmocka_unit_test(input_is_torchvisions),
		cmocka_unit_test(what_is_no_image_is_refused),
		cmocka_unit_test(files_cut_short_are_refused),
		cmocka_unit_test(extents_are_checked_first),
		cmocka_unit_test(no_pixels_are_refused),
		cmocka_unit_test(a_strip_costs_its_crop),
		cmocka_unit_test(forms_are_checked),
	};

	return cmocka_run_group_tests(tests, open_goldens, close_goldens);
}
