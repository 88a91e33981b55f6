#include "nn/optimizer.h"

#include "math/isa.h"

#include <string.h>

ISA_DECLARE(struct optimizer_ops, optimizer_adagrad);
ISA_DECLARE(struct optimizer_ops, optimizer_adam);
ISA_DECLARE(struct optimizer_ops, optimizer_adamw);
ISA_DECLARE(struct optimizer_ops, optimizer_rmsprop);
ISA_DECLARE(struct optimizer_ops, optimizer_sgd);

static const struct optimizer_ops *const rows[][ISA_COUNT] = {
	ISA_ROW(optimizer_adagrad),
	ISA_ROW(optimizer_rmsprop),
	ISA_ROW(optimizer_adam),
	ISA_ROW(optimizer_adamw),
	ISA_ROW(optimizer_sgd),
};
#define OPTIMIZERS (sizeof(rows) / sizeof(rows[0]))

const struct optimizer_ops *optimizer_find(const char *name)
{
	for (size_t i = 0; i < OPTIMIZERS; i++)
		if (!strcmp(rows[i][0]->name, name))
			return rows[i][isa_chosen()];
	return NULL;
}

const struct optimizer_ops *optimizer_at(size_t i)
{
	return i < OPTIMIZERS ? rows[i][isa_chosen()] : NULL;
}
