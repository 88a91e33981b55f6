#include "app/train_options.h"

#include "app/text_rows.h"
#include "base/buf.h"
#include "nn/optimizer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(struct train_options, field)
#define HEADING(text)                                \
	{                                            \
		.type = OPTION_HEADING, .help = text \
	}

static const struct option rows[] = {
	{ "help", OPTION_BOOL, AT(help), "no", .help = "show this and stop",
		.letter = 'h' },
	{ "preset", OPTION_STRING, AT(preset), "small",
		.help = "options to start from: min-char-rnn (the lecture, to "
			"the letter), char-rnn (its defaults), small, best",
		.argument = "NAME" },
	{ "output", OPTION_STRING, AT(output), NULL,
		.help = "checkpoint to write; beside it NAME.train.safetensors "
			"holds what --resume needs",
		.argument = "MODEL", .letter = 'o' },
	{ "resume", OPTION_BOOL, AT(resume), "no",
		.help = "go on exactly where the run that wrote the output "
			"stopped" },
	{ "from", OPTION_STRING, AT(from), NULL,
		.help = "start from this checkpoint's weights and vocabulary",
		.argument = "MODEL" },
	HEADING("Text"),
	{ "tokenizer", OPTION_STRING, AT(tokenizer), "char",
		.help = "char (Unicode code points), word, jieba (Chinese "
			"words), bpe (byte pairs) or "
			"byte",
		.argument = "KIND" },
	{ "vocab", OPTION_STRING, AT(vocab), NULL,
		.help = "tokens to use instead of learning them, as `unrolld "
			"import --vocab` reads them; for bpe a Hugging Face "
			"tokenizer.json",
		.argument = "FILE" },
	{ "min-count", OPTION_UINT, AT(min_count), "1", "1", "1000000000",
		.help = "word and jieba: what comes less often is <unk>, never "
			"sampled; "
			"bpe: how often a pair that is worth a token comes" },
	{ "max-vocab", OPTION_UINT, AT(max_vocab), "0", "0", "16777216",
		.help = "word and jieba: tokens to keep, the most frequent; 0: "
			"all; bpe: "
			"tokens to learn; 0: 4096" },
	{ "lower-case", OPTION_BOOL, AT(lower_case), "no",
		.help = "word: fold the text to lower case" },
	{ "jieba-hmm", OPTION_BOOL, AT(jieba_hmm), "yes",
		.help = "jieba: find words that its dictionary lacks, too" },
	{ "jieba-user-dict", OPTION_STRING, AT(jieba_user_dict), NULL,
		.help = "jieba: words to add, lines of \"word [frequency] "
			"[tag]\"",
		.argument = "FILE" },
	TEXT_ROWS(AT),
	{ "validation-fraction", OPTION_DOUBLE, AT(validation_fraction), "0.1",
		"0", "0.9", .help = "share of the text that is held out" },
	{ "validation-split", OPTION_ENUM, AT(validation_split), "tail",
		.choices = "tail|stream",
		.help = "hold out the end of the text, or of each stream" },
	{ "early-stop", OPTION_DOUBLE, AT(early_stop), "0", "0", "0.5",
		.help = "ship the weights that are best on this share of each "
			"training stream, itself not trained on; 0: the last" },
	{ "patience", OPTION_UINT, AT(patience), "5", "1", "1000000",
		.help = "with early-stop: epochs without a better result "
			"before stopping" },
	HEADING("Model"),
	{ "cell", OPTION_STRING, AT(cell), "lstm", .help = "rnn, lstm or gru",
		.argument = "NAME" },
	{ "hidden", OPTION_UINT, AT(hidden), "256", "1", "16384",
		.help = "units of a layer" },
	{ "layers", OPTION_UINT, AT(layers), "2", "1", "8",
		.help = "layers of cells" },
	{ "embedding", OPTION_UINT, AT(embedding), "0", "0", "16384",
		.help = "size of the input embedding; 0: one-hot" },
	{ "tied", OPTION_BOOL, AT(tied), "no",
		.help = "the output layer's weights are the embedding's" },
	{ "bias", OPTION_ENUM, AT(bias), "double", .choices = "double|single",
		.help = "train both biases of a layer (PyTorch), or one (the "
			"lecture)" },
	{ "init", OPTION_ENUM, AT(initialisation), "xavier",
		.choices = "normal|uniform|pytorch|xavier",
		.help = "initial weights: N(0,1) or U(-1,1) times init-scale, "
			"PyTorch's, or Xavier with orthogonal W_hh" },
	{ "init-scale", OPTION_DOUBLE, AT(init_scale), "0.08", "0", "10",
		.help = "of normal and uniform" },
	{ "forget-bias", OPTION_DOUBLE, AT(forget_bias), "1", "-10", "10",
		.help = "added to an LSTM's forget gate at first" },
	HEADING("Training"),
	{ "seq-length", OPTION_UINT, AT(seq_length), "64", "1", "65536",
		.help = "steps that gradients go back through" },
	{ "batch", OPTION_UINT, AT(batch), "32", "1", "65536",
		.help = "streams of text read side by side" },
	{ "epochs", OPTION_DOUBLE, AT(epochs), "20", "0", "1000000",
		.help = "passes over the text; 0: until interrupted" },
	{ "max-steps", OPTION_UINT, AT(max_steps), "0",
		.help = "stop after this many chunks; 0: no limit" },
	{ "seed", OPTION_UINT, AT(seed), "1",
		.help = "of initial weights and dropout" },
	{ "optimizer", OPTION_STRING, AT(optimizer), "adamw",
		.help = "adagrad, rmsprop, adam, adamw or sgd",
		.argument = "NAME" },
	{ "learning-rate", OPTION_DOUBLE, AT(learning_rate), "0", "0", "1e6",
		.help = "0: the optimizer's own default" },
	{ "decay", OPTION_DOUBLE, AT(decay), "-1", "-1", "0.999999999",
		.help = "adam's beta1, rmsprop's alpha, sgd's momentum; -1: "
			"its own default" },
	{ "decay2", OPTION_DOUBLE, AT(decay2), "-1", "-1", "0.999999999",
		.help = "adam's beta2; -1: its own default" },
	{ "epsilon", OPTION_DOUBLE, AT(epsilon), "-1", "-1", "1",
		.help = "of the optimizer; -1: its own default" },
	{ "weight-decay", OPTION_DOUBLE, AT(weight_decay), "0", "0", "1",
		.help = "L2, or decoupled with adamw" },
	{ "clip", OPTION_ENUM, AT(clip), "norm", .choices = "none|value|norm",
		.help = "bound gradients by value or by their global norm" },
	{ "clip-threshold", OPTION_DOUBLE, AT(clip_threshold), "1", "0", "1e9",
		.help = "the bound; with loss-scale sum 5 is usual" },
	{ "loss-scale", OPTION_ENUM, AT(loss_scale), "mean",
		.choices = "sum|mean",
		.help = "gradients of the loss summed over time and averaged "
			"over the batch (the lecture, char-rnn), or averaged "
			"over both" },
	{ "schedule", OPTION_ENUM, AT(schedule), "cosine",
		.choices = "constant|epoch-decay|cosine",
		.help = "of the learning rate" },
	{ "schedule-decay", OPTION_DOUBLE, AT(schedule_decay), "0.97", "0", "1",
		.help = "epoch-decay: factor at the end of an epoch" },
	{ "schedule-after", OPTION_DOUBLE, AT(schedule_after), "10", "1", "1e6",
		.help = "epoch-decay: the first epoch that decays" },
	{ "warmup-steps", OPTION_UINT, AT(warmup_steps), "200", "0",
		"1000000000", .help = "cosine: linear rise at first" },
	{ "final-rate", OPTION_DOUBLE, AT(final_rate), "0.02", "0", "1",
		.help = "cosine: what is left at the end of the epochs" },
	{ "dropout", OPTION_DOUBLE, AT(dropout), "0.2", "0", "0.99",
		.help = "between layers and before the output layer" },
	{ "dropout-input", OPTION_DOUBLE, AT(dropout_input), "0", "0", "0.99",
		.help = "of the embedding" },
	{ "dropout-layers", OPTION_DOUBLE, AT(dropout_layers), "-1", "-1",
		"0.99", .help = "between layers; -1: as dropout" },
	{ "dropout-output", OPTION_DOUBLE, AT(dropout_output), "-1", "-1",
		"0.99", .help = "before the output layer; -1: as dropout" },
	{ "dropout-hidden", OPTION_DOUBLE, AT(dropout_hidden), "0", "0", "0.99",
		.help = "of the weights of W_hh (DropConnect)" },
	{ "sampled-softmax", OPTION_UINT, AT(sampled_softmax), "0", "0",
		"16777216",
		.help = "large vocabularies: tokens that each chunk's training "
			"loss is over besides the targets, drawn by their "
			"rank; 0: all; validation is always over all" },
	{ "reset-at-end", OPTION_BOOL, AT(reset_at_end), "no",
		.help = "states to zero when the text starts again" },
	{ "averaging", OPTION_DOUBLE, AT(averaging), "0.998", "0", "0.99999",
		.help = "ship the weights' moving average with this decay a "
			"step; 0: the weights themselves" },
	{ "accumulate", OPTION_UINT, AT(accumulate), "1", "1", "65536",
		.help = "chunks whose gradients make one update" },
	{ "threads", OPTION_UINT, AT(threads), "0", "0", "1024",
		.help = "0: as many cores as the work keeps busy; the result "
			"is the "
			"same bits for any",
		.argument = "N" },
	HEADING("Results"),
	{ "dtype", OPTION_ENUM, AT(dtype), "f32", .choices = "f32|bf16|f16",
		.help = "of the checkpoint's tensors" },
	{ "save-every", OPTION_UINT, AT(save_every), "0",
		.help = "steps between checkpoints; 0: at each epoch" },
	{ "sample-every", OPTION_UINT, AT(sample_every), "1000",
		.help = "steps between samples of text; 0: none" },
	{ "sample-length", OPTION_UINT, AT(sample_length), "200", "1",
		"1000000", .help = "tokens of a sample" },
	{ "temperature", OPTION_DOUBLE, AT(temperature), "1", "0", "100",
		.help = "of the samples" },
	{ "report-every", OPTION_UINT, AT(report_every), "100", "1",
		"1000000000",
		.help = "steps between reports, in lines and "
			"JSON" },
	{ "log", OPTION_STRING, AT(log), NULL,
		.help = "append a JSON line for every report",
		.argument = "FILE" },
	{ "progress", OPTION_ENUM, AT(progress), "auto",
		.choices = "auto|bar|lines|lecture|json|none",
		.help = "what is shown meanwhile" },
	{ "json", OPTION_BOOL, AT(json), "no",
		.help = "the same as --progress json" },
};
#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

