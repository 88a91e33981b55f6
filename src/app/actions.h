/* Commands of several actions: `unrolld sessions list`. */
#ifndef APP_ACTIONS_H
#define APP_ACTIONS_H

#include <stddef.h>

struct action {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
};

/* argv[1] names the action; `about` is what --help says above their list. The
 * exit code is the action's. */
int actions_run(const char *command, const char *about,
	const struct action *actions, size_t n, int argc, char **argv);

#endif
