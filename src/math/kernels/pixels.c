/* See math/pixels.h; compiled once for each instruction set. */
#include "math/pixels.h"

#include "math/isa.h"
#include "math/vector.h"

#define UNROLL _Pragma("GCC unroll 4")
#define CHAINS 4 /* of additions side by side, for their latency */

static void add_lanes(double *sum, vr v, size_t n)
{
	for (size_t i = 0; i < n && i < (size_t)VR; i++)
		sum[i] += (double)v[i];
}

static vr fold(const vr chains[CHAINS])
{
	return (chains[0] + chains[1]) + (chains[2] + chains[3]);
}

static void moments(
	const real *x, size_t n, size_t channels, double *sum, double *square)
{
	for (size_t k = 0; k < channels; k += VR) {
		vr s[CHAINS] = { { 0 } }, q[CHAINS] = { { 0 } };
		size_t i = 0;

		for (; i + CHAINS <= n; i += CHAINS)
			for (size_t c = 0; c < CHAINS; c++) {
				vr v = vr_get(
					x + (i + c) * channels, k, channels);

				s[c] += v;
				q[c] = vr_fma(v, v, q[c]);
			}
		for (; i < n; i++) {
			vr v = vr_get(x + i * channels, k, channels);

			s[0] += v;
			q[0] = vr_fma(v, v, q[0]);
		}
		add_lanes(sum + k, fold(s), channels - k);
		add_lanes(square + k, fold(q), channels - k);
	}
}

static void moments_back(const real *g, const real *x, size_t n,
	size_t channels, double *sum, double *along)
{
	for (size_t k = 0; k < channels; k += VR) {
		vr s[CHAINS] = { { 0 } }, q[CHAINS] = { { 0 } };
		size_t i = 0;

		for (; i + CHAINS <= n; i += CHAINS)
			for (size_t c = 0; c < CHAINS; c++) {
				size_t at = (i + c) * channels;
				vr v = vr_get(g + at, k, channels);

				s[c] += v;
				q[c] = vr_fma(
					v, vr_get(x + at, k, channels), q[c]);
			}
		for (; i < n; i++) {
			vr v = vr_get(g + i * channels, k, channels);

			s[0] += v;
			q[0] = vr_fma(
				v, vr_get(x + i * channels, k, channels), q[0]);
		}
		add_lanes(sum + k, fold(s), channels - k);
		add_lanes(along + k, fold(q), channels - k);
	}
}

static void scale(const real *x, size_t n, size_t channels, const real *a,
	const real *b, real *y)
{
	for (size_t k = 0; k < channels; k += VR) {
		const vr va = vr_get(a, k, channels);
		const vr vb = vr_get(b, k, channels);

		for (size_t at = 0; at < n * channels; at += channels)
			vr_put(y + at,
				vr_fma(vr_get(x + at, k, channels), va, vb), k,
				channels);
	}
}

static void combine(const real *g, const real *x, size_t n, size_t channels,
	const real *a, const real *b, const real *c, real *y)
{
	for (size_t k = 0; k < channels; k += VR) {
		const vr va = vr_get(a, k, channels);
		const vr vb = vr_get(b, k, channels);
		const vr vc = vr_get(c, k, channels);

		for (size_t at = 0; at < n * channels; at += channels) {
			vr sum = vr_fma(vr_get(x + at, k, channels), vb, vc);

			vr_put(y + at,
				vr_fma(vr_get(g + at, k, channels), va, sum), k,
				channels);
		}
	}
}

static void relu(real *x, size_t n)
{
	for (size_t j = 0; j < n; j += VR)
		vr_put(x, vr_max((vr){ 0 }, vr_get(x, j, n)), j, n);
}

static void relu_back(const real *y, size_t n, real *g)
{
	for (size_t j = 0; j < n; j += VR)
		vr_put(g,
			vr_select(vr_get(y, j, n) > 0, vr_get(g, j, n),
				(vr){ 0 }),
			j, n);
}

