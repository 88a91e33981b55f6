#include "app/config.h"
#include "app/cmd.h"
#include "app/config_rows.h"
#include "app/paths.h"
#include "base/team.h"
#include "math/kernels.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "UNROLLD_"
#define MAX_URL 1024

static const char *const stores[] = { "memory", "sqlite" };

/* What Kubernetes sets for a service that is named unrolld. */
static bool is_injected(const char *variable)
{
	return !strncmp(variable, PREFIX "SERVICE_", 16) ||
	       !strncmp(variable, PREFIX "PORT=", 13) ||
	       !strncmp(variable, PREFIX "PORT_", 13);
}

static int load_environment(struct options *o, struct error *err)
{
	static const char *const allowed[] = { PREFIX "EXE", PREFIX "KERNELS",
		PREFIX "JIEBA_DICTIONARY", PREFIX "URL", PREFIX "API_KEY",
		CONFIG_KEYS, NULL };
	char **copy;
	size_t n = 0, kept = 0;
	int loaded;

	while (environ[n])
		n++;
	copy = calloc(n + 1, sizeof(*copy));
	if (!copy)
		return error_set_memory(err, "environment", n);
	for (size_t i = 0; i < n; i++)
		if (!is_injected(environ[i]))
			copy[kept++] = environ[i];
	loaded = options_load_environment(o, copy, PREFIX, allowed, err);
	free(copy);
	return loaded;
}

static int load_file(struct options *o, const char *path, struct error *err)
{
	if (path)
		return options_load_file(o, path, err);
	if (options_load_file(o, CONFIG_FILE, err) < 0 &&
		err->code != ERROR_NOT_FOUND)
		return -1;
	return 0;
}

/* Flags say which file, and override it: so they are read twice. */
static int find_file(int argc, char **argv, char **path, struct error *err)
{
	struct config_values v;
	struct options o;
	int parsed;

	*path = NULL;
	if (options_init(&o, config_rows, config_n_rows, &v, err) < 0)
		return -1;
	parsed = options_parse_arguments(&o, argc, argv, NULL, err);
	if (!parsed && v.config && !(*path = strdup(v.config)))
		parsed = error_set_memory(err, "--config", strlen(v.config));
	options_release(&o);
	return parsed;
}

static int load(struct config *c, int argc, char **argv, struct error *err)
{
	char *path;
	int loaded;

	if (find_file(argc, argv, &path, err) < 0)
		return -1;
	loaded = load_file(&c->options, path, err);
	free(path);
	if (loaded < 0 || load_environment(&c->options, err) < 0)
		return -1;
	return options_parse_arguments(&c->options, argc, argv, NULL, err);
}

static int parse_weights(
	struct registry_weights *w, const char *text, struct error *err)
{
	const char *equals = strchr(text, '=');
	size_t n = equals ? (size_t)(equals - text) : 0;
	enum weight_type type;

	w->type = REGISTRY_AS_STORED;
	if (n && n <= REGISTRY_NAME_MAX) {
		memcpy(w->name, text, n);
		if (!strcmp(equals + 1, "auto"))
			return 0;
		if (weight_type_find(equals + 1, &type) == 0) {
			w->type = (int)type;
			return 0;
		}
	}
	return error_set_param(err, ERROR_INVALID, "models.weights",
		"models.weights is '%s', expected NAME=TYPE, of a model and "
		"one "
		"of auto, f32, bf16, int8",
		text);
}

static int resolve_weights(struct config *c, struct error *err)
{
	const struct option_list *list = &c->values->model_weights;

	c->model_weights = calloc(list->n + 1, sizeof(*c->model_weights));
	if (!c->model_weights)
		return error_set_memory(err, "models.weights", list->n);
	for (size_t i = 0; i < list->n; i++)
		if (parse_weights(&c->model_weights[i], list->items[i], err) <
			0)
			return -1;
	return 0;
}

