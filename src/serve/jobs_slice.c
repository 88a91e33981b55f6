/*
 * A slice of a job: on a thread of the pool, which lowers itself for good. It
 * alone has the job's body. A client may move the job meanwhile; that raises
 * `stop`, and what the job then is says what becomes of the body.
 */
#include "serve/jobs_private.h"

#include "base/log.h"
#include "base/priority.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SLICE_NS 100000000u
#define TURN_S 60.0 /* of training, before another that waits has its turn */

static _Thread_local bool lowered;

static void lower(int nice)
{
	if (lowered)
		return;
	priority_lower(nice);
	pthread_setname_np(pthread_self(), "job");
	lowered = true;
}

void jobs_close_body(struct job_entry *e)
{
	finetune_close(e->body);
	e->body = NULL;
	if (!e->sources)
		return;
	json_decref(e->sources->about);
	job_release(&e->sources->job);
	free(e->sources);
	e->sources = NULL;
}

static int status_of(struct job_entry *e)
{
	int status;

	pthread_mutex_lock(&e->jobs->lock);
	status = e->job.status;
	pthread_mutex_unlock(&e->jobs->lock);
	return status;
}

/* --- what a body tells -------------------------------------------------- */

static void take_report(struct job *job, const struct finetune_report *r)
{
	job->step = r->step;
	job->last_step = r->last_step;
	job->trained_tokens = r->tokens;
	job->epoch = r->epoch;
	job->epochs = r->epochs;
	job->batch = r->batch;
	job->seq_length = r->seq_length;
	job->train_loss = r->loss;
	job->loss_before = r->loss_before;
	job->best_step = r->best_step;
	job->valid_loss = r->best_loss;
	job->seconds = r->seconds;
	job->corpus_hash = r->corpus_hash;
	job->corpus_tokens = r->corpus_tokens;
	job->skipped = r->skipped;
	job->extended = r->extended;
}

static void set_real(json_t *json, const char *name, double v)
{
	if (isfinite(v))
		json_object_set_new(json, name, json_real(v));
}

static json_t *metrics_of(const struct finetune_event *e)
{
	json_t *data = json_pack("{s:I}", "step", (json_int_t)e->step);

	set_real(data, "train_loss", e->train_loss);
	set_real(data, "valid_loss", e->valid_loss);
	set_real(data, "learning_rate", e->learning_rate);
	return data;
}

/* The steps after a checkpoint may be told of twice, after a crash: clients
 * hear of each once. */
void jobs_on_event(void *arg, const struct finetune_event *event)
{
	static const char *const levels[] = { "info", "warn" };
	struct job_entry *e = arg;
	struct jobs *j = e->jobs;
	struct job_note note = { levels[event->level], event->message, NULL,
		event->checkpoint };
	struct finetune_report r;
	struct job next;

	pthread_mutex_lock(&j->ledger);
	jobs_draft(j, e, &next);
	if (job_is_over(&next) ||
		(event->metrics && event->step <= next.told)) {
		job_release(&next);
	} else {
		finetune_report(e->body, &r);
		take_report(&next, &r);
		if (event->metrics) {
			next.told = event->step;
			note.data = metrics_of(event);
		}
		jobs_commit(j, e, &next, &note, 1, NULL);
		json_decref(note.data);
	}
	pthread_mutex_unlock(&j->ledger);
}

/* --- beginning ---------------------------------------------------------- */

/* From QUEUED to RUNNING, or on with what was RUNNING before. 1: it was moved
 * meanwhile. */
static int start(struct job_entry *e, struct error *err)
{
	static const struct job_note note = { "info", "Fine-tuning job started",
		NULL, false };
	struct jobs *j = e->jobs;
	struct job next;
	int rc = 1;

	pthread_mutex_lock(&j->ledger);
	jobs_draft(j, e, &next);
	if (next.status == JOB_QUEUED) {
		bool again = next.started != 0;

		rc = job_move(&next, JOB_START, jobs_now(), err);
		if (rc == 0)
			rc = jobs_commit(j, e, &next, &note, !again, err);
		else
			job_release(&next);
	} else {
		rc = next.status != JOB_RUNNING;
		job_release(&next);
	}
	pthread_mutex_unlock(&j->ledger);
	return rc;
}

static int open_body(struct job_entry *e, struct error *err)
{
	struct finetune_request r;

	if (jobs_make_request(e, &r, err) < 0 ||
		finetune_open(&e->body, &r, err) < 0)
		return -1;
	e->begun = (double)NAN;
	return 0;
}

/* --- ending ------------------------------------------------------------- */

