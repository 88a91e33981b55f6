/*
 * Opens in order, closes reversed; all on the loop thread but `load` and
 * `reload`, which a worker runs and which touch nothing that the loop uses
 * before they are done.
 *
 *   LOADING -> SERVING [loaded];  LOADING or SERVING -> DRAINING [SIGTERM]
 *   DRAINING -> CANCELLING [the deadline];  both -> CLOSING [nothing at work]
 *
 * While its server lingers, DRAINING answers requests that come on connections
 * which were there before. A socket that was passed in accepts none until
 * SERVING: its clients wait where the former daemon left them.
 */
#include "app/lifecycle.h"
#include "app/backend.h"
#include "app/cmd.h"
#include "app/process.h"
#include "math/gemm.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define DRAIN_TICK_MS 10
/* timeout(1) and others signal the process and then its group: that is one
 * wish, not two. */
#define REPEAT_MS 500
/* For clients between two requests to hear that their connection ends. */
#define LINGER_MS 1000
#define CANCEL_MS 5000 /* for cancelled requests to end */

enum phase { LOADING, SERVING, DRAINING, CANCELLING, CLOSING };

struct daemon {
	const struct config *config;
	const struct lifecycle_arguments *arguments;
	uv_loop_t loop;
	uv_signal_t signals[3]; /* SIGTERM, SIGINT, SIGHUP */
	uv_timer_t drain, watchdog;
	struct api *api;
	struct server *server;
	struct backend backend;
	struct worker_job job; /* loads, then reloads */
	bool job_runs, job_again;
	struct error job_error;
	enum phase phase;
	uint64_t deadline; /* loop time, ms, as below */
	uint64_t deaf_until;
	int exit_code;
};

static const int signal_numbers[] = { SIGTERM, SIGINT, SIGHUP };

/* Only the loop's thread takes signals, and only while it has handlers for
 * them: one that comes as we end must not turn the end into a crash. */
static void mask_signals(int how)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < 3; i++)
		sigaddset(&set, signal_numbers[i]);
	pthread_sigmask(how, &set, NULL);
}

static void complain(const struct error *err)
{
	fprintf(stderr, "unrolld: %s\n", err->message);
}

/* --- closing ---------------------------------------------------------- */

static void on_api_closed(void *arg)
{
	(void)arg;
}

static void close_backend(struct daemon *d)
{
	backend_stop(&d->backend);
	/* The workers may wait for the store's writer, so it goes last. */
	api_close(d->api, on_api_closed, d);
	backend_close(&d->backend);
}

static void begin_close(struct daemon *d)
{
	d->phase = CLOSING;
	mask_signals(SIG_BLOCK);
	for (size_t i = 0; i < 3; i++)
		uv_close((uv_handle_t *)&d->signals[i], NULL);
	uv_close((uv_handle_t *)&d->drain, NULL);
	uv_close((uv_handle_t *)&d->watchdog, NULL);
	server_close(d->server, NULL, NULL);
	close_backend(d);
}

/* Its clients' connections are cut; what generates for them must end first. */
static void cut_connections(struct daemon *d)
{
	if (d->phase == CANCELLING)
		return;
	d->phase = CANCELLING;
	d->deadline = uv_now(&d->loop) + CANCEL_MS;
	api_cancel(d->api);
}

static bool jobs_at_work(const struct daemon *d)
{
	return d->backend.jobs && jobs_busy(d->backend.jobs);
}

static void on_drain(uv_timer_t *timer)
{
	struct daemon *d = timer->data;
	bool late = uv_now(&d->loop) >= d->deadline;

	if (server_lingers(d->server) && !late)
		return;
	api_refuse(d->api);
	if (!d->job_runs && !api_active(d->api) && !jobs_at_work(d) &&
		(!server_exchanges(d->server) ||
			(late && d->phase == CANCELLING))) {
		begin_close(d);
		return;
	}
	if (late && d->phase == DRAINING)
		cut_connections(d);
	else if (late && api_active(d->api)) {
		log_error("requests did not end in time");
		log_flush();
		_exit(CMD_FAILED);
	}
}

static void begin_drain(struct daemon *d)
{
	sd_notify(0, "STOPPING=1");
	log_info("draining", log_uint("active", api_active(d->api)),
		log_uint("timeout_ms", config_drain_ms(d->config)));
	d->deaf_until = uv_now(&d->loop) + REPEAT_MS;
	d->deadline = uv_now(&d->loop) + config_drain_ms(d->config);
	api_drain(d->api);
	server_drain(d->server, LINGER_MS);
	/* Until it serves the backend is its worker's. */
	if (d->phase == SERVING && d->backend.jobs)
		jobs_stop(d->backend.jobs);
	d->phase = DRAINING;
	uv_timer_start(&d->drain, on_drain, 0, DRAIN_TICK_MS);
}

/* --- loading ---------------------------------------------------------- */

