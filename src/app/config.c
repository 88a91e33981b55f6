#include "app/config.h"
#include "app/cmd.h"
#include "app/config_rows.h"
#include "app/paths.h"
#include "http/listener.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "UNROLLD_"
#define MAX_URL 1024

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
	if (v->create_keys_file && !c->keys_file && !config_environment_keys())
		return error_set_param(err, ERROR_INVALID,
			"auth.create_keys_file",
			"auth.create_keys_file is set, but auth.keys_file "
			"names no file to make");
	if (!strcmp(config_store(c), "sqlite") &&
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
static const char *reachable(const char *address)
{
	if (!strcmp(address, "0.0.0.0"))
		return "127.0.0.1";
	return strcmp(address, "::") ? address : "::1";
}

int config_url(const struct config *c, char **url, struct error *err)
{
	const char *host = reachable(c->values->address);
	const char *scheme = c->values->tls_cert ? "https" : "http";
	unsigned char v6[16];
	struct buf out;
	int rc;

	buf_init(&out, MAX_URL);
	if (listener_unix_path(host))
		rc = buf_puts(&out, host);
	else if (!c->values->port)
		return error_set_param(err, ERROR_INVALID, "http.port",
			"http.port is 0, any free one: say where the daemon is "
			"with --url");
	else
		rc = buf_printf(&out,
			inet_pton(AF_INET6, host, v6) == 1 ? "%s://[%s]:%u"
							   : "%s://%s:%u",
			scheme, host, (unsigned)c->values->port);
	if (rc < 0) {
		buf_release(&out);
		return error_set_memory(err, "URL", MAX_URL);
	}
	*url = out.data;
	return 0;
}

const char *config_certificate(const struct config *c)
{
	return c->values->tls_cert;
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