/* The end of a job, by verb; nothing where a client was faster. Under the
 * ledger. */
static void end(struct job_entry *e, enum job_verb verb,
	const struct error *why, const struct job_note *notes, size_t n)
{
	struct jobs *j = e->jobs;
	struct finetune_report r;
	struct job next;

	jobs_draft(j, e, &next);
	if (job_move(&next, verb, jobs_now(), NULL) < 0) {
		job_release(&next);
		return;
	}
	if (e->body) {
		finetune_report(e->body, &r);
		take_report(&next, &r);
		next.loss_after = r.loss_after;
	}
	if (why) {
		snprintf(next.error_code, sizeof(next.error_code), "%s",
			error_code_name(why->code));
		snprintf(next.error_param, sizeof(next.error_param), "%s",
			why->param);
		snprintf(next.error_message, sizeof(next.error_message), "%s",
			why->message);
	}
	log_info("a job is over", log_text("job", next.id),
		log_text("status", job_status_name(next.status)),
		log_text("reason", why ? why->message : ""));
	jobs_commit(j, e, &next, notes, n, NULL);
	jobs_close_body(e);
	jobs_clean(j, e);
}

/* It is to stop: paused or cancelled by a client, or the daemon ends. */
static void settle(struct job_entry *e, bool keep)
{
	struct jobs *j = e->jobs;
	struct error err;

	if (status_of(e) == JOB_CANCELLED) {
		jobs_close_body(e);
		pthread_mutex_lock(&j->ledger);
		jobs_clean(j, e);
		pthread_mutex_unlock(&j->ledger);
		return;
	}
	/* From the last checkpoint it comes to the same. */
	if (keep && e->body && finetune_save(e->body, &err) < 0)
		log_warn("a stopped job's state is not stored",
			log_text("job", e->sources->job.id), log_fault(&err));
	jobs_close_body(e);
}

/* Clients are not told where we keep our files. */
static void hide_directory(struct error *err, const char *dir)
{
	const size_t n = strlen(dir);

	if (!strncmp(err->message, dir, n) && err->message[n] == '/')
		memmove(err->message, err->message + n + 1,
			strlen(err->message + n));
}

static void fail(struct job_entry *e, struct error *why)
{
	const struct job_note note = { "error", why->message, NULL, false };

	hide_directory(why, e->jobs->o.dir);
	pthread_mutex_lock(&e->jobs->ledger);
	end(e, JOB_FAIL, why, &note, 1);
	pthread_mutex_unlock(&e->jobs->ledger);
	settle(e, false);
}

static bool is_worse(const struct finetune_report *r)
{
	return !isnan(r->loss_before) && r->loss_after >= r->loss_before;
}

/* Under the ledger, so that no client moves it meanwhile: the file, then the
 * model, then the job says so. */
static int publish(
	struct job_entry *e, const struct finetune_report *r, struct error *err)
{
	char path[PATH_MAX], made[256], worse[256];
	struct job_note notes[3];
	size_t n = 0;

	if (jobs_model_path(e->jobs, &e->job, path, sizeof(path)) < 0)
		return error_set(err, ERROR_INVALID, "jobs.dir is too long");
	if (finetune_publish(e->body, path, err) < 0 ||
		registry_load(e->jobs->o.registry, path, err) < 0)
		return -1;
	snprintf(made, sizeof(made), "New fine-tuned model created: %s",
		e->job.result);
	snprintf(worse, sizeof(worse),
		"The held-out loss did not fall: %.4f before, %.4f after",
		r->loss_before, r->loss_after);
	notes[n++] = (struct job_note){ "info", made, NULL, false };
	if (is_worse(r))
		notes[n++] = (struct job_note){ "warn", worse, NULL, false };
	notes[n++] = (struct job_note){ "info",
		"The job has successfully completed", NULL, false };
	end(e, JOB_SUCCEED, NULL, notes, n);
	return 0;
}

static void finish(struct job_entry *e)
{
	struct jobs *j = e->jobs;
	struct finetune_report r;
	struct error err;
	int rc = 0;

	finetune_report(e->body, &r);
	pthread_mutex_lock(&j->ledger);
	if (status_of(e) != JOB_RUNNING)
		rc = 1;
	else if (is_worse(&r) && e->job.require_improvement)
		rc = error_set_param(&err, ERROR_UNPROCESSABLE,
			"require_improvement",
			"the held-out loss did not fall: %.4f before, %.4f "
			"after",
			r.loss_before, r.loss_after);
	else
		rc = publish(e, &r, &err);
	pthread_mutex_unlock(&j->ledger);
	if (rc < 0)
		fail(e, &err);
	else if (rc > 0)
		settle(e, true);
}

