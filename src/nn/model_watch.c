/*
 * What a layer's gates come to. A step lets a panel's pre-activations go when
 * its cell is done with them; watched, they are kept in rows, and the cell's
 * training form, which is the same to the bit, turns them into activations.
 */
#include "nn/model_watch.h"
#include "nn/model_private.h"

#include <stdlib.h>
#include <string.h>

int model_watch_open(struct model_watch **out, const struct model *m,
	size_t layer, struct error *err)
{
	const size_t h = m->arch.hidden, gates = m->cell->gates * h;
	struct model_watch *w = calloc(1, sizeof(*w));

	*out = NULL;
	if (!w)
		return error_set_memory(err, "watch", sizeof(*w));
	w->layer = layer;
	w->gates = kernels_alloc(gates);
	w->product = kernels_alloc(gates);
	w->before = kernels_alloc(m->cell->states * h);
	w->after = kernels_alloc(m->cell->states * h);
	w->saved = kernels_alloc(m->cell->saved * h + 1);
	if (w->gates && w->product && w->before && w->after && w->saved) {
		*out = w;
		return 0;
	}
	model_watch_close(w);
	return error_set_memory(err, "watch", 4 * gates * sizeof(real));
}

void model_watch_close(struct model_watch *w)
{
	if (!w)
		return;
	free(w->gates);
	free(w->product);
	free(w->before);
	free(w->after);
	free(w->saved);
	free(w);
}

const real *model_watch_gates(const struct model_watch *w)
{
	return w->gates;
}

void model_watch_begin(
	struct model_watch *w, const struct model *m, const real *state)
{
	memcpy(w->before, state,
		m->cell->states * m->arch.hidden * sizeof(real));
}

static void take_panel(real *rows, const struct model *m, const real *from,
	size_t unit, size_t units)
{
	for (size_t g = 0; g < m->cell->gates; g++)
		memcpy(rows + g * m->arch.hidden + unit,
			from + g * kernels()->panel, units * sizeof(real));
}

void model_watch_take(struct model_watch *w, const struct model *m,
	size_t first, size_t panels, const real *gates, const real *product)
{
	const size_t panel = kernels()->panel, h = m->arch.hidden;

	for (size_t i = 0; i < panels; i++) {
		const size_t unit = (first + i) * panel;
		const size_t units = h - unit < panel ? h - unit : panel;
		const size_t at = i * m->cell->gates * panel;

		take_panel(w->gates, m, gates + at, unit, units);
		if (product)
			take_panel(w->product, m, product + at, unit, units);
	}
}

void model_watch_end(struct model_watch *w, const struct model *m)
{
	const size_t h = m->arch.hidden;
	struct cell_step step = { .m = 1,
		.hidden = h,
		.gates = w->gates,
		.product = m->cell->separate ? w->product : NULL,
		.ld_gates = m->cell->gates * h,
		.saved = m->cell->saved ? w->saved : NULL,
		.ld_state = h };

	for (size_t k = 0; k < m->cell->states; k++) {
		step.before[k] = w->before + k * h;
		step.after[k] = w->after + k * h;
	}
	m->cell->forward(&step);
}
