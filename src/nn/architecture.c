#include "nn/architecture.h"

#include "nn/cell.h"

#include <stdio.h>

static int check_range(const char *field, size_t value, size_t min, size_t max,
	struct error *err)
{
	if (value >= min && value <= max)
		return 0;
	return error_set_param(err, ERROR_INVALID, field,
		"%s is %zu, expected %zu to %zu", field, value, min, max);
}

int architecture_check(const struct architecture *a, struct error *err)
{
	if (!cell_find(a->cell))
		return error_set_param(err, ERROR_INVALID, "cell",
			"cell is '%.15s', expected rnn, lstm or gru", a->cell);
	if (check_range("vocab", a->vocab, 2, ARCHITECTURE_MAX_VOCAB, err) ||
		check_range(
			"hidden", a->hidden, 1, ARCHITECTURE_MAX_HIDDEN, err) ||
		check_range(
			"layers", a->layers, 1, ARCHITECTURE_MAX_LAYERS, err) ||
		check_range("embedding", a->embedding, 0,
			ARCHITECTURE_MAX_HIDDEN, err))
		return -1;
	if (a->tied && a->embedding != a->hidden)
		return error_set_param(err, ERROR_INVALID, "tied",
			"tied output wants embedding = hidden, but embedding "
			"is %zu and hidden is %zu",
			a->embedding, a->hidden);
	return 0;
}

size_t architecture_input(const struct architecture *a, size_t layer)
{
	if (layer)
		return a->hidden;
	return a->embedding ? a->embedding : a->vocab;
}
