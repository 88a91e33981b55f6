#include "nn/cell.h"

#include "math/isa.h"

#include <string.h>

ISA_DECLARE(struct cell_ops, cell_rnn);
ISA_DECLARE(struct cell_ops, cell_lstm);
ISA_DECLARE(struct cell_ops, cell_gru);

static const struct cell_ops *const rows[][ISA_COUNT] = {
	ISA_ROW(cell_rnn),
	ISA_ROW(cell_lstm),
	ISA_ROW(cell_gru),
};
#define CELLS (sizeof(rows) / sizeof(rows[0]))

const struct cell_ops *cell_find(const char *name)
{
	for (size_t i = 0; i < CELLS; i++)
		if (!strcmp(rows[i][0]->name, name))
			return rows[i][isa_chosen()];
	return NULL;
}

const struct cell_ops *cell_at(size_t i)
{
	return i < CELLS ? rows[i][isa_chosen()] : NULL;
}
