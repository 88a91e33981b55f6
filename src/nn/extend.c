/* A vocabulary grows: everything that is held per token lies token by token, so
 * that new ones are appended. */
#include "nn/parameters.h"

#include <string.h>

/* Reals that a tensor holds for each token; 0: it knows of none. */
static size_t per_token(const struct tensor *t)
{
	if (t->transposed)
		return t->rows;
	if (!strcmp(t->name, "embedding.weight") ||
		!strcmp(t->name, "output.weight"))
		return t->cols;
	return strcmp(t->name, "output.bias") ? 0 : 1;
}

static void append_means(real *data, size_t width, size_t known, size_t vocab)
{
	for (size_t j = 0; j < width && known < vocab; j++) {
		double sum = 0;

		for (size_t v = 0; v < known; v++)
			sum += (double)data[v * width + j];
		for (size_t v = known; v < vocab; v++)
			data[v * width + j] = (real)(sum / (double)known);
	}
}

int parameters_extend(struct parameters *out, const struct parameters *p,
	size_t vocab, struct error *err)
{
	struct architecture a = p->arch;

	a.vocab = vocab;
	if (vocab < p->arch.vocab)
		return error_set_param(err, ERROR_INVALID, "vocab",
			"a vocabulary of %zu can't be extended to %zu",
			p->arch.vocab, vocab);
	if (parameters_open(out, &a, err) < 0)
		return -1;
	for (size_t i = 0; i < p->n_tensors; i++) {
		const struct tensor *from = &p->tensors[i];
		const size_t width = per_token(from);
		real *data = out->data + out->tensors[i].offset;

		memcpy(data, p->data + from->offset,
			tensor_size(from) * sizeof(real));
		if (width)
			append_means(data, width, p->arch.vocab, vocab);
	}
	return 0;
}