/* What a run doesn't save, since it is about this call alone … */
static const char *const unsaved[] = { "help", "preset", "output", "resume",
	"from", "vocab", "cache-dir", "max-steps", "threads", "log", "json",
	NULL };
/* … and what it saves, but a resumed one may be told anew. */
static const char *const overridable[] = { "epochs", "patience", "dtype",
	"save-every", "sample-every", "sample-length", "temperature",
	"progress", "report-every", NULL };

struct preset {
	const char *name;
	const char *settings[24][2];
};

static const struct preset presets[] = {
	/* Karpathy's gist, CS231n lecture 10. It never ends; we do. */
	{ "min-char-rnn",
		{ { "cell", "rnn" }, { "hidden", "200" }, { "layers", "1" },
			{ "bias", "single" }, { "init", "normal" },
			{ "init-scale", "0.01" }, { "batch", "1" },
			{ "seq-length", "25" }, { "optimizer", "adagrad" },
			{ "learning-rate", "0.1" }, { "clip", "value" },
			{ "clip-threshold", "5" }, { "loss-scale", "sum" },
			{ "schedule", "constant" }, { "dropout", "0" },
			{ "averaging", "0" }, { "reset-at-end", "yes" },
			{ "validation-fraction", "0" }, { "epochs", "10" },
			{ "sample-every", "100" },
			{ "progress", "lecture" } } },
	/* karpathy/char-rnn's train.lua. */
	{ "char-rnn",
		{ { "cell", "lstm" }, { "hidden", "128" }, { "layers", "2" },
			{ "init", "uniform" }, { "init-scale", "0.08" },
			{ "batch", "50" }, { "seq-length", "50" },
			{ "optimizer", "rmsprop" }, { "learning-rate", "2e-3" },
			{ "decay", "0.95" }, { "clip", "value" },
			{ "clip-threshold", "5" }, { "loss-scale", "sum" },
			{ "schedule", "epoch-decay" }, { "dropout", "0" },
			{ "averaging", "0" }, { "epochs", "50" },
			{ "validation-fraction", "0.05" },
			{ "validation-split", "stream" } } },
	/* The table's own defaults: minutes on a laptop. */
	{ "small", { { NULL } } },
	{ "best", { { "hidden", "480" }, { "batch", "32" },
			  { "seq-length", "100" }, { "decay2", "0.99" },
			  { "dropout", "0.5" }, { "weight-decay", "0.01" },
			  { "averaging", "0.999" }, { "epochs", "10" } } },
};

