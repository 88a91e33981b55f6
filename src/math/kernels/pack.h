/* See math/kernels.h: weights into panels. */
#ifndef MATH_KERNELS_PACK_H
#define MATH_KERNELS_PACK_H

#include "math/kernels.h"
#include "math/kernels/tile.h"

/* Columns [at, at + VR) of a panel from VR rows of w, each k long. */
static void pack_transposed(
	size_t k, const real *w, size_t ldw, size_t live, real *out)
{
	size_t i = 0;

	for (; live >= (size_t)VR && i + VR <= k; i += VR) {
		vr rows[VR];

		UNROLL for (int c = 0; c < VR; c++) rows[c] =
			vr_load(w + (size_t)c * ldw + i);
		vr_transpose(rows);
		UNROLL for (int r = 0; r < VR; r++)
			vr_store(out + (i + (size_t)r) * PANEL, rows[r]);
	}
	for (; i < k; i++)
		for (size_t c = 0; c < live && c < (size_t)VR; c++)
			out[i * PANEL + c] = w[c * ldw + i];
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
			memcpy(out + i * PANEL, w + i * ldw + j,
				live * sizeof(real));
	}
}

#endif