static bool others_wait(struct jobs *j)
{
	bool wait = false;

	pthread_mutex_lock(&j->lock);
	for (size_t i = 0; i < j->n && !wait; i++)
		wait = !j->entries[i]->claimed &&
		       j->entries[i]->job.status == JOB_QUEUED;
	pthread_mutex_unlock(&j->lock);
	return wait;
}

/* Back to the end of the queue. */
static void yield_turn(struct job_entry *e)
{
	static const struct job_note note = { "info",
		"The job waits while others have their turn", NULL, false };
	struct jobs *j = e->jobs;
	struct job next;

	settle(e, true);
	pthread_mutex_lock(&j->lock);
	e->queued = ++j->turns;
	pthread_mutex_unlock(&j->lock);
	pthread_mutex_lock(&j->ledger);
	jobs_draft(j, e, &next);
	if (job_move(&next, JOB_YIELD, jobs_now(), NULL) < 0)
		job_release(&next);
	else
		jobs_commit(j, e, &next, &note, 1, NULL);
	pthread_mutex_unlock(&j->ledger);
}

/* --- the slice ---------------------------------------------------------- */

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The rate is that of the turn so far. */
static void show_progress(
	struct job_entry *e, const struct finetune_report *before)
{
	struct jobs *j = e->jobs;
	struct finetune_report r;
	double passed;

	finetune_report(e->body, &r);
	passed = r.seconds - before->seconds;
	pthread_mutex_lock(&j->lock);
	take_report(&e->job, &r);
	if (passed > 0 && r.tokens > before->tokens) {
		double now = (double)(r.tokens - before->tokens) / passed;
		double *rate = &e->job.tokens_per_second;

		*rate = *rate > 0 ? 0.9 * *rate + 0.1 * now : now;
	}
	pthread_mutex_unlock(&j->lock);
	if (isnan(e->begun) && r.seconds > 0)
		e->begun = before->seconds;
}

static bool turn_is_over(const struct job_entry *e)
{
	struct finetune_report r;

	finetune_report(e->body, &r);
	return r.seconds - e->begun > TURN_S;
}

static void train(struct job_entry *e)
{
	struct finetune_report before, now;
	struct error err = { 0 };
	double from = seconds();
	int rc;

	if (!e->body && open_body(e, &err) < 0) {
		fail(e, &err);
		return;
	}
	finetune_report(e->body, &before);
	rc = finetune_run(e->body, SLICE_NS, &err);
	show_progress(e, &before);
	finetune_report(e->body, &now);
	jobs_metrics_slice(
		e->jobs, seconds() - from, now.tokens - before.tokens);
	if (atomic_load(&e->stop))
		settle(e, rc >= 0);
	else if (rc < 0)
		fail(e, &err);
	else if (rc == 0)
		finish(e);
	else if (turn_is_over(e) && others_wait(e->jobs))
		yield_turn(e);
	else
		e->more = true;
	if (!e->more)
		jobs_close_body(e);
}

static void validate(struct job_entry *e)
{
	static const struct job_note note = { "info",
		"Files validated, moving job to queued state", NULL, false };
	struct jobs *j = e->jobs;
	struct finetune_request r;
	struct finetune_report report = { 0 };
	struct error err = { 0 };
	struct job next;
	int rc = jobs_make_request(e, &r, &err);

	if (rc == 0)
		rc = finetune_check(&r, &report, &err);
	if (atomic_load(&e->stop)) {
		settle(e, false);
		return;
	}
	if (rc < 0) {
		fail(e, &err);
		return;
	}
	pthread_mutex_lock(&j->ledger);
	jobs_draft(j, e, &next);
	next.corpus_hash = report.corpus_hash;
	next.corpus_tokens = report.corpus_tokens;
	next.skipped = report.skipped;
	next.extended = report.extended;
	if (job_move(&next, JOB_VALIDATED, jobs_now(), NULL) == 0)
		jobs_commit(j, e, &next, &note, 1, NULL);
	else
		job_release(&next);
	pthread_mutex_unlock(&j->ledger);
	jobs_close_body(e);
}

void jobs_slice(struct job_entry *e)
{
	struct error err = { 0 };
	int rc;

	lower(e->jobs->o.nice);
	e->more = false;
	if (!e->claimed) {
		validate(e);
		return;
	}
	rc = e->body ? 0 : start(e, &err);
	if (rc < 0)
		fail(e, &err);
	else if (rc == 1)
		settle(e, false);
	else
		train(e);
}
