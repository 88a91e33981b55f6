/*
 * GRU (Cho et al. 2014) in PyTorch's form, gate order r z n; the reset gate
 * scales the hidden product with its bias:
 *	n = tanh(x W_in + b_in + r * (h' W_hn + b_hn)),  h = (1 - z) n + z h'
 */
#include "math/activations.h"
#include "math/isa.h"
#include "nn/cell.h"

static void forward(const struct cell_step *s)
{
	const size_t n = s->hidden;

	for (size_t row = 0; row < s->m; row++) {
		real *g = s->gates + row * s->ld_gates;
		const real *p = s->product + row * s->ld_gates;
		const real *h0 = s->before[0] + row * s->ld_state;
		real *h1 = s->after[0] + row * s->ld_state;

		for (size_t j = 0; j < n; j += VR) {
			vr reset =
				vr_sigmoid(vr_get(g, j, n) + vr_get(p, j, n));
			vr keep = vr_sigmoid(
				vr_get(g + n, j, n) + vr_get(p + n, j, n));
			vr fresh =
				vr_tanh(vr_fma(reset, vr_get(p + 2 * n, j, n),
					vr_get(g + 2 * n, j, n)));
			vr h = vr_get(h0, j, n);

			vr_put(h1, vr_fma(keep, h - fresh, fresh), j, n);
			vr_put(g, reset, j, n);
			vr_put(g + n, keep, j, n);
			vr_put(g + 2 * n, fresh, j, n);
		}
	}
}

static void backward(const struct cell_step *s)
{
	const size_t n = s->hidden;

	for (size_t row = 0; row < s->m; row++) {
		real *g = s->gates + row * s->ld_gates;
		real *p = s->product + row * s->ld_gates;
		const real *h0 = s->before[0] + row * s->ld_state;
		real *dh = s->d_after[0] + row * n;

		for (size_t j = 0; j < n; j += VR) {
			vr reset = vr_get(g, j, n);
			vr keep = vr_get(g + n, j, n);
			vr fresh = vr_get(g + 2 * n, j, n);
			vr d = vr_get(dh, j, n);
			vr d_fresh = d * (1 - keep) * (1 - fresh * fresh);
			vr d_reset = d_fresh * vr_get(p + 2 * n, j, n) * reset *
				     (1 - reset);
			vr d_keep = d * (vr_get(h0, j, n) - fresh) * keep *
				    (1 - keep);

			vr_put(g, d_reset, j, n);
			vr_put(p, d_reset, j, n);
			vr_put(g + n, d_keep, j, n);
			vr_put(p + n, d_keep, j, n);
			vr_put(g + 2 * n, d_fresh, j, n);
			vr_put(p + 2 * n, d_fresh * reset, j, n);
			vr_put(dh, d * keep, j, n);
		}
	}
}

const struct cell_ops ISA_SYMBOL(cell_gru) = {
	.name = "gru",
	.gates = 3,
	.states = 1,
	.saved = 0,
	.separate = true,
	.forget_gate = 3,
	.forward = forward,
	.backward = backward,
};
