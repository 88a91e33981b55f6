/* What the decoders share; nobody else includes it. */
#ifndef NN_IMAGE_PRIVATE_H
#define NN_IMAGE_PRIVATE_H

#include "nn/image.h"

#include <stdbool.h>

/* One format. The image comes as stored; *orientation is EXIF's, 1..8. */
struct image_codec {
	const char *name;
	bool (*knows)(const uint8_t *bytes, size_t len);
	int (*decode)(struct image *image, const uint8_t *bytes, size_t len,
		size_t max_pixels, int *orientation, struct error *err);
};

extern const struct image_codec image_jpeg, image_png;

/* As image_open, for extents that a file names. */
int image_open_checked(struct image *image, size_t width, size_t height,
	size_t max_pixels, struct error *err);

/* The orientation in a TIFF block (EXIF without its "Exif\0\0"), 1 where there
 * is none that makes sense. */
int image_exif_orientation(const uint8_t *tiff, size_t len);

/* The window of out's extents at (left, top) of the image resized to width x
 * height; the caller has opened out. */
int image_resize_window(const struct image *image, size_t width, size_t height,
	size_t left, size_t top, struct image *out, struct error *err);

#endif
