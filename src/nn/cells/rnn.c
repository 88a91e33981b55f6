/* The vanilla cell: h = tanh(x W_ih + h W_hh + b) (Elman 1990). */
#include "math/activations.h"
#include "math/isa.h"
#include "nn/cell.h"

static void forward(const struct cell_step *s)
{
	const size_t n = s->hidden;

	for (size_t r = 0; r < s->m; r++) {
		real *g = s->gates + r * s->ld_gates;
		real *h = s->after[0] + r * s->ld_state;

		for (size_t j = 0; j < n; j += VR)
			vr_put(h, vr_tanh(vr_get(g, j, n)), j, n);
	}
}

static void infer(const struct cell_panel *p)
{
	for (size_t r = 0; r < p->m; r++) {
		const real *g = p->gates + r * p->ld_gates;
		real *h = p->states[r] + p->at;

		for (size_t j = 0; j < p->units; j += VR) {
			vr y = vr_tanh(vr_load(g + j));

			vr_put(h, y, j, p->units);
			vr_put(p->h + r * p->ld_h, y, j, p->units);
		}
	}
}

/* d tanh(a) = 1 - h^2 */
static void backward(const struct cell_step *s)
{
	const size_t n = s->hidden;

	for (size_t r = 0; r < s->m; r++) {
		real *g = s->gates + r * s->ld_gates;
		const real *h = s->after[0] + r * s->ld_state;
		real *dh = s->d_after[0] + r * n;

		for (size_t j = 0; j < n; j += VR) {
			vr y = vr_get(h, j, n);

			vr_put(g, vr_get(dh, j, n) * (1 - y * y), j, n);
			vr_put(dh, (vr){ 0 }, j, n);
		}
	}
}

const struct cell_ops ISA_SYMBOL(cell_rnn) = {
	.name = "rnn",
	.gates = 1,
	.states = 1,
	.saved = 0,
	.forget_gate = 1,
	.forward = forward,
	.infer = infer,
	.backward = backward,
};
