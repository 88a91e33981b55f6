/*
 * Both hierarchies: v2 has `cpu.max` with "QUOTA PERIOD" or "max PERIOD", v1
 * has cpu.cfs_quota_us (-1 = none) and cpu.cfs_period_us. Inside a container
 * the path of /proc/self/cgroup may be the host's: a folder that isn't there
 * is passed over on the way up to the mount.
 */
#include "base/cgroup.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static double lesser(double a, double b)
{
	if (a <= 0)
		return b;
	return b > 0 && b < a ? b : a;
}

static int read_line(const char *dir, const char *name, char *line, int size)
{
	char path[PATH_MAX + 64];
	FILE *f;
	int ok;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >=
		(int)sizeof(path))
		return -1;
	f = fopen(path, "re");
	if (!f)
		return -1;
	ok = fgets(line, size, f) != NULL;
	fclose(f);
	return ok ? 0 : -1;
}

static double quota_v2(const char *dir)
{
	long long quota, period;
	char line[64];

	if (read_line(dir, "cpu.max", line, sizeof(line)) < 0 ||
		sscanf(line, "%lld %lld", &quota, &period) != 2 || period <= 0)
		return 0;
	return (double)quota / (double)period;
}

static double quota_v1(const char *dir)
{
	long long quota, period;
	char line[64];

	if (read_line(dir, "cpu.cfs_quota_us", line, sizeof(line)) < 0 ||
		sscanf(line, "%lld", &quota) != 1 || quota <= 0)
		return 0;
	if (read_line(dir, "cpu.cfs_period_us", line, sizeof(line)) < 0 ||
		sscanf(line, "%lld", &period) != 1 || period <= 0)
		return 0;
	return (double)quota / (double)period;
}

static double least_upwards(
	const char *mount, const char *path, double (*quota)(const char *dir))
{
	char dir[PATH_MAX];
	size_t top = strlen(mount);
	double least = 0;
	char *slash;

	if (snprintf(dir, sizeof(dir), "%s%s", mount, path) >= (int)sizeof(dir))
		return quota(mount);
	for (;;) {
		least = lesser(least, quota(dir));
		slash = strrchr(dir, '/');
		if (strlen(dir) <= top || !slash || (size_t)(slash - dir) < top)
			return least;
		*slash = '\0';
	}
}

/* A line of /proc/self/cgroup is ID:CONTROLLERS:PATH; v2 has 0 and none. */
static double line_quota(const char *root, char *line)
{
	char mount[PATH_MAX], *controllers, *path;

	line[strcspn(line, "\n")] = '\0';
	controllers = strchr(line, ':');
	path = controllers ? strchr(controllers + 1, ':') : NULL;
	if (!path)
		return 0;
	*controllers++ = '\0';
	*path++ = '\0';
	if (!*controllers) {
		snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup", root);
		return least_upwards(mount, path, quota_v2);
	}
	if (strcmp(controllers, "cpu") != 0 &&
		strncmp(controllers, "cpu,", 4) != 0 &&
		!strstr(controllers, ",cpu"))
		return 0;
	snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup/cpu", root);
	return least_upwards(mount, path, quota_v1);
}

double cgroup_cpu_quota(const char *root)
{
	char path[PATH_MAX], line[PATH_MAX];
	double least = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		least = lesser(least, line_quota(root, line));
	fclose(f);
	return least;
}
