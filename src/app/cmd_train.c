/* `unrolld train`: a text in, a checkpoint out. One thread runs this; a team
 * computes. Ctrl-C only sets a flag that the loop polls at each step. */
#include "app/cmd.h"

#include "app/import.h"
#include "app/model_file.h"
#include "app/text_measure.h"
#include "app/text_sampler.h"
#include "app/train_options.h"
#include "app/train_progress.h"
#include "base/file.h"
#include "math/kernels.h"
#include "nn/checkpoint.h"
#include "nn/safetensors.h"
#include "text/corpus.h"

#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define STATE_KEY "unrolld_training"
#define MAX_SAMPLE_TEXT (16u << 20)

/* Validation while training runs rows side by side, each warmed first. */
#define VALIDATION_ROWS 32
#define VALIDATION_WARM 256

#define MIN_FLOPS_PER_THREAD 5e7 /* a millisecond, barriers cost less */

struct run {
	struct train_options o;
	struct options table;
	struct option_list texts;
	char *state_path; /* NAME.train.safetensors */
	json_t *resumed;  /* what the resumed run's state file said */
	struct corpus corpus;
	struct checkpoint model; /* parameters being trained, tokenizer */
	struct streams training, validation;
	struct streams stopping; /* early stopping's; empty when off */
	struct team *team;
	struct trainer *trainer;
	struct train_progress_view progress;
	double best; /* early stopping's lowest loss, or INFINITY */
	double best_epoch;
	uint64_t last_step; /* 0: until interrupted */
};

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	interrupted = sig;
}

/* A second Ctrl-C ends at once. */
static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal,
		.sa_flags = (int)SA_RESETHAND };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static char *state_path(const char *output)
{
	static const char end[] = ".safetensors";
	size_t n = strlen(output);
	char *path = NULL;

	if (n > strlen(end) && !strcmp(output + n - strlen(end), end))
		n -= strlen(end);
	if (asprintf(&path, "%.*s.train.safetensors", (int)n, output) < 0)
		return NULL;
	return path;
}

/* The JSON that a state file carries; new reference. */
static json_t *read_state(const char *path, struct error *err)
{
	struct safetensors file;
	const char *text;
	json_error_t where;
	json_t *state;

	if (safetensors_open(&file, path, err) < 0)
		return NULL;
	text = json_string_value(json_object_get(file.metadata, STATE_KEY));
	state = text ? json_loads(text, JSON_REJECT_DUPLICATES, &where) : NULL;
	safetensors_close(&file);
	if (!state || !json_is_object(json_object_get(state, "options"))) {
		error_set(err, ERROR_CORRUPT,
			"%s: __metadata__.%s is missing or not JSON with "
			"options",
			path, STATE_KEY);
		json_decref(state);
		return NULL;
	}
	return state;
}

static int prepare_resume(struct run *r, struct error *err)
{
	r->resumed = read_state(r->state_path, err);
	if (!r->resumed)
		return error_prefix(err, "--resume");
	return train_options_restore(&r->table,
		json_object_get(r->resumed, "options"), r->state_path, err);
}

/* The architecture of --from's model is the run's: a flag that says otherwise
 * is an error. */
static int adopt(struct run *r, struct error *err)
{
	const struct architecture *a = &r->model.parameters.arch;
	json_t *o;
	int rc;

	o = json_pack("{s:s, s:o, s:o, s:o, s:s, s:s}", "cell", a->cell,
		"hidden", json_sprintf("%zu", a->hidden), "layers",
		json_sprintf("%zu", a->layers), "embedding",
		json_sprintf("%zu", a->embedding), "tied",
		a->tied ? "yes" : "no", "bias",
		a->bias == BIAS_SINGLE ? "single" : "double");
	rc = o ? train_options_restore(&r->table, o, r->o.from, err)
	       : error_set_memory(err, "options", 0);
	json_decref(o);
	return rc;
}

/* --vocab's tokens instead of the text's own. */
static int load_vocabulary(
	struct run *r, struct tokenizer **known, struct error *err)
{
	json_t *json = import_vocabulary(r->o.tokenizer, r->o.vocab, err);
	int failed;

	if (!json)
		return -1;
	failed = tokenizer_load(known, json, err);
	json_decref(json);
	return failed ? error_prefix(err, "%s", r->o.vocab) : 0;
}

