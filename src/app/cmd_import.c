/* `unrolld import`: weights from PyTorch or char-rnn become a model. */
#include "app/cmd.h"

#include "app/command_line.h"
#include "app/import.h"
#include "app/model_file.h"
#include "base/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct import_options {
	bool help;
	char *output, *vocab, *tokenizer, *cell;
	int layout, dtype;
};

#define LAYOUTS "pytorch|char-rnn"

#define AT(field) offsetof(struct import_options, field)
static const struct option rows[] = {
	{ "help", OPTION_BOOL, AT(help), "no", .help = "show this and stop",
		.letter = 'h' },
	{ "output", OPTION_STRING, AT(output), NULL,
		.help = "checkpoint to write", .argument = "MODEL",
		.letter = 'o' },
	{ "layout", OPTION_ENUM, AT(layout), "pytorch", .choices = LAYOUTS,
		.help = "whose names and gate order the weights have" },
	{ "cell", OPTION_STRING, AT(cell), NULL,
		.help = "rnn (tanh), lstm or gru; by default what the number "
			"of gates says",
		.argument = "NAME" },
	{ "tokenizer", OPTION_STRING, AT(tokenizer), "char",
		.help = "char (Unicode code points), word or bpe, all from "
			"--vocab, or byte (256, no file)",
		.argument = "KIND" },
	{ "vocab", OPTION_STRING, AT(vocab), NULL,
		.help = "the tokens in the order of their ids",
		.argument = "FILE" },
	{ "dtype", OPTION_ENUM, AT(dtype), "f32", .choices = "f32|bf16|f16",
		.help = "of the tensors written" },
};

static int make_model(const struct import_options *o,
	const struct safetensors *file, const char *path,
	struct import_plan *plan, struct checkpoint *c, struct error *err)
{
	struct architecture a;

	if (import_plan_make(plan, (enum import_layout)o->layout, file, err) <
			0 ||
		import_architecture(plan, o->cell, &a, err) < 0 ||
		parameters_open(&c->parameters, &a, err) < 0 ||
		import_tensors(plan, &c->parameters, err) < 0)
		return error_prefix(err, "%s", path);
	return 0;
}

/* The vocabulary must be one that the tokenizer takes, and of V tokens. */
static int add_tokenizer(
	const struct import_options *o, struct checkpoint *c, struct error *err)
{
	const char *from = o->vocab ? o->vocab : o->tokenizer;
	size_t vocab = c->parameters.arch.vocab;
	struct tokenizer *t;
	json_t *json = import_vocabulary(o->tokenizer, o->vocab, err);
	int failed;

	if (!json)
		return -1;
	failed = tokenizer_load(&t, json, err);
	json_decref(json);
	if (failed)
		return error_prefix(err, "%s", from);
	c->tokenizer = tokenizer_save(t);
	if (!c->tokenizer)
		failed = error_set_memory(err, "tokenizer", vocab);
	else if (tokenizer_vocab(t) != vocab)
		failed = error_set_param(err, ERROR_INVALID, "vocab",
			"%s: %zu tokens, but the weights have %zu", from,
			tokenizer_vocab(t), vocab);
	tokenizer_unref(t);
	return failed;
}

static void report(const struct import_options *o, const char *path,
	const struct import_plan *plan, const struct checkpoint *c)
{
	const struct architecture *a = &c->parameters.arch;

	printf("%s: %s, %zu layer%s of %zu, ", path, a->cell, a->layers,
		a->layers == 1 ? "" : "s", a->hidden);
	if (a->embedding)
		printf("embedding %zu", a->embedding);
	else
		printf("one-hot input");
	printf(", %zu tokens (%s)\n", a->vocab, o->tokenizer);
	if (plan->tied)
		printf("output tied to the embedding: %s\n",
			plan->output_weight ? "the file has them equal"
					    : "the file has no output weight");
	if (!plan->layers[0].bias_ih)
		puts("no biases in the layers: they are 0");
	else if (!plan->layers[0].bias_hh)
		puts("one bias a layer: bias_hh is 0");
	if (!plan->output_bias)
		puts("no output bias: it is 0");
	if (o->layout == IMPORT_CHAR_RNN && !strcmp(a->cell, "lstm"))
		puts("gates reordered from i f o g to i f g o");
	printf("wrote %s: %zu parameters as %s, fingerprint %016llx\n",
		o->output, model_file_parameters(&c->parameters),
		checkpoint_dtype_name(c->dtype),
		(unsigned long long)checkpoint_fingerprint(&c->parameters));
}

