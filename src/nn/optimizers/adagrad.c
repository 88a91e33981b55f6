/* Adagrad (Duchi et al. 2011) as in the lecture's min-char-rnn:
 *	mem += g * g;  w -= lr * g / sqrt(mem + 1e-8)
 */
#include "math/isa.h"
#include "nn/optimizers/gradient.h"

static void update(const struct optimizer_step *step, size_t n, real *w,
	const real *g, real *const *moments)
{
	/* A copy: stores to w can't change it, so it stays in registers. */
	const struct optimizer_step s = *step;
	real *memory = moments[0];

	for (size_t j = 0; j < n; j += VR) {
		vr x = vr_get(w, j, n);
		vr d = gradient_decayed(&s, vr_get(g, j, n), x);
		vr m = vr_fma(d, d, vr_get(memory, j, n));

		vr_put(memory, m, j, n);
		vr_put(w, x - s.learning_rate * d * vr_rsqrt(m + s.epsilon), j,
			n);
	}
}

const struct optimizer_ops ISA_SYMBOL(optimizer_adagrad) = {
	.name = "adagrad",
	.moments = 1,
	.learning_rate = 0.1,
	.epsilon = 1e-8,
	.update = update,
};
