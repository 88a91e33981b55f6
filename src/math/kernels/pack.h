/* See math/kernels.h: weights into panels. */
#ifndef MATH_KERNELS_PACK_H
#define MATH_KERNELS_PACK_H

#include "math/kernels.h"
#include "math/kernels/tile.h"

/* VR columns of a panel, `live` of them there, from as many rows of w, each k
 * long; what is not there becomes 0. */
static void pack_transposed(
	size_t k, const real *w, size_t ldw, size_t live, real *out)
{
	for (size_t i = 0; i < k; i += VR) {
		vr rows[VR];

		UNROLL for (size_t c = 0; c < (size_t)VR; c++) rows[c] =
			c < live ? vr_get(w + c * ldw, i, k) : (vr){ 0 };
		vr_transpose(rows);
		UNROLL for (size_t r = 0; r < (size_t)VR; r++) if (i + r < k)
			vr_store(out + (i + r) * PANEL, rows[r]);
	}
}

/* `live` columns of a row of w; a whole panel by vectors, not by a call. */
VECTOR_INLINE void pack_row(const real *w, size_t live, real *out)
{
	if (live < PANEL) {
		memcpy(out, w, live * sizeof(real));
		return;
	}
	vr_store(out, vr_load(w));
	vr_store(out + VR, vr_load(w + VR));
}

static void pack(struct packed *p, const real *w, size_t ldw, bool transposed,
	size_t begin, size_t end)
{
	for (size_t panel = begin; panel < end; panel++) {
		real *out = (real *)p->data + panel * p->k * PANEL;
		size_t j = panel * PANEL;
		size_t live = p->n - j < PANEL ? p->n - j : PANEL;

		for (size_t v = 0; transposed && v < live; v += VR)
			pack_transposed(p->k, w + (j + v) * ldw, ldw, live - v,
				out + v);
		for (size_t i = 0; !transposed && i < p->k; i++)
			pack_row(w + i * ldw + j, live, out + i * PANEL);
	}
}

#endif
