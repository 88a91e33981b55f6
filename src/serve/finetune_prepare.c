/* Reading what a job begins with. A base that lies in its directory is from an
 * earlier start; the run goes on with that one, whatever became of the model.
 */
#include "serve/finetune_private.h"

#include "base/file.h"
#include "base/priority.h"
#include "nn/optimizer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TOKENS_IN_MEMORY (4u << 20) /* bytes; more is mapped from a file */
#define HELD_TOKENS (256u << 10)    /* are enough to measure by */
#define AUTO_SEQ_LENGTH 64
#define AUTO_BATCH 32
#define AUTO_STEPS_PER_EPOCH 8 /* at least, or the batch is halved */
#define AUTO_TOKENS 3e6	       /* to be trained on in all */
#define AUTO_MIN_EPOCHS 2
#define AUTO_MAX_EPOCHS 20
#define AUTO_CHECKPOINTS 20
#define MAX_CHECKPOINTS 1000
/* Of training, that measuring may take; forward and back are three times
 * forward alone. */
#define EVALUATION_SHARE 0.03
#define EVALUATION_COST (1 / 3.0)
#define EVALUATION_FEW 4 /* rows: one costs no less */
#define AUTO_DROPOUT 0.2

static const char *pick(const char *name)
{
	return name ? name : "the text";
}

static int open_text(struct finetune *f, const struct finetune_text *text,
	struct corpus *c, struct tokenizer *known, bool extend,
	struct error *err)
{
	const struct finetune_request *r = &f->request;
	const struct corpus_options o = {
		.paths = &text->path,
		.n_paths = 1,
		.encoding = text->encoding,
		.tokenizer = r->tokenizer,
		.unknown = r->options.unknown == FINETUNE_ERROR ? UNKNOWN_ERROR
								: UNKNOWN_SKIP,
		.extend = extend,
		.lines_of_json = text->lines_of_json,
		.stop = r->stop,
		.cache_dir = r->dir,
		.memory = TOKENS_IN_MEMORY,
	};
	const size_t path = strlen(text->path);
	char rest[sizeof(err->message)];

	if (corpus_open(c, &o, known, err) == 0)
		return 0;
	/* Clients know the file by its name, not by where it lies. */
	if (err && !strncmp(err->message, text->path, path)) {
		snprintf(rest, sizeof(rest), "%s", err->message + path);
		snprintf(err->message, sizeof(err->message), "%.200s%s",
			pick(text->name), rest);
	}
	return -1;
}

static int load_tokenizer(const struct checkpoint *c, const char *name,
	struct tokenizer **t, struct error *err)
{
	if (tokenizer_load(t, c->tokenizer, err) < 0)
		return error_prefix(err, "model %s", name);
	if (tokenizer_vocab(*t) == c->parameters.arch.vocab)
		return 0;
	error_set_param(err, ERROR_CORRUPT, "tokenizer",
		"model %s: its tokenizer has %zu tokens, its tensors %zu", name,
		tokenizer_vocab(*t), c->parameters.arch.vocab);
	tokenizer_unref(*t);
	return -1;
}

/* The model with rows for what its tokenizer has learnt. */
static int extend_model(struct finetune *f, struct error *err)
{
	const size_t vocab = tokenizer_vocab(f->corpus.tokenizer);
	struct checkpoint *c = &f->model;
	struct parameters more;

	f->report.extended = vocab - c->parameters.arch.vocab;
	if (!f->report.extended || f->only_checks)
		return 0;
	if (parameters_extend(&more, &c->parameters, vocab, err) < 0)
		return -1;
	parameters_release(&c->parameters);
	c->parameters = more;
	json_decref(c->tokenizer);
	c->tokenizer = tokenizer_save(f->corpus.tokenizer);
	return c->tokenizer ? 0 : error_set_memory(err, "tokenizer", vocab);
}

