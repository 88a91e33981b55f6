/* From an image to a network's input, as torchvision.transforms do it. */
#include "nn/image_private.h"

#include <math.h>
#include <string.h>

#define MAX_SIDE 4096

void image_form_defaults(struct image_form *form)
{
	*form = (struct image_form){ .side = 256,
		.crop = 224,
		.mean = { 0.485, 0.456, 0.406 },
		.std = { 0.229, 0.224, 0.225 } };
}

int image_form_check(const struct image_form *form, struct error *err)
{
	if (form->side < 1 || form->side > MAX_SIDE)
		return error_set_param(err, ERROR_INVALID, "side",
			"side is %zu, expected 1 to %d", form->side, MAX_SIDE);
	if (form->crop < 1 || form->crop > form->side)
		return error_set_param(err, ERROR_INVALID, "crop",
			"crop is %zu, expected 1 to side, %zu", form->crop,
			form->side);
	for (size_t i = 0; i < 3; i++) {
		if (!isfinite(form->mean[i]))
			return error_set_param(err, ERROR_INVALID, "mean",
				"mean %zu is %g, expected a number", i,
				form->mean[i]);
		if (!isfinite(form->std[i]) || !(form->std[i] > 0))
			return error_set_param(err, ERROR_INVALID, "std",
				"std %zu is %g, expected a number above 0", i,
				form->std[i]);
	}
	return 0;
}

/* What the centre leaves before it; Python's round(), halves to even. */
static size_t margin(size_t all, size_t part)
{
	return (size_t)nearbyint((double)(all - part) / 2);
}

int image_fit(const struct image *image, const struct image_form *form,
	struct image *out, struct error *err)
{
	const size_t w = image->width, h = image->height;
	const size_t width = w <= h ? form->side : form->side * w / h;
	const size_t height = w <= h ? form->side * h / w : form->side;

	if (image_open(out, form->crop, form->crop, err) < 0)
		return -1;
	if (image_resize_window(image, width, height, margin(width, form->crop),
		    margin(height, form->crop), out, err) == 0)
		return 0;
	image_release(out);
	return -1;
}

int image_read(struct image *fitted, const void *bytes, size_t len,
	size_t max_pixels, const struct image_form *form, struct error *err)
{
	struct image image;
	int rc;

	if (image_decode(&image, bytes, len, max_pixels, err) < 0)
		return -1;
	rc = image_fit(&image, form, fitted, err);
	image_release(&image);
	return rc;
}

void image_normalise(
	const struct image *fitted, const struct image_form *form, real *out)
{
	const size_t n = fitted->width * fitted->height;
	real scale[3], shift[3];

	for (size_t c = 0; c < 3; c++) {
		scale[c] = (real)(1 / (255 * form->std[c]));
		shift[c] = (real)(-form->mean[c] / form->std[c]);
	}
	for (size_t i = 0; i < 3 * n; i++)
		out[i] = fitted->rgb[i] * scale[i % 3] + shift[i % 3];
}
