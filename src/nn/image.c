/* Which codec, how large, and which way up. */
#include "nn/image_private.h"

#include <stdlib.h>
#include <string.h>

#define TILE 32 /* pixels of a tile's side */

static const struct image_codec *const codecs[] = { &image_jpeg, &image_png };

int image_open(
	struct image *image, size_t width, size_t height, struct error *err)
{
	size_t bytes;

	*image = (struct image){ .width = width, .height = height };
	if (__builtin_mul_overflow(width, height, &bytes) ||
		__builtin_mul_overflow(bytes, 3, &bytes))
		return error_set_memory(err, "image", SIZE_MAX);
	image->rgb = malloc(bytes ? bytes : 1);
	return image->rgb ? 0 : error_set_memory(err, "image", bytes);
}

int image_open_checked(struct image *image, size_t width, size_t height,
	size_t max_pixels, struct error *err)
{
	size_t pixels;

	*image = (struct image){ 0 };
	if (!width || !height)
		return error_set_param(err, ERROR_INVALID, "image",
			"image: %zu x %zu pixels, expected at least 1 x 1",
			width, height);
	if (__builtin_mul_overflow(width, height, &pixels) ||
		pixels > max_pixels)
		return error_set_param(err, ERROR_TOO_LARGE, "image",
			"image: %zu x %zu pixels, expected at most %zu", width,
			height, max_pixels);
	return image_open(image, width, height, err);
}

void image_release(struct image *image)
{
	free(image->rgb);
	*image = (struct image){ 0 };
}

/* For orientation o, where the pixel at (x, y) of the upright image is. */
static size_t origin(const struct image *from, int o, size_t x, size_t y)
{
	const size_t right = from->width - 1, bottom = from->height - 1;
	size_t column = o >= 5 ? y : x, row = o >= 5 ? x : y;

	if (o == 2 || o == 3 || o == 7 || o == 8)
		column = right - column;
	if (o == 3 || o == 4 || o == 6 || o == 7)
		row = bottom - row;
	return row * from->width + column;
}

/* Tile by tile: rows of the one are columns of the other. */
static void turn_tile(const struct image *image, int o, struct image *upright,
	size_t left, size_t top)
{
	const size_t w = upright->width, h = upright->height;
	const size_t right = left + TILE < w ? left + TILE : w;
	const size_t bottom = top + TILE < h ? top + TILE : h;

	for (size_t y = top; y < bottom; y++)
		for (size_t x = left; x < right; x++)
			memcpy(upright->rgb + 3 * (y * w + x),
				image->rgb + 3 * origin(image, o, x, y), 3);
}

static int turn(struct image *image, int o, struct error *err)
{
	struct image upright;

	if (o <= 1)
		return 0;
	if (image_open(&upright, o >= 5 ? image->height : image->width,
		    o >= 5 ? image->width : image->height, err) < 0)
		return -1;
	for (size_t y = 0; y < upright.height; y += TILE)
		for (size_t x = 0; x < upright.width; x += TILE)
			turn_tile(image, o, &upright, x, y);
	image_release(image);
	*image = upright;
	return 0;
}

static const struct image_codec *find(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++)
		if (codecs[i]->knows(bytes, len))
			return codecs[i];
	return NULL;
}

int image_decode(struct image *image, const void *bytes, size_t len,
	size_t max_pixels, struct error *err)
{
	const struct image_codec *codec = find(bytes, len);
	int orientation = 1;

	*image = (struct image){ 0 };
	if (!codec)
		return error_set_param(err, ERROR_INVALID, "image",
			"image: %zu bytes that are neither JPEG nor PNG", len);
	if (codec->decode(image, bytes, len, max_pixels, &orientation, err) ==
			0 &&
		turn(image, orientation, err) == 0)
		return 0;
	image_release(image);
	return -1;
}
