/* A timeline's state: the empty one, copies, and what a model asks of it. */
#include "serve/session_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int session_state_init(struct session_state *s, const struct registry_entry *m,
	struct error *err)
{
	*s = (struct session_state){ .n_hidden = m->state_floats,
		.pending = tokenizer_start(m->tokenizer) };
	s->hidden = calloc(s->n_hidden ? s->n_hidden : 1, sizeof(real));
	if (!s->hidden)
		return error_set_memory(
			err, "session state", s->n_hidden * sizeof(real));
	return 0;
}

void session_state_release(struct session_state *s)
{
	free(s->hidden);
	s->hidden = NULL;
}

void session_state_copy(
	struct session_state *to, const struct session_state *from)
{
	real *hidden = to->hidden;

	memcpy(hidden, from->hidden, from->n_hidden * sizeof(real));
	*to = *from;
	to->hidden = hidden;
}

size_t session_window_length(uint64_t position)
{
	return position < SESSION_WINDOW ? (size_t)position : SESSION_WINDOW;
}

/* Where h lies in [layers][states][hidden]. */
static int check_hidden(const struct session_state *s,
	const struct architecture *a, struct error *err)
{
	size_t stride = s->n_hidden / a->layers;

	for (size_t l = 0; l < a->layers; l++)
		for (size_t j = 0; j < a->hidden; j++) {
			real h = s->hidden[l * stride + j];

			if (!(fabsf(h) <= 1))
				return error_set(err, ERROR_CORRUPT,
					"hidden state of layer %zu, unit %zu"
					" is %g, expected -1 to 1",
					l, j, (double)h);
		}
	return 0;
}

int session_state_check(const struct session_state *s,
	const struct registry_entry *model, struct error *err)
{
	size_t n = session_window_length(s->position);

	if (s->n_hidden != model->state_floats)
		return error_set(err, ERROR_CORRUPT,
			"hidden state has %zu values, expected %zu",
			s->n_hidden, model->state_floats);
	if (s->pending >= model->vocab)
		return error_set(err, ERROR_CORRUPT,
			"pending token %u is not below the vocabulary's %zu",
			s->pending, model->vocab);
	for (size_t i = 0; i < n; i++)
		if (s->window[i] >= model->vocab)
			return error_set(err, ERROR_CORRUPT,
				"recent token %u is not below the vocabulary's"
				" %zu",
				s->window[i], model->vocab);
	return check_hidden(s, model_architecture(model->model), err);
}
