#include "app/process.h"

#include "base/log.h"
#include "base/priority.h"

#include <errno.h>
#include <jansson.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define TURN_NS 400000 /* of the loop, where it has no real-time priority */
#define OTHER_FILES 64

static void prepare(void)
{
	struct rlimit files;

	signal(SIGPIPE, SIG_IGN);
	/* Of threads that allocate in bursts, each would keep an arena. */
	mallopt(M_ARENA_MAX, 2);
	json_object_seed(0);
	if (!getrlimit(RLIMIT_NOFILE, &files) &&
		files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

/* The uv pool is for jobs alone: those that train, and one that is looked
 * through. Before its first use, and before there are threads. */
static void size_pool(const struct config *c)
{
	char n[16];

	snprintf(n, sizeof(n), "%u", config_jobs_running(c) + 1);
	setenv("UV_THREADPOOL_SIZE", n, 1);
}

void process_prepare(const struct config *c)
{
	prepare();
	size_pool(c);
}

void process_fit_connections(struct server_options *o)
{
	struct rlimit files;
	rlim_t most;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	most = files.rlim_cur > 2 * OTHER_FILES ? files.rlim_cur - OTHER_FILES
						: files.rlim_cur / 2;
	if (o->max_connections <= most)
		return;
	log_warn("fewer connections than asked for: descriptors are limited",
		log_uint("http.max_connections", o->max_connections),
		log_uint("most", most));
	o->max_connections = (unsigned)most;
}

void process_run_first(const struct config *c)
{
	const struct sched_param first = {
		.sched_priority = sched_get_priority_min(SCHED_RR)
	};

	if (config_realtime(c) &&
		sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &first))
		log_info("no real-time priority for the loop: answers may wait "
			 "for a core",
			log_text("reason", strerror(errno)));
	priority_short_turns(TURN_NS);
}
