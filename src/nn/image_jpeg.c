/* JPEG by libjpeg-turbo, with its defaults, which are Pillow's too: the slow
 * exact DCT and smooth upsampling of colours. */
#include "nn/image_private.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

/* A progressive file may ask for any number of passes over all its pixels. */
#define MAX_SCANS 500
#define EXIF "Exif\0\0"
#define EXIF_LENGTH 6

struct decoder {
	struct jpeg_decompress_struct jpeg; /* first: libjpeg hands it back */
	struct jpeg_error_mgr errors;
	struct jpeg_progress_mgr progress;
	jmp_buf failed;
	char message[JMSG_LENGTH_MAX];
	struct image *image;
	size_t max_pixels;
	int *orientation;
	uint8_t *row; /* in libjpeg's pool: four bytes a pixel, of CMYK */
	struct error *err;
};

static bool knows(const uint8_t *bytes, size_t len)
{
	return len >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 &&
	       bytes[2] == 0xff;
}

__attribute__((noreturn)) static void on_error(j_common_ptr jpeg)
{
	struct decoder *d = (struct decoder *)jpeg;

	d->errors.format_message(jpeg, d->message);
	longjmp(d->failed, 1);
}

/* Warnings are what a viewer shows anyway; a file cut short isn't. */
static void on_message(j_common_ptr jpeg, int level)
{
	if (level < 0 && jpeg->err->msg_code == JWRN_JPEG_EOF)
		on_error(jpeg);
}

static void on_progress(j_common_ptr jpeg)
{
	struct decoder *d = (struct decoder *)jpeg;

	if (d->jpeg.input_scan_number <= MAX_SCANS)
		return;
	snprintf(d->message, sizeof(d->message), "more than %d scans",
		MAX_SCANS);
	longjmp(d->failed, 1);
}

static int find_orientation(const struct decoder *d)
{
	const struct jpeg_marker_struct *m = d->jpeg.marker_list;

	for (; m; m = m->next)
		if (m->data_length > EXIF_LENGTH &&
			!memcmp(m->data, EXIF, EXIF_LENGTH))
			return image_exif_orientation(m->data + EXIF_LENGTH,
				m->data_length - EXIF_LENGTH);
	return 1;
}

/* Pillow's product of two parts of 255, rounded. */
static uint8_t part(unsigned a, unsigned b)
{
	unsigned product = a * b + 128;

	return (uint8_t)(((product >> 8) + product) >> 8);
}

/* Adobe's CMYK is stored inverted, and Pillow knows no other. */
static void take_cmyk(const struct decoder *d, uint8_t *rgb)
{
	for (size_t x = 0; x < d->image->width; x++) {
		const uint8_t *in = d->row + 4 * x;

		for (size_t c = 0; c < 3; c++)
			rgb[3 * x + c] =
				(uint8_t)(in[3] - part(255 - in[c], in[3]));
	}
}

static void read_rows(struct decoder *d)
{
	const size_t width = d->image->width;
	const bool cmyk = d->jpeg.out_color_space == JCS_CMYK;

	if (cmyk)
		d->row = d->jpeg.mem->alloc_large(
			(j_common_ptr)&d->jpeg, JPOOL_IMAGE, 4 * width);
	while (d->jpeg.output_scanline < d->jpeg.output_height) {
		uint8_t *rgb =
			d->image->rgb + 3 * width * d->jpeg.output_scanline;
		JSAMPROW row = cmyk ? d->row : rgb;

		jpeg_read_scanlines(&d->jpeg, &row, 1);
		if (cmyk)
			take_cmyk(d, rgb);
	}
}

/* Between the two of these, libjpeg may jump. */
static int read_image(struct decoder *d, const uint8_t *bytes, size_t len)
{
	struct jpeg_decompress_struct *jpeg = &d->jpeg;

	jpeg_create_decompress(jpeg);
	jpeg->progress = &d->progress;
	jpeg_mem_src(jpeg, bytes, len);
	jpeg_save_markers(jpeg, JPEG_APP0 + 1, 0xffff);
	jpeg_read_header(jpeg, TRUE);
	*d->orientation = find_orientation(d);
	if (image_open_checked(d->image, jpeg->image_width, jpeg->image_height,
		    d->max_pixels, d->err) < 0)
		return -1;
	jpeg->out_color_space = jpeg->num_components == 4 ? JCS_CMYK : JCS_RGB;
	jpeg_start_decompress(jpeg);
	read_rows(d);
	jpeg_finish_decompress(jpeg);
	return 0;
}

static int decode(struct image *image, const uint8_t *bytes, size_t len,
	size_t max_pixels, int *orientation, struct error *err)
{
	struct decoder d = { .image = image,
		.max_pixels = max_pixels,
		.orientation = orientation,
		.err = err };
	int rc;

	d.jpeg.err = jpeg_std_error(&d.errors);
	d.errors.error_exit = on_error;
	d.errors.emit_message = on_message;
	d.progress.progress_monitor = on_progress;
	if (setjmp(d.failed))
		rc = error_set_param(err, ERROR_INVALID, "image",
			"image: JPEG: %s", d.message);
	else
		rc = read_image(&d, bytes, len);
	jpeg_destroy_decompress(&d.jpeg);
	return rc;
}

const struct image_codec image_jpeg = {
	.name = "JPEG",
	.knows = knows,
	.decode = decode,
};
