/* Models that were replaced or unloaded, for sessions that are pinned to them:
 * their files stay open, and are read again when one is asked for. */
#include "serve/registry_private.h"

#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void forget_version(struct registry *r, size_t i)
{
	struct version *v = &r->versions[i];

	close(v->fd);
	registry_unref(v->entry);
	memmove(v, v + 1, (--r->n_versions - i) * sizeof(*v));
}

void registry_keep_version(struct registry *r, struct registry_entry *e)
{
	struct version v = { .fingerprint = e->fingerprint };

	/* No session is pinned to a captioner. */
	if (!e->model)
		return;
	for (size_t i = 0; i < r->n; i++)
		if (r->entries[i]->fingerprint == e->fingerprint)
			return;
	for (size_t i = 0; i < r->n_versions; i++)
		if (r->versions[i].fingerprint == e->fingerprint)
			return;
	v.fd = fcntl(counted_entry(e)->fd, F_DUPFD_CLOEXEC, 0);
	if (v.fd < 0)
		return;
	if (r->n_versions == REGISTRY_VERSIONS)
		forget_version(r, 0);
	strcpy(v.name, e->name);
	r->versions[r->n_versions++] = v;
}

void registry_forget_versions(struct registry *r)
{
	while (r->n_versions)
		forget_version(r, r->n_versions - 1);
}

void registry_forget(struct registry *r, const char *name)
{
	pthread_mutex_lock(&r->lock);
	for (size_t i = r->n_versions; i-- > 0;)
		if (!strcmp(r->versions[i].name, name))
			forget_version(r, i);
	registry_forget_unloaded(r, name);
	pthread_mutex_unlock(&r->lock);
}

/* Under the lock: a reference to what has it in memory, or NULL; *version is
 * the kept one's place, or n_versions. */
static struct registry_entry *find_loaded(
	struct registry *r, uint64_t fingerprint, size_t *version)
{
	size_t i;

	*version = r->n_versions;
	for (i = 0; i < r->n; i++)
		if (r->entries[i]->model &&
			r->entries[i]->fingerprint == fingerprint)
			return registry_ref(r->entries[i]);
	for (i = 0; i < r->n_versions; i++)
		if (r->versions[i].fingerprint == fingerprint)
			break;
	*version = i;
	if (i == r->n_versions || !r->versions[i].entry)
		return NULL;
	return registry_ref(r->versions[i].entry);
}

/* Of what was read again one stays in memory: the last. */
static void remember(struct registry *r, struct registry_entry *e)
{
	for (size_t i = 0; i < r->n_versions; i++) {
		struct version *v = &r->versions[i];

		registry_unref(v->entry);
		v->entry = v->fingerprint == e->fingerprint ? registry_ref(e)
							    : NULL;
	}
}

static struct registry_entry *revive(
	struct registry *r, const struct version *v, struct error *err)
{
	struct counted_entry *c = calloc(1, sizeof(*c));
	char path[32];

	if (!c) {
		error_set_memory(err, "model", sizeof(*c));
		close(v->fd);
		return NULL;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", v->fd);
	atomic_init(&c->refs, 1);
	atomic_init(&c->retired, true); /* engines let go of it when idle */
	c->fd = v->fd;
	strcpy(c->entry.name, v->name);
	c->entry.path = strdup(v->name);
	if (!c->entry.path)
		error_set_memory(err, "model", strlen(v->name));
	else if (!registry_load_file(r, c, path, err) &&
		 c->entry.fingerprint == v->fingerprint)
		return &c->entry;
	registry_unref(&c->entry);
	return NULL;
}

struct registry_entry *registry_find(struct registry *r, const char *name,
	uint64_t fingerprint, struct error *err)
{
	struct version v = { .fd = -1 };
	struct registry_entry *e;
	size_t at;

	pthread_mutex_lock(&r->reviving);
	pthread_mutex_lock(&r->lock);
	e = find_loaded(r, fingerprint, &at);
	if (!e && at < r->n_versions) {
		v = r->versions[at];
		v.fd = fcntl(v.fd, F_DUPFD_CLOEXEC, 0);
	}
	pthread_mutex_unlock(&r->lock);
	if (v.fd >= 0 && (e = revive(r, &v, NULL)) != NULL) {
		log_info("an old version is loaded again",
			log_text("model", e->name),
			log_text("fingerprint", e->system_fingerprint));
		pthread_mutex_lock(&r->lock);
		remember(r, e);
		pthread_mutex_unlock(&r->lock);
	}
	pthread_mutex_unlock(&r->reviving);
	if (!e)
		error_set_param(err, ERROR_NOT_FOUND, "model",
			"model '%.*s' %016llx is not loaded, nor is its file"
			" there",
			REGISTRY_NAME_MAX, name,
			(unsigned long long)fingerprint);
	return e;
}
