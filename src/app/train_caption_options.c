#include "app/train_caption_options.h"

#include <stddef.h>

#define AT(field) offsetof(struct train_caption_options, field)
static const struct option rows[] = {
	{ "help", OPTION_BOOL, AT(help), "no", .help = "show this and stop",
		.letter = 'h' },
	{ "output", OPTION_STRING, AT(output), NULL,
		.help = "the captioner to write; beside it "
			"NAME.train.safetensors holds what --resume needs",
		.argument = "FILE", .letter = 'o' },
	{ "resume", OPTION_BOOL, AT(resume), "no",
		.help = "go on exactly where the run that wrote the output "
			"stopped" },
	{ "images", OPTION_STRING, AT(images), NULL,
		.help = "where relative paths of images start; else beside "
			"the captions",
		.argument = "DIR" },
	{ "features", OPTION_STRING, AT(features), NULL,
		.help = "instead of images: safetensors whose tensor "
			"`features` "
			"has a row for each line",
		.argument = "FILE" },
	{ "cnn", OPTION_STRING, AT(cnn), "tiny",
		.help = "vgg11, vgg13, vgg16, vgg19, each also with -bn, or "
			"tiny",
		.argument = "NAME" },
	{ "cnn-weights", OPTION_STRING, AT(cnn_weights), NULL,
		.help = "its weights: safetensors under torchvision's names; "
			"without them it starts at random",
		.argument = "FILE" },
	{ "until", OPTION_STRING, AT(until), NULL,
		.help = "the CNN's last layer: classifier.3, features, "
			"features.28, …",
		.argument = "LAYER" },
	{ "freeze", OPTION_BOOL, AT(freeze), "no",
		.help = "leave the CNN as it is: its features are computed "
			"once" },
	{ "cell", OPTION_ENUM, AT(cell), "lstm", .choices = "rnn|lstm",
		.help = "of the decoder" },
	{ "condition", OPTION_ENUM, AT(condition), "every",
		.choices = "first|every",
		.help = "the picture enters at the first step, or at every "
			"one" },
	{ "hidden", OPTION_UINT, AT(hidden), "256", "1", "16384",
		.help = "width of the state" },
	{ "embedding", OPTION_UINT, AT(embedding), "128", "0", "16384",
		.help = "width of the words; 0: one-hot" },
	{ "layers", OPTION_UINT, AT(layers), "1", "1", "8",
		.help = "of the decoder" },
	{ "min-count", OPTION_UINT, AT(min_count), "1", "1",
		.help = "words that come less often are <unk>" },
	{ "max-vocab", OPTION_UINT, AT(max_vocab), "0",
		.help = "words at most; 0: all" },
	{ "epochs", OPTION_UINT, AT(epochs), "20", "1", "1000000",
		.help = "passes over the captions" },
	{ "max-steps", OPTION_UINT, AT(max_steps), "0",
		.help = "stop after so many batches; 0: by --epochs" },
	{ "batch", OPTION_UINT, AT(batch), "32", "1", "4096",
		.help = "captions of a step" },
	{ "optimizer", OPTION_STRING, AT(optimizer), "adamw",
		.help = "adagrad, rmsprop, adam, adamw or sgd",
		.argument = "NAME" },
	{ "learning-rate", OPTION_DOUBLE, AT(learning_rate), "0.001",
		.help = "at its top: it rises, then falls as a cosine" },
	{ "warmup", OPTION_UINT, AT(warmup), "100", "0",
		.help = "steps that the rate rises for" },
	{ "weight-decay", OPTION_DOUBLE, AT(weight_decay), "0", "0", "1",
		.help = "of all weights" },
	{ "clip-norm", OPTION_DOUBLE, AT(clip_norm), "5", "0", "1000000",
		.help = "the gradient's greatest norm; 0: any" },
	{ "dropout-input", OPTION_DOUBLE, AT(dropout_input), "0", "0", "0.95",
		.help = "rate on the words' embedding" },
	{ "dropout-output", OPTION_DOUBLE, AT(dropout_output), "0", "0", "0.95",
		.help = "rate before the output layer" },
	{ "word-dropout", OPTION_DOUBLE, AT(word_dropout), "0", "0", "1",
		.help = "rate of words that the decoder reads as START: then "
			"it must look" },
	{ "dtype", OPTION_ENUM, AT(dtype), "f32", .choices = "f32|bf16",
		.help = "of the tensors in the file" },
	{ "seed", OPTION_UINT, AT(seed), "1", .help = "of all that is random",
		.letter = 's' },
	{ "threads", OPTION_UINT, AT(threads), "0", "0", "1024",
		.help = "0: all cores" },
	{ "report-every", OPTION_UINT, AT(report_every), "100", "1",
		"1000000000", .help = "steps between reports in JSON" },
	{ "log", OPTION_STRING, AT(log), NULL,
		.help = "append a JSON line for every report",
		.argument = "FILE" },
	{ "json", OPTION_BOOL, AT(json), "no",
		.help = "print these JSON lines instead of progress" },
};

/* Where data lies is told anew, as the captions are. */
static const char *const unsaved[] = { "help", "output", "resume", "images",
	"features", "cnn-weights", "threads", "log", "json", NULL };
static const char *const overridable[] = { "epochs", "max-steps", "dtype",
	"report-every", NULL };

const struct run_options train_caption_run_options = { rows,
	sizeof(rows) / sizeof(rows[0]), unsaved, overridable };
