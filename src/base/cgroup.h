/* Private to base: what the control group lets this process use. */
#ifndef BASE_CGROUP_H
#define BASE_CGROUP_H

/*
 * Cores' worth of CPU time per period, the least over this group and those
 * above it; 0 when there is no limit. `root` goes before /proc and /sys: ""
 * in life, a made tree in tests.
 */
double cgroup_cpu_quota(const char *root);

#endif
