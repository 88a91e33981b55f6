/* `unrolld train`: a text in, a checkpoint out. One thread runs this; a team
 * computes. Ctrl-C only sets a flag that the loop polls at each step. */
#include "app/cmd.h"

#include "app/interrupt.h"
#include "app/text_measure.h"
#include "app/text_sampler.h"
#include "app/train_run.h"
#include "math/kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SAMPLE_TEXT (16u << 20)

/* Validation while training runs rows side by side, each warmed first. */
#define VALIDATION_ROWS 32
#define VALIDATION_WARM 256

static int evaluate(struct train_run *r, const struct parameters *p,
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
static int sample(struct train_run *r, uint64_t step, struct error *err)
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
static int validate(struct train_run *r, const struct trainer_report *at,
	bool *stop, struct error *err)
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
		return train_run_save_checkpoint(r, at, err);
	}
	*stop = at->epoch - r->best_epoch >= (double)r->o.patience;
	return 0;
}

static bool finished(const struct train_run *r, const struct trainer_report *at)
{
	return interrupt_signal() || (r->last_step && at->step >= r->last_step);
}

static int train(
	struct train_run *r, struct trainer_report *at, struct error *err)
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
		if (due && !finished(r, at) && train_run_save(r, at, err) < 0)
			return -1;
	}
	return train_run_save(r, at, err);
}

/* The loss of what was written, as a user will load it: rounded weights, one
 * stream, from the initial state. */
static int final_evaluation(struct train_run *r, struct error *err)
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

static void say_resume(struct train_run *r, const struct trainer_report *at)
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

static void introduce(struct train_run *r)
{
	const struct architecture *a = &r->model.parameters.arch;

	if (r->progress.o.kind == PROGRESS_LECTURE && !r->resumed) {
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

static int run_train(struct train_run *r, struct error *err)
{
	struct trainer_report at = { 0 };

	if (train_run_open(r, err) < 0)
		return -1;
	introduce(r);
	interrupt_catch();
	if (train(r, &at, err) < 0)
		return -1;
	if (interrupt_signal()) {
		say_resume(r, &at);
		return 0;
	}
	return final_evaluation(r, err);
}

static int check_usage(const struct train_run *r, struct error *err)
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
	struct train_run r = { 0 };
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
		train_run_release(&r);
		return CMD_OK;
	}
	rc = check_usage(&r, &err) < 0 ? CMD_USAGE : CMD_OK;
	if (rc == CMD_OK && run_train(&r, &err) < 0)
		rc = CMD_FAILED;
	train_run_release(&r);
	if (rc != CMD_OK)
		fprintf(stderr, "unrolld train: %s\n", err.message);
	else if (interrupt_signal())
		rc = 128 + interrupt_signal();
	return rc;
}
