/* Owners of the jobs in the table, each while it has some. */
#include "serve/jobs_private.h"

#include <stdlib.h>
#include <string.h>

/* Where the name is, or would be. */
static size_t position_of(const struct jobs *j, const char *name, bool *found)
{
	size_t low = 0, high = j->n_owners;

	*found = false;
	while (low < high && !*found) {
		size_t middle = (low + high) / 2;
		int order = strcmp(j->owners[middle]->name, name);

		*found = order == 0;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return high;
}

static struct job_owner *add(
	struct jobs *j, size_t at, const char *name, struct error *err)
{
	const size_t bytes = (j->n_owners + 1) * sizeof(struct job_owner *);
	struct job_owner *owner = calloc(1, sizeof(*owner));
	struct job_owner **more = realloc(j->owners, bytes);

	if (more)
		j->owners = more;
	if (!owner || !more) {
		free(owner);
		error_set_memory(err, "jobs", bytes);
		return NULL;
	}
	strcpy(owner->name, name);
	memmove(more + at + 1, more + at,
		(j->n_owners++ - at) * sizeof(struct job_owner *));
	more[at] = owner;
	return owner;
}

int jobs_owner_join(struct jobs *j, struct job_entry *e, struct error *err)
{
	bool found;
	size_t at = position_of(j, e->job.owner, &found);

	e->owner = found ? j->owners[at] : add(j, at, e->job.owner, err);
	if (!e->owner)
		return -1;
	e->owner->jobs++;
	return 0;
}

void jobs_owner_leave(struct jobs *j, struct job_entry *e)
{
	struct job_owner *owner = e->owner;
	bool found;
	size_t at;

	e->owner = NULL;
	if (--owner->jobs)
		return;
	at = position_of(j, owner->name, &found);
	memmove(j->owners + at, j->owners + at + 1,
		(--j->n_owners - at) * sizeof(struct job_owner *));
	free(owner);
}