/* With --resume or --from: the checkpoint's tokenizer and architecture. */
static int load_base(struct run *r, struct tokenizer **known, struct error *err)
{
	const char *path = r->o.resume ? r->o.output : r->o.from;

	*known = NULL;
	if (!path)
		return r->o.vocab ? load_vocabulary(r, known, err) : 0;
	if (checkpoint_load(&r->model, path, err) < 0)
		return -1;
	if (r->o.from && adopt(r, err) < 0)
		return -1;
	return model_file_tokenizer(known, &r->model, path, err);
}

static int open_corpus(struct run *r, struct error *err)
{
	struct corpus_options o = {
		.paths = (const char *const *)r->texts.items,
		.n_paths = r->texts.n,
		.encoding = r->o.encoding,
		.faults = (enum encoding_faults)r->o.encoding_errors,
		.tokenizer = r->o.tokenizer,
		.learn = { .min_count = r->o.min_count,
			.max_vocab = r->o.max_vocab,
			.lower_case = r->o.lower_case },
		.unknown = (enum unknown_policy)r->o.unknown,
		.cache_dir = r->o.cache_dir,
	};
	struct tokenizer *known;
	char hash[17];
	const char *expected;
	int rc;

	if (load_base(r, &known, err) < 0)
		return -1;
	rc = corpus_open(&r->corpus, &o, known, err);
	tokenizer_unref(known);
	if (rc < 0 || !r->resumed)
		return rc;
	snprintf(hash, sizeof(hash), "%016llx",
		(unsigned long long)r->corpus.hash);
	expected =
		json_string_value(json_object_get(r->resumed, "corpus_hash"));
	if (expected && strcmp(hash, expected) != 0)
		return error_set(err, ERROR_INVALID,
			"--resume: the text's hash is %s, but the run was on "
			"a text of hash %s",
			hash, expected);
	return 0;
}

static int open_model(struct run *r, struct error *err)
{
	struct architecture a;
	size_t vocab = tokenizer_vocab(r->corpus.tokenizer);

	r->model.dtype = (enum checkpoint_dtype)r->o.dtype;
	if (r->model.tokenizer)
		return 0;
	train_options_architecture(&r->o, vocab, &a);
	if (vocab < 2)
		return error_set(err, ERROR_INVALID,
			"the text has %zu distinct token, expected 2 or more",
			vocab);
	if (parameters_open(&r->model.parameters, &a, err) < 0)
		return -1;
	r->model.tokenizer = tokenizer_save(r->corpus.tokenizer);
	if (!r->model.tokenizer)
		return error_set_memory(err, "tokenizer", 0);
	trainer_initialise(&r->model.parameters,
		(enum initialisation)r->o.initialisation, r->o.init_scale,
		r->o.forget_bias, r->o.seed);
	return 0;
}

/* Early stopping's text is the end of each training stream: pieces from all
 * over. The end of the whole text is often one work by itself, and what is not
 * trained on there is missed in the validation that follows it. */
static int hold_out(struct run *r, struct error *err)
{
	const size_t held = r->validation.end - r->validation.begin;
	struct tokens_view rest = tokens_slice(
		&r->corpus.tokens, 0, r->corpus.tokens.count - held);

	if (r->o.validation_split != SPLIT_TAIL)
		return error_set_param(err, ERROR_INVALID, "early-stop",
			"early-stop is %g, but it needs --validation-split "
			"tail",
			r->o.early_stop);
	if (streams_split(&rest, r->o.batch, r->o.seq_length, SPLIT_STREAM,
		    r->o.early_stop, &r->training, &r->stopping, err) < 0)
		return -1;
	if (!streams_steps(&r->stopping))
		return error_set_param(err, ERROR_INVALID, "early-stop",
			"early-stop is %g of %zu tokens: too few to measure",
			r->o.early_stop, rest.count);
	return 0;
}

static int open_streams(struct run *r, struct error *err)
{
	if (streams_split(&r->corpus.tokens, r->o.batch, r->o.seq_length,
		    (enum validation_split)r->o.validation_split,
		    r->o.validation_fraction, &r->training, &r->validation,
		    err) < 0)
		return -1;
	return r->o.early_stop > 0 ? hold_out(r, err) : 0;
}

