/* What registry.c (names), registry_file.c (a file that is loaded) and
 * registry_versions.c (replaced models) share. */
#ifndef SERVE_REGISTRY_PRIVATE_H
#define SERVE_REGISTRY_PRIVATE_H

#include "serve/registry.h"

#include <pthread.h>
#include <stdatomic.h>

struct counted_entry {
	struct registry_entry entry;
	atomic_uint refs;
	atomic_bool retired;
	int fd; /* its file, whatever its path leads to by now; or -1 */
};

/* What a pinned session may yet ask for: a file, not its memory. */
struct version {
	uint64_t fingerprint;
	char name[REGISTRY_NAME_MAX + 1];
	int fd;
	struct registry_entry *entry; /* a reference, or NULL */
};

/* What was loaded once, and can be again. */
struct unloaded {
	char name[REGISTRY_NAME_MAX + 1];
	char *path; /* owned */
};

struct registry {
	pthread_mutex_t lock;
	struct registry_entry **entries; /* [n] sorted by name */
	size_t n;
	char default_name[REGISTRY_NAME_MAX + 1];   /* "" = the first */
	char captioner_name[REGISTRY_NAME_MAX + 1]; /* likewise */
	unsigned captioner_threads;
	int captioner_nice;
	int weights;
	struct registry_weights *own_weights; /* [n_own_weights] owned */
	size_t n_own_weights;
	struct version versions[REGISTRY_VERSIONS]; /* [n_versions] oldest
						     * first */
	size_t n_versions;
	char *dir;			/* owned, or NULL */
	struct registry_alias *aliases; /* [n_aliases] owned, sorted by name */
	size_t n_aliases;
	struct unloaded *unloaded; /* [n_unloaded] owned */
	size_t n_unloaded;
	pthread_mutex_t reviving; /* one file at a time is read again */
};

static inline struct counted_entry *counted_entry(
	const struct registry_entry *e)
{
	return (struct counted_entry *)e;
}

/* Reads `path`, on which c->fd is open or was a moment ago. */
int registry_load_file(const struct registry *r, struct counted_entry *c,
	const char *path, struct error *err);

/* Under the lock: keep the file of what is replaced or unloaded. */
void registry_keep_version(struct registry *r, struct registry_entry *e);
void registry_forget_versions(struct registry *r);

/* registry_aliases.c; all under the lock. The name of a model ("" = the first)
 * that a name, an alias or "" means. */
const char *registry_resolve(const struct registry *r, const char *name);
/* One that leads to the model, or NULL. */
const struct registry_alias *registry_alias_of(
	const struct registry *r, const char *model);
void registry_note_unloaded(struct registry *r, const struct registry_entry *e);
void registry_forget_unloaded(struct registry *r, const char *name);
void registry_release_names(struct registry *r);

#endif
