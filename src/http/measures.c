#include "http/api_internal.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double seconds[] = { 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
	0.25, 0.5, 1, 2.5, 5, 10, 30, 60 };
static const double token_seconds[] = { 0.00001, 0.000025, 0.00005, 0.0001,
	0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25 };
/* All that reply.c and the routes answer with; the last for any other. */
#define STATUSES                                                           \
	"200|201|202|204|206|301|302|303|304|400|401|403|404|405|406|408|" \
	"409|410|411|412|413|414|415|416|417|422|426|429|431|499|500|501|" \
	"502|503|504|505|507|other"
#define BOUNDS .bounds = seconds, .n_bounds = sizeof(seconds) / sizeof(double)

static const struct metric template[] = {
	[MEASURE_REQUESTS] = { "unrolld_http_requests_total", METRIC_COUNTER,
		"Requests answered or abandoned, by route and status; 499: the "
		"client left before there was one",
		{ { "route", "" }, { "status", STATUSES } }, .sparse = true },
	[MEASURE_REQUEST_SECONDS] = { "unrolld_http_request_duration_seconds",
		METRIC_HISTOGRAM, "From request line to the end of the answer",
		{ { "route", "" } }, BOUNDS },
	[MEASURE_BYTES_SENT] = { "unrolld_http_sent_bytes_total",
		METRIC_COUNTER, "Bytes of answers' bodies" },
	[MEASURE_CONNECTIONS] = { "unrolld_http_connections", METRIC_GAUGE,
		"Open connections" },
	[MEASURE_EXCHANGES] = { "unrolld_http_requests_active", METRIC_GAUGE,
		"Requests whose answer is not yet delivered" },
	[MEASURE_GENERATIONS] = { "unrolld_generations_total", METRIC_COUNTER,
		"Ended generations, by how they ended",
		{ { "outcome", "length|stop|deadline|cancelled|error" } } },
	[MEASURE_FIRST_TOKEN_SECONDS] = { "unrolld_first_token_seconds",
		METRIC_HISTOGRAM, "From the request to its first token",
		.bounds = seconds,
		.n_bounds = sizeof(seconds) / sizeof(double) },
	[MEASURE_TOKEN_SECONDS] = { "unrolld_inter_token_seconds",
		METRIC_HISTOGRAM,
		"Mean time between two tokens of a generation's choice",
		.bounds = token_seconds,
		.n_bounds = sizeof(token_seconds) / sizeof(double) },
	[MEASURE_GENERATION_SECONDS] = { "unrolld_generation_seconds",
		METRIC_HISTOGRAM,
		"From a generation's submission to its end, commit included",
		BOUNDS },
	[MEASURE_FRAME_SECONDS] = { "unrolld_stream_frame_seconds",
		METRIC_HISTOGRAM,
		"Between two frames of a stream, while a fine-tuning job "
		"trains or not",
		{ { "training", "no|yes" } }, BOUNDS },
	[MEASURE_GENERATIONS_ACTIVE] = { "unrolld_generations_active",
		METRIC_GAUGE, "Generations submitted and not ended" },
	[MEASURE_QUEUED] = { "unrolld_generations_queued", METRIC_GAUGE,
		"Generations that wait for a slot" },
	[MEASURE_WAITING] = { "unrolld_generations_waiting", METRIC_GAUGE,
		"The same by priority",
		{ { "priority", "interactive|bulk" } } },
	[MEASURE_SLOTS_ACTIVE] = { "unrolld_slots_active", METRIC_GAUGE,
		"Sequences that are being stepped" },
	[MEASURE_SLOTS_PAUSED] = { "unrolld_slots_paused", METRIC_GAUGE,
		"Sequences that wait for a slow client" },
	[MEASURE_STEPS] = { "unrolld_model_steps_total", METRIC_COUNTER,
		"Batched steps of a model" },
	[MEASURE_ROWS] = { "unrolld_model_rows_total", METRIC_COUNTER,
		"Sequences stepped, over all steps" },
	[MEASURE_PROMPT_TOKENS] = { "unrolld_prompt_tokens_total",
		METRIC_COUNTER, "Tokens of prompts that were fed" },
	[MEASURE_GENERATED_TOKENS] = { "unrolld_generated_tokens_total",
		METRIC_COUNTER, "Tokens that were drawn" },
	[MEASURE_REJECTED] = { "unrolld_generations_rejected_total",
		METRIC_COUNTER, "Generations refused by a full queue" },
	[MEASURE_LIMITED] = { "unrolld_limited_total", METRIC_COUNTER,
		"Requests refused for what their key or address has used",
		{ { "limit", "requests|tokens|generations" } } },
	[MEASURE_LIMIT] = { "unrolld_limit", METRIC_GAUGE,
		"Limits as they are configured, in bytes, seconds or numbers; "
		"0 is none",
		{ { "option", "" } } },
	[MEASURE_STREAMS_BYTES] = { "unrolld_streams_buffer_bytes",
		METRIC_GAUGE, "Sent events that are kept for replay" },
	[MEASURE_STREAMS_DETACHED] = { "unrolld_streams_detached", METRIC_GAUGE,
		"Generations that go on without their client" },
	[MEASURE_STREAMS_RESUMED] = { "unrolld_streams_resumed_total",
		METRIC_COUNTER, "Streams that a client came back to",
		{ { "from", "buffer|record" } } },
	[MEASURE_REPLAYED] = { "unrolld_answers_replayed_total", METRIC_COUNTER,
		"Stored answers sent for an Idempotency-Key" },
	[MEASURE_SESSIONS] = { "unrolld_sessions", METRIC_GAUGE,
		"Sessions stored" },
	[MEASURE_SESSIONS_RESIDENT] = { "unrolld_sessions_resident",
		METRIC_GAUGE, "Sessions kept in memory before the store" },
	[MEASURE_SESSIONS_RESIDENT_BYTES] = { "unrolld_sessions_resident_bytes",
		METRIC_GAUGE, "Bytes that those take" },
	[MEASURE_SESSION_READS] = { "unrolld_session_reads_total",
		METRIC_COUNTER, "Sessions read, from memory or from the store",
		{ { "from", "memory|store" } } },
	[MEASURE_SESSIONS_SPILLED] = { "unrolld_sessions_spilled_total",
		METRIC_COUNTER,
		"Sessions that left memory for others; the "
		"store keeps them" },
	[MEASURE_SESSIONS_GONE] = { "unrolld_sessions_gone_total",
		METRIC_COUNTER, "Sessions that are no more, by why",
		{ { "why", "expired|deleted|evicted" } } },
	[MEASURE_FILES] = { "unrolld_files", METRIC_GAUGE, "Uploaded files" },
	[MEASURE_FILES_BYTES] = { "unrolld_files_bytes", METRIC_GAUGE,
		"Disk space that they take, uploads under way included" },
	[MEASURE_UPLOADS] = { "unrolld_uploads_active", METRIC_GAUGE,
		"Files that are being uploaded" },
	[MEASURE_CAPTIONS] = { "unrolld_captions_active", METRIC_GAUGE,
		"Images that wait to be described, or are" },
	[MEASURE_MODELS] = { "unrolld_models", METRIC_GAUGE, "Models loaded" },
	[MEASURE_READY] = { "unrolld_ready", METRIC_GAUGE,
		"1 while /readyz says yes" },
	[MEASURE_RESIDENT] = { "unrolld_resident_memory_bytes", METRIC_GAUGE,
		"Physical memory of the process" },
	[MEASURE_LOG_DROPPED] = { "unrolld_log_dropped_total", METRIC_COUNTER,
		"Log lines dropped because the log was full" },
	[MEASURE_BUILD] = { "unrolld_build_info", METRIC_GAUGE,
		"Always 1; its labels say what runs",
		{ { "version", "" }, { "kernels", "" } } },
};
#define N_MEASURES (sizeof(template) / sizeof(template[0]))

