/* What a file becomes: the entry of a text model or of a captioner. */
#include "serve/registry_private.h"

#include "math/kernels.h"
#include "nn/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

static size_t longest_token(const struct tokenizer *t)
{
	size_t longest = 0, len;

	for (uint32_t id = 0; id < tokenizer_vocab(t); id++) {
		tokenizer_bytes(t, id, &len);
		if (len > longest)
			longest = len;
	}
	return longest;
}

/* What a state depends on for its meaning, the weights apart. */
static int fill_shape(
	struct registry_entry *e, const struct checkpoint *c, struct error *err)
{
	const struct architecture *a = &c->parameters.arch;
	json_t *json = json_pack("{s:s, s:I, s:I, s:I, s:O}", "cell", a->cell,
		"hidden", (json_int_t)a->hidden, "layers",
		(json_int_t)a->layers, "vocab", (json_int_t)a->vocab,
		"tokenizer", c->tokenizer);
	char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);

	json_decref(json);
	if (!text)
		return error_set_memory(err, "model", 0);
	e->shape = XXH3_64bits(text, strlen(text));
	free(text);
	return 0;
}

static int fill_training(
	struct registry_entry *e, const struct checkpoint *c, struct error *err)
{
	if (!c->training)
		return 0;
	e->training = json_dumps(c->training, JSON_COMPACT);
	return e->training ? 0 : error_set_memory(err, "training summary", 0);
}

static void fill_fingerprint(struct registry_entry *e, uint64_t fingerprint,
	enum weight_type weights)
{
	e->fingerprint = fingerprint;
	snprintf(e->fingerprint_text, sizeof(e->fingerprint_text), "%016llx",
		(unsigned long long)e->fingerprint);
	snprintf(e->system, sizeof(e->system), "%s-%s",
		weight_type_name(weights), kernels_name());
	snprintf(e->system_fingerprint, sizeof(e->system_fingerprint), "%s-%s",
		e->fingerprint_text, e->system);
}

static int fill(struct registry_entry *e, const struct checkpoint *c,
	enum weight_type weights, struct error *err)
{
	const struct architecture *a = &c->parameters.arch;

	if (tokenizer_load(&e->tokenizer, c->tokenizer, err) < 0)
		return error_prefix(err, "model %s", e->path);
	if (tokenizer_vocab(e->tokenizer) != a->vocab)
		return error_set_param(err, ERROR_CORRUPT, "tokenizer",
			"model %s: its tokenizer has %zu tokens, its tensors"
			" %zu",
			e->path, tokenizer_vocab(e->tokenizer), a->vocab);
	if (fill_shape(e, c, err) < 0)
		return -1;
	if (model_open(&e->model, &c->parameters, weights, err) < 0)
		return error_prefix(err, "model %s", e->path);
	if (fill_training(e, c, err) < 0)
		return -1;
	fill_fingerprint(e, checkpoint_fingerprint(&c->parameters), weights);
	e->bytes = model_bytes(e->model);
	e->vocab = a->vocab;
	e->state_floats = model_state_floats(e->model);
	e->max_token_bytes = longest_token(e->tokenizer);
	return 0;
}

static enum weight_type weights_of(
	const struct registry *r, const char *name, const struct checkpoint *c)
{
	int type = r->weights;

	for (size_t i = 0; i < r->n_own_weights; i++)
		if (!strcmp(r->own_weights[i].name, name))
			type = r->own_weights[i].type;
	return type == REGISTRY_AS_STORED ? checkpoint_weights(c)
					  : (enum weight_type)type;
}

static int load_text(const struct registry *r, struct registry_entry *e,
	const char *path, struct error *err)
{
	struct checkpoint c;
	int result;

	if (checkpoint_load(&c, path, err) < 0)
		return -1;
	result = fill(e, &c, weights_of(r, e->name, &c), err);
	checkpoint_release(&c);
	return result;
}

static int load_captioner(const struct registry *r, struct registry_entry *e,
	const char *path, struct error *err)
{
	const unsigned threads = r->captioner_threads;
	const struct caption_model_info *info;
	const struct checkpoint *decoder;

	if (caption_model_open(&e->captioner, path, threads ? threads : 1,
		    r->captioner_nice, err) < 0)
		return -1;
	info = caption_model_info(e->captioner);
	decoder = &info->weights->decoder;
	e->tokenizer = tokenizer_ref(info->tokenizer);
	e->bytes = info->parameters * sizeof(real);
	e->vocab = decoder->parameters.arch.vocab;
	e->max_token_bytes = longest_token(e->tokenizer);
	fill_fingerprint(e, info->fingerprint, checkpoint_weights(decoder));
	return fill_training(e, decoder, err);
}

/* c->fd is open on what `path` leads to, or did a moment ago: whoever reads it
 * again compares fingerprints. */
int registry_load_file(const struct registry *r, struct counted_entry *c,
	const char *path, struct error *err)
{
	struct stat st;
	bool captioner;

	if (fstat(c->fd, &st) < 0)
		return error_set_errno(
			err, "model %s: cannot read", c->entry.path);
	c->entry.created = (int64_t)st.st_mtime;
	if (checkpoint_holds_captioner(path, &captioner, err) < 0)
		return -1;
	return captioner ? load_captioner(r, &c->entry, path, err)
			 : load_text(r, &c->entry, path, err);
}
