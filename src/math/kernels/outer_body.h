/* See math/kernels.h: c[m, n] (+)= g^T x. Blocks of OUTER_DEPTH rows; of each,
 * x is packed in panels and g in slivers of TILE_ROWS columns, so that a tile
 * of c is summed from contiguous memory in L1. */
#ifndef MATH_KERNELS_OUTER_BODY_H
#define MATH_KERNELS_OUTER_BODY_H

#include "math/kernels.h"
#include "math/kernels/outer.h"
#include "math/kernels/tile.h"

/* c[rows, PANEL] += a[depth, rows] b[depth, PANEL]; n columns of c exist. */
VECTOR_INLINE void outer_tile(const int rows, size_t depth, const real *a,
	const real *b, real *c, size_t ldc, size_t n, bool add)
{
	vr acc[TILE_ROWS][2];

	UNROLL for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = (vr){ 0 };
	for (size_t i = 0; i < depth; i++) {
		vr b0 = vr_load(b + i * PANEL);
		vr b1 = vr_load(b + i * PANEL + VR);

		UNROLL for (int r = 0; r < rows; r++)
		{
			vr v = vr_set(a[i * (size_t)rows + (size_t)r]);

			acc[r][0] = vr_fma(v, b0, acc[r][0]);
			acc[r][1] = vr_fma(v, b1, acc[r][1]);
		}
	}
	UNROLL for (int r = 0; r < rows; r++)
	{
		real *y = c + (size_t)r * ldc;

		for (int v = 0; v < 2 && (size_t)(v * VR) < n; v++) {
			size_t j = (size_t)(v * VR);
			vr old = add ? vr_get(y, j, n) : (vr){ 0 };

			vr_put(y, old + acc[r][v], j, n);
		}
	}
}

static void outer_pack_x(
	size_t depth, const real *x, size_t ldx, size_t n, real *out)
{
	for (size_t j = 0; j < n; j += PANEL, out += depth * PANEL)
		for (size_t i = 0; i < depth; i++)
			for (size_t v = 0; v < PANEL; v += VR)
				vr_store(out + i * PANEL + v,
					j + v < n
						? vr_get(x + i * ldx, j + v, n)
						: (vr){ 0 });
}

static void outer_pack_g(
	size_t depth, const real *g, size_t ldg, size_t rows, real *out)
{
	for (size_t i = 0; i < depth; i++)
		for (size_t r = 0; r < rows; r += VR)
			vr_put(out + i * rows, vr_get(g + i * ldg, r, rows), r,
				rows);
}

#define OUTER_TILE(R)                                                  \
	outer_tile(R, depth, sliver, b, c + row * ldc + j, ldc, n - j, \
		block || accumulate)

static void outer(size_t rows, const real *g, size_t ldg, size_t begin,
	size_t end, const real *x, size_t ldx, size_t n, real *c, size_t ldc,
	bool accumulate, real *work)
{
	real *panels = work;
	real sliver[OUTER_DEPTH * TILE_ROWS] __attribute__((aligned(VR_BYTES)));

	for (size_t block = 0; block < rows; block += OUTER_DEPTH) {
		size_t depth =
			rows - block < OUTER_DEPTH ? rows - block : OUTER_DEPTH;
		size_t row = begin;

		outer_pack_x(depth, x + block * ldx, ldx, n, panels);
		while (row < end) {
			size_t tile = tile_rows(end - row);
			const real *b = panels;

			outer_pack_g(depth, g + block * ldg + row, ldg, tile,
				sliver);
			for (size_t j = 0; j < n; j += PANEL) {
				TILE_SWITCH(tile, OUTER_TILE)
				b += depth * PANEL;
			}
			row += tile;
		}
	}
}

static void column_sum(size_t rows, const real *g, size_t ldg, size_t begin,
	size_t end, real *sum, bool accumulate)
{
	size_t j = begin;

	for (; j < end; j += 4 * VR) {
		vr acc[4] = { { 0 } };
		int live = 0;

		while (live < 4 && j + (size_t)(live * VR) < end)
			live++;
		for (size_t i = 0; i < rows; i++)
			for (int v = 0; v < live; v++)
				acc[v] += vr_get(
					g + i * ldg, j + (size_t)(v * VR), end);
		for (int v = 0; v < live; v++) {
			size_t at = j + (size_t)(v * VR);

			if (accumulate)
				acc[v] += vr_get(sum, at, end);
			vr_put(sum, acc[v], at, end);
		}
	}
}

#endif
