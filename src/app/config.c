#include "app/config.h"
#include "app/cmd.h"
#include "app/paths.h"
#include "math/kernels.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "UNROLLD_"

struct config_values {
	char *config;
	bool help, print;
	char *address;
	uint64_t port, max_connections, max_per_address;
	uint64_t max_header, max_url, max_body, max_body_total, max_length;
	uint64_t header_timeout, body_timeout, idle_timeout, write_timeout;
	uint64_t queue_timeout, run_timeout, heartbeat, drain_timeout;
	uint64_t workers, max_jobs;
	struct option_list cors_origins, hosts;
	bool allow_anonymous;
	char *models_dir, *models_default;
	int store, durability, weights;
	char *sessions_path;
	uint64_t sessions_max, sessions_ttl;
	uint64_t threads, slots, batch, chunk, queue;
	int log_level, log_format;
};

#define AT(m) .offset = offsetof(struct config_values, m)
#define HEADING(text)                                \
	{                                            \
		.type = OPTION_HEADING, .help = text \
	}

static const char *const stores[] = { "memory", "sqlite" };

static const struct option rows[] = {
	{ .name = "config",
		.type = OPTION_STRING,
		AT(config),
		.argument = "FILE",
		.flags = OPTION_COMMAND_LINE,
		.help = "Read options from this file instead of " CONFIG_FILE },
	{ .name = "print-config",
		.type = OPTION_BOOL,
		AT(print),
		.flags = OPTION_COMMAND_LINE,
		.help = "Print all options as a file with their values, and "
			"end" },
	{ .name = "help",
		.type = OPTION_BOOL,
		AT(help),
		.letter = 'h',
		.flags = OPTION_COMMAND_LINE,
		.help = "Print this text, and end" },
	HEADING("HTTP"),
	{ .name = "http.address",
		.type = OPTION_STRING,
		AT(address),
		.value = "127.0.0.1",
		.argument = "ADDRESS",
		.help = "IPv4 or IPv6 address, or name, to listen on" },
	{ .name = "http.port",
		.type = OPTION_UINT,
		AT(port),
		.value = "8080",
		.max = "65535",
		.help = "Port to listen on; 0 takes any free one" },
	{ .name = "http.cors_origins",
		.type = OPTION_LIST,
		AT(cors_origins),
		.value = "localhost",
		.argument = "ORIGIN",
		.help = "Web pages that may use the API: scheme://host[:port], "
			"where '*.' may stand before the host and '*' for the "
			"port; or localhost, null or *" },
	{ .name = "http.hosts",
		.type = OPTION_LIST,
		AT(hosts),
		.argument = "NAME",
		.help = "Names that a Host header may have besides this "
			"machine's loopback names; * allows any. Without any, "
			"a server that listens on another address takes all" },
	{ .name = "http.max_connections",
		.type = OPTION_UINT,
		AT(max_connections),
		.value = "4096",
		.min = "1",
		.max = "1000000",
		.help = "Connections open at once; others wait" },
	{ .name = "http.max_connections_per_address",
		.type = OPTION_UINT,
		AT(max_per_address),
		.value = "0",
		.max = "1000000",
		.help = "The same for each client address; 0 is no limit" },
	{ .name = "http.max_header",
		.type = OPTION_SIZE,
		AT(max_header),
		.value = "32K",
		.min = "4K",
		.max = "1M",
		.help = "Memory of a connection for request line, headers and "
			"answer's headers" },
	{ .name = "http.max_url",
		.type = OPTION_SIZE,
		AT(max_url),
		.value = "8K",
		.min = "64",
		.max = "64K",
		.help = "Length of a request's URL" },
	{ .name = "http.max_body",
		.type = OPTION_SIZE,
		AT(max_body),
		.value = "16M",
		.min = "1K",
		.max = "1G",
		.help = "Length of a request's body" },
	{ .name = "http.max_body_total",
		.type = OPTION_SIZE,
		AT(max_body_total),
		.value = "256M",
		.min = "1K",
		.help = "Memory for all bodies together" },
	{ .name = "http.max_length",
		.type = OPTION_UINT,
		AT(max_length),
		.value = "1000000",
		.min = "1",
		.max = "16777216",
		.help = "Tokens that a request may ask for" },
	{ .name = "http.header_timeout",
		.type = OPTION_DURATION,
		AT(header_timeout),
		.value = "10s",
		.min = "100ms",
		.max = "1h",
		.help = "Time for a client to send its first headers" },
	{ .name = "http.body_timeout",
		.type = OPTION_DURATION,
		AT(body_timeout),
		.value = "60s",
		.min = "100ms",
		.max = "1d",
		.help = "Time for a client to send a body" },
	{ .name = "http.idle_timeout",
		.type = OPTION_DURATION,
		AT(idle_timeout),
		.value = "60s",
		.min = "100ms",
		.max = "1d",
		.help = "Time between two requests of a connection" },
	{ .name = "http.write_timeout",
		.type = OPTION_DURATION,
		AT(write_timeout),
		.value = "60s",
		.min = "1s",
		.max = "1d",
		.help = "Time without a byte moving after which a client is "
			"dropped and its generation cancelled" },
	{ .name = "http.queue_timeout",
		.type = OPTION_DURATION,
		AT(queue_timeout),
		.value = "60s",
		.help = "Time that a request may wait for a slot; 0 is for "
			"ever" },
	{ .name = "http.run_timeout",
		.type = OPTION_DURATION,
		AT(run_timeout),
		.value = "0",
		.help = "Time that a request may generate; 0 is for ever" },
	{ .name = "http.heartbeat",
		.type = OPTION_DURATION,
		AT(heartbeat),
		.value = "15s",
		.min = "100ms",
		.max = "1h",
		.help = "Time between comments on a silent stream" },
	{ .name = "http.drain_timeout",
		.type = OPTION_DURATION,
		AT(drain_timeout),
		.value = "10s",
		.max = "1h",
		.help = "Time for requests to finish after SIGTERM" },
	{ .name = "http.workers",
		.type = OPTION_UINT,
		AT(workers),
		.value = "2",
		.min = "1",
		.max = "64",
		.help = "Threads that read the session store and long bodies" },
	{ .name = "http.max_jobs",
		.type = OPTION_UINT,
		AT(max_jobs),
		.value = "4096",
		.min = "1",
		.max = "1000000",
		.help = "Requests that may wait for such a thread; others get "
			"a 429" },
	HEADING("Access"),
	{ .name = "auth.allow_anonymous",
		.type = OPTION_BOOL,
		AT(allow_anonymous),
		.value = "false",
		.help = "Serve anyone who can reach an address that is not "
			"loopback" },
	HEADING("Models"),
	{ .name = "models.dir",
		.type = OPTION_STRING,
		AT(models_dir),
		.argument = "DIR",
		.help = "Directory of *.safetensors files, or one such file; "
			"by default the models that came with unrolld" },
	{ .name = "models.default",
		.type = OPTION_STRING,
		AT(models_default),
		.argument = "NAME",
		.help = "Model of requests that name none; by default the "
			"first by name" },
	HEADING("Sessions"),
	{ .name = "sessions.store",
		.type = OPTION_ENUM,
		AT(store),
		.value = "sqlite",
		.choices = "memory|sqlite",
		.help = "Where sessions are kept" },
	{ .name = "sessions.path",
		.type = OPTION_STRING,
		AT(sessions_path),
		.argument = "FILE",
		.help = "File of the sqlite store; by default sessions.db in "
			"$STATE_DIRECTORY, or in unrolld/ of $XDG_STATE_HOME "
			"or ~/.local/state" },
	{ .name = "sessions.durability",
		.type = OPTION_ENUM,
		AT(durability),
		.value = "request",
		.choices = "request|relaxed",
		.help = "Answer after a session is safe on disk, or commit it "
			"behind" },
	{ .name = "sessions.max",
		.type = OPTION_UINT,
		AT(sessions_max),
		.value = "0",
		.help = "Sessions stored at most; 0 is no limit" },
	{ .name = "sessions.ttl",
		.type = OPTION_DURATION,
		AT(sessions_ttl),
		.value = "0",
		.help = "Time without use after which a session is deleted; 0 "
			"is never" },
	HEADING("Engine"),
	{ .name = "engine.threads",
		.type = OPTION_UINT,
		AT(threads),
		.value = "0",
		.max = "1024",
		.help = "Threads that generate; 0 takes the cores that there "
			"are" },
	{ .name = "engine.weights",
		.type = OPTION_ENUM,
		AT(weights),
		.value = "f32",
		.choices = "f32|bf16|int8",
		.help = "Models' weights in memory: bf16 halves and int8 "
			"quarters them" },
	{ .name = "engine.slots",
		.type = OPTION_UINT,
		AT(slots),
		.value = "1024",
		.min = "1",
		.max = "1000000",
		.help = "Sequences that a thread steps in turn; others wait" },
	{ .name = "engine.batch",
		.type = OPTION_UINT,
		AT(batch),
		.value = "64",
		.min = "1",
		.max = "4096",
		.help = "Sequences in one step of a model" },
	{ .name = "engine.chunk",
		.type = OPTION_UINT,
		AT(chunk),
		.value = "8",
		.min = "1",
		.max = "65536",
		.help = "Prompt tokens fed before the other sequences get "
			"their turn" },
	{ .name = "engine.queue",
		.type = OPTION_UINT,
		AT(queue),
		.value = "1024",
		.min = "1",
		.max = "1000000",
		.help = "Requests that may wait for a slot; others get a 429" },
	HEADING("Log"),
	{ .name = "log.level",
		.type = OPTION_ENUM,
		AT(log_level),
		.value = "info",
		.choices = LOG_LEVELS,
		.help = "Least important lines that are written" },
	{ .name = "log.format",
		.type = OPTION_ENUM,
		AT(log_format),
		.value = "auto",
		.choices = LOG_FORMATS,
		.help = "Form of a line; auto is journald's where stderr is "
			"the journal, else text" },
};
#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

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
		NULL };
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
	if (options_init(&o, rows, N_ROWS, &v, err) < 0)
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

