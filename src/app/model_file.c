#include "app/model_file.h"

int model_file_open(struct model_file *m, const char *path, struct error *err)
{
	size_t vocab;

	*m = (struct model_file){ 0 };
	if (checkpoint_load(&m->checkpoint, path, err) < 0)
		return -1;
	if (tokenizer_load(&m->tokenizer, m->checkpoint.tokenizer, err) < 0) {
		error_prefix(err, "%s", path);
		goto fail;
	}
	vocab = m->checkpoint.parameters.arch.vocab;
	if (tokenizer_vocab(m->tokenizer) == vocab)
		return 0;
	error_set(err, ERROR_CORRUPT,
		"%s: the tokenizer has %zu tokens, the model %zu", path,
		tokenizer_vocab(m->tokenizer), vocab);
fail:
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
