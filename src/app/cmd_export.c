/* `unrolld export`: a model's weights for PyTorch. */
#include "app/cmd.h"

#include "app/command_line.h"
#include "app/model_file.h"
#include "base/file.h"
#include "base/options.h"
#include "text/hugging_face.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct export_options {
	bool help;
	char *output, *vocab;
	int dtype;
};

#define AT(field) offsetof(struct export_options, field)
static const struct option rows[] = {
	{ "help", OPTION_BOOL, AT(help), "no", .help = "show this and stop",
		.letter = 'h' },
	{ "output", OPTION_STRING, AT(output), NULL,
		.help = "safetensors file to write", .argument = "FILE",
		.letter = 'o' },
	{ "vocab", OPTION_STRING, AT(vocab), NULL,
		.help = "write the tokens, too, as a JSON array in the order "
			"of their ids; of bpe as a Hugging Face tokenizer.json",
		.argument = "FILE" },
	{ "dtype", OPTION_ENUM, AT(dtype), "f32", .choices = "f32|bf16|f16",
		.help = "of the tensors written" },
};

/* Written twice when it is tied: as itself and as the output. */
static int put_tensor(struct safetensors_writer *w, const struct parameters *p,
	const struct tensor *t, enum safetensors_dtype dtype, struct error *err)
{
	size_t bytes = tensor_size(t) * sizeof(float);
	float *values = malloc(bytes);
	void *out = malloc(bytes);
	int failed = -1;

	if (!values || !out) {
		error_set_memory(err, t->name, 2 * bytes);
		goto out;
	}
	parameters_get(p, t, values);
	failed = safetensors_from_floats(
		t->name, dtype, values, tensor_size(t), out, err);
	if (!failed)
		failed = safetensors_writer_put(w, out, err);
out:
	free(values);
	free(out);
	return failed;
}

static int write_weights(const struct export_options *o,
	const struct parameters *p, size_t *n_written, struct error *err)
{
	const struct tensor *sources[4 * ARCHITECTURE_MAX_LAYERS + 4];
	struct safetensors_entry entries[4 * ARCHITECTURE_MAX_LAYERS + 4];
	static char tied_name[] = "output.weight";
	json_t *metadata = json_pack("{s:s}", "format", "pt");
	struct safetensors_writer w;
	size_t n = 0;
	int failed;

	for (size_t i = 0; i < p->n_tensors; i++) {
		const struct tensor *t = &p->tensors[i];

		if (p->arch.tied && !strcmp(t->name, "output.bias")) {
			sources[n] = parameters_find(p, "embedding.weight");
			entries[n] = checkpoint_entry(
				sources[n], (enum checkpoint_dtype)o->dtype);
			entries[n++].name = tied_name;
		}
		sources[n] = t;
		entries[n++] =
			checkpoint_entry(t, (enum checkpoint_dtype)o->dtype);
	}
	failed = safetensors_writer_open(
		&w, o->output, metadata, entries, n, err);
	json_decref(metadata);
	if (failed)
		return -1;
	for (size_t i = 0; i < n && !failed; i++)
		failed = put_tensor(&w, p, sources[i], entries[i].dtype, err);
	*n_written = n;
	if (!failed)
		return safetensors_writer_commit(&w, err);
	safetensors_writer_abort(&w);
	return -1;
}

static int write_vocabulary(
	const char *path, const struct tokenizer *t, struct error *err)
{
	json_t *json = tokenizer_save(t), *list;
	struct file_writer w;
	char *text = NULL;
	int failed = -1;

	list = json_object_get(json, "vocabulary");
	if (!list) {
		error_set_param(err, ERROR_INVALID, "vocab",
			"%s: tokenizer %s has no vocabulary to write", path,
			tokenizer_kind(t));
		goto out;
	}
	if (!strcmp(tokenizer_kind(t), "bpe")) {
		list = hugging_face_write(json);
		json_decref(json);
		json = list;
	}
	text = list ? json_dumps(list, JSON_INDENT(1)) : NULL;
	if (!text) {
		error_set_memory(err, "vocabulary", tokenizer_vocab(t));
		goto out;
	}
	if (file_writer_open(&w, path, 0644, err) < 0)
		goto out;
	if (file_writer_write(&w, text, strlen(text), err) < 0 ||
		file_writer_write(&w, "\n", 1, err) < 0)
		file_writer_abort(&w);
	else
		failed = file_writer_commit(&w, err);
out:
	free(text);
	json_decref(json);
	return failed;
}

static int run(
	const struct export_options *o, const char *path, struct error *err)
{
	struct model_file m;
	size_t n = 0;
	int failed;

	if (model_file_open(&m, path, err) < 0)
		return -1;
	failed = o->vocab ? write_vocabulary(o->vocab, m.tokenizer, err) : 0;
	if (!failed)
		failed = write_weights(o, &m.checkpoint.parameters, &n, err);
	if (!failed)
		printf("wrote %s: %zu tensors as %s%s\n", o->output, n,
			checkpoint_dtype_name((enum checkpoint_dtype)o->dtype),
			m.checkpoint.parameters.arch.tied
				? ", the tied output as output.weight"
				: "");
	if (!failed && o->vocab)
		printf("wrote %s: %zu tokens\n", o->vocab,
			tokenizer_vocab(m.tokenizer));
	model_file_release(&m);
	return failed;
}

static int check_usage(
	const void *values, const struct option_list *args, struct error *err)
{
	const struct export_options *o = values;

	if (args->n != 1)
		return error_set(err, ERROR_INVALID,
			"%zu models named, expected one; usage: unrolld export "
			"MODEL -o FILE.safetensors",
			args->n);
	if (!o->output)
		return error_set(err, ERROR_INVALID,
			"-o FILE.safetensors is missing: where shall the "
			"weights be written?");
	return 0;
}

static const char about[] =
	"usage: unrolld export MODEL -o FILE.safetensors [OPTION...]\n"
	"\n"
	"Writes the weights alone, as a state dict that loads with "
	"strict=True into\n"
	"\n"
	"  class Model(nn.Module):\n"
	"      def __init__(self):\n"
	"          super().__init__()\n"
	"          self.embedding = nn.Embedding(V, E)  # not for "
	"one-hot input\n"
	"          self.rnn = nn.LSTM(E, H, L)          # or RNN, GRU; "
	"one-hot: (V, H, L)\n"
	"          self.output = nn.Linear(H, V)\n"
	"\n"
	"A tied output is written as output.weight, too.\n";

static int run_command(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	(void)table;
	return run(values, args->items[0], err);
}

int cmd_export(int argc, char **argv)
{
	struct export_options o;

	return command_line_run(
		&(struct command_line){ .name = "export",
			.about = about,
			.rows = rows,
			.n_rows = sizeof(rows) / sizeof(rows[0]),
			.values = &o,
			.help = &o.help,
			.check = check_usage,
			.run = run_command },
		argc, argv);
}
