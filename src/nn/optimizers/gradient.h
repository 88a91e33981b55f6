/* What every update rule does to a gradient first. */
#ifndef NN_OPTIMIZERS_GRADIENT_H
#define NN_OPTIMIZERS_GRADIENT_H

#include "math/vector.h"
#include "nn/optimizer.h"

/* Scaled, then clipped by value; NaN passes. */
VECTOR_INLINE vr gradient_clipped(const struct optimizer_step *s, vr g)
{
	g *= s->gradient_scale;
	if (s->clip > 0)
		g = vr_min(vr_set(s->clip), vr_max(vr_set(-s->clip), g));
	return g;
}

/* The same, plus L2 weight decay. */
VECTOR_INLINE vr gradient_decayed(const struct optimizer_step *s, vr g, vr w)
{
	return vr_fma(vr_set(s->weight_decay), w, gradient_clipped(s, g));
}

#endif
