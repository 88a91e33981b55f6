/* `unrolld train-caption`: a captioner from pictures, or from features. */
#include "app/cmd.h"

#include "app/caption_set.h"
#include "app/command_line.h"
#include "app/interrupt.h"
#include "app/train_caption_options.h"
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
#include <xxhash.h>

#define SAVE_SECONDS 60
#define SAVE_SHARE 20 /* saving takes at most one part in so many */
#define MAX_TOKENS (1u << 30)

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct train {
	const struct train_caption_options *o;
	const struct options *table; /* what o was read by */
	struct caption_set set;
	struct caption_data data;
	struct captioner_weights weights;
	struct tokenizer *tokenizer;
	struct token_buf tokens;
	size_t *starts; /* [n_pairs + 1] */
	uint64_t hash;	/* of captions and pictures */
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

/* Of all that is learnt from; a CNN that stays as it is belongs to it. */
static uint64_t hash(const struct train *t)
{
	const struct caption_data *d = &t->data;
	const struct captioner_weights *w = &t->weights;
	const size_t pixels = 3 * w->form.crop * w->form.crop;
	uint64_t h = XXH3_64bits(d->image, d->n * sizeof(*d->image));

	for (size_t i = 0; i < d->n; i++)
		h = XXH3_64bits_withSeed(
			t->set.captions[i], strlen(t->set.captions[i]) + 1, h);
	if (w->sees && !t->trains_cnn)
		h = XXH3_64bits_withSeed(
			w->cnn.data, w->cnn.count * sizeof(*w->cnn.data), h);
	if (t->set.pixels)
		return XXH3_64bits_withSeed(
			t->set.pixels, d->images * pixels, h);
	return XXH3_64bits_withSeed(
		d->features, d->images * w->features * sizeof(*d->features), h);
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
	t->hash = hash(t);
	return o->resumed ? run_state_check(o->resumed, "captions and pictures",
				    t->hash, err)
			  : 0;
}

static int save_state(
	struct train *t, struct caption_trainer *trainer, struct error *err)
{
	json_t *state =
		run_state_new(&train_caption_run_options, t->table, t->hash);
	json_t *metadata = run_state_metadata(state);
	int rc = metadata ? caption_trainer_save(
				    trainer, t->o->state_path, metadata, err)
			  : error_set_memory(err, "training state", 0);

	json_decref(state);
	json_decref(metadata);
	return rc;
}

/* The checkpoint first: it refuses what has diverged. */
static int save(struct train *t, struct caption_trainer *trainer,
	const struct caption_report *r, struct error *err)
{
	json_decref(t->weights.decoder.training);
	t->weights.decoder.training = json_pack(
		"{s:I, s:I, s:I, s:f, s:f, s:I}", "images",
		(json_int_t)t->set.n, "captions", (json_int_t)t->data.n,
		"steps", (json_int_t)r->step, "epochs", r->epoch, "smooth_loss",
		r->smooth_loss, "seed", (json_int_t)t->o->seed);
	if (captioner_weights_save(&t->weights, t->o->output, err) < 0)
		return -1;
	return save_state(t, trainer, err);
}

static int loop(struct train *t, struct caption_trainer *trainer,
	struct train_progress_view *progress, struct error *err)
{
	struct caption_report r = { 0 };
	double saved = now(), wait = SAVE_SECONDS;

	caption_trainer_position(trainer, &r);
	if (r.step >= t->steps)
		train_progress_say(progress,
			"nothing left to do at step %llu of %llu",
			(unsigned long long)r.step,
			(unsigned long long)t->steps);
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
		if (now() - saved < wait)
			continue;
		saved = now();
		if (save(t, trainer, &r, err) < 0)
			return -1;
		wait = fmax(SAVE_SECONDS, SAVE_SHARE * (now() - saved));
		saved = now();
	}
	if (save(t, trainer, &r, err) < 0)
		return -1;
	if (interrupt_signal())
		train_progress_say(progress,
			"interrupted at step %llu; saved. To go on: the same "
			"command with --resume",
			(unsigned long long)r.step);
	return 0;
}

static int show_loop(
	struct train *t, struct caption_trainer *trainer, struct error *err)
{
	struct train_progress_view progress;
	struct caption_report at = { 0 };
	int rc;

	caption_trainer_position(trainer, &at);
	if (train_progress_open(&progress,
		    &(struct train_progress_options){
			    .kind = t->o->json ? PROGRESS_JSON : PROGRESS_AUTO,
			    .log = t->o->log,
			    .last_step = t->steps,
			    .report_every = t->o->report_every,
			    .unit = "img",
			    .units = "images" },
		    &(struct trainer_report){ .step = at.step,
			    .tokens = at.step * t->batch,
			    .epoch = at.epoch,
			    .smooth_loss = at.smooth_loss },
		    err) < 0)
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

	if (!options.batch)
		return error_set(err, ERROR_INVALID,
			"there are no captions to learn from");
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
	rc = o->resumed ? caption_trainer_load(trainer, t->o->state_path, err)
			: 0;
	if (rc == 0)
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
	"several texts. Ctrl-C saves; the same command with --resume goes "
	"on.\n";

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

/* Where the run's state is, and what a run that is resumed was told. */
static int adopt(struct options *table, void *values, struct error *err)
{
	struct train_caption_options *o = values;

	if (run_state_path(&o->state_path, o->output, err) < 0)
		return -1;
	if (!o->resume)
		return 0;
	o->resumed = run_state_read(o->state_path, err);
	if (!o->resumed)
		return -1;
	return run_options_restore(&train_caption_run_options, table,
		json_object_get(o->resumed, "options"), o->state_path, err);
}

static int spare_inputs(const struct train_caption_options *o,
	const char *captions, struct error *err)
{
	if (run_state_spare(o->output, "file of captions", captions, err) < 0)
		return -1;
	if (o->features && run_state_spare(o->output, "file of features",
				   o->features, err) < 0)
		return -1;
	return o->cnn_weights ? run_state_spare(o->output, "CNN's weights",
					o->cnn_weights, err)
			      : 0;
}

static int run_command(const struct options *table, const void *values,
	const struct option_list *args, struct error *err)
{
	struct train t = { .o = values, .table = table };
	const unsigned threads =
		t.o->threads ? (unsigned)t.o->threads : team_default_size();
	int rc = -1;

	interrupt_catch();
	if (spare_inputs(t.o, args->items[0], err) == 0 &&
		team_open(&t.team, threads, err) == 0 &&
		prepare(&t, args->items[0], err) == 0)
		rc = interrupt_signal() ? 0 : train(&t, err);
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
	struct train_caption_options o = { 0 };
	int rc = command_line_run(
		&(struct command_line){ .name = "train-caption",
			.about = about,
			.rows = train_caption_run_options.rows,
			.n_rows = train_caption_run_options.n_rows,
			.values = &o,
			.help = &o.help,
			.check = check_usage,
			.adopt = adopt,
			.run = run_command },
		argc, argv);

	json_decref(o.resumed);
	free(o.state_path);
	return rc == CMD_OK && interrupt_signal() ? 128 + interrupt_signal()
						  : rc;
}