static uint64_t last_step(const struct run *r, size_t chunks)
{
	uint64_t by_epochs = (uint64_t)ceil(r->o.epochs * (double)chunks);

	if (!r->o.max_steps)
		return by_epochs;
	if (!by_epochs || r->o.max_steps < by_epochs)
		return r->o.max_steps;
	return by_epochs;
}

/* Members that a chunk keeps busy: threads that wait for each other more than
 * they compute only make it slower. About 6 operations for each parameter and
 * token. */
static unsigned threads(const struct run *r)
{
	const double work = 6.0 * (double)r->model.parameters.count *
			    (double)(r->o.batch * r->o.seq_length);
	const double useful = work / MIN_FLOPS_PER_THREAD;
	unsigned all = team_default_size();

	if (r->o.threads)
		return (unsigned)r->o.threads;
	if (r->o.batch < all)
		all = (unsigned)r->o.batch;
	if (useful < all)
		all = (unsigned)useful;
	return all ? all : 1;
}

static int open_trainer(struct run *r, struct error *err)
{
	struct trainer_options options;
	struct trainer_report start = { 0 };
	size_t chunks;

	if (open_streams(r, err) < 0)
		return -1;
	chunks = (r->training.end - r->training.begin - 2) / r->o.seq_length;
	chunks = chunks ? chunks : 1;
	train_options_trainer(&r->o, chunks, &options);
	r->last_step = last_step(r, chunks);
	r->best = INFINITY;
	if (team_open(&r->team, threads(r), err) < 0 ||
		trainer_open(&r->trainer, &r->model.parameters, &r->training,
			&options, r->team, err) < 0)
		return -1;
	if (r->resumed) {
		json_t *best = json_object_get(r->resumed, "best");

		if (trainer_load(r->trainer, r->state_path, err) < 0)
			return -1;
		if (json_is_number(best))
			r->best = json_number_value(best);
		r->best_epoch = json_number_value(
			json_object_get(r->resumed, "best_epoch"));
	}
	trainer_position(r->trainer, &start);
	return train_progress_open(
		&r->progress, &r->o, r->last_step, &start, err);
}

static json_t *summary(const struct run *r, const struct trainer_report *at)
{
	char hash[17];
	json_t *s;

	snprintf(hash, sizeof(hash), "%016llx",
		(unsigned long long)r->corpus.hash);
	s = json_pack("{s:{s:s, s:I, s:I, s:s}, s:I, s:f, s:f, s:o*}", "corpus",
		"hash", hash, "characters", (json_int_t)r->corpus.characters,
		"tokens", (json_int_t)r->corpus.tokens.count, "encoding",
		r->corpus.charset, "steps", (json_int_t)at->step, "epochs",
		at->epoch, "smooth_loss", at->smooth_loss, "options",
		train_options_save(&r->table));
	return s;
}

static int save_checkpoint(
	struct run *r, const struct trainer_report *at, struct error *err)
{
	struct checkpoint shipped = r->model;

	shipped.parameters = *trainer_weights(r->trainer);
	shipped.dtype = (enum checkpoint_dtype)r->o.dtype;
	json_decref(r->model.training);
	r->model.training = shipped.training = summary(r, at);
	if (!shipped.training)
		return error_set_memory(err, "training summary", 0);
	if (checkpoint_save(&shipped, r->o.output, err) == 0)
		return 0;
	if (err->code == ERROR_DIVERGED)
		error_prefix(err, "step %llu", (unsigned long long)at->step);
	return -1;
}

static int save_state(struct run *r, struct error *err)
{
	json_t *state, *metadata = NULL;
	char hash[17];
	char *text = NULL;
	int rc;

	snprintf(hash, sizeof(hash), "%016llx",
		(unsigned long long)r->corpus.hash);
	state = json_pack("{s:i, s:s, s:o*}", "format", 1, "corpus_hash", hash,
		"options", train_options_save(&r->table));
	if (state && isfinite(r->best)) {
		json_object_set_new(state, "best", json_real(r->best));
		json_object_set_new(
			state, "best_epoch", json_real(r->best_epoch));
	}
	if (state)
		text = json_dumps(state, JSON_COMPACT);
	if (text)
		metadata = json_pack("{s:s}", STATE_KEY, text);
	rc = metadata ? trainer_save(r->trainer, r->state_path, metadata, err)
		      : error_set_memory(err, "training state", 0);
	free(text);
	json_decref(state);
	json_decref(metadata);
	return rc;
}

