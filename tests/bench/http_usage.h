/*
 * What the daemon and this program use of the processors, from /proc: the
 * share of a core that each took between two readings.
 */
#ifndef BENCH_HTTP_USAGE_H
#define BENCH_HTTP_USAGE_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Seconds of processor time; engines is a part of server, as
 * loop and jobs are. */
struct usage {
	double server, engines, loop, jobs, client;
};

/* User and system time of a /proc stat file, its name in *name. */
static double usage_of(const char *path, char name[32])
{
	unsigned long user = 0, sys = 0;
	FILE *f = fopen(path, "re");

	if (!f)
		return 0;
	if (fscanf(f,
		    "%*d (%31[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u"
		    " %lu %lu",
		    name, &user, &sys) != 3)
		user = sys = 0;
	fclose(f);
	return (double)(user + sys) / (double)sysconf(_SC_CLK_TCK);
}

static void usage_threads(struct usage *u, unsigned pid)
{
	char path[320], name[32];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%u/task", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)) != NULL) {
		double spent;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%u/task/%s/stat", pid,
			entry->d_name);
		spent = usage_of(path, name);
		u->engines += strcmp(name, "engine") ? 0 : spent;
		/* A job's own thread, and those that help it. */
		if (!strcmp(name, "job") || !strcmp(name, "unrolld-team"))
			u->jobs += spent;
		u->loop += strtoul(entry->d_name, NULL, 10) == pid ? spent : 0;
	}
	if (dir)
		closedir(dir);
}

static void usage_read(struct usage *u, unsigned pid)
{
	char path[64], name[32];
	struct rusage own;

	*u = (struct usage){ 0 };
	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	u->server = usage_of(path, name);
	usage_threads(u, pid);
	getrusage(RUSAGE_SELF, &own);
	u->client =
		(double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec) +
		(double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec) * 1e-6;
}

/* Fields of a JSON object: cores used, on average over the seconds. */
static void usage_print(
	const struct usage *from, const struct usage *to, double seconds)
{
	printf("\"server_cores\":%.2f,\"engine_cores\":%.2f,"
	       "\"loop_cores\":%.2f,\"job_cores\":%.2f,"
	       "\"client_cores\":%.2f",
		(to->server - from->server) / seconds,
		(to->engines - from->engines) / seconds,
		(to->loop - from->loop) / seconds,
		(to->jobs - from->jobs) / seconds,
		(to->client - from->client) / seconds);
}

/* Bytes of physical memory. */
static double usage_resident(unsigned pid)
{
	char path[64];
	unsigned long pages = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%u/statm", pid);
	f = fopen(path, "re");
	if (f && fscanf(f, "%*u %lu", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

#endif
