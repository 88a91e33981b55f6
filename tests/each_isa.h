/* Runs a program's tests once for every instruction set: the choice is made
 * once in a process, so that each set gets a process of its own. */
#ifndef TESTS_EACH_ISA_H
#define TESTS_EACH_ISA_H

#include "math/isa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static inline int isa_run(const char *name, int (*run)(void))
{
	setenv("UNROLLD_KERNELS", name, 1);
	if (strcmp(isa_name(isa_chosen()), name) == 0)
		return run();
	printf("1..1\nok 1 - %s # SKIP the processor lacks it\n", name);
	return 0;
}

/* The children inherit this process's test output format. */
static inline int each_isa(int (*run)(void))
{
	const char *wanted = getenv("UNROLLD_KERNELS");
	int rc = 0;

	if (wanted)
		return isa_run(wanted, run);
	for (int i = 0; i < ISA_COUNT; i++) {
		int status = -1;
		pid_t pid = fork();

		if (pid == 0)
			exit(isa_run(isa_name((enum isa)i), run));
		if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
			rc = 1;
	}
	return rc;
}

#endif