static void pool(
	const real *x, size_t stride, size_t n, size_t channels, real *y)
{
	const size_t c = channels;

	for (size_t i = 0; i < n; i++, x += 2 * c, y += c)
		for (size_t k = 0; k < c; k += VR) {
			vr top = vr_max(vr_get(x, k, c), vr_get(x + c, k, c));
			vr low = vr_max(vr_get(x + stride, k, c),
				vr_get(x + stride + c, k, c));

			vr_put(y, vr_max(top, low), k, c);
		}
}

static void pool_back(const real *x, const real *g, size_t stride, size_t n,
	size_t channels, real *dx)
{
	const size_t c = channels, places[] = { 0, c, stride, stride + c };

	for (size_t i = 0; i < n; i++, x += 2 * c, dx += 2 * c, g += c)
		for (size_t k = 0; k < c; k += VR) {
			vr v[4], rest = vr_get(g, k, c), best;

			for (int j = 0; j < 4; j++)
				v[j] = vr_get(x + places[j], k, c);
			best = vr_max(vr_max(v[0], v[1]), vr_max(v[2], v[3]));
			for (int j = 0; j < 4; j++) {
				vi hit = v[j] == best;

				vr_put(dx + places[j],
					vr_select(hit, rest, (vr){ 0 }), k, c);
				rest = vr_select(hit, (vr){ 0 }, rest);
			}
		}
}

/* B^T: (a - c, b + c, c - b, b - d). */
VECTOR_INLINE void tile_in(const vr x[4], vr out[4])
{
	out[0] = x[0] - x[2];
	out[1] = x[1] + x[2];
	out[2] = x[2] - x[1];
	out[3] = x[1] - x[3];
}

static void winograd_in(
	const real *const x[16], size_t channels, real *v, size_t stride)
{
	for (size_t k = 0; k < channels; k += VR) {
		vr rows[4][4];

		UNROLL for (int r = 0; r < 4; r++)
		{
			vr in[4];

			UNROLL for (int c = 0; c < 4; c++) in[c] =
				vr_get(x[4 * r + c], k, channels);
			tile_in(in, rows[r]);
		}
		UNROLL for (int c = 0; c < 4; c++)
		{
			const vr column[4] = { rows[0][c], rows[1][c],
				rows[2][c], rows[3][c] };
			vr out[4];

			tile_in(column, out);
			UNROLL for (int r = 0; r < 4; r++)
				vr_put(v + (size_t)(4 * r + c) * stride, out[r],
					k, channels);
		}
	}
}

static void winograd_out(const real *m, size_t stride, const real *bias,
	size_t channels, real *const y[4])
{
	for (size_t k = 0; k < channels; k += VR) {
		const vr b = vr_get(bias, k, channels);
		vr rows[4][2];

		UNROLL for (int r = 0; r < 4; r++)
		{
			vr in[4];

			UNROLL for (int c = 0; c < 4; c++) in[c] = vr_get(
				m + (size_t)(4 * r + c) * stride, k, channels);
			rows[r][0] = in[0] + in[1] + in[2];
			rows[r][1] = in[1] - in[2] - in[3];
		}
		UNROLL for (int c = 0; c < 2; c++)
		{
			vr low = rows[1][c] + rows[2][c];
			vr high = rows[1][c] - rows[2][c];

			low = vr_max((vr){ 0 }, rows[0][c] + low + b);
			high = vr_max((vr){ 0 }, high - rows[3][c] + b);
			if (y[c])
				vr_put(y[c], low, k, channels);
			if (y[2 + c])
				vr_put(y[2 + c], high, k, channels);
		}
	}
}

const struct pixels ISA_SYMBOL(pixel_set) = {
	.moments = moments,
	.moments_back = moments_back,
	.scale = scale,
	.combine = combine,
	.relu = relu,
	.relu_back = relu_back,
	.pool = pool,
	.pool_back = pool_back,
	.winograd_in = winograd_in,
	.winograd_out = winograd_out,
};
