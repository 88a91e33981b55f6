/* From a command line to a trainer before its first step. */
#include "app/train_run.h"

#include "app/import.h"
#include "app/model_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The architecture of --from's model is the run's: a flag that says otherwise
 * is an error. */
static int adopt(struct train_run *r, struct error *err)
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
	rc = o ? run_options_restore(
			 &train_run_options, &r->table, o, r->o.from, err)
	       : error_set_memory(err, "options", 0);
	json_decref(o);
	return rc;
}

/* --vocab's tokens instead of the text's own. */
static int load_vocabulary(
	struct train_run *r, struct tokenizer **known, struct error *err)
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
static int load_base(
	struct train_run *r, struct tokenizer **known, struct error *err)
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

static int open_corpus(struct train_run *r, struct error *err)
{
	struct corpus_options o = {
		.paths = (const char *const *)r->texts.items,
		.n_paths = r->texts.n,
		.encoding = r->o.encoding,
		.faults = (enum encoding_faults)r->o.encoding_errors,
		.tokenizer = r->o.tokenizer,
		.learn = { .min_count = r->o.min_count,
			.max_vocab = r->o.max_vocab,
			.lower_case = r->o.lower_case,
			.jieba_no_hmm = !r->o.jieba_hmm,
			.jieba_user_dict = r->o.jieba_user_dict },
		.unknown = (enum unknown_policy)r->o.unknown,
		.cache_dir = r->o.cache_dir,
	};
	struct tokenizer *known;
	int rc;

	if (load_base(r, &known, err) < 0)
		return -1;
	rc = corpus_open(&r->corpus, &o, known, err);
	tokenizer_unref(known);
	if (rc < 0 || !r->resumed)
		return rc;
	return run_state_check(r->resumed, "text", r->corpus.hash, err);
}

static int open_model(struct train_run *r, struct error *err)
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
static int hold_out(struct train_run *r, struct error *err)
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

static int open_streams(struct train_run *r, struct error *err)
{
	if (streams_split(&r->corpus.tokens, r->o.batch, r->o.seq_length,
		    (enum validation_split)r->o.validation_split,
		    r->o.validation_fraction, &r->training, &r->validation,
		    err) < 0)
		return -1;
	return r->o.early_stop > 0 ? hold_out(r, err) : 0;
}

static unsigned threads(const struct train_run *r)
{
	if (r->o.threads)
		return (unsigned)r->o.threads;
	return trainer_threads(
		&r->model.parameters, r->o.batch, r->o.seq_length);
}

static int open_trainer(struct train_run *r, struct error *err)
{
	struct trainer_options options;
	struct trainer_report start = { 0 };
	uint64_t chunks;

	if (open_streams(r, err) < 0)
		return -1;
	chunks = trainer_chunks(&r->training, r->o.seq_length);
	train_options_trainer(&r->o, chunks, &options);
	r->last_step = trainer_last_step(chunks, r->o.epochs, r->o.max_steps);
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
	return train_progress_open(&r->progress,
		&(struct train_progress_options){
			.kind = r->o.json ? PROGRESS_JSON
					  : (enum train_progress)r->o.progress,
			.log = r->o.log,
			.last_step = r->last_step,
			.report_every = r->o.report_every,
			.seq_length = r->o.seq_length,
			.unit = "tok",
			.units = "tokens" },
		&start, err);
}

/* Names that would else be looked up only after a long text was read. */
static int check_names(const struct train_run *r, struct error *err)
{
	struct architecture a;

	train_options_architecture(&r->o, 2, &a);
	if (!r->o.from && architecture_check(&a, err) < 0)
		return -1;
	return trainer_check_optimizer(r->o.optimizer, err);
}

int train_run_open(struct train_run *r, struct error *err)
{
	for (size_t i = 0; i < r->texts.n; i++)
		if (run_state_spare(
			    r->o.output, "text", r->texts.items[i], err) < 0)
			return -1;
	if (run_state_path(&r->state_path, r->o.output, err) < 0)
		return -1;
	if (r->o.resume && train_run_read_state(r, err) < 0)
		return -1;
	if (check_names(r, err) < 0)
		return -1;
	team_flush_denormals();
	if (open_corpus(r, err) < 0 || open_model(r, err) < 0)
		return -1;
	return open_trainer(r, err);
}

void train_run_release(struct train_run *r)
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