static int make_model(struct finetune *f, struct error *err)
{
	const struct finetune_request *r = &f->request;
	struct architecture a = r->arch;

	a.vocab = tokenizer_vocab(f->corpus.tokenizer);
	if (a.vocab < 2)
		return error_set(err, ERROR_INVALID,
			"%s has %zu distinct token, expected 2 or more",
			pick(r->training.name), a.vocab);
	if (parameters_open(&f->model.parameters, &a, err) < 0)
		return -1;
	trainer_initialise(&f->model.parameters, INIT_XAVIER, 0.08, 1, r->seed);
	f->model.dtype = CHECKPOINT_F32;
	f->model.tokenizer = tokenizer_save(f->corpus.tokenizer);
	return f->model.tokenizer ? 0
				  : error_set_memory(err, "tokenizer", a.vocab);
}

/* The first start: from the model as it is now, or from nothing. */
static int open_first(struct finetune *f, struct error *err)
{
	const struct finetune_request *r = &f->request;
	struct tokenizer *known = NULL;
	int rc;

	if (r->base) {
		if (checkpoint_load(&f->model, r->base, err) < 0 ||
			load_tokenizer(&f->model, r->base_name, &known, err) <
				0)
			return -1;
		f->report.base_fingerprint =
			checkpoint_fingerprint(&f->model.parameters);
	}
	rc = open_text(f, &r->training, &f->corpus, known,
		r->options.unknown == FINETUNE_EXTEND, err);
	tokenizer_unref(known);
	if (rc < 0)
		return -1;
	return r->base ? extend_model(f, err) : make_model(f, err);
}

/* What was written is what is trained, however often it is read again. */
static int reload_base(struct finetune *f, struct error *err)
{
	checkpoint_release(&f->model);
	f->model = (struct checkpoint){ 0 };
	return checkpoint_load(&f->model, f->base, err);
}

static int open_again(struct finetune *f, struct error *err)
{
	struct tokenizer *known;
	int rc;

	if (reload_base(f, err) < 0 ||
		load_tokenizer(&f->model, f->base, &known, err) < 0)
		return -1;
	rc = open_text(f, &f->request.training, &f->corpus, known, false, err);
	tokenizer_unref(known);
	return rc;
}

/* The summary that base.safetensors carries: what later starts can't see. */
static json_t *base_notes(const struct finetune *f)
{
	return json_pack("{s:I, s:I}", "base_fingerprint",
		(json_int_t)f->report.base_fingerprint, "extended",
		(json_int_t)f->report.extended);
}

static void read_base_notes(struct finetune *f)
{
	const json_t *notes = f->model.training;

	f->report.base_fingerprint = (uint64_t)json_integer_value(
		json_object_get(notes, "base_fingerprint"));
	f->report.extended = (uint64_t)json_integer_value(
		json_object_get(notes, "extended"));
}

static int open_model(struct finetune *f, struct error *err)
{
	if (access(f->base, F_OK) == 0) {
		if (open_again(f, err) < 0)
			return -1;
		read_base_notes(f);
		return 0;
	}
	if (open_first(f, err) < 0)
		return -1;
	json_decref(f->model.training);
	f->model.training = base_notes(f);
	if (checkpoint_save(&f->model, f->base, err) < 0)
		return -1;
	return reload_base(f, err);
}

static void tell_corpus(struct finetune *f)
{
	struct finetune_report *r = &f->report;

	r->corpus_hash = f->corpus.hash;
	r->corpus_tokens = f->corpus.tokens.count;
	r->characters = f->corpus.characters;
	r->skipped = f->corpus.skipped;
}

/* --- the numbers that were left to us ---------------------------------- */

