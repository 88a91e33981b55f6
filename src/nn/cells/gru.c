/*
 * GRU (Cho et al. 2014) in PyTorch's form, gate order r z n; the reset gate
 * scales the hidden product with its bias:
 *	n = tanh(x W_in + b_in + r * (h' W_hn + b_hn)),  h = (1 - z) n + z h'
 */
#include "math/activations.h"
#include "math/isa.h"
#include "nn/cell.h"

/* Gates' pre-activations in, from the input and from h; activations out. */
struct unit {
	vr reset, keep, fresh;
};

VECTOR_INLINE vr activate(struct unit *x, const struct unit *hidden, vr h)
{
	x->reset = vr_sigmoid(x->reset + hidden->reset);
	x->keep = vr_sigmoid(x->keep + hidden->keep);
	x->fresh = vr_tanh(vr_fma(x->reset, hidden->fresh, x->fresh));
	return vr_fma(x->keep, h - x->fresh, x->fresh);
}

VECTOR_INLINE struct unit gates_of(
	const real *g, size_t step, size_t j, size_t n)
{
	return (struct unit){ vr_get(g, j, n), vr_get(g + step, j, n),
		vr_get(g + 2 * step, j, n) };
}

static void infer(const struct cell_panel *p)
{
	for (size_t r = 0; r < p->m; r++) {
		real *h = p->states[r] + p->at;

		for (size_t j = 0; j < p->units; j += VR) {
			struct unit x = gates_of(
				p->gates + r * p->ld_gates, PANEL, j, PANEL);
			struct unit hidden = gates_of(
				p->product + r * p->ld_gates, PANEL, j, PANEL);
			vr y = activate(&x, &hidden, vr_get(h, j, p->units));

			vr_put(h, y, j, p->units);
			vr_put(p->h + r * p->ld_h, y, j, p->units);
		}
	}
}

static void forward(const struct cell_step *s)
{
	const size_t n = s->hidden;

	for (size_t row = 0; row < s->m; row++) {
		real *g = s->gates + row * s->ld_gates;
		const real *p = s->product + row * s->ld_gates;
		const real *h0 = s->before[0] + row * s->ld_state;
		real *h1 = s->after[0] + row * s->ld_state;

		for (size_t j = 0; j < n; j += VR) {
			struct unit x = gates_of(g, n, j, n);
			struct unit hidden = gates_of(p, n, j, n);

			vr_put(h1, activate(&x, &hidden, vr_get(h0, j, n)), j,
				n);
			vr_put(g, x.reset, j, n);
			vr_put(g + n, x.keep, j, n);
			vr_put(g + 2 * n, x.fresh, j, n);
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
	.infer = infer,
	.backward = backward,
};
