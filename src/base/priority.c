#include "base/priority.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LONG_TURN_NS 100000000 /* the longest there is */

/* sched_setattr(2), which glibc 2.36 has no wrapper for. */
struct attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

/* Of the calling thread, or -1: it is of another class, or they are not told.
 */
static int get(struct attributes *a)
{
	*a = (struct attributes){ .size = sizeof(*a) };
	if (syscall(SYS_sched_getattr, 0, a, sizeof(*a), 0) < 0 || a->policy)
		return -1;
	a->size = sizeof(*a);
	return 0;
}

static int set(const struct attributes *a)
{
	return (int)syscall(SYS_sched_setattr, 0, a, 0);
}

/* Whoever wakes goes before a batch's thread, and has a shorter turn: it gets
 * the core at once. */
void priority_lower(int nice)
{
	struct attributes a;

	if (get(&a) == 0) {
		a.policy = SCHED_BATCH;
		a.nice = nice;
		a.runtime = LONG_TURN_NS;
		if (set(&a) == 0)
			return;
	}
	setpriority(PRIO_PROCESS, 0, nice);
}

void priority_short_turns(uint64_t ns)
{
	struct attributes a;

	if (get(&a) < 0)
		return;
	a.runtime = ns;
	set(&a);
}
