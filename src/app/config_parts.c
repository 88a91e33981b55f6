/* What each part of the daemon is told of the options. */
#include "app/config.h"
#include "app/config_rows.h"
#include "base/team.h"
#include "math/kernels.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void config_log(const struct config *c, struct log_options *o)
{
	log_defaults(o);
	o->level = (enum log_level)c->values->log_level;
	o->format = (enum log_format)c->values->log_format;
}

void config_server(const struct config *c, struct server_options *o)
{
	const struct config_values *v = c->values;

	*o = (struct server_options){
		.address = v->address,
		.port = (unsigned)v->port,
		.listen_fd = -1,
		.tls_cert = v->tls_cert,
		.tls_key = v->tls_key,
		.max_connections = (unsigned)v->max_connections,
		.max_connections_per_address = (unsigned)v->max_per_address,
		.max_header = v->max_header,
		.max_url = v->max_url,
		.max_body_total = v->max_body_total,
		.header_timeout = (unsigned)v->header_timeout,
		.body_timeout = (unsigned)v->body_timeout,
		.idle_timeout = (unsigned)v->idle_timeout,
		.write_timeout = (unsigned)v->write_timeout,
	};
}

/* What /metrics tells of, beside what has been used. */
static const char *const limits[] = {
	"limits.requests_per_minute",
	"limits.tokens_per_minute",
	"limits.generations",
	"engine.slots",
	"engine.queue",
	"engine.queue_per_client",
	"captions.queue",
	"captions.queue_per_client",
	"http.max_connections",
	"http.max_connections_per_address",
	"http.max_header",
	"http.max_url",
	"http.max_body",
	"http.max_body_total",
	"http.max_length",
	"http.max_prompt",
	"http.max_jobs",
	"http.header_timeout",
	"http.body_timeout",
	"http.idle_timeout",
	"http.write_timeout",
	"http.queue_timeout",
	"http.run_timeout",
	"sessions.max",
	"sessions.max_bytes",
	"sessions.max_per_owner",
	"sessions.max_pending",
	"sessions.resident",
	"sessions.resident_bytes",
	"sessions.ttl",
	"sessions.boundaries",
	"streams.buffer",
	"streams.buffer_total",
	"streams.max_detached",
	"streams.ttl",
	"jobs.max_running",
	"jobs.max",
	"jobs.checkpoints",
	"files.max_size",
	"files.quota",
	"files.quota_per_owner",
	"files.max",
};
#define N_LIMITS (sizeof(limits) / sizeof(limits[0]))
_Static_assert(N_LIMITS <= API_MAX_LIMITS, "api_options has room for all");

/* For /metrics, in its units: durations are kept in ms. */
static double limit_value(const struct config_values *v, const char *name)
{
	for (size_t i = 0; i < config_n_rows; i++) {
		const struct option *row = &config_rows[i];
		uint64_t value;

		if (!row->name || strcmp(row->name, name) != 0)
			continue;
		memcpy(&value, (const char *)v + row->offset, sizeof(value));
		return row->type == OPTION_DURATION ? (double)value / 1e3
						    : (double)value;
	}
	return 0;
}

static void config_limits(const struct config_values *v, struct api_options *o)
{
	o->n_limits = N_LIMITS;
	for (size_t i = 0; i < N_LIMITS; i++)
		o->limits[i] = (struct api_limit){ limits[i],
			limit_value(v, limits[i]) };
}

void config_api(const struct config *c, struct api_options *o)
{
	const struct config_values *v = c->values;

	*o = (struct api_options){
		.version = UNROLLD_VERSION,
		.kernels = kernels_name(),
		.origins = (const char *const *)v->cors_origins.items,
		.n_origins = v->cors_origins.n,
		.hosts = (const char *const *)v->hosts.items,
		.n_hosts = v->hosts.n,
		.max_body = v->max_body,
		.max_length = v->max_length,
		.max_prompt = v->max_prompt,
		.heartbeat = v->heartbeat,
		.queue_timeout = v->queue_timeout,
		.run_timeout = v->run_timeout,
		.streams_ttl = v->streams_ttl,
		.stream_buffer = v->stream_buffer,
		.streams_buffer = v->streams_buffer,
		.max_detached = (unsigned)v->max_detached,
		.idempotency_ttl = v->idempotency_ttl,
		.requests_per_minute = v->requests_per_minute,
		.tokens_per_minute = v->tokens_per_minute,
		.generations = v->generations,
		.workers = (unsigned)v->workers,
		.max_jobs = v->max_jobs,
	};
	config_limits(v, o);
}

