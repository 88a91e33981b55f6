/*
 * The registry's aliases, kept in a store ("alias/NAME") so that they outlive
 * the process. An alias has moved when its record is safe. Any thread; waits
 * for the disk.
 */
#ifndef SERVE_ALIASES_H
#define SERVE_ALIASES_H

#include "serve/registry.h"
#include "store/shared.h"

struct aliases;

/* Gives those that are stored to the registry. Both are borrowed. */
int aliases_open(struct aliases **a, struct store_shared *store,
	struct registry *registry, struct error *err);
void aliases_close(struct aliases *a); /* NULL is fine */

/* Make it, or move it. ERROR_INVALID: no good name; ERROR_NOT_FOUND (`model`):
 * no such model is loaded; ERROR_CONFLICT (`alias`): a model is called so. The
 * target may be an alias: then what that leads to now. */
int aliases_put(struct aliases *a, const char *name, const char *model,
	struct registry_alias *alias, struct error *err);
/* ERROR_NOT_FOUND with param `alias`. */
int aliases_delete(struct aliases *a, const char *name, struct error *err);

#endif
