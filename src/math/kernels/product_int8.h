/*
 * Included by product.h. Sums of bytes are whole numbers, exact in any order;
 * with VNNI four rows of k at a time (x is unsigned there: 128 times the sum of
 * weights is taken off again), else in 16 bits two at a time, since AVX2's
 * vpmaddubsw would saturate.
 */
#ifndef MATH_KERNELS_PRODUCT_INT8_H
#define MATH_KERNELS_PRODUCT_INT8_H

#if defined(ISA_avx512vnni)
#define INT8_GROUP 4
#else
#define INT8_GROUP 2
#endif

VECTOR_INLINE vr vr_from_int(vi v)
{
	return __builtin_convertvector(v, vr);
}

/* acc += x[0..GROUP) w[0..GROUP), VR columns of w at w. */
VECTOR_INLINE vi int8_add(vi acc, const uint8_t *x, const int8_t *w)
{
#if defined(ISA_avx512vnni)
	int32_t four;

	memcpy(&four, x, sizeof(four));
	return (vi)_mm512_dpbusd_epi32(
		(__m512i)acc, _mm512_set1_epi32(four), _mm512_loadu_si512(w));
#elif defined(ISA_avx512)
	const int32_t two = (uint16_t)(x[0] - 128) |
			    (int32_t)((uint32_t)(uint16_t)(x[1] - 128) << 16);

	return acc + (vi)_mm512_madd_epi16(_mm512_set1_epi32(two),
			     _mm512_cvtepi8_epi16(
				     _mm256_loadu_si256((const __m256i *)w)));
#elif defined(ISA_avx2)
	const int32_t two = (uint16_t)(x[0] - 128) |
			    (int32_t)((uint32_t)(uint16_t)(x[1] - 128) << 16);

	return acc + (vi)_mm256_madd_epi16(_mm256_set1_epi32(two),
			     _mm256_cvtepi8_epi16(
				     _mm_loadu_si128((const __m128i *)w)));
#else
	for (int c = 0; c < VR; c++)
		acc[c] += (x[0] - 128) * w[2 * c] + (x[1] - 128) * w[2 * c + 1];
	return acc;
#endif
}

VECTOR_INLINE void tile_int8(const struct product *p, const int rows,
	const int panels, size_t row, size_t panel)
{
	const size_t k = (p->w->k + 3) / 4 * 4, j = panel * PANEL;
	const size_t stride = k * PANEL; /* bytes of a panel */
	const int8_t *w = (const int8_t *)p->w->data + panel * stride;
	const uint8_t *x = (const uint8_t *)p->rounded + row * k;
	const int vectors = 2 * panels;
	vi acc[TILE_ROWS][2 * WIDE_PANELS];

	UNROLL for (int r = 0; r < rows; r++)
		UNROLL for (int v = 0; v < vectors; v++) acc[r][v] = (vi){ 0 };
	for (size_t i = 0; i < k; i += INT8_GROUP, w += INT8_GROUP * PANEL) {
		if (panels == 1)
			__builtin_prefetch(w + 24 * INT8_GROUP * PANEL);
		if (panels == 1 && INT8_GROUP * PANEL > 64)
			__builtin_prefetch(w + 24 * INT8_GROUP * PANEL + 64);
		UNROLL for (int r = 0; r < rows; r++)
			UNROLL for (int v = 0; v < vectors; v++) acc[r][v] =
				int8_add(acc[r][v], x + (size_t)r * k + i,
					w + (size_t)(v / 2) * stride +
						v % 2 * VR * INT8_GROUP);
	}
	UNROLL for (int v = 0; v < vectors; v++)
	{
		const size_t at = j + (size_t)(v * VR);
		/* Scales and sums are padded to whole panels. */
		vr scale = vr_load(p->w->scale + at);
		vi offset = vi_load(p->w->sum + at) * 128;

		UNROLL for (int r = 0; r < rows; r++)
		{
			vi sum = acc[r][v];

			if (INT8_GROUP == 4)
				sum -= offset;
			tile_end(p, row + (size_t)r, at,
				vr_fma(vr_from_int(sum),
					scale * p->x_scale[row + (size_t)r],
					tile_start(p, row + (size_t)r, at)));
		}
	}
}

/* The nearest whole number of x * inverse within ±127, above 128. */
VECTOR_INLINE vi int8_of(vr x, vr inverse)
{
	const vi low = (vi){ 0 } - 127, high = (vi){ 0 } + 127;
	/* The usual magic: the nearest integer in the low bits. */
	vi bits = (vi)(x * inverse + vr_set(0x1.8p23f)) - 0x4b400000;

	bits = (vi)vr_select(bits < low, (vr)low, (vr)bits);
	bits = (vi)vr_select(bits > high, (vr)high, (vr)bits);
	return bits + 128;
}

/* x to bytes; lanes are independent, so any width gives the same. */
static float round_int8(const real *x, size_t n, float scale, uint8_t *out)
{
	typedef uint8_t bytes __attribute__((vector_size(VR)));
	size_t j = 0;
	vr inverse;
	bytes b;

	if (scale == 0) {
		vr top = { 0 };

		for (j = 0; j < n; j += VR)
			top = vr_max(vr_abs(vr_get(x, j, n)), top);
		scale = vr_top(top) / 127;
		j = 0;
	}
	inverse = vr_set(scale > 0 ? 1 / scale : 0);
	for (; j + VR <= n; j += VR) {
		b = __builtin_convertvector(
			int8_of(vr_load(x + j), inverse), bytes);
		memcpy(out + j, &b, sizeof(b));
	}
	if (j < n) {
		b = __builtin_convertvector(
			int8_of(vr_load_part(x + j, n - j), inverse), bytes);
		memcpy(out + j, &b, (n + 3) / 4 * 4 - j);
	}
	return scale;
}

#endif
