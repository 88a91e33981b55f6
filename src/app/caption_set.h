/* A data set of pictures and captions: JSON lines of {"image": PATH,
 * "caption": TEXT} or "captions": [TEXT…], and features where they are given.
 */
#ifndef APP_CAPTION_SET_H
#define APP_CAPTION_SET_H

#include "base/error.h"
#include "nn/image.h"

#include <stddef.h>
#include <stdint.h>

struct caption_set {
	size_t n;	 /* lines */
	char **images;	 /* [n] owned: paths as they are opened */
	size_t n_pairs;	 /* captions of them all */
	char **captions; /* [n_pairs] owned */
	uint32_t *image; /* [n_pairs] the line of each */
	float *features; /* [n, width] owned, or NULL */
	size_t width;
	uint8_t *pixels; /* [n, crop, crop, 3] owned, or NULL */
};

/* Reads lines, of which errors give the number. Relative paths start at the
 * folder `images`, or NULL: the file's own. */
int caption_set_open(struct caption_set *s, const char *path,
	const char *images, struct error *err);
void caption_set_release(struct caption_set *s);
/* The tensor `features` [n, width] of a safetensors file, a row for each line.
 */
int caption_set_features(
	struct caption_set *s, const char *path, struct error *err);
/* Whether all images can be read: ERROR_NOT_FOUND lists what is missing. */
int caption_set_there(const struct caption_set *s, struct error *err);
/* Decode and fit all images, which must be there. */
int caption_set_pixels(struct caption_set *s, const struct image_form *form,
	struct error *err);

#endif
