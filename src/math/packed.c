/* Weights laid out for the step kernels, rounded to their type on the way. */
#include "math/kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const type_names[] = { "f32", "bf16", "int8" };

const char *weight_type_name(enum weight_type type)
{
	return type_names[type];
}

int weight_type_find(const char *name, enum weight_type *type)
{
	for (int i = 0; i < 3; i++)
		if (!strcmp(name, type_names[i])) {
			*type = (enum weight_type)i;
			return 0;
		}
	return -1;
}

/* Rows of k as stored: whole pairs or groups. */
static size_t stored_rows(enum weight_type type, size_t k)
{
	if (type == WEIGHTS_BF16)
		return (k + 1) / 2 * 2;
	return type == WEIGHTS_INT8 ? kernels_quantised(k) : k;
}

static size_t weight_bytes(enum weight_type type)
{
	if (type == WEIGHTS_BF16)
		return 2;
	return type == WEIGHTS_INT8 ? 1 : sizeof(real);
}

int packed_open(struct packed *p, enum weight_type type, size_t k, size_t n,
	struct error *err)
{
	const size_t panel = kernels()->panel;
	const size_t panels = (n + panel - 1) / panel;
	size_t bytes;

	*p = (struct packed){ .type = type, .k = k, .n = n, .panels = panels };
	if (__builtin_mul_overflow(
		    panels * panel, stored_rows(type, k), &bytes) ||
		__builtin_mul_overflow(bytes, weight_bytes(type), &bytes))
		return error_set_memory(err, "packed weights", SIZE_MAX);
	p->data = kernels_alloc((bytes + sizeof(real) - 1) / sizeof(real));
	p->bytes = bytes;
	if (type == WEIGHTS_INT8) {
		p->scale = calloc(panels * panel, sizeof(*p->scale));
		p->sum = calloc(panels * panel, sizeof(*p->sum));
		p->bytes += panels * panel * 8;
	}
	if (p->data && (type != WEIGHTS_INT8 || (p->scale && p->sum)))
		return 0;
	packed_release(p);
	return error_set_memory(err, "packed weights", bytes);
}

void packed_release(struct packed *p)
{
	free(p->data);
	free(p->scale);
	free(p->sum);
	*p = (struct packed){ 0 };
}

struct packed packed_view(
	const struct packed *p, size_t begin, size_t end, size_t *column)
{
	const size_t panel = kernels()->panel;
	const size_t stride =
		panel * stored_rows(p->type, p->k) * weight_bytes(p->type);
	struct packed view = *p;
	size_t last = end * panel < p->n ? end * panel : p->n;

	*column = begin * panel < p->n ? begin * panel : p->n;
	view.data = (char *)p->data + begin * stride;
	if (p->type == WEIGHTS_INT8) {
		view.scale += *column;
		view.sum += *column;
	}
	view.n = last - *column;
	view.panels = end - begin;
	return view;
}

/* w at row i of k, column j of n. */
struct source {
	const real *w;
	size_t row_step, column_step;
};

static double at(const struct source *s, size_t i, size_t j)
{
	return (double)s->w[i * s->row_step + j * s->column_step];
}

static uint16_t bf16(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof(bits));
	/* To nearest, ties to even. */
	return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static void fill_bf16(struct packed *p, const struct source *s)
{
	const size_t panel = kernels()->panel;
	const size_t rows = stored_rows(WEIGHTS_BF16, p->k);
	uint16_t *out = p->data;

	for (size_t j = 0; j < p->n; j++) {
		uint16_t *base = out + j / panel * panel * rows;

		for (size_t i = 0; i < p->k; i++)
			base[i / 2 * 2 * panel + j % panel * 2 + i % 2] =
				bf16((float)at(s, i, j));
	}
}

static void fill_int8(struct packed *p, const struct source *s)
{
	const size_t panel = kernels()->panel, group = kernels()->group;
	const size_t rows = stored_rows(WEIGHTS_INT8, p->k);
	int8_t *out = p->data;

	for (size_t j = 0; j < p->n; j++) {
		int8_t *base = out + j / panel * panel * rows;
		double top = 0, scale;

		for (size_t i = 0; i < p->k; i++)
			top = fmax(top, fabs(at(s, i, j)));
		scale = top / 127;
		p->scale[j] = (float)scale;
		p->sum[j] = 0;
		for (size_t i = 0; i < p->k; i++) {
			long q = scale > 0 ? lrint(at(s, i, j) / scale) : 0;

			base[i / group * group * panel + j % panel * group +
				i % group] = (int8_t)q;
			p->sum[j] += (int32_t)q;
		}
	}
}

void packed_fill(struct packed *p, const real *w, bool transposed)
{
	const size_t ldw = transposed ? p->k : p->n;
	const struct source s = { w, transposed ? 1 : ldw,
		transposed ? ldw : 1 };

	switch (p->type) {
	case WEIGHTS_F32:
		kernels()->pack(p, w, ldw, transposed, 0, p->panels);
		break;
	case WEIGHTS_BF16:
		fill_bf16(p, &s);
		break;
	case WEIGHTS_INT8:
		fill_int8(p, &s);
		break;
	}
}
