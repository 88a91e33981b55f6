#include "serve/finetune_private.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EVALUATION_ROWS 32
#define EVALUATION_WARM 256
#define SAVE_S 30.0    /* of training that a crash may cost */
#define TELL_STEPS 100 /* metrics in the course of a run … */
#define TELL_S 5.0     /* … or so often, where it is slow … */
#define TELL_MIN_S 2.0 /* … and seldomer where it is fast */
#define MESSAGE 512
#define MAX_SAMPLE (64u << 10)
#define DIVERGED 10.0 /* times the loss of chance */

static char *path_in(const char *dir, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

int finetune_open(struct finetune **out, const struct finetune_request *r,
	struct error *err)
{
	struct finetune *f = calloc(1, sizeof(*f));

	*out = NULL;
	if (!f)
		return error_set_memory(err, "job", sizeof(*f));
	f->request = *r;
	f->base = path_in(r->dir, "base.safetensors");
	f->state = path_in(r->dir, "state.safetensors");
	f->best = path_in(r->dir, "best.safetensors");
	f->report.loss = f->report.smooth_loss = (double)NAN;
	f->report.loss_before = f->report.loss_after = (double)NAN;
	f->report.best_loss = (double)NAN;
	if (!f->base || !f->state || !f->best) {
		finetune_close(f);
		return error_set_memory(err, "job", strlen(r->dir));
	}
	*out = f;
	return 0;
}

void finetune_close(struct finetune *f)
{
	if (!f)
		return;
	evaluation_close(f->evaluation);
	trainer_close(f->trainer);
	team_close(f->team);
	checkpoint_release(&f->model);
	checkpoint_release(&f->shipped);
	corpus_release(&f->corpus);
	corpus_release(&f->held);
	free(f->base);
	free(f->state);
	free(f->best);
	free(f);
}

static void emit(const struct finetune *f, const struct finetune_event *e)
{
	if (f->request.tell)
		f->request.tell(f->request.arg, e);
}

void finetune_tell(const struct finetune *f, enum finetune_level level,
	const char *fmt, ...)
{
	struct finetune_event e = { .level = level, .step = f->report.step };
	char message[MESSAGE];
	va_list args;

	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	e.message = message;
	emit(f, &e);
}

static void tell_step(
	struct finetune *f, double valid, const struct buf *sample)
{
	const struct finetune_report *r = &f->report;
	struct finetune_event e = { .step = r->step,
		.train_loss = r->loss,
		.valid_loss = valid,
		.learning_rate = r->learning_rate,
		.metrics = true,
		.checkpoint = sample != NULL,
		.sample = sample ? sample->data : NULL,
		.sample_len = sample ? sample->len : 0 };
	char message[MESSAGE], held[64] = "";

	if (!isnan(valid))
		snprintf(held, sizeof(held), ", validation loss=%.4f", valid);
	snprintf(message, sizeof(message), "%s %llu/%llu: training loss=%.4f%s",
		sample ? "Checkpoint at step" : "Step",
		(unsigned long long)r->step, (unsigned long long)r->last_step,
		r->loss, held);
	e.message = message;
	f->told = r->step;
	f->told_at = r->seconds;
	emit(f, &e);
}

/* With a text that the weights write; where memory is short, with none. */
static void tell_checkpoint(struct finetune *f, double valid)
{
	struct buf sample;

	buf_init(&sample, MAX_SAMPLE);
	if (finetune_sample(f, &sample, NULL) < 0)
		buf_release(&sample);
	tell_step(f, valid, &sample);
	buf_release(&sample);
}

static bool holds_out(const struct finetune *f)
{
	return streams_steps(&f->validation) > 0;
}

/* Rows side by side, each warmed first: the same for every measurement of a
 * run, so that they compare. */
struct streams finetune_held_rows(const struct finetune *f, size_t *warm)
{
	*warm = EVALUATION_WARM;
	return streams_parallel(&f->validation, EVALUATION_ROWS, warm);
}

static int begin_evaluation(
	struct finetune *f, const struct parameters *p, struct error *err)
{
	size_t warm;
	struct streams rows = finetune_held_rows(f, &warm);

	return evaluation_open(&f->evaluation, p, &rows, warm, f->team, err);
}

static double end_evaluation(struct finetune *f)
{
	double nats = evaluation_result(f->evaluation, NULL);

	evaluation_close(f->evaluation);
	f->evaluation = NULL;
	return nats;
}

static bool is_due(const struct finetune *f)
{
	const struct finetune_report *r = &f->report;

	return r->step != f->checked &&
	       (r->step >= r->last_step || r->step % f->every == 0);
}

/* --- one step of each phase -------------------------------------------- */

static int prepare(struct finetune *f, struct error *err)
{
	if (finetune_prepare(f, err) < 0)
		return -1;
	if (is_due(f))
		f->phase = FINETUNE_CHECKING;
	else if (f->report.step >= f->report.last_step)
		f->phase = FINETUNE_AFTER;
	else if (isnan(f->report.loss_before) && holds_out(f))
		f->phase = FINETUNE_BEFORE;
	else
		f->phase = FINETUNE_TRAINING;
	return 0;
}

static int before(struct finetune *f, struct error *err)
{
	if (!f->evaluation)
		return begin_evaluation(f, &f->model.parameters, err);
	if (!evaluation_step(f->evaluation))
		return 0;
	f->report.loss_before = end_evaluation(f);
	finetune_tell(f, FINETUNE_INFO,
		"Held-out loss before training: %.4f nats/token",
		f->report.loss_before);
	f->phase = FINETUNE_TRAINING;
	return finetune_state_save(f, err);
}

/* Each costs a COMMIT: short runs tell less often. */
static bool tells(const struct finetune *f)
{
	const struct finetune_report *r = &f->report;
	const double since = r->seconds - f->told_at;

	return r->step == 1 || since > TELL_S ||
	       (since > TELL_MIN_S &&
		       r->step - f->told > r->last_step / TELL_STEPS);
}

static void end_in_time(struct finetune *f)
{
	struct finetune_report *r = &f->report;
	const double limit = f->request.options.time_limit;

	if (!limit || r->seconds < limit || r->step >= r->last_step)
		return;
	finetune_tell(f, FINETUNE_WARN,
		"The time limit of %g s ends it at step %llu of %llu", limit,
		(unsigned long long)r->step, (unsigned long long)r->last_step);
	r->last_step = r->step;
}

/* A model that knows nothing loses ln V; one that diverges need not come to a
 * NaN. */
static int check_loss(const struct finetune *f, struct error *err)
{
	const struct finetune_report *r = &f->report;
	const double chance = log((double)f->model.parameters.arch.vocab);

	if (r->loss <= DIVERGED * fmax(chance, 1))
		return 0;
	return error_set_param(err, ERROR_DIVERGED, "learning_rate",
		"loss is %.4g at step %llu, of which %.4g is chance: training "
		"diverged; a smaller learning_rate or clip may help",
		r->loss, (unsigned long long)r->step, chance);
}

static int train(struct finetune *f, struct error *err)
{
	struct finetune_report *r = &f->report;
	struct trainer_report at = { 0 };

	if (trainer_step(f->trainer, false, &at, err) < 0)
		return -1;
	r->step = at.step;
	r->tokens = at.tokens;
	r->epoch = at.epoch;
	r->loss = at.loss;
	r->smooth_loss = at.smooth_loss;
	r->learning_rate = at.learning_rate;
	if (check_loss(f, err) < 0)
		return -1;
	end_in_time(f);
	if (is_due(f)) {
		f->phase = FINETUNE_CHECKING;
		return 0;
	}
	if (tells(f))
		tell_step(f, (double)NAN, NULL);
	if (r->seconds - f->saved_at > SAVE_S)
		return finetune_state_save(f, err);
	return 0;
}

/* The best weights first: until the state says that they are, they can be made
 * again. */
static int keep_best(struct finetune *f, double nats, struct error *err)
{
	struct finetune_report *r = &f->report;

	if (!isnan(nats) && !isnan(r->best_loss) && nats >= r->best_loss)
		return 0;
	r->best_loss = nats;
	r->best_step = r->step;
	return finetune_best_save(f, err);
}

static int check(struct finetune *f, struct error *err)
{
	double nats = (double)NAN;

	if (holds_out(f) && !f->evaluation)
		return begin_evaluation(f, trainer_weights(f->trainer), err);
	if (f->evaluation) {
		if (!evaluation_step(f->evaluation))
			return 0;
		nats = end_evaluation(f);
	}
	f->checked = f->report.step;
	if (keep_best(f, nats, err) < 0)
		return -1;
	/* Told first: after a crash in between it is told again. */
	tell_checkpoint(f, nats);
	if (finetune_state_save(f, err) < 0)
		return -1;
	f->phase = f->report.step < f->report.last_step ? FINETUNE_TRAINING
							: FINETUNE_AFTER;
	return 0;
}

/* The loss of what is published, as it was written: rounded, perhaps. */
static int after(struct finetune *f, struct error *err)
{
	if (!f->shipped.tokenizer &&
		checkpoint_load(&f->shipped, f->best, err) < 0)
		return -1;
	if (holds_out(f) && !f->evaluation)
		return begin_evaluation(f, &f->shipped.parameters, err);
	if (f->evaluation) {
		if (!evaluation_step(f->evaluation))
			return 0;
		f->report.loss_after = end_evaluation(f);
	}
	f->phase = FINETUNE_DONE;
	return 0;
}

static int (*const steps[])(struct finetune *f, struct error *err) = {
	[FINETUNE_PREPARING] = prepare,
	[FINETUNE_BEFORE] = before,
	[FINETUNE_TRAINING] = train,
	[FINETUNE_CHECKING] = check,
	[FINETUNE_AFTER] = after,
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int finetune_run(struct finetune *f, uint64_t ns, struct error *err)
{
	const uint64_t start = now_ns();
	uint64_t at = start, then;
	enum finetune_phase phase;

	while (f->phase != FINETUNE_DONE && at - start < ns) {
		phase = f->phase;
		if (atomic_load(f->request.stop))
			return 1;
		if (steps[f->phase](f, err) < 0)
			return -1;
		then = now_ns();
		if (phase != FINETUNE_PREPARING)
			f->report.seconds += (double)(then - at) * 1e-9;
		at = then;
	}
	return f->phase != FINETUNE_DONE;
}

void finetune_report(const struct finetune *f, struct finetune_report *r)
{
	*r = f->report;
}

int finetune_save(struct finetune *f, struct error *err)
{
	if (!f->trainer || f->phase == FINETUNE_PREPARING ||
		f->phase == FINETUNE_DONE)
		return 0;
	return finetune_state_save(f, err);
}
