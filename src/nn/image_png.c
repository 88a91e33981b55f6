/* PNG by libpng: everything to 8-bit RGB, as Pillow's convert("RGB") has it:
 * gamma ignored, alpha dropped, of 16 bits the upper 8. */
#include "nn/image_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#define MAX_CHUNK (8u << 20)

struct decoder {
	png_structp png;
	png_infop info;
	png_bytepp rows; /* owned [height] */
	const uint8_t *bytes;
	size_t len, at;
	struct image *image;
	char message[128];
};

static bool knows(const uint8_t *bytes, size_t len)
{
	return len >= 8 && !png_sig_cmp(bytes, 0, 8);
}

__attribute__((noreturn)) static void on_error(
	png_structp png, png_const_charp text)
{
	struct decoder *d = png_get_error_ptr(png);

	snprintf(d->message, sizeof(d->message), "%s", text);
	png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
	(void)png;
	(void)text;
}

static void on_read(png_structp png, png_bytep out, png_size_t n)
{
	struct decoder *d = png_get_io_ptr(png);

	if (n > d->len - d->at)
		png_error(png, "the file ends too early");
	memcpy(out, d->bytes + d->at, n);
	d->at += n;
}

static void choose_form(struct decoder *d)
{
	const int type = png_get_color_type(d->png, d->info);

	png_set_strip_16(d->png);
	png_set_packing(d->png);
	if (type == PNG_COLOR_TYPE_PALETTE)
		png_set_palette_to_rgb(d->png);
	if (type == PNG_COLOR_TYPE_GRAY || type == PNG_COLOR_TYPE_GRAY_ALPHA) {
		png_set_expand_gray_1_2_4_to_8(d->png);
		png_set_gray_to_rgb(d->png);
	}
	/* Its own, or what a palette's transparency becomes. */
	png_set_strip_alpha(d->png);
	png_set_interlace_handling(d->png);
	png_read_update_info(d->png, d->info);
}

static void read_header(struct decoder *d)
{
	png_set_user_limits(d->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
	png_set_chunk_malloc_max(d->png, MAX_CHUNK);
	png_set_read_fn(d->png, d, on_read);
	png_read_info(d->png, d->info);
}

static int orientation_of(const struct decoder *d)
{
	png_bytep exif = NULL;
	png_uint_32 len = 0;

	if (!png_get_eXIf_1(d->png, d->info, &len, &exif))
		return 1;
	return image_exif_orientation(exif, len);
}

static int read_pixels(struct decoder *d, struct error *err)
{
	const size_t width = d->image->width, height = d->image->height;

	choose_form(d);
	if (png_get_rowbytes(d->png, d->info) != 3 * width)
		png_error(d->png, "unexpected row length");
	d->rows = calloc(height, sizeof(*d->rows));
	if (!d->rows)
		return error_set_memory(
			err, "image rows", height * sizeof(*d->rows));
	for (size_t y = 0; y < height; y++)
		d->rows[y] = d->image->rgb + 3 * width * y;
	png_read_image(d->png, d->rows);
	png_read_end(d->png, NULL);
	return 0;
}

static int read_image(struct decoder *d, size_t max_pixels, int *orientation,
	struct error *err)
{
	if (setjmp(png_jmpbuf(d->png)))
		return error_set_param(err, ERROR_INVALID, "image",
			"image: PNG: %s", d->message);
	read_header(d);
	if (image_open_checked(d->image, png_get_image_width(d->png, d->info),
		    png_get_image_height(d->png, d->info), max_pixels,
		    err) < 0 ||
		read_pixels(d, err) < 0)
		return -1;
	*orientation = orientation_of(d);
	return 0;
}

static int decode(struct image *image, const uint8_t *bytes, size_t len,
	size_t max_pixels, int *orientation, struct error *err)
{
	struct decoder d = { .bytes = bytes, .len = len, .image = image };
	int rc = -1;

	d.png = png_create_read_struct(
		PNG_LIBPNG_VER_STRING, &d, on_error, on_warning);
	if (d.png)
		d.info = png_create_info_struct(d.png);
	if (d.info)
		rc = read_image(&d, max_pixels, orientation, err);
	else
		error_set_memory(err, "PNG decoder", sizeof(d));
	free(d.rows);
	png_destroy_read_struct(&d.png, &d.info, NULL);
	return rc;
}

const struct image_codec image_png = {
	.name = "PNG",
	.knows = knows,
	.decode = decode,
};