static void choose_batch(struct finetune *f, size_t tokens)
{
	const struct finetune_options *o = &f->request.options;
	struct finetune_report *r = &f->report;

	r->seq_length = o->seq_length ? o->seq_length : AUTO_SEQ_LENGTH;
	r->batch = o->batch ? o->batch : AUTO_BATCH;
	while (!o->batch && r->batch > 1 &&
		tokens / r->batch < r->seq_length * AUTO_STEPS_PER_EPOCH)
		r->batch /= 2;
	while (!o->seq_length && r->seq_length > 8 &&
		tokens / r->batch < r->seq_length * AUTO_STEPS_PER_EPOCH)
		r->seq_length /= 2;
}

/* Steps between checkpoints: as many as make a run's course seen, but no more
 * than their measurements are worth. */
static uint64_t auto_checkpoints(const struct finetune *f)
{
	const struct finetune_report *r = &f->report;
	size_t warm;
	const struct streams held = finetune_held_rows(f, &warm);
	const double rows = fmax((double)held.batch, EVALUATION_FEW);
	const double cost =
		EVALUATION_COST * rows * (double)streams_steps(&held);
	const double step = (double)(r->batch * r->seq_length);

	return (uint64_t)fmax((double)r->last_step / AUTO_CHECKPOINTS,
		cost / EVALUATION_SHARE / step);
}

static void choose_steps(struct finetune *f)
{
	const struct finetune_options *o = &f->request.options;
	struct finetune_report *r = &f->report;
	const uint64_t chunks = trainer_chunks(&f->training, r->seq_length);
	const double tokens = (double)(chunks * r->seq_length * r->batch);

	r->epochs = o->epochs;
	if (!o->epochs)
		r->epochs = ceil(fmin(AUTO_MAX_EPOCHS,
			fmax(AUTO_MIN_EPOCHS, AUTO_TOKENS / tokens)));
	r->last_step = trainer_last_step(chunks, r->epochs, o->max_steps);
	f->every = o->checkpoints;
	if (!f->every)
		f->every = auto_checkpoints(f);
	if (f->every < r->last_step / MAX_CHECKPOINTS + 1)
		f->every = r->last_step / MAX_CHECKPOINTS + 1;
}

/* A tail of the text is held out, or another file is. */
static int open_streams(struct finetune *f, struct error *err)
{
	const struct finetune_request *r = &f->request;
	const struct tokens_view *tokens = &f->corpus.tokens;
	double fraction = fmin(r->options.validation_fraction,
		HELD_TOKENS / (double)tokens->count);
	struct tokens_view held;

	if (r->validation.path)
		fraction = 0;
	choose_batch(f, (size_t)((double)tokens->count * (1 - fraction)));
	if (streams_split(tokens, f->report.batch, f->report.seq_length,
		    SPLIT_TAIL, fraction, &f->training, &f->validation,
		    err) < 0)
		return error_prefix(err, "%s", pick(r->training.name));
	if (!r->validation.path)
		return 0;
	if (open_text(f, &r->validation, &f->held, f->corpus.tokenizer, false,
		    err) < 0)
		return -1;
	held = f->held.tokens;
	if (held.count > HELD_TOKENS)
		held = tokens_slice(&held, 0, HELD_TOKENS);
	f->validation = (struct streams){ .tokens = held,
		.batch = 1,
		.stride = held.count,
		.end = held.count };
	return 0;
}

static void choose_trainer(struct finetune *f, struct trainer_options *t)
{
	const struct finetune_options *o = &f->request.options;
	const struct optimizer_ops *ops = optimizer_find(o->optimizer);
	const double dropout = o->dropout < 0 ? AUTO_DROPOUT : o->dropout;
	double rate = o->learning_rate ? o->learning_rate : ops->learning_rate;

	if (o->learning_rate_multiplier)
		rate *= o->learning_rate_multiplier;
	*t = (struct trainer_options){
		.seq_length = f->report.seq_length,
		.optimizer = ops->name,
		.learning_rate = rate,
		.decay = (double)NAN,
		.decay2 = (double)NAN,
		.epsilon = (double)NAN,
		.clip = o->clip > 0 ? CLIP_NORM : CLIP_NONE,
		.clip_threshold = o->clip,
		.loss_scale = LOSS_MEAN,
		.dropout_layers = dropout,
		.dropout_output = dropout,
		.schedule = (enum schedule)o->schedule,
		.schedule_decay = 0.9,
		.schedule_after = 1,
		.warmup_steps = f->report.last_step / 20,
		.total_steps = f->report.last_step,
		.final_rate = 0.02,
		.averaging = f->report.last_step > 100 ? 0.99 : 0,
		.accumulate = 1,
		.seed = f->request.seed,
	};
}

