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
	return type == WEIGHTS_INT8 ? (k + 3) / 4 * 4 : k;
}

static size_t weight_bytes(enum weight_type type)
{
	if (type == WEIGHTS_BF16)
		return 2;
	return type == WEIGHTS_INT8 ? 1 : sizeof(real);
}

size_t packed_width(size_t gates, size_t units)
{
	const size_t panel = kernels()->panel;

	return (units + panel - 1) / panel * panel * gates;
}

size_t packed_column(size_t gates, size_t g, size_t u)
{
	const size_t panel = kernels()->panel;

	return (u / panel * gates + g) * panel + u % panel;
}

int packed_open_gates(struct packed *p, enum weight_type type, size_t k,
	size_t gates, size_t units, struct error *err)
{
	if (packed_open(p, type, k, packed_width(gates, units), err) < 0)
		return -1;
	p->gates = gates;
	p->units = units;
	return 0;
}

int packed_open(struct packed *p, enum weight_type type, size_t k, size_t n,
	struct error *err)
{
	const size_t panel = kernels()->panel;
	const size_t panels = (n + panel - 1) / panel;
	size_t bytes;

	*p = (struct packed){ .type = type,
		.k = k,
		.n = n,
		.gates = 1,
		.units = n,
		.panels = panels };
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

struct place {
	size_t panel, lane;
};

static struct place place(const struct packed *p, size_t g, size_t u)
{
	const size_t panel = kernels()->panel;
	const size_t column = packed_column(p->gates, g, u);

	return (struct place){ column / panel, column % panel };
}

static void fill_bf16(
	struct packed *p, const struct source *s, size_t g, size_t u)
{
	const size_t panel = kernels()->panel, j = g * p->units + u;
	const struct place to = place(p, g, u);
	uint16_t *base = (uint16_t *)p->data +
			 to.panel * panel * stored_rows(WEIGHTS_BF16, p->k);

	for (size_t i = 0; i < p->k; i++)
		base[i / 2 * 2 * panel + to.lane * 2 + i % 2] =
			bf16((float)at(s, i, j));
}

static void fill_int8(
	struct packed *p, const struct source *s, size_t g, size_t u)
{
	const size_t panel = kernels()->panel, group = kernels()->group;
	const size_t j = g * p->units + u;
	const struct place to = place(p, g, u);
	const size_t column = to.panel * panel + to.lane;
	int8_t *base = (int8_t *)p->data +
		       to.panel * panel * stored_rows(WEIGHTS_INT8, p->k);
	double top = 0, scale;

	for (size_t i = 0; i < p->k; i++)
		top = fmax(top, fabs(at(s, i, j)));
	scale = top / 127;
	p->scale[column] = (float)scale;
	p->sum[column] = 0;
	for (size_t i = 0; i < p->k; i++) {
		long q = scale > 0 ? lrint(at(s, i, j) / scale) : 0;

		base[i / group * group * panel + to.lane * group + i % group] =
			(int8_t)q;
		p->sum[column] += (int32_t)q;
	}
}

/* A gate's columns are packed as weights of their own, a panel at a time. */
static void fill_f32(
	struct packed *p, const real *w, size_t ldw, bool transposed)
{
	const size_t panel = kernels()->panel;

	for (size_t u = 0; u < p->units; u += panel)
		for (size_t g = 0; g < p->gates; g++) {
			struct packed one = { .k = p->k,
				.n = p->units - u < panel ? p->units - u
							  : panel };
			size_t j = g * p->units + u;

			one.data = (real *)p->data +
				   place(p, g, u).panel * panel * p->k;
			kernels()->pack(&one, w + j * (transposed ? ldw : 1),
				ldw, transposed, 0, 1);
		}
}

void packed_fill(struct packed *p, const real *w, bool transposed)
{
	const size_t ldw = transposed ? p->k : p->gates * p->units;
	const struct source s = { w, transposed ? 1 : ldw,
		transposed ? ldw : 1 };

	if (p->type == WEIGHTS_F32) {
		fill_f32(p, w, ldw, transposed);
		return;
	}
	for (size_t g = 0; g < p->gates; g++)
		for (size_t u = 0; u < p->units; u++) {
			if (p->type == WEIGHTS_BF16)
				fill_bf16(p, &s, g, u);
			else
				fill_int8(p, &s, g, u);
		}
}