/* With early stopping the checkpoint is the best so far, written when it was;
 * before there is one, any. */
static int save(
	struct run *r, const struct trainer_report *at, struct error *err)
{
	if (!isfinite(r->best) && save_checkpoint(r, at, err) < 0)
		return -1;
	return save_state(r, err);
}

static int evaluate(struct run *r, const struct parameters *p,
	const struct streams *s, bool exact, double *nats, struct error *err)
{
	size_t warm = VALIDATION_WARM;
	struct streams rows = *s;

	if (exact)
		warm = 0;
	else
		rows = streams_parallel(s, VALIDATION_ROWS, &warm);
	if (s->batch > 1)
		warm = 0;
	return trainer_evaluate(p, &rows, warm, r->team, nats, NULL, err);
}

static int collect(void *arg, const char *text, size_t len)
{
	return buf_append(arg, text, len);
}

/* As the lecture: from row 0's state and the token it reads next. */
static int sample(struct run *r, uint64_t step, struct error *err)
{
	struct sampler_options options;
	struct text_sampler_request request = { .options = &options,
		.seed = r->o.seed + step,
		.length = r->o.sample_length,
		.emit = collect };
	struct text_sampler *s = NULL;
	struct model *m = NULL;
	real *state = NULL;
	struct buf text;
	int rc = -1;

	buf_init(&text, MAX_SAMPLE_TEXT);
	request.arg = &text;
	sampler_defaults(&options);
	options.temperature = r->o.temperature;
	if (model_open(&m, &r->model.parameters, WEIGHTS_F32, err) < 0 ||
		text_sampler_open(&s, m, r->corpus.tokenizer, err) < 0)
		goto out;
	state = kernels_alloc(model_state_floats(m));
	if (!state) {
		error_set_memory(err, "state", model_state_floats(m));
		goto out;
	}
	if (trainer_row_state(r->trainer, state, err) < 0)
		goto out;
	text_sampler_set(s, state, trainer_next_token(r->trainer));
	rc = text_sampler_run(s, &request, err);
	if (rc == 0)
		train_progress_sample(
			&r->progress, step, text.data ? text.data : "");
out:
	buf_release(&text);
	free(state);
	text_sampler_close(s);
	model_unref(m);
	return rc;
}

/* At an epoch's end; true in *stop when early stopping has seen enough. */
static int validate(struct run *r, const struct trainer_report *at, bool *stop,
	struct error *err)
{
	const struct parameters *weights = trainer_weights(r->trainer);
	const struct streams *s =
		streams_steps(&r->stopping) ? &r->stopping : &r->validation;
	double nats;

	if (!streams_steps(s))
		return 0;
	if (evaluate(r, weights, s, false, &nats, err) < 0)
		return -1;
	train_progress_validation(&r->progress, at, nats);
	if (s != &r->stopping)
		return 0;
	if (nats < r->best) {
		r->best = nats;
		r->best_epoch = at->epoch;
		return save_checkpoint(r, at, err);
	}
	*stop = at->epoch - r->best_epoch >= (double)r->o.patience;
	return 0;
}

static bool finished(const struct run *r, const struct trainer_report *at)
{
	return interrupted || (r->last_step && at->step >= r->last_step);
}

static int train(struct run *r, struct trainer_report *at, struct error *err)
{
	bool stop = false;

	trainer_position(r->trainer, at);
	while (!stop && !finished(r, at)) {
		bool norm = train_progress_wants(&r->progress, at->step + 1);
		bool due;

		if (r->o.sample_every && at->step % r->o.sample_every == 0 &&
			sample(r, at->step, err) < 0)
			return -1;
		if (trainer_step(r->trainer, norm, at, err) < 0)
			return -1;
		train_progress_step(&r->progress, at);
		if (at->wrapped && validate(r, at, &stop, err) < 0)
			return -1;
		due = r->o.save_every ? at->step % r->o.save_every == 0
				      : at->wrapped;
		if (due && !finished(r, at) && save(r, at, err) < 0)
			return -1;
	}
	return save(r, at, err);
}

/* The loss of what was written, as a user will load it: rounded weights, one
 * stream, from the initial state. */