static const struct preset *preset_find(const char *name)
{
	for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++)
		if (!strcmp(presets[i].name, name))
			return &presets[i];
	return NULL;
}

static int apply_preset(
	struct options *table, const char *name, struct error *err)
{
	const struct preset *p = preset_find(name);
	char source[64];

	if (!p)
		return error_set_param(err, ERROR_INVALID, "preset",
			"--preset is '%s', expected min-char-rnn, char-rnn, "
			"small or best",
			name);
	snprintf(source, sizeof(source), "preset %s", p->name);
	for (size_t i = 0; p->settings[i][0]; i++)
		if (options_set(table, p->settings[i][0], p->settings[i][1],
			    source, err) < 0)
			return -1;
	return 0;
}

/* Two passes: the first only to learn the preset's name. */
int train_options_parse(struct options *table, struct train_options *o,
	int argc, char **argv, struct option_list *texts, struct error *err)
{
	struct option_list ignored = { 0 };
	struct train_options first;
	struct options scan;
	int rc;

	if (options_init(table, rows, N_ROWS, o, err) < 0)
		return -1;
	if (options_init(&scan, rows, N_ROWS, &first, err) < 0)
		goto fail;
	rc = options_parse_arguments(&scan, argc, argv, &ignored, err);
	if (rc == 0)
		rc = apply_preset(table, first.preset, err);
	option_list_release(&ignored);
	options_release(&scan);
	if (rc < 0 ||
		options_parse_arguments(table, argc, argv, texts, err) < 0)
		goto fail;
	return 0;
fail:
	options_release(table);
	return -1;
}

