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

/* The children inherit this process's test output format. */
static int isa_rerun(char **argv, const char *name)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		setenv("UNROLLD_KERNELS", name, 1);
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return 1;
	return status != 0;
}

static inline int each_isa(char **argv, int (*run)(void))
{
	const char *wanted = getenv("UNROLLD_KERNELS");
	int rc = 0;

	if (wanted && strcmp(isa_name(isa_chosen()), wanted) != 0) {
		printf("1..1\nok 1 - %s # SKIP the processor lacks it\n",
			wanted);
		return 0;
	}
	if (wanted)
		return run();
	for (int i = 0; i < ISA_COUNT; i++)
		rc |= isa_rerun(argv, isa_name((enum isa)i));
	return rc;
}

#endif