static int resolve(struct config *c, struct error *err)
{
	struct config_values *v = c->values;

	c->help = v->help;
	c->print = v->print;
	if (c->help || c->print)
		return 0;
	if (paths_models(v->models_dir, &c->models_dir, err) < 0)
		return -1;
	if (strcmp(stores[v->store], "sqlite") != 0)
		return 0;
	return paths_sessions(v->sessions_path, &c->sessions_path, err);
}

int config_open(struct config *c, int argc, char **argv, struct error *err)
{
	*c = (struct config){ 0 };
	c->values = calloc(1, sizeof(*c->values));
	if (!c->values)
		return error_set_memory(err, "options", sizeof(*c->values));
	if (options_init(&c->options, rows, N_ROWS, c->values, err) < 0) {
		free(c->values);
		return -1;
	}
	if (!load(c, argc, argv, err) && !resolve(c, err))
		return 0;
	config_release(c);
	return -1;
}

void config_release(struct config *c)
{
	free(c->models_dir);
	free(c->sessions_path);
	options_release(&c->options);
	free(c->values);
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
		.heartbeat = v->heartbeat,
		.queue_timeout = v->queue_timeout,
		.run_timeout = v->run_timeout,
		.workers = (unsigned)v->workers,
		.max_jobs = v->max_jobs,
	};
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
	};
}

enum weight_type config_weights(const struct config *c)
{
	return (enum weight_type)c->values->weights;
}

void config_sessions(const struct config *c, struct sessions_options *o)
{
	const struct config_values *v = c->values;

	*o = (struct sessions_options){
		.max = v->sessions_max,
		.ttl = (int64_t)v->sessions_ttl,
		.durability = (enum session_durability)v->durability,
	};
}

const char *config_store(const struct config *c)
{
	return stores[c->values->store];
}

const char *config_default_model(const struct config *c)
{
	return c->values->models_default;
}

uint64_t config_drain_ms(const struct config *c)
{
	return c->values->drain_timeout;
}

bool config_allow_anonymous(const struct config *c)
{
	return c->values->allow_anonymous;
}
