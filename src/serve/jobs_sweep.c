/* What a crash left over: directories of jobs that are no more or are over, and
 * files that were being written. Before anything runs. */
#include "serve/jobs_private.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_FDS 16

static int remove_one(
	const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	remove(path);
	return 0;
}

void jobs_remove_work(const struct jobs *j, const char *id)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", j->work, id);
	nftw(path, remove_one, MAX_FDS, FTW_DEPTH | FTW_PHYS);
}

static bool is_wanted(const struct jobs *j, const char *id)
{
	for (size_t i = 0; i < j->n; i++)
		if (!strcmp(j->entries[i]->job.id, id))
			return !job_is_over(&j->entries[i]->job);
	return false;
}

static bool is_temporary(const char *name)
{
	const size_t len = strlen(name);

	return name[0] == '.' && len > 4 && !strcmp(name + len - 4, ".tmp");
}

static void remove_temporary(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	char path[PATH_MAX];

	while (d && (entry = readdir(d)))
		if (is_temporary(entry->d_name) &&
			snprintf(path, sizeof(path), "%s/%s", dir,
				entry->d_name) < (int)sizeof(path))
			unlink(path);
	if (d)
		closedir(d);
}

void jobs_sweep(struct jobs *j)
{
	DIR *d = opendir(j->work);
	struct dirent *entry;
	char path[PATH_MAX];

	while (d && (entry = readdir(d))) {
		if (entry->d_name[0] == '.')
			continue;
		if (!is_wanted(j, entry->d_name))
			jobs_remove_work(j, entry->d_name);
		else if (snprintf(path, sizeof(path), "%s/%s", j->work,
				 entry->d_name) < (int)sizeof(path))
			remove_temporary(path);
	}
	if (d)
		closedir(d);
	remove_temporary(j->models);
}