static void lower(void *arg, unsigned member)
{
	const struct finetune *f = arg;

	if (member && f->request.nice)
		priority_lower(f->request.nice);
}

/* Few bursts, of which one delays one answer: of the answers of a stream, some
 * 0.1 ms apart, that is less than one in a hundred. */
#define BURST_US 1800
#define REST_US 30000

/* One that is to stop has little left to do. */
static bool crowded(void *arg)
{
	const struct finetune *f = arg;
	const struct finetune_request *r = &f->request;

	return !atomic_load(r->stop) && r->crowded(r->crowded_arg);
}

static int open_trainer(struct finetune *f, struct error *err)
{
	const struct finetune_report *r = &f->report;
	struct trainer_options o;

	choose_steps(f);
	choose_trainer(f, &o);
	if (team_open(&f->team,
		    trainer_threads(
			    &f->model.parameters, r->batch, r->seq_length),
		    err) < 0)
		return -1;
	team_run(f->team, lower, f);
	f->pace = (struct pace){ .crowded = crowded,
		.arg = f,
		.burst_us = BURST_US,
		.rest_us = REST_US };
	if (f->request.crowded)
		team_set_pace(f->team, &f->pace);
	return trainer_open(&f->trainer, &f->model.parameters, &f->training, &o,
		f->team, err);
}

static int refuse_other_text(struct finetune *f, struct error *err)
{
	return error_set(err, ERROR_CONFLICT,
		"%s: its text is another than the job began with",
		pick(f->request.training.name));
}

int finetune_prepare(struct finetune *f, struct error *err)
{
	int restored;

	if (file_make_directories(f->request.dir, 0700, err) < 0 ||
		open_model(f, err) < 0)
		return -1;
	tell_corpus(f);
	if (open_streams(f, err) < 0 || open_trainer(f, err) < 0)
		return -1;
	restored = finetune_state_restore(f, err);
	if (restored < 0)
		return -1;
	if (f->report.corpus_hash != f->corpus.hash)
		return refuse_other_text(f, err);
	if (f->report.extended && !restored)
		finetune_tell(f, FINETUNE_INFO,
			"Vocabulary extended by %llu tokens to %zu",
			(unsigned long long)f->report.extended,
			f->model.parameters.arch.vocab);
	if (f->report.skipped && !restored)
		finetune_tell(f, FINETUNE_WARN,
			"%llu characters outside the vocabulary left out",
			(unsigned long long)f->report.skipped);
	if (!restored)
		finetune_tell(f, FINETUNE_INFO,
			"Training on %llu tokens: %llu steps of %zu rows of "
			"%zu tokens, %g epochs",
			(unsigned long long)f->report.corpus_tokens,
			(unsigned long long)f->report.last_step,
			f->report.batch, f->report.seq_length,
			f->report.epochs);
	return 0;
}

int finetune_check(const struct finetune_request *r,
	struct finetune_report *report, struct error *err)
{
	struct finetune *f;
	int rc;

	if (finetune_open(&f, r, err) < 0)
		return -1;
	f->only_checks = true;
	rc = file_make_directories(r->dir, 0700, err);
	if (rc == 0)
		rc = open_first(f, err);
	if (rc == 0) {
		tell_corpus(f);
		rc = open_streams(f, err);
	}
	*report = f->report;
	finetune_close(f);
	return rc;
}