/* Paths of all routes, each once, then "other". */
static int join_routes(struct api *a, struct buf *out)
{
	for (size_t t = 0; t < a->router.n_tables; t++)
		for (size_t i = 0; i < a->router.tables[t].n; i++) {
			const char *path = a->router.tables[t].rows[i].path;

			if (i && !strcmp(path,
					 a->router.tables[t].rows[i - 1].path))
				continue;
			if (buf_printf(out, "%s|", path) < 0)
				return -1;
		}
	return buf_puts(out, "other");
}

struct measures_rows {
	struct metric rows[N_MEASURES];
	char limits[2048];
	char labels[];
};

static void join_limits(const struct api *a, char *out, size_t size)
{
	size_t used = 0;

	*out = '\0';
	for (size_t i = 0; i < a->o.n_limits && used < size; i++)
		used += (size_t)snprintf(out + used, size - used, "%s%s",
			i ? "|" : "", a->o.limits[i].name);
	if (!used)
		snprintf(out, size, "none");
}

int measures_open(struct api *a, struct error *err)
{
	struct measures_rows *m;
	struct buf b;

	buf_init(&b, 4096);
	if (join_routes(a, &b) < 0 || !(m = malloc(sizeof(*m) + b.len + 1))) {
		buf_release(&b);
		return error_set_memory(err, "metrics", sizeof(*m));
	}
	memcpy(m->rows, template, sizeof(template));
	memcpy(m->labels, b.data, b.len + 1);
	buf_release(&b);
	m->rows[MEASURE_REQUESTS].labels[0].values = m->labels;
	m->rows[MEASURE_REQUEST_SECONDS].labels[0].values = m->labels;
	m->rows[MEASURE_BUILD].labels[0].values = a->o.version;
	m->rows[MEASURE_BUILD].labels[1].values = a->o.kernels;
	join_limits(a, m->limits, sizeof(m->limits));
	m->rows[MEASURE_LIMIT].labels[0].values = m->limits;
	a->measures = m;
	if (metrics_open(&a->metrics, m->rows, N_MEASURES, err) < 0)
		return -1;
	for (size_t i = 0; i < a->o.n_limits; i++)
		metrics_set(a->metrics, MEASURE_LIMIT,
			metrics_series(a->metrics, MEASURE_LIMIT, i, 0),
			a->o.limits[i].value);
	return 0;
}

