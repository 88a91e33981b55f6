/* Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019), in PyTorch's
 * order of operations:
 *	m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
 *	w -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
 */
#include "math/isa.h"
#include "nn/optimizers/gradient.h"

#include <math.h>

VECTOR_INLINE void adam(const struct optimizer_step *step, size_t n, real *w,
	const real *g, real *const *moments, const bool decoupled)
{
	/* A copy: stores to w can't change it, so it stays in registers. */
	const struct optimizer_step s = *step;
	const double t = (double)s.t;
	const double correct1 = 1 - pow((double)s.decay, t);
	const double correct2 = 1 - pow((double)s.decay2, t);
	const real rate = (real)((double)s.learning_rate / correct1);
	const real root = (real)(1 / sqrt(correct2));
	const real keep = decoupled ? 1 - s.learning_rate * s.weight_decay : 1;

	for (size_t j = 0; j < n; j += VR) {
		vr x = vr_get(w, j, n);
		vr d = vr_get(g, j, n);
		vr m = vr_get(moments[0], j, n);
		vr v = vr_get(moments[1], j, n);

		d = decoupled ? gradient_clipped(&s, d)
			      : gradient_decayed(&s, d, x);
		m = s.decay * m + (1 - s.decay) * d;
		v = s.decay2 * v + (1 - s.decay2) * d * d;
		vr_put(moments[0], m, j, n);
		vr_put(moments[1], v, j, n);
		x = x * keep - rate * m / (vr_sqrt(v) * root + s.epsilon);
		vr_put(w, x, j, n);
	}
}

static void update_adam(const struct optimizer_step *s, size_t n, real *w,
	const real *g, real *const *moments)
{
	adam(s, n, w, g, moments, false);
}

static void update_adamw(const struct optimizer_step *s, size_t n, real *w,
	const real *g, real *const *moments)
{
	adam(s, n, w, g, moments, true);
}

const struct optimizer_ops ISA_SYMBOL(optimizer_adam) = {
	.name = "adam",
	.moments = 2,
	.learning_rate = 2e-3,
	.decay = 0.9,
	.decay2 = 0.999,
	.epsilon = 1e-8,
	.update = update_adam,
};

const struct optimizer_ops ISA_SYMBOL(optimizer_adamw) = {
	.name = "adamw",
	.moments = 2,
	.learning_rate = 2e-3,
	.decay = 0.9,
	.decay2 = 0.999,
	.epsilon = 1e-8,
	.update = update_adamw,
};
