/*
 * LSTM (Hochreiter & Schmidhuber 1997, with Gers et al.'s forget gate), as
 * PyTorch has it, gate order i f g o:
 *	c = f * c' + i * g,  h = o * tanh(c)
 */
#include "math/activations.h"
#include "math/isa.h"
#include "nn/cell.h"

struct unit {
	vr in, forget, cell, out; /* pre-activations, then activations */
	vr c, t;		  /* c before, then after; tanh of that */
};

VECTOR_INLINE vr activate(struct unit *u)
{
	u->in = vr_sigmoid(u->in);
	u->forget = vr_sigmoid(u->forget);
	u->cell = vr_tanh(u->cell);
	u->out = vr_sigmoid(u->out);
	u->c = vr_fma(u->forget, u->c, u->in * u->cell);
	u->t = vr_tanh(u->c);
	return u->out * u->t;
}

static void infer(const struct cell_panel *p)
{
	for (size_t r = 0; r < p->m; r++) {
		const real *g = p->gates + r * p->ld_gates;
		real *h = p->states[r] + p->at, *c = h + p->hidden;

		for (size_t j = 0; j < p->units; j += VR) {
			struct unit u = { vr_load(g + j),
				vr_load(g + PANEL + j),
				vr_load(g + 2 * PANEL + j),
				vr_load(g + 3 * PANEL + j),
				.c = vr_get(c, j, p->units) };
			vr y = activate(&u);

			vr_put(c, u.c, j, p->units);
			vr_put(h, y, j, p->units);
			vr_put(p->h + r * p->ld_h, y, j, p->units);
		}
	}
}

static void forward(const struct cell_step *s)
{
	const size_t n = s->hidden;

	for (size_t r = 0; r < s->m; r++) {
		real *g = s->gates + r * s->ld_gates;
		const real *c0 = s->before[1] + r * s->ld_state;
		real *h1 = s->after[0] + r * s->ld_state;
		real *c1 = s->after[1] + r * s->ld_state;

		for (size_t j = 0; j < n; j += VR) {
			struct unit u = { vr_get(g, j, n), vr_get(g + n, j, n),
				vr_get(g + 2 * n, j, n),
				vr_get(g + 3 * n, j, n),
				.c = vr_get(c0, j, n) };

			vr_put(h1, activate(&u), j, n);
			vr_put(c1, u.c, j, n);
			vr_put(g, u.in, j, n);
			vr_put(g + n, u.forget, j, n);
			vr_put(g + 2 * n, u.cell, j, n);
			vr_put(g + 3 * n, u.out, j, n);
			vr_put(s->saved + r * n, u.t, j, n);
		}
	}
}

static void backward(const struct cell_step *s)
{
	const size_t n = s->hidden;

	for (size_t r = 0; r < s->m; r++) {
		real *g = s->gates + r * s->ld_gates;
		const real *c0 = s->before[1] + r * s->ld_state;
		const real *tanh_c = s->saved + r * n;
		real *dh = s->d_after[0] + r * n;
		real *dc = s->d_after[1] + r * n;

		for (size_t j = 0; j < n; j += VR) {
			vr in = vr_get(g, j, n);
			vr forget = vr_get(g + n, j, n);
			vr cell = vr_get(g + 2 * n, j, n);
			vr out = vr_get(g + 3 * n, j, n);
			vr t = vr_get(tanh_c, j, n);
			vr d = vr_get(dh, j, n);
			vr e = vr_fma(d * out, 1 - t * t, vr_get(dc, j, n));

			vr_put(g, e * cell * in * (1 - in), j, n);
			vr_put(g + n,
				e * vr_get(c0, j, n) * forget * (1 - forget), j,
				n);
			vr_put(g + 2 * n, e * in * (1 - cell * cell), j, n);
			vr_put(g + 3 * n, d * t * out * (1 - out), j, n);
			vr_put(dh, (vr){ 0 }, j, n);
			vr_put(dc, e * forget, j, n);
		}
	}
}

const struct cell_ops ISA_SYMBOL(cell_lstm) = {
	.name = "lstm",
	.gates = 4,
	.states = 2,
	.saved = 1,
	.forget_gate = 1,
	.forward = forward,
	.infer = infer,
	.backward = backward,
};
