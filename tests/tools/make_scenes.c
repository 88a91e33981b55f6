/*
 * A data set for captioners, drawn: `make_scenes DIR [TRAIN TEST HOLDOUT]`.
 * Scenes of one or two groups of one to three equal shapes; each has one
 * canonical caption, "two small red circles above a large blue square". Six of
 * the 48 pairs of colour and shape are held out: training and test scenes have
 * none of them, each scene of holdout.jsonl has at least one. Each colour of
 * theirs is seen with 5 other shapes, each shape with 7 other colours. The same
 * files whenever it runs.
 */
#include "base/rng.h"

#include <errno.h>
#include <math.h>
#include <png.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SIDE 64
#define SAMPLES 4 /* of a pixel, squared: smooth edges */
#define COLOURS 8
#define SHAPES 6
#define HELD_OUT 6 /* colour i with shape i */
#define MAX_COUNT 3
#define CLEAR 6 /* pixels */

/* In each channel brighter than the ground: a shape shows in all of them. */
static const struct {
	const char *name;
	double rgb[3];
} colours[COLOURS] = {
	{ "red", { 235, 85, 85 } },
	{ "green", { 85, 205, 100 } },
	{ "blue", { 90, 120, 245 } },
	{ "yellow", { 245, 230, 90 } },
	{ "purple", { 165, 90, 220 } },
	{ "orange", { 250, 160, 85 } },
	{ "white", { 245, 245, 245 } },
	{ "cyan", { 90, 220, 230 } },
};

static const char *const shapes[SHAPES] = { "circle", "square", "triangle",
	"diamond", "cross", "ring" };
static const char *const sizes[] = { "small", "large" };
static const double radii[] = { 6, 9 };
static const char *const counts[] = { "a", "two", "three" };
static const char *const places[] = { "at the top", "in the middle",
	"at the bottom" };

/* Equal shapes in a row: across, or else one below the other. */
struct group {
	int colour, shape, size, count;
	double x[MAX_COUNT], y[MAX_COUNT];
};

struct scene {
	struct group groups[2];
	int n;
	bool across; /* the first group is left of the second, not above */
	int place;   /* of a single group */
};

/* The next number below n of a scene's own sequence. */
struct draws {
	uint64_t seed;
	uint32_t next;
};

static double uniform(struct draws *d)
{
	struct philox v = rng_block(d->seed, RNG_SEED, d->next++, 0);

	return rng_double(v.v[0], v.v[1]);
}

static int pick(struct draws *d, int n)
{
	return (int)(uniform(d) * n);
}

static bool is_held_out(const struct group *g)
{
	return g->colour == g->shape && g->colour < HELD_OUT;
}

static void draw_group(struct draws *d, struct group *g, bool held_out)
{
	do {
		g->colour = pick(d, COLOURS);
		g->shape = pick(d, SHAPES);
	} while (is_held_out(g) != held_out);
	g->size = pick(d, 2);
	g->count = 1 + pick(d, MAX_COUNT);
}

/* Along a line in the middle of [from, from + wide) across, and the image's
 * whole length along; a little out of line each. */
static void lay_out(struct draws *d, struct group *g, double from, double wide,
	bool upright)
{
	const double r = radii[g->size] + 1;
	const double gap = 2 * r + uniform(d) * (SIDE / 3.0 - 2 * r);
	const double length = gap * (g->count - 1) + 2 * r;
	double along = r + uniform(d) * (SIDE - length);
	const double line = from + r + uniform(d) * (wide - 2 * r);

	for (int i = 0; i < g->count; i++, along += gap) {
		double off = (uniform(d) - 0.5) * 2;

		g->x[i] = upright ? line + off : along;
		g->y[i] = upright ? along : line + off;
	}
}

/* Whether one is far more left of the other than above it, or the other way
 * round: no picture has two captions. */
static bool is_clear(const struct scene *s)
{
	double x = 0, y = 0;

	for (int i = 0; i < 2; i++) {
		const struct group *g = &s->groups[i];

		for (int k = 0; k < g->count; k++) {
			x += (i ? 1 : -1) * g->x[k] / g->count;
			y += (i ? 1 : -1) * g->y[k] / g->count;
		}
	}
	return s->across ? x > fabs(y) + CLEAR : y > fabs(x) + CLEAR;
}

static bool are_alike(const struct group *a, const struct group *b)
{
	return a->colour == b->colour && a->shape == b->shape;
}

static struct scene draw_scene(struct draws *d, bool held_out)
{
	struct scene s = { .n = 1 + pick(d, 2), .across = pick(d, 2) };
	int which = pick(d, s.n);

	do
		for (int i = 0; i < s.n; i++)
			draw_group(d, &s.groups[i], held_out && i == which);
	while (s.n == 2 && are_alike(&s.groups[0], &s.groups[1]));
	s.place = pick(d, 3);
	if (s.n == 1) {
		lay_out(d, &s.groups[0], s.place * SIDE / 3.0, SIDE / 3.0,
			false);
		return s;
	}
	do
		for (int i = 0; i < 2; i++)
			lay_out(d, &s.groups[i], i * SIDE / 2.0 + 1,
				SIDE / 2.0 - 2, s.across);
	while (!is_clear(&s));
	return s;
}

