/* `unrolld jobs`: what its actions share. */
#ifndef APP_JOBS_COMMANDS_H
#define APP_JOBS_COMMANDS_H

#include "app/remote.h"

#define JOBS "/v1/fine_tuning/jobs"

/* Follow a job's events on standard output until it is over, over any number of
 * the daemon's restarts. -1 also when it does not succeed. */
int jobs_follow(
	const struct remote_values *v, const char *id, struct error *err);

int jobs_create_command(int argc, char **argv); /* as in app/cmd.h */

#endif