void config_engine(const struct config *c, struct engine_options *o)
{
	const struct config_values *v = c->values;

	*o = (struct engine_options){
		.threads = (unsigned)v->threads,
		.slots = v->slots,
		.batch = v->batch,
		.chunk = v->chunk,
		.queue = v->queue,
		.queue_per_client = v->queue_per_client,
	};
}

static unsigned caption_threads(const struct config *c)
{
	const uint64_t threads = c->values->captions_threads;

	return threads ? (unsigned)threads : team_default_size();
}

void config_models(const struct config *c, struct registry_options *o)
{
	*o = (struct registry_options){
		.default_name = c->values->models_default,
		/* Of its choices the first is auto. */
		.weights = c->values->weights + REGISTRY_AS_STORED,
		.own_weights = c->model_weights,
		.n_own_weights = c->values->model_weights.n,
		.captioner = c->values->captions_model,
		.captioner_threads = caption_threads(c),
		.captioner_nice = (int)c->values->captions_nice,
	};
}

void config_sessions(const struct config *c, struct sessions_options *o)
{
	const struct config_values *v = c->values;

	*o = (struct sessions_options){
		.max = v->sessions_max,
		.max_bytes = v->sessions_max_bytes,
		.max_per_owner = v->sessions_max_per_owner,
		.when_full = (enum session_when_full)v->when_full,
		.ttl = (int64_t)v->sessions_ttl,
		.boundaries = (unsigned)v->boundaries,
		/* What is in memory already needs no copy there. */
		.resident = strcmp(config_store(c), "memory") ? v->resident : 0,
		.resident_bytes = v->resident_bytes,
		.durability = (enum session_durability)v->durability,
	};
}

void config_captions(const struct config *c, struct caption_queue_options *o)
{
	*o = (struct caption_queue_options){
		.threads = caption_threads(c),
		.max = c->values->captions_queue,
		.max_per_client = c->values->captions_queue_per_client,
		.nice = (int)c->values->captions_nice,
	};
}

const char *config_store(const struct config *c)
{
	static const char *const stores[] = { "memory", "sqlite" };

	return stores[c->values->store];
}

void config_store_options(const struct config *c, struct store_options *o)
{
	*o = (struct store_options){
		.path = c->sessions_path,
		.on_corruption =
			(enum store_on_corruption)c->values->on_corruption,
		.patient = true,
	};
}

void config_store_writer(const struct config *c, struct store_writer_options *o)
{
	*o = (struct store_writer_options){
		.max_bytes = c->values->max_pending,
	};
}

void config_files(const struct config *c, struct files_options *o)
{
	const struct config_values *v = c->values;

	*o = (struct files_options){
		.max_size = v->files_max_size,
		.quota = v->files_quota,
		.quota_per_owner = v->files_quota_per_owner,
		.max = v->files_max,
	};
}

void config_jobs(const struct config *c, struct jobs_options *o)
{
	*o = (struct jobs_options){
		.dir = c->jobs_dir,
		.max_running = config_jobs_running(c),
		.max = c->values->jobs_max,
		.nice = (int)c->values->jobs_nice,
		.checkpoints = (size_t)c->values->jobs_checkpoints,
	};
}

unsigned config_jobs_running(const struct config *c)
{
	return (unsigned)c->values->jobs_max_running;
}

uint64_t config_drain_ms(const struct config *c)
{
	return c->values->drain_timeout;
}

bool config_realtime(const struct config *c)
{
	return c->values->realtime;
}

/* A file that may be made need not be there. */
static bool keys_file_awaited(const struct config *c)
{
	return c->keys_file && c->values->create_keys_file &&
	       access(c->keys_file, F_OK) < 0 && errno == ENOENT;
}

const char *config_environment_keys(void)
{
	const char *keys = getenv(CONFIG_KEYS);

	return keys && *keys ? keys : NULL;
}

const char *config_first_key(const struct config *c)
{
	return keys_file_awaited(c) && !config_environment_keys() &&
			       !config_allow_anonymous(c)
		       ? c->keys_file
		       : NULL;
}

void config_auth(const struct config *c, struct auth_options *o)
{
	*o = (struct auth_options){
		.file = keys_file_awaited(c) ? NULL : c->keys_file,
		.text = config_environment_keys(),
	};
}

bool config_allow_anonymous(const struct config *c)
{
	return c->values->allow_anonymous;
}