/* Of a value among "a|b|c"; the last one's where it is none of them. */
static size_t index_of(const char *p, const char *value)
{
	size_t len = strlen(value);

	for (size_t i = 0;; i++) {
		size_t n = strcspn(p, "|");

		if (!p[n] || (n == len && !memcmp(p, value, n)))
			return i;
		p += n + 1;
	}
}

static size_t status_index(unsigned status)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", status ? status : 499);
	return index_of(STATUSES, text);
}

void measures_exchange(struct api *a, const struct exchange *x)
{
	size_t route = index_of(a->measures->labels, exchange_route(x));
	struct metrics *m = a->metrics;

	metrics_add(m, MEASURE_REQUESTS,
		metrics_series(m, MEASURE_REQUESTS, route,
			status_index(exchange_status(x))),
		1);
	metrics_observe(m, MEASURE_REQUEST_SECONDS,
		metrics_series(m, MEASURE_REQUEST_SECONDS, route, 0),
		exchange_elapsed(x));
	metrics_add(m, MEASURE_BYTES_SENT, 0, (double)exchange_bytes_sent(x));
}

void measures_frame(struct api *a, uint64_t *last)
{
	const uint64_t now = uv_hrtime();
	const bool training = a->backend.jobs && jobs_running(a->backend.jobs);

	if (*last)
		metrics_observe(a->metrics, MEASURE_FRAME_SECONDS, training,
			(double)(now - *last) * 1e-9);
	*last = now;
}

static double resident_bytes(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f)
		return 0;
	if (fscanf(f, "%*u %lu", &pages) != 1)
		pages = 0;
	fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void count(struct api *a, enum measure id, uint64_t now, uint64_t *then)
{
	metrics_add(a->metrics, id, 0, (double)(now - *then));
	*then = now;
}

