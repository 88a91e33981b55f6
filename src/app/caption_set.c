#include "app/caption_set.h"

#include "base/file.h"
#include "nn/safetensors.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_LINES_BYTES (1u << 30)
#define MAX_IMAGE_BYTES (256u << 20)
#define MISSING_SHOWN 5

void caption_set_release(struct caption_set *s)
{
	for (size_t i = 0; s->images && i < s->n; i++)
		free(s->images[i]);
	for (size_t i = 0; i < s->n_pairs; i++)
		free(s->captions[i]);
	free(s->images);
	free(s->captions);
	free(s->image);
	free(s->features);
	free(s->pixels);
	*s = (struct caption_set){ 0 };
}

/* Room for one more of size bytes, doubled when a power of two is full. */
static int grow(void *array, size_t n, size_t size, struct error *err)
{
	void **at = array, *larger;

	if (n & (n - 1))
		return 0;
	larger = realloc(*at, (n ? 2 * n : 1) * size);
	if (!larger)
		return error_set_memory(err, "captions", 2 * n * size);
	*at = larger;
	return 0;
}

static int add_caption(
	struct caption_set *s, const json_t *text, struct error *err)
{
	const char *caption = json_string_value(text);

	if (!caption || !*caption)
		return error_set_param(err, ERROR_INVALID, "caption",
			"caption is missing or empty, expected a text, or "
			"captions with several");
	if (grow(&s->captions, s->n_pairs, sizeof(*s->captions), err) < 0 ||
		grow(&s->image, s->n_pairs, sizeof(*s->image), err) < 0)
		return -1;
	s->captions[s->n_pairs] = strdup(caption);
	s->image[s->n_pairs] = (uint32_t)s->n - 1;
	if (!s->captions[s->n_pairs])
		return error_set_memory(err, "caption", strlen(caption));
	s->n_pairs++;
	return 0;
}

static int add_image(struct caption_set *s, const char *folder,
	const char *name, struct error *err)
{
	char *path;

	if (grow(&s->images, s->n, sizeof(*s->images), err) < 0)
		return -1;
	if (asprintf(&path, "%s%s%s", *name == '/' ? "" : folder,
		    *name == '/' ? "" : "/", name) < 0)
		return error_set_memory(err, "path", strlen(name));
	s->images[s->n++] = path;
	return 0;
}

static int add_line(struct caption_set *s, const char *folder,
	const json_t *line, struct error *err)
{
	const char *name = json_string_value(json_object_get(line, "image"));
	const json_t *several = json_object_get(line, "captions");

	if (!name || !*name)
		return error_set_param(err, ERROR_INVALID, "image",
			"image is missing, expected a path");
	if (add_image(s, folder, name, err) < 0)
		return -1;
	if (!several)
		return add_caption(s, json_object_get(line, "caption"), err);
	if (!json_array_size(several))
		return error_set_param(err, ERROR_INVALID, "captions",
			"captions is empty or no array, expected texts");
	for (size_t i = 0; i < json_array_size(several); i++)
		if (add_caption(s, json_array_get(several, i), err) < 0)
			return -1;
	return 0;
}

static int add_lines(struct caption_set *s, const char *folder, char *text,
	const char *path, struct error *err)
{
	char *rest = text, *line;

	for (size_t number = 1; (line = strsep(&rest, "\n")); number++) {
		json_error_t why;
		json_t *json;
		int rc;

		if (!line[strspn(line, " \t\r")])
			continue;
		json = json_loads(line, JSON_REJECT_DUPLICATES, &why);
		rc = json ? add_line(s, folder, json, err)
			  : error_set(err, ERROR_INVALID, "no JSON: %s",
				    why.text);
		json_decref(json);
		if (rc < 0)
			return error_prefix(err, "%s: line %zu", path, number);
	}
	if (!s->n)
		return error_set(
			err, ERROR_INVALID, "%s: no captions in it", path);
	return 0;
}

int caption_set_open(struct caption_set *s, const char *path,
	const char *images, struct error *err)
{
	const char *slash = strrchr(path, '/');
	char *text, *folder;
	size_t len;
	int rc;

	*s = (struct caption_set){ 0 };
	if (file_read(path, MAX_LINES_BYTES, &text, &len, err) < 0)
		return -1;
	folder = images	 ? strdup(images)
		 : slash ? strndup(path,
				   (size_t)(slash - path) + !(slash - path))
			 : strdup(".");
	rc = folder ? add_lines(s, folder, text, path, err)
		    : error_set_memory(err, "path", strlen(path));
	free(folder);
	free(text);
	if (rc < 0)
		caption_set_release(s);
	return rc;
}

int caption_set_features(
	struct caption_set *s, const char *path, struct error *err)
{
	const struct safetensors_entry *e;
	struct safetensors file;
	char shape[96];
	int rc = -1;

	if (safetensors_open(&file, path, err) < 0)
		return -1;
	e = safetensors_find(&file, "features");
	if (!e) {
		error_set_param(err, ERROR_INVALID, "features",
			"%s: tensor features: missing", path);
	} else if (e->n_dims != 2 || e->shape[0] != s->n || !e->shape[1]) {
		safetensors_shape_text(e, shape, sizeof(shape));
		error_set_param(err, ERROR_INVALID, "features",
			"%s: tensor features: shape %s, expected [%zu,…], a "
			"row for each line of captions",
			path, shape, s->n);
	} else {
		s->width = e->shape[1];
		s->features = malloc(s->n * s->width * sizeof(float));
		rc = s->features ? safetensors_floats(e, s->features, err)
				 : error_set_memory(
					   err, "features", s->n * s->width);
	}
	safetensors_close(&file);
	return rc;
}

int caption_set_there(const struct caption_set *s, struct error *err)
{
	char list[400] = "";
	size_t missing = 0;

	for (size_t i = 0; i < s->n; i++) {
		size_t used = strlen(list);

		if (access(s->images[i], R_OK) == 0)
			continue;
		if (missing++ < MISSING_SHOWN)
			snprintf(list + used, sizeof(list) - used, "%s%s",
				used ? ", " : "", s->images[i]);
	}
	if (!missing)
		return 0;
	return error_set(err, ERROR_NOT_FOUND,
		"%zu of %zu images missing: %s%s", missing, s->n, list,
		missing > MISSING_SHOWN ? ", …" : "");
}

static int add_pixels(struct caption_set *s, size_t i,
	const struct image_form *form, struct error *err)
{
	const size_t bytes = 3 * form->crop * form->crop;
	struct image image, fitted;
	char *data;
	size_t len;
	int rc;

	if (file_read(s->images[i], MAX_IMAGE_BYTES, &data, &len, err) < 0)
		return -1;
	rc = image_decode(&image, data, len, IMAGE_MAX_PIXELS, err);
	free(data);
	if (rc < 0)
		return error_prefix(err, "%s", s->images[i]);
	rc = image_fit(&image, form, &fitted, err);
	image_release(&image);
	if (rc < 0)
		return error_prefix(err, "%s", s->images[i]);
	memcpy(s->pixels + i * bytes, fitted.rgb, bytes);
	image_release(&fitted);
	return 0;
}

int caption_set_pixels(
	struct caption_set *s, const struct image_form *form, struct error *err)
{
	const size_t bytes = 3 * form->crop * form->crop;

	if (caption_set_there(s, err) < 0)
		return -1;
	s->pixels = malloc(s->n * bytes);
	if (!s->pixels)
		return error_set_memory(err, "images", s->n * bytes);
	for (size_t i = 0; i < s->n; i++)
		if (add_pixels(s, i, form, err) < 0)
			return -1;
	return 0;
}
