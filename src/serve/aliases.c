/* One lock orders changes: what the store says last is what the registry does.
 */
#include "serve/aliases.h"
#include "base/log.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "alias/"
#define KEY_MAX (sizeof(PREFIX) + REGISTRY_NAME_MAX)

struct aliases {
	struct store_shared *store;
	struct registry *registry;
	pthread_mutex_t lock;
};

static int read_record(struct registry_alias *alias, const char *key,
	const void *value, size_t len)
{
	json_t *json = json_loadb(value, len, 0, NULL);
	const char *model;
	json_int_t moved;
	int read = -1;

	if (json &&
		!json_unpack(
			json, "{s:s, s:I}", "model", &model, "moved", &moved) &&
		snprintf(alias->name, sizeof(alias->name), "%s",
			key + sizeof(PREFIX) - 1) < (int)sizeof(alias->name) &&
		snprintf(alias->model, sizeof(alias->model), "%s", model) <
			(int)sizeof(alias->model)) {
		alias->moved = moved;
		read = 0;
	}
	json_decref(json);
	return read;
}

static int on_record(void *arg, const char *key, const void *value, size_t len,
	int64_t expires)
{
	struct aliases *a = arg;
	struct registry_alias alias;
	struct error err = { 0 };

	(void)expires;
	if (read_record(&alias, key, value, len) < 0)
		error_set(&err, ERROR_CORRUPT, "%s: its record can't be read",
			key);
	else
		registry_set_alias(a->registry, &alias, &err);
	if (err.code)
		log_warn("an alias is left out", log_fault(&err));
	return 0;
}

int aliases_open(struct aliases **out, struct store_shared *store,
	struct registry *registry, struct error *err)
{
	struct aliases *a = calloc(1, sizeof(*a));

	*out = NULL;
	if (!a)
		return error_set_memory(err, "aliases", sizeof(*a));
	a->store = store;
	a->registry = registry;
	pthread_mutex_init(&a->lock, NULL);
	if (store_shared_list(store, PREFIX, "", SIZE_MAX, on_record, a, err) <
		0) {
		aliases_close(a);
		return -1;
	}
	*out = a;
	return 0;
}

void aliases_close(struct aliases *a)
{
	if (!a)
		return;
	pthread_mutex_destroy(&a->lock);
	free(a);
}

static int store(struct aliases *a, const struct registry_alias *alias,
	struct error *err)
{
	json_t *json = json_pack("{s:s, s:I}", "model", alias->model, "moved",
		(json_int_t)alias->moved);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	char key[KEY_MAX];
	int put;

	json_decref(json);
	if (!text)
		return error_set_memory(err, "alias", 1);
	snprintf(key, sizeof(key), PREFIX "%s", alias->name);
	put = store_shared_put(a->store, key, text, strlen(text), err);
	free(text);
	return put;
}

static int check(struct aliases *a, const char *name, const char *model,
	struct registry_alias *alias, struct error *err)
{
	struct registry_entry *target, *same;
	struct registry_alias old;

	if (!registry_name_is_good(name))
		return error_set_param(err, ERROR_INVALID, "alias",
			"alias is '%.*s', expected 1 to %d of A-Z a-z 0-9 "
			". _ : -",
			REGISTRY_NAME_MAX, name, REGISTRY_NAME_MAX);
	target = strcmp(name, REGISTRY_DEFAULT_ALIAS)
			 ? registry_get_any(a->registry, model, err)
			 : registry_get(a->registry, model, err);
	if (!target)
		return -1;
	*alias = (struct registry_alias){ .moved = store_now() };
	snprintf(alias->name, sizeof(alias->name), "%s", name);
	snprintf(alias->model, sizeof(alias->model), "%s", target->name);
	registry_unref(target);
	if (!registry_find_alias(a->registry, name, &old, NULL))
		return 0;
	same = registry_get_any(a->registry, name, NULL);
	registry_unref(same);
	if (same)
		return error_set_param(err, ERROR_CONFLICT, "alias",
			"a model is called '%s': an alias needs another name",
			name);
	return 0;
}

static int forget(struct aliases *a, const char *name, struct error *err)
{
	char key[KEY_MAX];

	snprintf(key, sizeof(key), PREFIX "%s", name);
	return store_shared_delete(a->store, key, err);
}

/* What the registry has no room for must not come back later. */
static int take(struct aliases *a, const struct registry_alias *alias,
	struct error *err)
{
	if (!registry_set_alias(a->registry, alias, err))
		return 0;
	forget(a, alias->name, NULL);
	return -1;
}

int aliases_put(struct aliases *a, const char *name, const char *model,
	struct registry_alias *alias, struct error *err)
{
	int put;

	pthread_mutex_lock(&a->lock);
	put = check(a, name, model, alias, err);
	if (!put)
		put = store(a, alias, err);
	if (!put)
		put = take(a, alias, err);
	pthread_mutex_unlock(&a->lock);
	if (!put)
		log_info("alias moved", log_text("alias", alias->name),
			log_text("model", alias->model));
	return put;
}

int aliases_delete(struct aliases *a, const char *name, struct error *err)
{
	struct registry_alias alias;
	int deleted;

	pthread_mutex_lock(&a->lock);
	deleted = registry_find_alias(a->registry, name, &alias, err);
	if (!deleted)
		deleted = forget(a, alias.name, err);
	if (!deleted)
		registry_drop_alias(a->registry, name);
	pthread_mutex_unlock(&a->lock);
	return deleted;
}
