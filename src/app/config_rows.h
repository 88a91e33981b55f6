/* What config_rows.c tells config.c and config_parts.c: the options' storage
 * and their table. */
#ifndef APP_CONFIG_ROWS_H
#define APP_CONFIG_ROWS_H

#include "app/config.h"

struct config_values {
	char *config;
	bool help, print;
	char *address;
	uint64_t port, max_connections, max_per_address;
	uint64_t max_header, max_url, max_body, max_body_total;
	uint64_t max_length, max_prompt;
	uint64_t header_timeout, body_timeout, idle_timeout, write_timeout;
	uint64_t queue_timeout, run_timeout, heartbeat, drain_timeout;
	uint64_t workers, max_jobs;
	struct option_list cors_origins, hosts, model_weights;
	bool create_keys_file, allow_anonymous, realtime;
	char *models_dir, *models_default, *captions_model;
	uint64_t captions_threads, captions_nice, captions_queue;
	uint64_t captions_queue_per_client;
	int store, durability, weights;
	char *sessions_path;
	uint64_t sessions_max, sessions_max_bytes, sessions_max_per_owner;
	char *keys_file, *tls_cert, *tls_key;
	uint64_t requests_per_minute, tokens_per_minute, generations;
	uint64_t sessions_ttl, boundaries, resident, resident_bytes;
	uint64_t max_pending, idempotency_ttl;
	int when_full, on_corruption;
	uint64_t streams_ttl, stream_buffer, streams_buffer, max_detached;
	uint64_t threads, slots, batch, chunk, queue, queue_per_client;
	char *jobs_dir;
	uint64_t jobs_max_running, jobs_max, jobs_nice, jobs_checkpoints;
	uint64_t files_max_size, files_quota, files_quota_per_owner, files_max;
	int log_level, log_format;
};

extern const struct option config_rows[];
extern const size_t config_n_rows;

#endif
