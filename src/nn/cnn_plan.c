/* A list of layers unrolled into steps, numbered as torchvision does. */
#include "nn/cnn_private.h"

#include <stdio.h>
#include <string.h>

static struct cnn_shape shape_now(const struct cnn_plan *p)
{
	return p->steps[p->n - 1].out;
}

static void add(struct cnn_plan *p, enum cnn_op op, struct cnn_shape in,
	struct cnn_shape out, const char *name)
{
	struct cnn_plan_step *s = &p->steps[p->n++];

	*s = (struct cnn_plan_step){ .op = op, .in = in, .out = out };
	snprintf(s->name, sizeof(s->name), "%s", name);
	s->size = out.height ? conv_frame(out.height, out.width, out.channels)
			     : out.channels;
}

/* Whether the layer `name` was the last one to compute. */
static bool ends(
	struct cnn_plan *p, const struct cnn_config *c, const char *name)
{
	snprintf(p->last, sizeof(p->last), "%s", name);
	p->found = p->found || !strcmp(c->until, name);
	return p->found;
}

/* The features' steps; false when one of them was the last. */
static bool add_features(struct cnn_plan *p, const struct cnn_config *c)
{
	struct cnn_shape now = { c->side, c->side, 3 }, out;
	size_t index = 0;
	char name[32];

	for (size_t i = 0; i < c->n_layers; i++) {
		out = now;
		if (c->layers[i] == CNN_POOL) {
			out.height /= 2;
			out.width /= 2;
			add(p, CNN_MAXPOOL, now, out, "");
			now = out;
			index++;
			continue;
		}
		out.channels = c->layers[i];
		snprintf(name, sizeof(name), "features.%zu", index);
		add(p, CNN_CONV, now, out, name);
		now = out;
		if (c->norm) {
			char norm[32];

			snprintf(norm, sizeof(norm), "features.%zu", index + 1);
			add(p, CNN_NORM, now, now, norm);
		}
		add(p, CNN_RELU, now, now, "");
		index += c->norm ? 3 : 2;
		if (ends(p, c, name))
			return false;
	}
	return !ends(p, c, "features");
}

static void flatten(struct cnn_plan *p, size_t pool)
{
	const struct cnn_shape in = shape_now(p);
	const size_t h = pool ? pool : in.height, w = pool ? pool : in.width;

	add(p, CNN_FLATTEN, in, (struct cnn_shape){ 0, 0, h * w * in.channels },
		"");
}

void cnn_plan(struct cnn_plan *p, const struct cnn_config *c)
{
	bool whole;

	*p = (struct cnn_plan){ 0 };
	whole = add_features(p, c);
	flatten(p, !strncmp(c->until, "features.", 9) ? 0 : c->pool);
	for (size_t i = 0; whole && i < c->n_dense; i++) {
		const struct cnn_shape in = shape_now(p);
		const struct cnn_shape out = { 0, 0, c->dense[i] };
		char name[32];

		snprintf(name, sizeof(name), "classifier.%zu", 3 * i);
		add(p, CNN_DENSE, in, out, name);
		/* torchvision's third one gives class scores. */
		if (i < 2)
			add(p, CNN_RELU, out, out, "");
		whole = !ends(p, c, name);
	}
}
