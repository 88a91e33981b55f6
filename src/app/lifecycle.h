/* The daemon from its first system call to its last. */
#ifndef APP_LIFECYCLE_H
#define APP_LIFECYCLE_H

#include "app/config.h"

/* How to read the configuration again, on SIGHUP. */
struct lifecycle_arguments {
	int argc;
	char **argv;
};

/* Serves until a signal ends it; returns the exit code. The caller keeps c. */
int lifecycle_run(
	const struct config *c, const struct lifecycle_arguments *arguments);

#endif
