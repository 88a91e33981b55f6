/* Other names for models, and where to find a model that is not loaded. */
#include "serve/registry_private.h"

#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool registry_name_is_good(const char *name)
{
	size_t len = strspn(name, REGISTRY_NAME_CHARACTERS);

	return len && len <= REGISTRY_NAME_MAX && !name[len];
}

/* --- aliases ---------------------------------------------------------- */

/* Under the lock: where it is, or would be. */
static size_t alias_position(
	const struct registry *r, const char *name, bool *found)
{
	size_t i = 0;

	while (i < r->n_aliases && strcmp(r->aliases[i].name, name) < 0)
		i++;
	*found = i < r->n_aliases && !strcmp(r->aliases[i].name, name);
	return i;
}

const char *registry_resolve(const struct registry *r, const char *name)
{
	bool found;
	size_t i;

	i = alias_position(r, *name ? name : REGISTRY_DEFAULT_ALIAS, &found);
	if (found)
		return r->aliases[i].model;
	return *name ? name : r->default_name;
}

const struct registry_alias *registry_alias_of(
	const struct registry *r, const char *model)
{
	for (size_t i = 0; i < r->n_aliases; i++)
		if (!strcmp(r->aliases[i].model, model))
			return &r->aliases[i];
	return NULL;
}

static int make_room(struct registry *r, struct error *err)
{
	struct registry_alias *more;

	if (r->n_aliases == REGISTRY_ALIASES)
		return error_set_param(err, ERROR_NO_SPACE, "alias",
			"there are %d aliases already; delete some",
			REGISTRY_ALIASES);
	more = realloc(r->aliases, (r->n_aliases + 1) * sizeof(*more));
	if (!more)
		return error_set_memory(err, "aliases", sizeof(*more));
	r->aliases = more;
	return 0;
}

int registry_set_alias(struct registry *r, const struct registry_alias *alias,
	struct error *err)
{
	int set = 0;
	bool found;
	size_t at;

	pthread_mutex_lock(&r->lock);
	at = alias_position(r, alias->name, &found);
	if (!found && !(set = make_room(r, err))) {
		memmove(r->aliases + at + 1, r->aliases + at,
			(r->n_aliases++ - at) * sizeof(*alias));
	}
	if (!set)
		r->aliases[at] = *alias;
	pthread_mutex_unlock(&r->lock);
	return set;
}

void registry_drop_alias(struct registry *r, const char *name)
{
	bool found;
	size_t at;

	pthread_mutex_lock(&r->lock);
	at = alias_position(r, name, &found);
	if (found)
		memmove(r->aliases + at, r->aliases + at + 1,
			(--r->n_aliases - at) * sizeof(*r->aliases));
	pthread_mutex_unlock(&r->lock);
}

int registry_find_alias(struct registry *r, const char *name,
	struct registry_alias *alias, struct error *err)
{
	bool found;
	size_t at;

	pthread_mutex_lock(&r->lock);
	at = alias_position(r, name, &found);
	if (found)
		*alias = r->aliases[at];
	pthread_mutex_unlock(&r->lock);
	if (found)
		return 0;
	return error_set_param(err, ERROR_NOT_FOUND, "alias",
		"there is no alias '%.*s'", REGISTRY_NAME_MAX, name);
}

int registry_list_aliases(struct registry *r, struct registry_alias **list,
	size_t *n, struct error *err)
{
	pthread_mutex_lock(&r->lock);
	*n = r->n_aliases;
	*list = malloc((*n + 1) * sizeof(**list));
	if (*list && *n)
		memcpy(*list, r->aliases, *n * sizeof(**list));
	pthread_mutex_unlock(&r->lock);
	if (!*list)
		return error_set_memory(err, "aliases", 1);
	return 0;
}

/* --- files of models that are not loaded ------------------------------ */

static size_t unloaded_position(const struct registry *r, const char *name)
{
	size_t i = 0;

	while (i < r->n_unloaded && strcmp(r->unloaded[i].name, name) != 0)
		i++;
	return i;
}

/* Without memory it is found in the directory, or not at all. */
void registry_note_unloaded(struct registry *r, const struct registry_entry *e)
{
	struct unloaded *more;
	char *path;

	if (unloaded_position(r, e->name) < r->n_unloaded)
		return;
	path = strdup(e->path);
	more = realloc(r->unloaded, (r->n_unloaded + 1) * sizeof(*more));
	if (more)
		r->unloaded = more;
	if (!more || !path) {
		free(path);
		return;
	}
	more[r->n_unloaded].path = path;
	strcpy(more[r->n_unloaded++].name, e->name);
}

void registry_forget_unloaded(struct registry *r, const char *name)
{
	size_t i = unloaded_position(r, name);

	if (i == r->n_unloaded)
		return;
	free(r->unloaded[i].path);
	r->unloaded[i] = r->unloaded[--r->n_unloaded];
}

void registry_release_names(struct registry *r)
{
	while (r->n_unloaded)
		registry_forget_unloaded(r, r->unloaded[0].name);
	free(r->unloaded);
	free(r->aliases);
	free(r->dir);
}

static char *path_in_directory(const struct registry *r, const char *name)
{
	struct stat st;
	char *path;

	if (!r->dir || strchr(name, '/') || *name == '.' ||
		asprintf(&path, "%s/%s.safetensors", r->dir, name) < 0)
		return NULL;
	if (!stat(path, &st) && S_ISREG(st.st_mode))
		return path;
	free(path);
	return NULL;
}

char *registry_path(struct registry *r, const char *name, struct error *err)
{
	struct registry_entry *e = registry_get_any(r, name, NULL);
	char *path = NULL;
	size_t i;

	if (e) {
		path = strdup(e->path);
		registry_unref(e);
		return path;
	}
	pthread_mutex_lock(&r->lock);
	i = unloaded_position(r, name);
	if (i < r->n_unloaded)
		path = strdup(r->unloaded[i].path);
	else
		path = path_in_directory(r, name);
	pthread_mutex_unlock(&r->lock);
	if (!path)
		error_set_param(err, ERROR_NOT_FOUND, "model",
			"there is no model '%.*s'", REGISTRY_NAME_MAX, name);
	return path;
}

bool registry_is_current(const struct registry_entry *e)
{
	struct stat loaded, now;

	return !fstat(counted_entry(e)->fd, &loaded) && !stat(e->path, &now) &&
	       loaded.st_dev == now.st_dev && loaded.st_ino == now.st_ino &&
	       loaded.st_size == now.st_size &&
	       loaded.st_mtim.tv_sec == now.st_mtim.tv_sec &&
	       loaded.st_mtim.tv_nsec == now.st_mtim.tv_nsec;
}

int registry_delete(struct registry *r, const char *name, struct error *err)
{
	char *path = registry_path(r, name, err);
	struct error why = { 0 };
	int deleted;

	if (!path)
		return -1;
	deleted = registry_unload(r, name, &why);
	if (deleted < 0 && why.code != ERROR_NOT_FOUND)
		*err = why;
	else if (unlink(path) < 0 && errno != ENOENT)
		deleted = error_set_errno(err, "%s: cannot delete", path);
	else
		deleted = file_sync_directory(path, err);
	if (!deleted) {
		pthread_mutex_lock(&r->lock);
		registry_forget_unloaded(r, name);
		pthread_mutex_unlock(&r->lock);
	}
	free(path);
	return deleted;
}
