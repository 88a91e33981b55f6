/* Stochastic gradient descent with momentum, PyTorch's form:
 *	v = mu v + g;  w -= lr * v
 */
#include "math/isa.h"
#include "nn/optimizers/gradient.h"

static void update(const struct optimizer_step *step, size_t n, real *w,
	const real *g, real *const *moments)
{
	/* A copy: stores to w can't change it, so it stays in registers. */
	const struct optimizer_step s = *step;
	real *velocity = moments[0];

	for (size_t j = 0; j < n; j += VR) {
		vr x = vr_get(w, j, n);
		vr d = gradient_decayed(&s, vr_get(g, j, n), x);
		vr v = s.decay * vr_get(velocity, j, n) + d;

		vr_put(velocity, v, j, n);
		vr_put(w, x - s.learning_rate * v, j, n);
	}
}

const struct optimizer_ops ISA_SYMBOL(optimizer_sgd) = {
	.name = "sgd",
	.moments = 1,
	.learning_rate = 0.1,
	.decay = 0.9,
	.update = update,
};
