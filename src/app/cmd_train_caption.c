/* `unrolld train-caption`: a captioner from pictures, or from features. */
#include "app/cmd.h"

#include "app/caption_set.h"
#include "app/command_line.h"
#include "app/interrupt.h"
#include "app/train_progress.h"
#include "base/rng.h"
#include "base/team.h"
#include "nn/caption_trainer.h"
#include "serve/caption.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SAVE_SECONDS 60
#define MAX_TOKENS (1u << 30)

struct train_caption_options {
	bool help, freeze, json;
	char *output, *images, *features, *cnn, *cnn_weights, *until;
	char *optimizer, *log;
	int cell, condition, dtype;
	uint64_t hidden, embedding, layers, batch, epochs, max_steps, warmup;
	uint64_t seed, min_count, max_vocab, threads, report_every;
	double learning_rate, weight_decay, clip_norm;
	double dropout_input, dropout_output, word_dropout;
};

#define AT(field) offsetof(struct train_caption_options, field)
static const struct option rows[] = {
	{ "help", OPTION_BOOL, AT(help), "no", .help = "show this and stop",
		.letter = 'h' },
	{ "output", OPTION_STRING, AT(output), NULL,
		.help = "the captioner to write", .argument = "FILE",
		.letter = 'o' },
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

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct train {
	const struct train_caption_options *o;
	struct caption_set set;
	struct caption_data data;
	struct captioner_weights weights;
	struct tokenizer *tokenizer;
	struct token_buf tokens;
	size_t *starts; /* [n_pairs + 1] */
	struct team *team;
	bool trains_cnn;
	size_t batch;
	uint64_t steps; /* to do */
};

static int encode(struct train *t, struct error *err)
{
	const struct caption_set *s = &t->set;

	if (caption_learn_words(&t->tokenizer, (const char *const *)s->captions,
		    s->n_pairs, t->o->min_count, t->o->max_vocab, err) < 0)
		return -1;
	token_buf_init(&t->tokens, MAX_TOKENS);
	t->starts = calloc(s->n_pairs + 1, sizeof(*t->starts));
	if (!t->starts)
		return error_set_memory(err, "captions", s->n_pairs);
	for (size_t i = 0; i < s->n_pairs; i++) {
		size_t n;

		if (caption_encode(
			    t->tokenizer, s->captions[i], &t->tokens, err) < 0)
			return error_prefix(err, "caption %zu", i);
		t->starts[i + 1] = t->tokens.len;
		n = t->starts[i + 1] - t->starts[i];
		if (n > CAPTION_MAX_LENGTH)
			return error_set(err, ERROR_TOO_LARGE,
				"caption %zu has %zu words, expected at most "
				"%d",
				i, n, CAPTION_MAX_LENGTH);
	}
	return 0;
}

static int cnn_config(
	const struct train *t, struct cnn_config *config, struct error *err)
{
	if (cnn_config_find(config, t->o->cnn, err) < 0)
		return -1;
	if (t->o->until)
		snprintf(config->until, sizeof(config->until), "%s",
			t->o->until);
	return cnn_config_check(config, err);
}

/* The family's own proportion of side and crop; a small one sees it all. */
static void set_form(struct image_form *form, const struct cnn_config *config)
{
	image_form_defaults(form);
	if (config->side == form->crop)
		return;
	form->side = form->crop = config->side;
}

static int open_weights(struct train *t, bool sees, struct error *err)
{
	const struct train_caption_options *o = t->o;
	struct architecture a = { .vocab = tokenizer_vocab(t->tokenizer) + 1,
		.hidden = o->hidden,
		.layers = o->layers,
		.embedding = o->embedding };
	struct cnn_config config;
	size_t features = t->set.width;

	if (sees && cnn_config(t, &config, err) < 0)
		return -1;
	if (sees)
		features = cnn_config_width(&config);
	if (t->set.features && features != t->set.width)
		return error_set_param(err, ERROR_INVALID, "features",
			"features have %zu values, but %s until %s gives %zu",
			t->set.width, o->cnn, config.until, features);
	strcpy(a.cell, o->cell ? "lstm" : "rnn");
	if (captioner_weights_open(&t->weights, &a, features, err) < 0)
		return -1;
	t->weights.always = o->condition == 1;
	t->weights.decoder.dtype = (enum checkpoint_dtype)o->dtype;
	t->weights.decoder.tokenizer = tokenizer_save(t->tokenizer);
	if (!t->weights.decoder.tokenizer)
		return error_set_memory(err, "vocabulary", 0);
	if (!sees)
		return 0;
	t->weights.sees = true;
	set_form(&t->weights.form, &config);
	return cnn_weights_open(&t->weights.cnn, &config, err);
}

static int load_cnn(struct train *t, struct error *err)
{
	const char *path = t->o->cnn_weights;
	struct safetensors file;
	int rc;

	if (safetensors_open(&file, path, err) < 0)
		return -1;
	rc = cnn_weights_load(&t->weights.cnn, &file, "", err);
	safetensors_close(&file);
	return rc < 0 ? error_prefix(err, "%s", path) : 0;
}

struct look {
	struct cnn *cnn;
	real *image, *v;
};

static void look(void *arg, unsigned member)
{
	struct look *l = arg;

	cnn_forward(l->cnn, l->image, 1, l->v, NULL, member);
}

/* A CNN that stays as it is looks at each picture once. */
static int compute_features(struct train *t, struct error *err)
{
	const struct captioner_weights *w = &t->weights;
	const size_t side = w->form.crop, pixels = 3 * side * side;
	struct look l = { .image = calloc(pixels, sizeof(real)),
		.v = calloc(w->features, sizeof(real)) };
	float *out = calloc(t->set.n * w->features, sizeof(*out));
	int rc = -1;

	if (!out || !l.image || !l.v)
		error_set_memory(err, "features", t->set.n * w->features);
	else
		rc = cnn_open(&l.cnn, &w->cnn, 1, false, t->team, err);
	for (size_t i = 0; rc == 0 && i < t->set.n && !interrupt_signal();
		i++) {
		struct image fitted = { side, side,
			t->set.pixels + i * pixels };

		image_normalise(&fitted, &w->form, l.image);
		team_run(t->team, look, &l);
		for (size_t k = 0; k < w->features; k++)
			out[i * w->features + k] = (float)l.v[k];
	}
	cnn_close(l.cnn);
	free(l.image);
	free(l.v);
	t->set.features = out;
	return rc;
}

/* All that is learnt from, and the weights before the first step. */
static int prepare(struct train *t, const char *path, struct error *err)
{
	const struct train_caption_options *o = t->o;
	const bool sees = !o->features || o->cnn_weights;

	t->trains_cnn = !o->features && !o->freeze;
	if (caption_set_open(&t->set, path, o->images, err) < 0 ||
		(o->features &&
			caption_set_features(&t->set, o->features, err) < 0) ||
		encode(t, err) < 0 || open_weights(t, sees, err) < 0)
		return -1;
	t->data = (struct caption_data){ .n = t->set.n_pairs,
		.image = t->set.image,
		.tokens = t->tokens.ids,
		.starts = t->starts,
		.images = t->set.n };
	if (caption_initialise(&t->weights, &t->data, sees && !o->cnn_weights,
		    o->seed, err) < 0 ||
		(o->cnn_weights && load_cnn(t, err) < 0))
		return -1;
	if (!o->features &&
		caption_set_pixels(&t->set, &t->weights.form, err) < 0)
		return -1;
	if (!o->features && !t->trains_cnn && compute_features(t, err) < 0)
		return -1;
	t->data.features = t->trains_cnn ? NULL : t->set.features;
	t->data.pixels = t->trains_cnn ? t->set.pixels : NULL;
	return 0;
}

static int save(
	struct train *t, const struct caption_report *r, struct error *err)
{
	json_decref(t->weights.decoder.training);
	t->weights.decoder.training = json_pack(
		"{s:I, s:I, s:I, s:f, s:f, s:I}", "images",
		(json_int_t)t->set.n, "captions", (json_int_t)t->data.n,
		"steps", (json_int_t)r->step, "epochs", r->epoch, "smooth_loss",
		r->smooth_loss, "seed", (json_int_t)t->o->seed);
	return captioner_weights_save(&t->weights, t->o->output, err);
}

static int loop(struct train *t, struct caption_trainer *trainer,
	struct train_progress_view *progress, struct error *err)
{
	struct caption_report r = { 0 };
	double saved = now();

	while (r.step < t->steps && !interrupt_signal()) {
		if (caption_trainer_step(trainer, &r, err) < 0)
			return -1;
		train_progress_step(
			progress, &(struct trainer_report){ .step = r.step,
					  .tokens = r.step * t->batch,
					  .epoch = r.epoch,
					  .loss = r.loss,
					  .smooth_loss = r.smooth_loss,
					  .gradient_norm = r.gradient_norm,
					  .learning_rate = r.learning_rate });
		if (now() - saved < SAVE_SECONDS)
			continue;
		if (save(t, &r, err) < 0)
			return -1;
		saved = now();
	}
	if (interrupt_signal())
		train_progress_say(progress, "interrupted at step %llu; saved",
			(unsigned long long)r.step);
	return save(t, &r, err);
}

static int show_loop(
	struct train *t, struct caption_trainer *trainer, struct error *err)
{
	const struct trainer_report start = { 0 };
	struct train_progress_view progress;
	int rc;

	if (train_progress_open(&progress,
		    &(struct train_progress_options){
			    .kind = t->o->json ? PROGRESS_JSON : PROGRESS_AUTO,
			    .log = t->o->log,
			    .last_step = t->steps,
			    .report_every = t->o->report_every,
			    .unit = "img",
			    .units = "images" },
		    &start, err) < 0)
		return -1;
	train_progress_say(&progress,
		"%zu images, %zu captions, %zu words, v of %zu", t->set.n,
		t->data.n, tokenizer_vocab(t->tokenizer), t->weights.features);
	rc = loop(t, trainer, &progress, err);
	train_progress_close(&progress);
	return rc;
}

static int train(struct train *t, struct error *err)
{
	const struct train_caption_options *o = t->o;
	struct caption_trainer_options options = {
		.batch = o->batch < t->data.n ? o->batch : t->data.n,
		.optimizer = o->optimizer,
		.learning_rate = o->learning_rate,
		.warmup_steps = o->warmup,
		.weight_decay = o->weight_decay,
		.clip_norm = o->clip_norm,
		.dropout_input = o->dropout_input,
		.dropout_output = o->dropout_output,
		.word_dropout = o->word_dropout,
		.seed = o->seed
	};
	struct caption_trainer *trainer;
	int rc;

	t->batch = options.batch;
	t->steps = o->epochs * (t->data.n / t->batch);
	if (o->max_steps && o->max_steps < t->steps)
		t->steps = o->max_steps;
	options.total_steps = t->steps;
	if (options.warmup_steps > t->steps / 2)
		options.warmup_steps = t->steps / 2;
	if (caption_trainer_open(&trainer, &t->weights, &t->data, &options,
		    t->team, err) < 0)
		return -1;
	rc = show_loop(t, trainer, err);
	caption_trainer_close(trainer);
	return rc;
}

static const char about[] =
	"usage: unrolld train-caption CAPTIONS -o FILE [OPTION...]\n"
	"\n"
	"Trains a captioner: a CNN of the VGG family and a recurrent decoder. "
	"CAPTIONS\n"
	"holds JSON lines: {\"image\": \"PATH\", \"caption\": \"TEXT\"}, or "
	"\"captions\" with\n"
	"several texts.\n";

static int check_usage(
	const void *values, const struct option_list *args, struct error *err)
{
	const struct train_caption_options *o = values;

	if (command_line_one(args, "files of captions",
		    "unrolld train-caption CAPTIONS -o FILE", err) < 0)
		return -1;
	if (!o->output)
		return error_set(err, ERROR_INVALID,
			"--output is missing: where to write the captioner");
	if (o->freeze && !o->cnn_weights)
		return error_set(err, ERROR_INVALID,
			"--freeze wants --cnn-weights: a CNN that starts at "
			"random and stays there sees nothing");
	return 0;
}

static int run_command(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	struct train t = { .o = values };
	int rc = -1;

	(void)table;
	interrupt_catch();
	if (team_open(&t.team,
		    t.o->threads ? (unsigned)t.o->threads : team_default_size(),
		    err) == 0 &&
		prepare(&t, args->items[0], err) == 0)
		rc = train(&t, err);
	captioner_weights_release(&t.weights);
	caption_set_release(&t.set);
	token_buf_release(&t.tokens);
	tokenizer_unref(t.tokenizer);
	free(t.starts);
	if (t.team)
		team_close(t.team);
	return rc;
}

int cmd_train_caption(int argc, char **argv)
{
	struct train_caption_options o;
	int rc = command_line_run(
		&(struct command_line){ .name = "train-caption",
			.about = about,
			.rows = rows,
			.n_rows = sizeof(rows) / sizeof(rows[0]),
			.values = &o,
			.help = &o.help,
			.check = check_usage,
			.run = run_command },
		argc, argv);

	return rc == CMD_OK && interrupt_signal() ? 128 + interrupt_signal()
						  : rc;
}