static int resolve(struct config *c, struct error *err)
{
	struct config_values *v = c->values;

	c->help = v->help;
	c->print = v->print;
	if (c->help || c->print)
		return 0;
	if (resolve_weights(c, err) < 0 ||
		paths_models(v->models_dir, &c->models_dir, err) < 0 ||
		paths_keys(v->keys_file, &c->keys_file, err) < 0)
		return -1;
	if (!strcmp(stores[v->store], "sqlite") &&
		paths_sessions(v->sessions_path, &c->sessions_path, err) < 0)
		return -1;
	return paths_jobs(v->jobs_dir, c->sessions_path, &c->jobs_dir, err);
}

int config_read(struct config *c, int argc, char **argv, struct error *err)
{
	*c = (struct config){ 0 };
	c->values = calloc(1, sizeof(*c->values));
	if (!c->values)
		return error_set_memory(err, "options", sizeof(*c->values));
	if (options_init(&c->options, config_rows, config_n_rows, c->values,
		    err) < 0) {
		free(c->values);
		return -1;
	}
	if (!load(c, argc, argv, err))
		return 0;
	config_release(c);
	return -1;
}

int config_open(struct config *c, int argc, char **argv, struct error *err)
{
	if (config_read(c, argc, argv, err) < 0)
		return -1;
	if (!resolve(c, err))
		return 0;
	config_release(c);
	return -1;
}

void config_release(struct config *c)
{
	free(c->models_dir);
	free(c->sessions_path);
	free(c->jobs_dir);
	free(c->keys_file);
	free(c->model_weights);
	options_release(&c->options);
	free(c->values);
}

/* An address that means all of them is reached at its loopback one. */
int config_url(const struct config *c, char **url, struct error *err)
{
	const char *host = c->values->address;
	unsigned char v6[16];
	struct buf out;

	if (!c->values->port)
		return error_set_param(err, ERROR_INVALID, "http.port",
			"http.port is 0, any free one: say where the daemon is "
			"with --url");
	if (!strcmp(host, "0.0.0.0"))
		host = "127.0.0.1";
	else if (!strcmp(host, "::"))
		host = "::1";
	buf_init(&out, MAX_URL);
	if (buf_printf(&out,
		    inet_pton(AF_INET6, host, v6) == 1 ? "http://[%s]:%u"
						       : "http://%s:%u",
		    host, (unsigned)c->values->port) < 0) {
		buf_release(&out);
		return error_set_memory(err, "URL", MAX_URL);
	}
	*url = out.data;
	return 0;
}

int config_print_help(const struct config *c, struct buf *out)
{
	static const char head[] =
		"usage: unrolld serve [OPTION...]\n"
		"\n"
		"Serves models over HTTP. Options come from the file, then "
		"from the environment\n"
		"(UNROLLD_HTTP_PORT is http.port), then from these flags.\n"
		"\n";

	if (buf_puts(out, head) < 0)
		return -1;
	return options_print_help(&c->options, out);
}

int config_print_file(const struct config *c, struct buf *out)
{
	return options_print_file(&c->options, out);
}

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
	"streams.buffer",
	"streams.buffer_total",
	"streams.max_detached",
	"jobs.max_running",
	"jobs.max",
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

static const char *environment_keys(void)
{
	const char *keys = getenv(CONFIG_KEYS);

	return keys && *keys ? keys : NULL;
}

const char *config_first_key(const struct config *c)
{
	return keys_file_awaited(c) && !environment_keys() &&
			       !config_allow_anonymous(c)
		       ? c->keys_file
		       : NULL;
}

void config_auth(const struct config *c, struct auth_options *o)
{
	*o = (struct auth_options){
		.file = keys_file_awaited(c) ? NULL : c->keys_file,
		.text = environment_keys(),
	};
}

bool config_allow_anonymous(const struct config *c)
{
	return c->values->allow_anonymous;
}
