/* RMSprop (Hinton, Coursera lecture 6.5), PyTorch's and torch7's form:
 *	v = a v + (1 - a) g^2;  w -= lr * g / (sqrt(v) + eps)
 */
#include "math/isa.h"
#include "nn/optimizers/gradient.h"

static void update(const struct optimizer_step *step, size_t n, real *w,
	const real *g, real *const *moments)
{
	/* A copy: stores to w can't change it, so it stays in registers. */
	const struct optimizer_step s = *step;
	real *square = moments[0];

	for (size_t j = 0; j < n; j += VR) {
		vr x = vr_get(w, j, n);
		vr d = gradient_decayed(&s, vr_get(g, j, n), x);
		vr v = s.decay * vr_get(square, j, n) + (1 - s.decay) * d * d;

		vr_put(square, v, j, n);
		vr_put(w, x - s.learning_rate * d / (vr_sqrt(v) + s.epsilon), j,
			n);
	}
}

const struct optimizer_ops ISA_SYMBOL(optimizer_rmsprop) = {
	.name = "rmsprop",
	.moments = 1,
	.learning_rate = 2e-3,
	.decay = 0.95,
	.epsilon = 1e-8,
	.update = update,
};
