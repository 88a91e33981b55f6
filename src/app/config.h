/*
 * All that `unrolld serve` can be told, from file, environment and flags: the
 * one place that knows their names. What a feature gets is its own struct.
 */
#ifndef APP_CONFIG_H
#define APP_CONFIG_H

#include "base/error.h"
#include "base/log.h"
#include "base/options.h"
#include "http/api.h"
#include "http/server.h"
#include "serve/engine.h"
#include "serve/files.h"
#include "serve/jobs.h"
#include "serve/session.h"

#define CONFIG_FILE "/etc/unrolld/unrolld.conf"
#define CONFIG_KEYS "UNROLLD_API_KEYS" /* in the environment: no option */

struct config_values; /* what the option table fills */

struct config {
	struct options options;
	struct config_values *values; /* owned */
	char *models_dir;    /* owned; a directory or one file; or NULL */
	char *sessions_path; /* owned; NULL for the memory store */
	char *jobs_dir;	     /* owned; NULL when there is no place for it */
	char *keys_file;     /* owned; or NULL */
	struct registry_weights *model_weights; /* owned; of models.weights */
	bool help, print; /* what was asked for instead of serving */
};

/* Reads argv[0..argc) of `serve`, the environment and the file. Errors name
 * where the wrong value stands. */
int config_open(struct config *c, int argc, char **argv, struct error *err);
/* The same, but only read: nothing is looked for or made on disk, and paths
 * stay NULL. */
int config_read(struct config *c, int argc, char **argv, struct error *err);
void config_release(struct config *c);

/* How a daemon with these options is reached from its own machine; the
 * caller's to free. */
int config_url(const struct config *c, char **url, struct error *err);
/* The file of its certificate, borrowed; NULL: it speaks no TLS. */
const char *config_certificate(const struct config *c);

int config_print_help(const struct config *c, struct buf *out);
int config_print_file(const struct config *c, struct buf *out);

/* The modules' options; texts are borrowed from c. */
void config_log(const struct config *c, struct log_options *o);
void config_server(const struct config *c, struct server_options *o);
void config_api(const struct config *c, struct api_options *o);
void config_engine(const struct config *c, struct engine_options *o);
/* Weight types and the default model; where they lie is models_dir. */
void config_models(const struct config *c, struct registry_options *o);
void config_sessions(const struct config *c, struct sessions_options *o);
void config_captions(const struct config *c, struct caption_queue_options *o);
const char *config_store(const struct config *c); /* "memory", "sqlite" */
void config_store_options(const struct config *c, struct store_options *o);
void config_store_writer(
	const struct config *c, struct store_writer_options *o);
/* Their directory and store are the caller's to set. */
void config_files(const struct config *c, struct files_options *o);
/* What they stand on is the caller's to set. */
void config_jobs(const struct config *c, struct jobs_options *o);
/* The option; at least 1. */
unsigned config_jobs_running(const struct config *c);
uint64_t config_drain_ms(const struct config *c);
bool config_realtime(const struct config *c);
/* Keys from the environment, or NULL. */
const char *config_environment_keys(void);
/* The file of keys that is to be made first, or NULL. */
const char *config_first_key(const struct config *c);
void config_auth(const struct config *c, struct auth_options *o);
bool config_allow_anonymous(const struct config *c);

#endif