static int final_evaluation(struct run *r, struct error *err)
{
	struct checkpoint shipped;
	struct text_measure measure;
	const char *split =
		r->o.validation_split == SPLIT_TAIL ? "tail" : "stream";
	double nats;
	int rc = -1;

	if (!streams_steps(&r->validation))
		return 0;
	if (checkpoint_load(&shipped, r->o.output, err) < 0)
		return -1;
	if (evaluate(r, &shipped.parameters, &r->validation, true, &nats, err) <
		0)
		goto out;
	text_measure(&measure, &r->corpus, &r->validation);
	if (!shipped.training ||
		json_object_set_new(shipped.training, "validation",
			json_pack("{s:f, s:f, s:f, s:s, s:f}", "nats_per_token",
				nats, "nats_per_character",
				text_measure_per_character(&measure, nats),
				"unknown_rate",
				text_measure_unknown_rate(&measure), "split",
				split, "fraction", r->o.validation_fraction)) <
			0) {
		error_set_memory(err, "training summary", 0);
		goto out;
	}
	rc = checkpoint_save(&shipped, r->o.output, err);
	train_progress_say(&r->progress,
		"%s: validation %.4f nats/token (%.4f bits), last %g%% of %s, "
		"as saved",
		r->o.output, nats, nats / M_LN2, 100 * r->o.validation_fraction,
		r->o.validation_split == SPLIT_TAIL ? "the text"
						    : "each stream");
	if (measure.characters != measure.tokens)
		train_progress_say(&r->progress,
			"%.4f nats/character (%.4f bits), perplexity %.2f a "
			"token, %.3f%% of the tokens outside the vocabulary",
			text_measure_per_character(&measure, nats),
			text_measure_per_character(&measure, nats) / M_LN2,
			exp(nats), 100 * text_measure_unknown_rate(&measure));
out:
	checkpoint_release(&shipped);
	return rc;
}

/* A word as a shell reads it back. */
static int append_quoted(struct buf *b, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-_./,:=+@%";

	if (*word && !word[strspn(word, plain)])
		return buf_printf(b, " %s", word);
	if (buf_printf(b, " '") < 0)
		return -1;
	for (; *word; word++)
		if ((*word == '\'' ? buf_append(b, "'\\''", 4)
				   : buf_append(b, word, 1)) < 0)
			return -1;
	return buf_printf(b, "'");
}

static void say_resume(struct run *r, const struct trainer_report *at)
{
	struct buf b;
	int rc = 0;

	buf_init(&b, 1 << 20);
	for (size_t i = 0; rc == 0 && i < r->texts.n; i++)
		rc = append_quoted(&b, r->texts.items[i]);
	if (rc == 0)
		rc = buf_printf(&b, " -o");
	if (rc == 0)
		rc = append_quoted(&b, r->o.output);
	if (rc == 0 && r->o.max_steps)
		rc = buf_printf(&b, " --max-steps %llu",
			(unsigned long long)r->o.max_steps);
	train_progress_say(&r->progress,
		"interrupted at step %llu; saved. To go on: unrolld train%s "
		"--resume",
		(unsigned long long)at->step, rc == 0 ? b.data : " …");
	buf_release(&b);
}

static void introduce(struct run *r)
{
	const struct architecture *a = &r->model.parameters.arch;

	if (r->progress.kind == PROGRESS_LECTURE && !r->resumed) {
		printf("data has %llu characters, %zu unique.\n",
			(unsigned long long)r->corpus.characters, a->vocab);
		return;
	}
	train_progress_say(&r->progress,
		"%llu tokens, %zu distinct; %s %zux%zu, %zu parameters; "
		"%.1f MB to train; %u threads, %s kernels",
		(unsigned long long)r->corpus.tokens.count, a->vocab, a->cell,
		a->layers, a->hidden, r->model.parameters.count,
		(double)(trainer_bytes(r->trainer) +
			 r->model.parameters.count * sizeof(real)) /
			1e6,
		team_size(r->team), kernels_name());
	if (r->corpus.faults)
		train_progress_say(&r->progress,
			"%llu faults of the encoding %s",
			(unsigned long long)r->corpus.faults,
			r->o.encoding_errors == FAULTS_SKIP ? "left out"
							    : "replaced");
	if (r->corpus.skipped)
		train_progress_say(&r->progress,
			"%llu characters outside the vocabulary left out",
			(unsigned long long)r->corpus.skipped);
	if (r->corpus.unknown)
		train_progress_say(&r->progress,
			"%llu tokens (%.3f%%) outside the vocabulary",
			(unsigned long long)r->corpus.unknown,
			100 * (double)r->corpus.unknown /
				(double)r->corpus.tokens.count);
}

