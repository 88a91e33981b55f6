/* Bytes that may be an image: decoded under a small limit, then fitted. What
 * is accepted must be within it. */
#include "nn/image.h"

#include <stdlib.h>

#define MAX_PIXELS (1u << 18)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image_form form;
	struct image image, fitted;
	struct error err = { 0 };

	if (image_decode(&image, data, size, MAX_PIXELS, &err) < 0) {
		if (!err.code || image.rgb)
			abort();
		return 0;
	}
	if (!image.width || !image.height ||
		image.width * image.height > MAX_PIXELS)
		abort();
	image_form_defaults(&form);
	form.side = 24;
	form.crop = 16;
	if (image_fit(&image, &form, &fitted, &err) == 0) {
		if (fitted.width != form.crop || fitted.height != form.crop)
			abort();
		image_release(&fitted);
	}
	image_release(&image);
	return 0;
}
