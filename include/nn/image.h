/*
 * A picture from bytes: JPEG or PNG, upright, as 8-bit RGB; and the way from
 * there to a network's input. The bits of decoding and resizing are those of
 * Pillow, which torchvision's transforms stand on. Nothing of the bytes is
 * believed: extents are checked before a pixel is decoded. Any thread.
 */
#ifndef NN_IMAGE_H
#define NN_IMAGE_H

#include "base/error.h"
#include "math/real.h"

#include <stddef.h>
#include <stdint.h>

/* What a camera makes today, with room; 3 bytes each. */
#define IMAGE_MAX_PIXELS (100u << 20)

struct image {
	size_t width, height;
	uint8_t *rgb; /* [height, width, 3] owned */
};

/* Decode a JPEG (grey, YCbCr, RGB, CMYK, YCCK; baseline or progressive) or PNG
 * (any) and turn it as its EXIF orientation says. Alpha is dropped, as
 * Pillow's convert("RGB") does. ERROR_INVALID: neither of the two, damaged or
 * cut short; ERROR_TOO_LARGE: over max_pixels. */
int image_decode(struct image *image, const void *bytes, size_t len,
	size_t max_pixels, struct error *err);
int image_open(
	struct image *image, size_t width, size_t height, struct error *err);
void image_release(struct image *image);

/* Bilinear with antialiasing, Pillow's fixed point. out is opened. */
int image_resize(const struct image *image, size_t width, size_t height,
	struct image *out, struct error *err);

/* What a network was trained to see: torchvision's Resize(side),
 * CenterCrop(crop), ToTensor, Normalize(mean, std). */
struct image_form {
	size_t side; /* of the shorter one, after resizing; >= crop */
	size_t crop; /* width and height of the input */
	double mean[3], std[3];
};

/* 256, 224 and ImageNet's mean and deviation: the VGG family's. */
void image_form_defaults(struct image_form *form);
/* ERROR_INVALID with the field, the value and what was expected. */
int image_form_check(const struct image_form *form, struct error *err);

/* Resize and crop: [crop, crop] pixels. out is opened. */
int image_fit(const struct image *image, const struct image_form *form,
	struct image *out, struct error *err);
/* image_decode and image_fit in one. */
int image_read(struct image *fitted, const void *bytes, size_t len,
	size_t max_pixels, const struct image_form *form, struct error *err);
/* (value / 255 - mean) / std of a fitted image, [crop, crop, 3]. */
void image_normalise(
	const struct image *fitted, const struct image_form *form, real *out);

#endif