static void run_load(struct worker_job *job)
{
	struct daemon *d =
		(struct daemon *)((char *)job - offsetof(struct daemon, job));

	d->job_error.code = ERROR_NONE;
	backend_open(&d->backend, d->config, api_wake, d->api, &d->job_error);
	worker_done(job);
}

static void announce(const struct daemon *d)
{
	const char *url = server_url(d->server);
	const char *local = !strncmp(url, "unix:", 5) ? url + 4 : NULL;
	char body[256];

	backend_example(&d->backend, body, sizeof(body));
	printf("unrolld %s serves %s\n\n"
	       "  curl -sS %s%s%s/sample -H 'Content-Type: application/json' "
	       "\\\n"
	       "%s    -d '%s'\n\n",
		UNROLLD_VERSION, url, local ? "--unix-socket " : "",
		local ? local + 1 : url, local ? " http://localhost" : "",
		api_asks_for_keys(d->api) ? "    -H \"Authorization: Bearer "
					    "$UNROLLD_API_KEY\" \\\n"
					  : "",
		body);
	fflush(stdout);
	log_info("listening", log_text("url", url),
		log_uint("models", registry_count(d->backend.registry)),
		log_text("kernels", kernels_name()),
		log_text("openblas_core", gemm_core()));
	sd_notifyf(0, "READY=1\nSTATUS=Serving %s", url);
}

static void start_jobs(struct daemon *d)
{
	struct error err;

	if (d->backend.jobs && jobs_start(d->backend.jobs, &d->loop, &err) < 0)
		log_error("fine-tuning jobs don't run", log_fault(&err));
}

static void loaded(struct worker_job *job)
{
	struct daemon *d =
		(struct daemon *)((char *)job - offsetof(struct daemon, job));

	d->job_runs = false;
	malloc_trim(0);
	if (d->job_error.code) {
		complain(&d->job_error);
		d->exit_code = CMD_FAILED;
		if (d->phase == LOADING)
			begin_drain(d);
		return;
	}
	if (d->phase != LOADING)
		return;
	d->phase = SERVING;
	start_jobs(d);
	api_serve(d->api, &(struct api_backend){
				  .engine = d->backend.engine,
				  .registry = d->backend.registry,
				  .sessions = d->backend.sessions,
				  .files = d->backend.files,
				  .aliases = d->backend.aliases,
				  .made_dir = d->backend.made_dir,
				  .jobs = d->backend.jobs,
				  .jobs_fault = &d->backend.jobs_fault,
				  .captions = d->backend.captions,
			  });
	server_resume(d->server);
	announce(d);
}

static int post(struct daemon *d, void (*run)(struct worker_job *),
	void (*done)(struct worker_job *), struct error *err)
{
	d->job.run = run;
	d->job.done = done;
	if (workers_post(api_workers(d->api), &d->job, err) < 0)
		return -1;
	d->job_runs = true;
	return 0;
}

/* --- signals ---------------------------------------------------------- */

static void run_reload(struct worker_job *job)
{
	struct daemon *d =
		(struct daemon *)((char *)job - offsetof(struct daemon, job));

	backend_reload(&d->backend, d->config);
	worker_done(job);
}

static void begin_reload(struct daemon *d);

static void reloaded(struct worker_job *job)
{
	struct daemon *d =
		(struct daemon *)((char *)job - offsetof(struct daemon, job));

	d->job_runs = false;
	malloc_trim(0);
	log_info("reloaded",
		log_uint("models", registry_count(d->backend.registry)));
	sd_notify(0, "READY=1");
	if (d->job_again && d->phase == SERVING)
		begin_reload(d);
}

/* Shown on standard output: a log is kept, and read by others. */
static int make_first_key(const struct daemon *d, struct error *err)
{
	const char *path = config_first_key(d->config);
	char key[AUTH_NEW_KEY];

	if (!path)
		return 0;
	if (auth_create(path, key, err) < 0)
		return error_prefix(err, "auth.create_keys_file");
	printf("unrolld made an API key, which is shown this once; %s holds "
	       "its hash:\n\n  export UNROLLD_API_KEY=%s\n\n",
		path, key);
	explicit_bzero(key, sizeof(key));
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	/* Nobody has it. */
	error_set_errno(err, "auth.create_keys_file: standard output");
	unlink(path);
	return -1;
}

static int load_keys(
	struct daemon *d, const struct config *c, struct error *err)
{
	struct auth_options o;
	struct auth *auth;

	config_auth(c, &o);
	if (auth_open(&auth, &o, err) < 0)
		return -1;
	api_set_auth(d->api, auth);
	return 0;
}

/* Whoever had to show a key must go on to: no reload opens the daemon. */
static void reload_keys(struct daemon *d, const struct config *fresh)
{
	struct auth_options o;
	struct error err;

	config_auth(fresh, &o);
	if (api_asks_for_keys(d->api) && !o.file && !o.text)
		log_warn("no keys are configured any more: those that there "
			 "were are kept");
	else if (load_keys(d, fresh, &err) < 0)
		log_warn("API keys are not read again", log_fault(&err));
}

