#include "serve/jobs_private.h"

static const double slice_bounds[] = { 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5,
	1, 2.5, 5 };

enum { JOBS, TOKENS, SLICE_SECONDS, TOKENS_PER_SECOND, LOSS };

static const struct metric rows[] = {
	[JOBS] = { "unrolld_jobs", METRIC_GAUGE, "Fine-tuning jobs by status",
		{ { "state", JOB_STATUS_NAMES } } },
	[TOKENS] = { "unrolld_job_tokens_total", METRIC_COUNTER,
		"Tokens that jobs have trained on" },
	[SLICE_SECONDS] = { "unrolld_job_slice_seconds", METRIC_HISTOGRAM,
		"Time that a job has a thread of the pool at a stretch",
		.bounds = slice_bounds,
		.n_bounds = sizeof(slice_bounds) / sizeof(slice_bounds[0]) },
	[TOKENS_PER_SECOND] = { "unrolld_job_tokens_per_second", METRIC_GAUGE,
		"Of the jobs that train now" },
	[LOSS] = { "unrolld_job_loss", METRIC_GAUGE,
		"Nats per token of the job that began last: smoothed in "
		"training, and best on what is held out",
		{ { "kind", "train|validation" } } },
};
#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

int jobs_metrics_open(struct jobs *j, struct error *err)
{
	return metrics_open(&j->metrics, rows, N_ROWS, err);
}

void jobs_metrics_slice(struct jobs *j, double seconds, uint64_t tokens)
{
	metrics_observe(j->metrics, SLICE_SECONDS, 0, seconds);
	metrics_add(j->metrics, TOKENS, 0, (double)tokens);
}

int jobs_metrics(struct jobs *j, struct buf *out)
{
	const struct job_entry *last = NULL;
	double n[JOB_STATUSES] = { 0 }, rate = 0, train = 0, validation = 0;

	pthread_mutex_lock(&j->lock);
	for (size_t i = 0; i < j->n; i++) {
		const struct job_entry *e = j->entries[i];

		n[e->job.status]++;
		if (!e->claimed)
			continue;
		rate += e->job.tokens_per_second;
		if (!last || e->turn > last->turn)
			last = e;
	}
	if (last) {
		train = last->job.train_loss;
		validation = last->job.valid_loss;
	}
	pthread_mutex_unlock(&j->lock);
	for (size_t i = 0; i < JOB_STATUSES; i++)
		metrics_set(j->metrics, JOBS,
			metrics_series(j->metrics, JOBS, i, 0), n[i]);
	metrics_set(j->metrics, TOKENS_PER_SECOND, 0, rate);
	metrics_set(j->metrics, LOSS, metrics_series(j->metrics, LOSS, 0, 0),
		train);
	metrics_set(j->metrics, LOSS, metrics_series(j->metrics, LOSS, 1, 0),
		validation);
	return metrics_render(j->metrics, out);
}