static int run(
	const struct import_options *o, const char *path, struct error *err)
{
	struct checkpoint c = { .dtype = (enum checkpoint_dtype)o->dtype };
	static const char *const layouts[] = { "pytorch", "char-rnn" };
	struct import_plan plan;
	struct safetensors file;
	const char *name = strrchr(path, '/');
	int failed = -1;

	if (safetensors_open(&file, path, err) < 0)
		return -1;
	if (make_model(o, &file, path, &plan, &c, err) < 0 ||
		add_tokenizer(o, &c, err) < 0)
		goto out;
	c.training = json_pack("{s:{s:s, s:s}}", "imported", "file",
		name ? name + 1 : path, "layout", layouts[o->layout]);
	if (checkpoint_save(&c, o->output, err) < 0)
		goto out;
	report(o, path, &plan, &c);
	failed = 0;
out:
	checkpoint_release(&c);
	safetensors_close(&file);
	return failed;
}

static int check_usage(
	const void *values, const struct option_list *args, struct error *err)
{
	const struct import_options *o = values;

	if (args->n != 1)
		return error_set(err, ERROR_INVALID,
			"%zu files named, expected one; usage: unrolld import "
			"WEIGHTS.safetensors -o MODEL --vocab FILE",
			args->n);
	if (!o->output)
		return error_set(err, ERROR_INVALID,
			"-o MODEL is missing: where shall the model be "
			"written?");
	return 0;
}

static const char details[] =
	"\n"
	"Layout pytorch: an nn.RNN, nn.LSTM or nn.GRU of any name (rnn., "
	"lstm., …):\n"
	"  rnn.weight_ih_l0 rnn.weight_hh_l0 rnn.bias_ih_l0 "
	"rnn.bias_hh_l0, …_l1, …\n"
	"  embedding.weight or encoder.weight   [V,E]; without it the "
	"input is one-hot\n"
	"  output.weight or decoder.weight      [V,H]; tied when absent "
	"or equal to the\n"
	"                                       embedding\n"
	"  output.bias or decoder.bias          [V]\n"
	"Biases that are absent are 0. An nn.RNN is taken to be tanh.\n"
	"\n"
	"Layout char-rnn: its lstm (gates i f o g) or rnn, one-hot "
	"input, under the names\n"
	"that it gives its modules, layers from 1:\n"
	"  i2h_1.weight [4H,V]  i2h_1.bias  h2h_1.weight [4H,H]  "
	"h2h_1.bias, i2h_2…\n"
	"  decoder.weight [V,H]  decoder.bias [V]\n"
	"Its gru is refused: it resets the state before the recurrent "
	"product, which no\n"
	"weights of ours compute.\n"
	"\n"
	"The vocabulary file is a JSON array of strings, a JSON object "
	"{token: id}, or a\n"
	"text with a token a line, where \\n \\r \\t \\b \\0 \\\\ "
	"\\uXXXX \\u{X} are escapes.\n"
	"Of words \"<unk>\" is what stands for all others. For bpe it is a "
	"Hugging Face\n"
	"tokenizer.json of GPT-2's kind.";

static const char about[] =
	"usage: unrolld import WEIGHTS.safetensors -o MODEL "
	"--vocab FILE [OPTION...]\n"
	"\n"
	"Makes a model of weights trained elsewhere. The architecture "
	"follows from the\n"
	"shapes; every tensor must have a place in it. F64, F32, BF16 "
	"and F16 are read.\n";

static int run_command(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	(void)table;
	return run(values, args->items[0], err);
}

int cmd_import(int argc, char **argv)
{
	struct import_options o;

	return command_line_run(
		&(struct command_line){ .name = "import",
			.about = about,
			.details = details,
			.rows = rows,
			.n_rows = sizeof(rows) / sizeof(rows[0]),
			.values = &o,
			.help = &o.help,
			.check = check_usage,
			.run = run_command },
		argc, argv);
}