void train_options_print_help(struct options *table)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	if (options_print_help(table, &b) == 0)
		fputs(b.data, stdout);
	buf_release(&b);
}

const struct run_options train_run_options = { rows, N_ROWS, unsaved,
	overridable };

void train_options_architecture(
	const struct train_options *o, size_t vocab, struct architecture *a)
{
	*a = (struct architecture){ .vocab = vocab,
		.hidden = o->hidden,
		.layers = o->layers,
		.embedding = o->embedding,
		.tied = o->tied,
		.bias = (enum bias_mode)o->bias };
	snprintf(a->cell, sizeof(a->cell), "%s", o->cell);
}

static double or_default(double value)
{
	return value < 0 ? NAN : value;
}

void train_options_trainer(
	const struct train_options *o, size_t chunks, struct trainer_options *t)
{
	const struct optimizer_ops *ops = optimizer_find(o->optimizer);
	double rate = o->learning_rate;

	if (rate == 0 && ops)
		rate = ops->learning_rate;
	*t = (struct trainer_options){
		.seq_length = o->seq_length,
		.optimizer = o->optimizer,
		.learning_rate = rate,
		.decay = or_default(o->decay),
		.decay2 = or_default(o->decay2),
		.epsilon = or_default(o->epsilon),
		.weight_decay = o->weight_decay,
		.clip = (enum clip_mode)o->clip,
		.clip_threshold = o->clip_threshold,
		.loss_scale = (enum loss_scale)o->loss_scale,
		.dropout_input = o->dropout_input,
		.dropout_layers =
			o->dropout_layers < 0 ? o->dropout : o->dropout_layers,
		.dropout_output =
			o->dropout_output < 0 ? o->dropout : o->dropout_output,
		.dropout_hidden = o->dropout_hidden,
		.reset_at_end = o->reset_at_end,
		.schedule = (enum schedule)o->schedule,
		.schedule_decay = o->schedule_decay,
		.schedule_after = o->schedule_after,
		.warmup_steps = o->warmup_steps,
		.total_steps = (uint64_t)(o->epochs * (double)chunks),
		.final_rate = o->final_rate,
		.averaging = o->averaging,
		.accumulate = o->accumulate,
		.sampled_softmax = o->sampled_softmax,
		.seed = o->seed,
	};
	if (t->total_steps && t->total_steps < t->warmup_steps)
		t->warmup_steps = t->total_steps;
}