static void reload_options(struct daemon *d)
{
	struct log_options o;
	struct config fresh;
	struct error err;

	if (server_reload_tls(d->server, &err) < 0)
		log_warn("the certificate is not read again", log_fault(&err));
	if (config_open(&fresh, d->arguments->argc, d->arguments->argv, &err) <
		0) {
		log_warn(
			"the configuration is not read again", log_fault(&err));
		return;
	}
	config_log(&fresh, &o);
	log_set_level(o.level);
	reload_keys(d, &fresh);
	config_release(&fresh);
}

static void begin_reload(struct daemon *d)
{
	struct error err;

	d->job_again = d->job_runs;
	if (d->job_runs)
		return;
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
		(unsigned long long)(uv_hrtime() / 1000));
	reload_options(d);
	if (post(d, run_reload, reloaded, &err) < 0)
		log_warn("models are not read again", log_fault(&err));
}

static void on_signal(uv_signal_t *handle, int signal_number)
{
	struct daemon *d = handle->data;

	if (signal_number == SIGHUP) {
		if (d->phase == SERVING)
			begin_reload(d);
		return;
	}
	if (d->phase >= DRAINING) {
		if (uv_now(&d->loop) < d->deaf_until)
			return;
		log_warn("ended by a second signal");
		log_flush();
		_exit(128 + signal_number);
	}
	begin_drain(d);
}

static void on_watchdog(uv_timer_t *timer)
{
	(void)timer;
	sd_notify(0, "WATCHDOG=1");
}

static void watch_signals(struct daemon *d)
{
	uint64_t usec;

	for (size_t i = 0; i < 3; i++) {
		uv_signal_init(&d->loop, &d->signals[i]);
		d->signals[i].data = d;
		uv_signal_start(&d->signals[i], on_signal, signal_numbers[i]);
	}
	mask_signals(SIG_UNBLOCK);
	uv_timer_init(&d->loop, &d->drain);
	uv_timer_init(&d->loop, &d->watchdog);
	d->drain.data = d;
	if (sd_watchdog_enabled(0, &usec) > 0)
		uv_timer_start(&d->watchdog, on_watchdog, 0, usec / 2000);
}

/* --- opening ---------------------------------------------------------- */

static int check_exposure(const struct daemon *d, struct error *err)
{
	if (server_is_loopback(d->server) || api_asks_for_keys(d->api) ||
		config_allow_anonymous(d->config))
		return 0;
	return error_set_param(err, ERROR_INVALID, "http.address",
		"http.address is one that can be reached from the network "
		"(%s), and nothing asks who comes; give API keys in "
		"auth.keys_file, listen on 127.0.0.1, or set "
		"auth.allow_anonymous",
		server_url(d->server));
}

static int open_server(struct daemon *d, struct error *err)
{
	struct server_options o;
	int inherited = sd_listen_fds(1);

	config_server(d->config, &o);
	process_fit_connections(&o);
	if (inherited > 1)
		return error_set(err, ERROR_INVALID,
			"%d sockets were passed, expected one", inherited);
	if (inherited == 1)
		o.listen_fd = SD_LISTEN_FDS_START;
	if (server_open(
		    &d->server, &d->loop, &o, &api_server_ops, d->api, err) < 0)
		return -1;
	if (inherited == 1)
		server_pause(d->server);
	api_set_server(d->api, d->server);
	return 0;
}

/* Whatever was begun here is ended by the loop, which runs in any case. */
static int start(struct daemon *d, struct error *err)
{
	struct api_options o;

	config_api(d->config, &o);
	if (api_open(&d->api, &d->loop, &o, err) < 0)
		return -1;
	if (open_server(d, err) < 0) {
		api_close(d->api, NULL, NULL);
		return -1;
	}
	if (make_first_key(d, err) < 0 || load_keys(d, d->config, err) < 0 ||
		check_exposure(d, err) < 0 ||
		post(d, run_load, loaded, err) < 0) {
		server_close(d->server, NULL, NULL);
		api_close(d->api, NULL, NULL);
		return -1;
	}
	watch_signals(d);
	return 0;
}

int lifecycle_run(
	const struct config *c, const struct lifecycle_arguments *arguments)
{
	struct daemon d = { .config = c, .arguments = arguments };
	struct log_options log;
	struct error err;

	process_prepare(c);
	mask_signals(SIG_BLOCK);
	config_log(c, &log);
	if (log_open(&log, &err) < 0) {
		complain(&err);
		return CMD_FAILED;
	}
	process_run_first(c);
	uv_loop_init(&d.loop);
	if (start(&d, &err) < 0) {
		complain(&err);
		d.exit_code = CMD_FAILED;
	}
	uv_run(&d.loop, UV_RUN_DEFAULT);
	uv_loop_close(&d.loop);
	log_info("stopped");
	log_close();
	return d.exit_code;
}
