/* What a training run shows and logs. Shows on stderr, but what was asked for
 * by name (JSON lines, the lecture's lines, samples) on stdout. */
#ifndef APP_TRAIN_PROGRESS_H
#define APP_TRAIN_PROGRESS_H

#include "nn/trainer.h"

#include <stdio.h>

enum train_progress {
	PROGRESS_AUTO, /* a bar on a terminal, lines in a pipe */
	PROGRESS_BAR,
	PROGRESS_LINES,
	PROGRESS_LECTURE, /* min-char-rnn's own lines on stdout */
	PROGRESS_JSON,
	PROGRESS_NONE,
};

struct train_progress_options {
	enum train_progress kind;
	const char *log;       /* file that JSON lines are added to, or NULL */
	uint64_t last_step;    /* steps to do in all; 0: until interrupted */
	uint64_t report_every; /* steps from one JSON line to the next */
	size_t seq_length;     /* for the lecture's lines */
	/* What a report's `tokens` are, in text and in JSON: "tok", "tokens" */
	const char *unit, *units;
};

struct train_progress_view {
	struct train_progress_options o;
	FILE *log;
	double started, shown; /* seconds */
	double rate_from;      /* seconds and tokens where the rate starts */
	uint64_t rate_tokens, first_tokens;
	double validation; /* the last one, NAN before */
	bool open_line;	   /* a bar is being drawn */
};

int train_progress_open(struct train_progress_view *v,
	const struct train_progress_options *o,
	const struct trainer_report *start, struct error *err);
void train_progress_close(struct train_progress_view *v);

/* True when this step's report will be written down, so that its gradient
 * norm is worth computing. */
bool train_progress_wants(const struct train_progress_view *v, uint64_t step);
void train_progress_step(
	struct train_progress_view *v, const struct trainer_report *r);
void train_progress_validation(struct train_progress_view *v,
	const struct trainer_report *r, double nats);
/* A message of the run itself, between the reports. */
void train_progress_say(struct train_progress_view *v, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* A sample of text made before step `step`, whole. */
void train_progress_sample(
	struct train_progress_view *v, uint64_t step, const char *text);

#endif