/* Better known before an hour of training than after. */
static int check_writable(const char *path, struct error *err)
{
	struct file_writer w;

	if (file_writer_open(&w, path, 0644, err) < 0)
		return -1;
	file_writer_abort(&w);
	return 0;
}

/* Saving must not replace what is being read. */
static int check_not_a_text(const struct run *r, struct error *err)
{
	struct stat output, text;

	if (stat(r->o.output, &output) < 0)
		return 0;
	for (size_t i = 0; i < r->texts.n; i++)
		if (stat(r->texts.items[i], &text) == 0 &&
			text.st_dev == output.st_dev &&
			text.st_ino == output.st_ino)
			return error_set_param(err, ERROR_INVALID, "output",
				"-o %s is the text itself, expected another "
				"file",
				r->o.output);
	return 0;
}

/* Names that would else be looked up only after a long text was read. */
static int check_names(const struct run *r, struct error *err)
{
	struct architecture a;

	train_options_architecture(&r->o, 2, &a);
	if (!r->o.from && architecture_check(&a, err) < 0)
		return -1;
	return trainer_check_optimizer(r->o.optimizer, err);
}

static int run_train(struct run *r, struct error *err)
{
	struct trainer_report at = { 0 };

	r->state_path = state_path(r->o.output);
	if (!r->state_path)
		return error_set_memory(err, "path", strlen(r->o.output));
	if (check_not_a_text(r, err) < 0 ||
		check_writable(r->o.output, err) < 0)
		return -1;
	if (r->o.resume && prepare_resume(r, err) < 0)
		return -1;
	if (check_names(r, err) < 0)
		return -1;
	team_flush_denormals();
	if (open_corpus(r, err) < 0 || open_model(r, err) < 0 ||
		open_trainer(r, err) < 0)
		return -1;
	introduce(r);
	catch_signals();
	if (train(r, &at, err) < 0)
		return -1;
	if (interrupted) {
		say_resume(r, &at);
		return 0;
	}
	return final_evaluation(r, err);
}

static void release(struct run *r)
{
	train_progress_close(&r->progress);
	trainer_close(r->trainer);
	team_close(r->team);
	checkpoint_release(&r->model);
	corpus_release(&r->corpus);
	json_decref(r->resumed);
	free(r->state_path);
	option_list_release(&r->texts);
	options_release(&r->table);
}

static int check_usage(const struct run *r, struct error *err)
{
	if (!r->texts.n)
		return error_set(err, ERROR_INVALID,
			"no text named; usage: unrolld train TEXT... -o MODEL");
	if (!r->o.output)
		return error_set_param(err, ERROR_INVALID, "output",
			"no output named, expected -o MODEL");
	if (r->o.resume && r->o.from)
		return error_set_param(err, ERROR_INVALID, "from",
			"--from and --resume exclude each other");
	if (r->o.vocab && (r->o.resume || r->o.from))
		return error_set_param(err, ERROR_INVALID, "vocab",
			"--vocab is for a new model: --from and --resume have "
			"their own");
	return 0;
}

int cmd_train(int argc, char **argv)
{
	struct run r = { 0 };
	struct error err = { 0 };
	int rc;

	if (train_options_parse(&r.table, &r.o, argc, argv, &r.texts, &err) <
		0) {
		fprintf(stderr, "unrolld train: %s\n", err.message);
		option_list_release(&r.texts);
		return CMD_USAGE;
	}
	if (r.o.help) {
		puts("usage: unrolld train TEXT... -o MODEL [OPTION...]\n"
		     "\n"
		     "Trains a recurrent language model on texts (- is "
		     "standard input) and writes a\n"
		     "checkpoint. Ctrl-C saves and says how to resume.\n");
		train_options_print_help(&r.table);
		release(&r);
		return CMD_OK;
	}
	rc = check_usage(&r, &err) < 0 ? CMD_USAGE : CMD_OK;
	if (rc == CMD_OK && run_train(&r, &err) < 0)
		rc = CMD_FAILED;
	release(&r);
	if (rc != CMD_OK)
		fprintf(stderr, "unrolld train: %s\n", err.message);
	else if (interrupted)
		rc = 128 + interrupted;
	return rc;
}
