#include "app/model_file.h"

int model_file_tokenizer(struct tokenizer **t, const struct checkpoint *c,
	const char *path, struct error *err)
{
	size_t n;

	if (tokenizer_load(t, c->tokenizer, err) < 0)
		return error_prefix(err, "%s", path);
	n = tokenizer_vocab(*t);
	if (n == c->parameters.arch.vocab)
		return 0;
	tokenizer_unref(*t);
	*t = NULL;
	return error_set(err, ERROR_CORRUPT,
		"%s: the tokenizer has %zu tokens, the model %zu", path, n,
		c->parameters.arch.vocab);
}

int model_file_open(struct model_file *m, const char *path, struct error *err)
{
	*m = (struct model_file){ 0 };
	if (checkpoint_load(&m->checkpoint, path, err) < 0)
		return -1;
	if (model_file_tokenizer(&m->tokenizer, &m->checkpoint, path, err) == 0)
		return 0;
	model_file_release(m);
	return -1;
}

void model_file_release(struct model_file *m)
{
	tokenizer_unref(m->tokenizer);
	checkpoint_release(&m->checkpoint);
	*m = (struct model_file){ 0 };
}

size_t model_file_parameters(const struct parameters *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_tensors; i++)
		n += tensor_size(&p->tensors[i]);
	return n;
}
