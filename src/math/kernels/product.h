/*
 * See math/kernels.h. One driver walks rows and panels; three tiles sum, one
 * for each type of weight. A tile is rows x (panels * PANEL) outputs held in
 * registers while k goes by in order.
 */
#ifndef MATH_KERNELS_PRODUCT_H
#define MATH_KERNELS_PRODUCT_H

#include "math/kernels.h"
#include "math/kernels/tile.h"

/* Where a tile's sums start: y, bias, the row's own, or 0. */
VECTOR_INLINE vr tile_start(const struct product *p, size_t row, size_t j)
{
	const size_t n = p->w->n, from = p->y_column;

	if (p->init == PRODUCT_ZERO || j >= n)
		return (vr){ 0 };
	if (p->init == PRODUCT_BIAS)
		return vr_get(p->bias, j, n);
	if (p->init == PRODUCT_ROWS)
		return vr_get(p->rows[row], j, n);
	return vr_get(p->y + row * p->ldy, j - from, n - from);
}

VECTOR_INLINE void tile_end(const struct product *p, size_t row, size_t j, vr v)
{
	const size_t n = p->w->n, from = p->y_column;

	if (j < n)
		vr_put(p->y + row * p->ldy, v, j - from, n - from);
}

VECTOR_INLINE void tile_f32(const struct product *p, const int rows,
	const int panels, size_t row, size_t panel)
{
	const size_t k = p->w->k, j = panel * PANEL, ldx = p->ldx;
	const real *w = (const real *)p->w->data + panel * k * PANEL;
	const real *x = p->x + row * ldx;
	const int vectors = 2 * panels;
	vr acc[TILE_ROWS][2 * WIDE_PANELS];

	UNROLL for (int r = 0; r < rows; r++)
		UNROLL for (int v = 0; v < vectors; v++) acc[r][v] =
			tile_start(p, row + (size_t)r, j + (size_t)(v * VR));
	for (size_t i = 0; i < k; i++) {
		vr b[2 * WIDE_PANELS];

		UNROLL for (int v = 0; v < vectors; v++) b[v] =
			vr_load(w + (size_t)(v / 2) * k * PANEL + i * PANEL +
				(size_t)(v % 2 * VR));
		if (panels == 1)
			__builtin_prefetch(w + (i + 24) * PANEL);
		if (panels == 1 && 2 * VR_BYTES > 64)
			__builtin_prefetch(w + (i + 24) * PANEL + VR);
		UNROLL for (int r = 0; r < rows; r++)
		{
			vr a = vr_set(x[(size_t)r * ldx + i]);

			UNROLL for (int v = 0; v < vectors; v++) acc[r][v] =
				vr_fma(a, b[v], acc[r][v]);
		}
	}
	UNROLL for (int r = 0; r < rows; r++)
		UNROLL for (int v = 0; v < vectors; v++) tile_end(
			p, row + (size_t)r, j + (size_t)(v * VR), acc[r][v]);
}

#ifndef REAL_IS_DOUBLE
#include "math/kernels/product_bf16.h"
#include "math/kernels/product_int8.h"
#endif

typedef void tile_function(const struct product *p, const int rows,
	const int panels, size_t row, size_t panel);

/* Rows [row, end) of one panel. */
VECTOR_INLINE void tile_panel(const struct product *p, tile_function *tile,
	size_t row, size_t end, size_t panel)
{
	while (row < end) {
		size_t rows = tile_rows(end - row);

#define TILE_ONE(R) tile(p, R, 1, row, panel)
		TILE_SWITCH(rows, TILE_ONE)
#undef TILE_ONE
		row += rows;
	}
}

/* One or two rows are bound by memory and latency: take panels together. */
VECTOR_INLINE void tile_few(
	const struct product *p, tile_function *tile, size_t begin, size_t end)
{
	size_t panel = begin;

	if (p->m == 1) {
		for (; panel + 4 <= end; panel += 4)
			tile(p, 1, 4, 0, panel);
		if (panel + 3 == end)
			tile(p, 1, 3, 0, panel);
		else if (panel + 2 == end)
			tile(p, 1, 2, 0, panel);
		else if (panel < end)
			tile(p, 1, 1, 0, panel);
		return;
	}
	for (; panel + 2 <= end; panel += 2)
		tile(p, 2, 2, 0, panel);
	if (panel < end)
		tile(p, 2, 1, 0, panel);
}

/* Blocks of rows stay in L2 while the panels pass. */
VECTOR_INLINE void tile_all(
	const struct product *p, tile_function *tile, size_t begin, size_t end)
{
	const size_t block = 10 * TILE_ROWS;

	if (p->m == 1 || p->m == 2) {
		tile_few(p, tile, begin, end);
		return;
	}
	for (size_t row = 0; row < p->m; row += block) {
		size_t last = p->m - row < block ? p->m : row + block;

		for (size_t panel = begin; panel < end; panel++)
			tile_panel(p, tile, row, last, panel);
	}
}

static void product_f32(const struct product *p, size_t begin, size_t end)
{
	tile_all(p, tile_f32, begin, end);
}

#ifndef REAL_IS_DOUBLE
static void product_bf16(const struct product *p, size_t begin, size_t end)
{
	tile_all(p, tile_bf16, begin, end);
}

static void product_int8(const struct product *p, size_t begin, size_t end)
{
	tile_all(p, tile_int8, begin, end);
}
#endif

static void product(const struct product *p, size_t begin, size_t end)
{
#ifndef REAL_IS_DOUBLE
	if (p->w->type == WEIGHTS_BF16) {
		product_bf16(p, begin, end);
		return;
	}
	if (p->w->type == WEIGHTS_INT8) {
		product_int8(p, begin, end);
		return;
	}
#endif
	product_f32(p, begin, end);
}

#endif
