#include "base/team.h"

#include "base/cgroup.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>

#define MAX_CPUS (1 << 16)

/* Machines with more CPUs than cpu_set_t holds need a larger set. */
static unsigned affinity_cores(void)
{
	for (int cpus = 1024; cpus <= MAX_CPUS; cpus *= 2) {
		cpu_set_t *set = CPU_ALLOC(cpus);
		size_t size = CPU_ALLOC_SIZE(cpus);
		int n = 0, rc;

		if (!set)
			return 0;
		rc = sched_getaffinity(0, size, set);
		if (rc == 0)
			n = CPU_COUNT_S(size, set);
		CPU_FREE(set);
		if (rc == 0)
			return (unsigned)n;
		if (errno != EINVAL)
			return 0;
	}
	return 0;
}

unsigned team_default_size(void)
{
	unsigned cores = affinity_cores();
	double quota = cgroup_cpu_quota("");

	if (cores == 0) {
		long online = sysconf(_SC_NPROCESSORS_ONLN);

		cores = online > 0 ? (unsigned)online : 1;
	}
	/* Down: a member that the quota stops in a barrier stops them all. */
	if (quota > 0 && quota < cores)
		cores = quota < 1 ? 1 : (unsigned)quota;
	return cores;
}