/* Whether (x, y) from its centre is within a shape of radius 1. */
static bool covers(int shape, double x, double y)
{
	const double far = sqrt(x * x + y * y);

	switch (shape) {
	case 0:
		return far < 1;
	case 1:
		return fabs(x) < 0.85 && fabs(y) < 0.85;
	case 2:
		return y < 0.8 && y > -1 + 2 * fabs(x);
	case 3:
		return fabs(x) * 1.3 + fabs(y) < 1;
	case 4:
		return (fabs(x) < 0.35 && fabs(y) < 1) ||
		       (fabs(y) < 0.35 && fabs(x) < 1);
	default:
		return far < 1 && far > 0.55;
	}
}

static void paint(const struct group *g, int i, double *rgb, int x, int y)
{
	const double reach = radii[g->size] + 1;
	int hit = 0;

	if (fabs(x + 0.5 - g->x[i]) > reach || fabs(y + 0.5 - g->y[i]) > reach)
		return;
	for (int k = 0; k < SAMPLES * SAMPLES; k++) {
		double dx = x + (k % SAMPLES + 0.5) / SAMPLES - g->x[i];
		double dy = y + (k / SAMPLES + 0.5) / SAMPLES - g->y[i];

		hit += covers(
			g->shape, dx / radii[g->size], dy / radii[g->size]);
	}
	for (int c = 0; c < 3; c++)
		rgb[c] += (colours[g->colour].rgb[c] - rgb[c]) * hit /
			  (SAMPLES * SAMPLES);
}

static void render(
	const struct scene *s, struct draws *d, uint8_t pixels[SIDE][SIDE][3])
{
	const double ground = 10 + 40 * uniform(d);

	for (int y = 0; y < SIDE; y++)
		for (int x = 0; x < SIDE; x++) {
			double rgb[3] = { ground, ground, ground };
			double noise = (uniform(d) - 0.5) * 20;

			for (int g = 0; g < s->n; g++)
				for (int i = 0; i < s->groups[g].count; i++)
					paint(&s->groups[g], i, rgb, x, y);
			for (int c = 0; c < 3; c++)
				pixels[y][x][c] = (uint8_t)fmin(
					255, fmax(0, rgb[c] + noise));
		}
}

static void name_group(const struct group *g, char *out, size_t size)
{
	bool plural = g->count > 1;

	snprintf(out, size, "%s %s %s %s%s", counts[g->count - 1],
		sizes[g->size], colours[g->colour].name, shapes[g->shape],
		!plural		? ""
		: g->shape == 4 ? "es"
				: "s");
}

static void describe(const struct scene *s, char *out, size_t size)
{
	char first[64], second[64];

	name_group(&s->groups[0], first, sizeof(first));
	if (s->n == 1) {
		snprintf(out, size, "%s %s", first, places[s->place]);
		return;
	}
	name_group(&s->groups[1], second, sizeof(second));
	snprintf(out, size, "%s %s %s", first, s->across ? "left of" : "above",
		second);
}

static int write_png(const char *path, const uint8_t pixels[SIDE][SIDE][3])
{
	png_image image = { .version = PNG_IMAGE_VERSION,
		.width = SIDE,
		.height = SIDE,
		.flags = PNG_IMAGE_FLAG_FAST,
		.format = PNG_FORMAT_RGB };

	return png_image_write_to_file(&image, path, 0, pixels, 0, NULL);
}

static int make(
	const char *dir, const char *name, int n, uint64_t seed, bool held_out)
{
	char path[4096], caption[192];
	FILE *lines;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (mkdir(path, 0777) < 0 && errno != EEXIST)
		return -1;
	snprintf(path, sizeof(path), "%s/%s.jsonl", dir, name);
	lines = fopen(path, "w");
	if (!lines)
		return -1;
	for (int i = 0; i < n; i++) {
		struct draws d = { seed * 1000003 + (uint64_t)i, 0 };
		struct scene s = draw_scene(&d, held_out);
		uint8_t pixels[SIDE][SIDE][3];

		render(&s, &d, pixels);
		describe(&s, caption, sizeof(caption));
		snprintf(path, sizeof(path), "%s/%s/%06d.png", dir, name, i);
		if (!write_png(path, pixels)) {
			fclose(lines);
			return -1;
		}
		fprintf(lines,
			"{\"image\": \"%s/%06d.png\", \"caption\": \"%s\"}\n",
			name, i, caption);
	}
	return fclose(lines);
}

int main(int argc, char **argv)
{
	int n[] = { 60000, 1000, 1000 };

	if (argc != 2 && argc != 5) {
		fprintf(stderr,
			"usage: make_scenes DIR [TRAIN TEST HOLDOUT]\n");
		return 2;
	}
	for (int i = 2; i < argc; i++)
		n[i - 2] = atoi(argv[i]);
	if ((mkdir(argv[1], 0777) < 0 && errno != EEXIST) ||
		make(argv[1], "train", n[0], 1, false) < 0 ||
		make(argv[1], "test", n[1], 2, false) < 0 ||
		make(argv[1], "holdout", n[2], 3, true) < 0) {
		fprintf(stderr, "make_scenes: %s: %s\n", argv[1],
			strerror(errno));
		return 1;
	}
	return 0;
}
