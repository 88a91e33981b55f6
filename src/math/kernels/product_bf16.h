/* Included by product.h. A bf16 is the upper half of a float: of each 32-bit
 * word the lower half is row i, the upper half row i + 1. */
#ifndef MATH_KERNELS_PRODUCT_BF16_H
#define MATH_KERNELS_PRODUCT_BF16_H

VECTOR_INLINE vi vi_load(const void *p)
{
	vi v;

	memcpy(&v, p, sizeof(v));
	return v;
}

#if defined(ISA_avx512bf16)

/* x is in pairs, too, and an instruction sums both products of a pair. */
VECTOR_INLINE void tile_bf16(const struct product *p, const int rows,
	const int panels, size_t row, size_t panel)
{
	const size_t j = panel * PANEL, pairs = (p->w->k + 1) / 2;
	const size_t stride = pairs * PANEL; /* words of a panel */
	const uint32_t *w = (const uint32_t *)p->w->data + panel * stride;
	const int32_t *x = (const int32_t *)p->rounded + row * pairs;
	const int vectors = 2 * panels;
	vr acc[TILE_ROWS][2 * WIDE_PANELS];

	UNROLL for (int r = 0; r < rows; r++)
		UNROLL for (int v = 0; v < vectors; v++) acc[r][v] =
			tile_start(p, row + (size_t)r, j + (size_t)(v * VR));
	for (size_t i = 0; i < pairs; i++, w += PANEL) {
		vi b[2 * WIDE_PANELS];

		UNROLL for (int v = 0; v < vectors; v++) b[v] = vi_load(
			w + (size_t)(v / 2) * stride + (size_t)(v % 2 * VR));
		if (panels == 1) {
			__builtin_prefetch(w + 24 * PANEL);
			__builtin_prefetch(w + 24 * PANEL + VR);
		}
		UNROLL for (int r = 0; r < rows; r++)
		{
			const __m512bh a = (__m512bh)_mm512_set1_epi32(
				x[(size_t)r * pairs + i]);

			UNROLL for (int v = 0; v < vectors; v++) acc[r][v] =
				(vr)_mm512_dpbf16_ps(
					(__m512)acc[r][v], a, (__m512bh)b[v]);
		}
	}
	UNROLL for (int r = 0; r < rows; r++)
		UNROLL for (int v = 0; v < vectors; v++) tile_end(
			p, row + (size_t)r, j + (size_t)(v * VR), acc[r][v]);
}

#else

VECTOR_INLINE void tile_bf16(const struct product *p, const int rows,
	const int panels, size_t row, size_t panel)
{
	const size_t k = p->w->k, j = panel * PANEL, ldx = p->ldx;
	const size_t stride = (k + 1) / 2 * PANEL; /* words of a panel */
	const uint32_t *w = (const uint32_t *)p->w->data + panel * stride;
	const real *x = p->x + row * ldx;
	const int vectors = 2 * panels;
	vr acc[TILE_ROWS][2 * WIDE_PANELS];

	UNROLL for (int r = 0; r < rows; r++)
		UNROLL for (int v = 0; v < vectors; v++) acc[r][v] =
			tile_start(p, row + (size_t)r, j + (size_t)(v * VR));
	for (size_t i = 0; i < k; i += 2, w += PANEL) {
		vi b[2 * WIDE_PANELS];

		UNROLL for (int v = 0; v < vectors; v++) b[v] = vi_load(
			w + (size_t)(v / 2) * stride + (size_t)(v % 2 * VR));
		if (panels == 1)
			__builtin_prefetch(w + 24 * PANEL);
		if (panels == 1 && 2 * VR_BYTES > 64)
			__builtin_prefetch(w + 24 * PANEL + VR);
		UNROLL for (int r = 0; r < rows; r++)
		{
			vr a = vr_set(x[(size_t)r * ldx + i]);

			UNROLL for (int v = 0; v < vectors; v++) acc[r][v] =
				vr_fma(a, (vr)(b[v] << 16), acc[r][v]);
		}
		if (i + 1 == k)
			break;
		UNROLL for (int r = 0; r < rows; r++)
		{
			vr a = vr_set(x[(size_t)r * ldx + i + 1]);

			UNROLL for (int v = 0; v < vectors; v++) acc[r][v] =
				vr_fma(a, (vr)(b[v] & (int32_t)0xffff0000),
					acc[r][v]);
		}
	}
	UNROLL for (int r = 0; r < rows; r++)
		UNROLL for (int v = 0; v < vectors; v++) tile_end(
			p, row + (size_t)r, j + (size_t)(v * VR), acc[r][v]);
}

#endif

/* To nearest, ties to even. */
static void round_bf16(const real *x, size_t n, uint16_t *out)
{
	for (size_t j = 0; j < n; j++) {
		uint32_t bits;

		memcpy(&bits, &x[j], sizeof(bits));
		out[j] = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
	}
	if (n % 2)
		out[n] = 0;
}

#endif
