#include "app/train_progress.h"
#include "app/progress_bar.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BAR_SECONDS 0.2
#define LINE_SECONDS 5.0

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int train_progress_open(struct train_progress_view *v,
	const struct train_progress_options *o,
	const struct trainer_report *start, struct error *err)
{
	*v = (struct train_progress_view){
		.o = *o,
		.started = now(),
		.rate_from = now(),
		.rate_tokens = start->tokens,
		.first_tokens = start->tokens,
		.validation = NAN,
	};
	v->shown = v->started;
	if (o->kind == PROGRESS_AUTO)
		v->o.kind =
			isatty(STDERR_FILENO) ? PROGRESS_BAR : PROGRESS_LINES;
	if (!o->log)
		return 0;
	v->log = fopen(o->log, "ae");
	return v->log ? 0 : error_set_errno(err, "--log %s", o->log);
}

static void end_bar(struct train_progress_view *v)
{
	if (v->open_line)
		fputc('\n', stderr);
	v->open_line = false;
}

void train_progress_close(struct train_progress_view *v)
{
	end_bar(v);
	if (v->log)
		fclose(v->log);
	v->log = NULL;
}

bool train_progress_wants(const struct train_progress_view *v, uint64_t step)
{
	return step % v->o.report_every == 0 &&
	       (v->log || v->o.kind == PROGRESS_JSON);
}

/* Tokens per second since the last look, at least a second of them. */
static double rate(struct train_progress_view *v,
	const struct trainer_report *r, double at)
{
	double seconds = at - v->rate_from;

	if (seconds <= 0)
		return 0;
	return (double)(r->tokens - v->rate_tokens) / seconds;
}

/* Time left by the whole run's rate so far. */
static void eta(const struct train_progress_view *v,
	const struct trainer_report *r, double at, char *out, size_t size)
{
	double done = (double)(r->tokens - v->first_tokens);
	double per_step = (double)r->tokens / (double)r->step;

	if (!v->o.last_step || done <= 0)
		snprintf(out, size, "-");
	else
		progress_duration(out, size,
			(double)(v->o.last_step - r->step) * per_step *
				(at - v->started) / done);
}

static void draw(struct train_progress_view *v, const struct trainer_report *r,
	double at)
{
	char left[32], validation[32] = "", bar[PROGRESS_BAR_WIDTH + 1];
	double part =
		v->o.last_step ? (double)r->step / (double)v->o.last_step : 0;

	progress_bar(bar, part);
	eta(v, r, at, left, sizeof(left));
	if (!isnan(v->validation))
		snprintf(validation, sizeof(validation), " val %.4f",
			v->validation);
	if (v->o.kind == PROGRESS_BAR) {
		fprintf(stderr,
			"\r\033[K[%s] epoch %.2f loss %.4f%s %.0f %s/s "
			"ETA %s",
			bar, r->epoch, r->smooth_loss, validation,
			rate(v, r, at), v->o.unit, left);
		v->open_line = true;
	} else {
		fprintf(stderr,
			"step %llu epoch %.2f loss %.4f smooth %.4f%s "
			"%.0f %s/s ETA %s\n",
			(unsigned long long)r->step, r->epoch, r->loss,
			r->smooth_loss, validation, rate(v, r, at), v->o.unit,
			left);
	}
	fflush(stderr);
}

static void set(json_t *line, const char *name, double value)
{
	if (isfinite(value))
		json_object_set_new(line, name, json_real(value));
}

static void write_json(struct train_progress_view *v,
	const struct trainer_report *r, double validation, double at)
{
	json_t *line = json_pack("{s:I}", "step", (json_int_t)r->step);
	char *text, per_second[32];

	if (!line)
		return;
	snprintf(per_second, sizeof(per_second), "%s_per_second", v->o.units);
	set(line, "epoch", r->epoch);
	set(line, "loss", r->loss);
	set(line, "smooth_loss", r->smooth_loss);
	set(line, "validation", validation);
	set(line, "gradient_norm", r->gradient_norm);
	set(line, "learning_rate", r->learning_rate);
	set(line, per_second, rate(v, r, at));
	set(line, "seconds", at - v->started);
	text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9));
	json_decref(line);
	if (!text)
		return;
	if (v->log) {
		fprintf(v->log, "%s\n", text);
		fflush(v->log);
	}
	if (v->o.kind == PROGRESS_JSON) {
		puts(text);
		fflush(stdout);
	}
	free(text);
}

static void renew_rate(struct train_progress_view *v,
	const struct trainer_report *r, double at)
{
	v->shown = at;
	if (at - v->rate_from < 1)
		return;
	v->rate_from = at;
	v->rate_tokens = r->tokens;
}

void train_progress_step(
	struct train_progress_view *v, const struct trainer_report *r)
{
	double every = v->o.kind == PROGRESS_BAR ? BAR_SECONDS : LINE_SECONDS;
	double at = now();
	bool last = v->o.last_step && r->step == v->o.last_step;

	if (v->o.kind == PROGRESS_LECTURE && (r->step - 1) % 100 == 0) {
		/* The lecture's loss is a chunk's sum. */
		printf("iter %llu, loss: %f\n",
			(unsigned long long)(r->step - 1),
			r->smooth_loss * (double)v->o.seq_length);
		fflush(stdout);
	}
	if (train_progress_wants(v, r->step) || last)
		write_json(v, r, NAN, at);
	if (v->o.kind != PROGRESS_BAR && v->o.kind != PROGRESS_LINES)
		return;
	if (at - v->shown < every && !last)
		return;
	draw(v, r, at);
	renew_rate(v, r, at);
}

void train_progress_validation(struct train_progress_view *v,
	const struct trainer_report *r, double nats)
{
	double at = now();

	v->validation = nats;
	write_json(v, r, nats, at);
	if (v->o.kind == PROGRESS_BAR || v->o.kind == PROGRESS_LINES) {
		end_bar(v);
		fprintf(stderr,
			"epoch %.2f: validation %.4f nats/token, "
			"train %.4f (smooth)\n",
			r->epoch, nats, r->smooth_loss);
	}
	/* The time it took is not training's. */
	v->rate_from = now();
	v->rate_tokens = r->tokens;
	v->started += v->rate_from - at;
}

void train_progress_say(struct train_progress_view *v, const char *fmt, ...)
{
	va_list args;

	if (v->o.kind == PROGRESS_NONE)
		return;
	end_bar(v);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	fflush(stderr);
}

void train_progress_sample(
	struct train_progress_view *v, uint64_t step, const char *text)
{
	json_t *line;

	switch (v->o.kind) {
	case PROGRESS_LECTURE:
		printf("----\n %s \n----\n", text);
		fflush(stdout);
		break;
	case PROGRESS_JSON:
		line = json_pack(
			"{s:I,s:s}", "step", (json_int_t)step, "sample", text);
		if (line)
			json_dumpf(line, stdout, JSON_COMPACT);
		json_decref(line);
		puts("");
		fflush(stdout);
		break;
	case PROGRESS_NONE:
		break;
	default:
		end_bar(v);
		printf("---- step %llu\n%s\n----\n", (unsigned long long)step,
			text);
		fflush(stdout);
	}
}
