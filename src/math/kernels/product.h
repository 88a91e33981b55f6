/* See math/kernels.h. */
#ifndef MATH_KERNELS_PRODUCT_H
#define MATH_KERNELS_PRODUCT_H

#include "math/kernels.h"
#include "math/kernels/tile.h"

/*
 * rows x (panels * PANEL) outputs at column j: sums start from bias, y or 0
 * and add x[r, i] * w[i, j] for i = 0, 1, …, k - 1.
 */
VECTOR_INLINE void product_tile(const struct product *p, const int rows,
	const int panels, size_t row, size_t panel)
{
	const size_t k = p->w->k, n = p->w->n, j = panel * PANEL;
	const real *w = p->w->data + panel * k * PANEL;
	const real *x = p->x + row * p->ldx;
	real *y = p->y + row * p->ldy + j;
	const size_t ldx = p->ldx, ldy = p->ldy;
	const int vectors = 2 * panels;
	const bool whole = n - j >= (size_t)panels * PANEL;
	vr acc[TILE_ROWS][2 * WIDE_PANELS];

	UNROLL for (int r = 0; r < rows; r++)
	UNROLL for (int v = 0; v < vectors; v++) {
		const size_t at = (size_t)(v * VR);

		if (p->init == PRODUCT_ZERO || j + at >= n)
			acc[r][v] = (vr){ 0 };
		else if (p->init == PRODUCT_BIAS)
			acc[r][v] = vr_get(p->bias, j + at, n);
		else
			acc[r][v] = vr_get(y + (size_t)r * ldy - j, j + at, n);
	}
	for (size_t i = 0; i < k; i++) {
		vr b[2 * WIDE_PANELS];

		UNROLL for (int v = 0; v < vectors; v++)
			b[v] = vr_load(w + (size_t)(v / 2) * k * PANEL +
				i * PANEL + (size_t)(v % 2 * VR));
		if (panels == 1)
			__builtin_prefetch(w + (i + 24) * PANEL);
		if (panels == 1 && 2 * VR_BYTES > 64)
			__builtin_prefetch(w + (i + 24) * PANEL + VR);
		UNROLL for (int r = 0; r < rows; r++) {
			vr a = vr_set(x[(size_t)r * ldx + i]);

			UNROLL for (int v = 0; v < vectors; v++)
				acc[r][v] = vr_fma(a, b[v], acc[r][v]);
		}
	}
	UNROLL for (int r = 0; r < rows; r++)
	UNROLL for (int v = 0; v < vectors; v++) {
		const size_t at = (size_t)(v * VR);

		if (whole)
			vr_store(y + (size_t)r * ldy + at, acc[r][v]);
		else if (j + at < n)
			vr_put(y + (size_t)r * ldy - j, acc[r][v], j + at, n);
	}
}

#define PRODUCT_ONE(R) product_tile(p, R, 1, row, panel)

/* Rows [row, end) of one panel. */
static void product_panel(const struct product *p, size_t row, size_t end,
	size_t panel)
{
	while (row < end) {
		size_t rows = tile_rows(end - row);

		TILE_SWITCH(rows, PRODUCT_ONE)
		row += rows;
	}
}

/* One or two rows are bound by memory and latency: take panels together. */
static void product_few(const struct product *p, size_t begin, size_t end)
{
	size_t panel = begin;

	if (p->m == 1) {
		for (; panel + 4 <= end; panel += 4)
			product_tile(p, 1, 4, 0, panel);
		if (panel + 3 == end)
			product_tile(p, 1, 3, 0, panel);
		else if (panel + 2 == end)
			product_tile(p, 1, 2, 0, panel);
		else if (panel < end)
			product_tile(p, 1, 1, 0, panel);
		return;
	}
	for (; panel + 2 <= end; panel += 2)
		product_tile(p, 2, 2, 0, panel);
	if (panel < end)
		product_tile(p, 2, 1, 0, panel);
}

/* Blocks of rows stay in L2 while the panels pass. */
static void product(const struct product *p, size_t begin, size_t end)
{
	const size_t block = 10 * TILE_ROWS;

	if (p->m == 1 || p->m == 2) {
		product_few(p, begin, end);
		return;
	}
	for (size_t row = 0; row < p->m; row += block) {
		size_t last = p->m - row < block ? p->m : row + block;

		for (size_t panel = begin; panel < end; panel++)
			product_panel(p, row, last, panel);
	}
}

#endif