static void read_engine(struct api *a)
{
	struct engine_stats s, *c = &a->counted;
	struct metrics *m = a->metrics;

	engine_stats(a->backend.engine, &s);
	metrics_set(m, MEASURE_QUEUED, 0, (double)s.queued);
	for (size_t p = 0; p < SCHEDULER_PRIORITIES; p++)
		metrics_set(m, MEASURE_WAITING,
			metrics_series(m, MEASURE_WAITING, p, 0),
			(double)s.waiting[p]);
	metrics_set(m, MEASURE_SLOTS_ACTIVE, 0, (double)s.slots_active);
	metrics_set(m, MEASURE_SLOTS_PAUSED, 0, (double)s.slots_paused);
	metrics_set(m, MEASURE_GENERATIONS_ACTIVE, 0,
		(double)engine_active(a->backend.engine));
	count(a, MEASURE_STEPS, s.steps, &c->steps);
	count(a, MEASURE_ROWS, s.rows, &c->rows);
	count(a, MEASURE_PROMPT_TOKENS, s.prompt_tokens, &c->prompt_tokens);
	count(a, MEASURE_GENERATED_TOKENS, s.generated_tokens,
		&c->generated_tokens);
	count(a, MEASURE_REJECTED, s.rejected, &c->rejected);
}

static void count_series(struct api *a, enum measure id, size_t series,
	uint64_t now, uint64_t *then)
{
	metrics_add(a->metrics, id, metrics_series(a->metrics, id, series, 0),
		(double)(now - *then));
	*then = now;
}

static void read_sessions(struct api *a)
{
	struct sessions_stats s, *c = &a->counted_sessions;
	struct metrics *m = a->metrics;

	sessions_stats(a->backend.sessions, &s);
	metrics_set(m, MEASURE_SESSIONS, 0,
		(double)sessions_count(a->backend.sessions));
	metrics_set(m, MEASURE_SESSIONS_RESIDENT, 0, (double)s.resident);
	metrics_set(m, MEASURE_SESSIONS_RESIDENT_BYTES, 0,
		(double)s.resident_bytes);
	count_series(a, MEASURE_SESSION_READS, 0, s.hits, &c->hits);
	count_series(a, MEASURE_SESSION_READS, 1, s.misses, &c->misses);
	count(a, MEASURE_SESSIONS_SPILLED, s.spilled, &c->spilled);
	count_series(a, MEASURE_SESSIONS_GONE, 0, s.expired, &c->expired);
	count_series(a, MEASURE_SESSIONS_GONE, 1, s.deleted, &c->deleted);
	count_series(a, MEASURE_SESSIONS_GONE, 2, s.evicted, &c->evicted);
}

static void read_files(struct api *a)
{
	struct files_stats s = { 0 };

	if (a->backend.files)
		files_stats(a->backend.files, &s);
	metrics_set(a->metrics, MEASURE_FILES, 0, (double)s.files);
	metrics_set(a->metrics, MEASURE_FILES_BYTES, 0, (double)s.bytes);
	metrics_set(a->metrics, MEASURE_UPLOADS, 0, (double)a->n_uploads);
	if (a->backend.captions)
		metrics_set(a->metrics, MEASURE_CAPTIONS, 0,
			(double)caption_queue_busy(a->backend.captions));
}

int measures_render(struct api *a, struct buf *out)
{
	struct metrics *m = a->metrics;

	metrics_set(m, MEASURE_CONNECTIONS, 0, server_connections(a->server));
	metrics_set(m, MEASURE_EXCHANGES, 0, server_exchanges(a->server));
	metrics_set(m, MEASURE_STREAMS_BYTES, 0, (double)a->streams.bytes);
	metrics_set(m, MEASURE_STREAMS_DETACHED, 0, (double)a->n_detached);
	metrics_set(m, MEASURE_READY, 0, !api_unready(a));
	metrics_set(m, MEASURE_RESIDENT, 0, resident_bytes());
	metrics_set(m, MEASURE_BUILD, 0, 1);
	count(a, MEASURE_LOG_DROPPED, log_dropped(), &a->log_dropped);
	if (a->ready) {
		read_engine(a);
		read_sessions(a);
		read_files(a);
		metrics_set(m, MEASURE_MODELS, 0,
			(double)registry_count(a->backend.registry));
	}
	if (metrics_render(m, out) < 0)
		return -1;
	if (!a->ready)
		return 0;
	if (a->backend.jobs && jobs_metrics(a->backend.jobs, out) < 0)
		return -1;
	return engine_metrics(a->backend.engine, out) < 0 ||
			       sessions_metrics(a->backend.sessions, out) < 0
		       ? -1
		       : 0;
}
