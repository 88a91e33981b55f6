/*
 * Entries are kept sorted by name under a mutex that is never held while a file
 * is read. Any thread may call; an entry lives until its last reference goes.
 */
#include "serve/registry_private.h"

#include "base/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SUFFIX ".safetensors"
#define TRAIN_SUFFIX ".train.safetensors"

struct registry_entry *registry_ref(struct registry_entry *e)
{
	atomic_fetch_add(&counted_entry(e)->refs, 1);
	return e;
}

void registry_unref(struct registry_entry *e)
{
	if (!e || atomic_fetch_sub(&counted_entry(e)->refs, 1) != 1)
		return;
	if (e->model)
		model_unref(e->model);
	if (e->tokenizer)
		tokenizer_unref(e->tokenizer);
	caption_model_close(e->captioner);
	if (counted_entry(e)->fd >= 0)
		close(counted_entry(e)->fd);
	free(e->training);
	free(e->path);
	free(e);
}

bool registry_retired(const struct registry_entry *e)
{
	return atomic_load(&counted_entry(e)->retired);
}

/* The name that a path gives: its file's stem. */
static int name_of(
	const char *path, char name[REGISTRY_NAME_MAX + 1], struct error *err)
{
	const char *base = strrchr(path, '/');
	size_t len, suffix = strlen(SUFFIX);

	base = base ? base + 1 : path;
	len = strlen(base);
	if (len > suffix && !strcmp(base + len - suffix, SUFFIX))
		len -= suffix;
	if (!len || len > REGISTRY_NAME_MAX ||
		strspn(base, REGISTRY_NAME_CHARACTERS) < len)
		return error_set_param(err, ERROR_INVALID, "model",
			"model %s: its name must be 1 to %d of A-Z a-z 0-9"
			" . _ : -",
			path, REGISTRY_NAME_MAX);
	snprintf(name, REGISTRY_NAME_MAX + 1, "%.*s", (int)len, base);
	return 0;
}

static struct registry_entry *load(
	const struct registry *r, const char *path, struct error *err)
{
	struct counted_entry *c = calloc(1, sizeof(*c));
	int result = -1;

	if (!c) {
		error_set_memory(err, "model", sizeof(*c));
		return NULL;
	}
	atomic_init(&c->refs, 1);
	c->fd = -1;
	c->entry.path = strdup(path);
	if (!c->entry.path) {
		error_set_memory(err, "model", strlen(path));
		goto out;
	}
	if (name_of(path, c->entry.name, err) < 0)
		goto out;
	c->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (c->fd < 0) {
		error_set_errno(err, "model %s: cannot read", path);
		goto out;
	}
	result = registry_load_file(r, c, path, err);
out:
	if (!result)
		return &c->entry;
	registry_unref(&c->entry);
	return NULL;
}

/* Under the lock: where the name is, or would be. */
static size_t position_of(
	const struct registry *r, const char *name, bool *found)
{
	size_t i = 0;

	while (i < r->n && strcmp(r->entries[i]->name, name) < 0)
		i++;
	*found = i < r->n && !strcmp(r->entries[i]->name, name);
	return i;
}

static void retire(struct registry_entry *e)
{
	atomic_store(&counted_entry(e)->retired, true);
	registry_unref(e);
}

/* Takes over the reference. */
static int publish(
	struct registry *r, struct registry_entry *e, struct error *err)
{
	struct registry_entry **entries, *old = NULL;
	bool found;
	size_t at;

	pthread_mutex_lock(&r->lock);
	entries = realloc(
		r->entries, (r->n + 1) * sizeof(struct registry_entry *));
	if (!entries) {
		pthread_mutex_unlock(&r->lock);
		registry_unref(e);
		return error_set_memory(err, "models",
			(r->n + 1) * sizeof(struct registry_entry *));
	}
	r->entries = entries;
	at = position_of(r, e->name, &found);
	if (found) {
		old = entries[at];
	} else {
		memmove(entries + at + 1, entries + at,
			(r->n - at) * sizeof(struct registry_entry *));
		r->n++;
	}
	entries[at] = e;
	if (old)
		registry_keep_version(r, old);
	registry_forget_unloaded(r, e->name);
	pthread_mutex_unlock(&r->lock);
	if (old)
		retire(old);
	return 0;
}

int registry_load(struct registry *r, const char *path, struct error *err)
{
	struct registry_entry *e = load(r, path, err);

	if (!e)
		return -1;
	log_info("model loaded", log_text("model", e->name),
		log_text("path", path),
		log_text("kind", e->captioner ? "captioner" : "text"),
		log_text("tokenizer", tokenizer_kind(e->tokenizer)),
		log_uint("bytes", e->bytes),
		log_text("fingerprint", e->system_fingerprint));
	return publish(r, e, err);
}

static bool ends_with(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	return n > m && !strcmp(name + n - m, suffix);
}

static int is_model(const struct dirent *d)
{
	return d->d_name[0] != '.' && ends_with(d->d_name, SUFFIX) &&
	       !ends_with(d->d_name, TRAIN_SUFFIX);
}

static void try_load(struct registry *r, const char *path)
{
	struct error err = { 0 };

	if (registry_load(r, path, &err) < 0)
		log_warn("model left out", log_text("path", path),
			log_fault(&err));
}

static int load_directory(
	struct registry *r, const char *dir, struct error *err)
{
	struct dirent **names;
	char path[4096];
	int n = scandir(dir, &names, is_model, alphasort);

	if (n < 0)
		return error_set_errno(
			err, "directory of models %s: cannot read", dir);
	for (int i = 0; i < n; i++) {
		if (snprintf(path, sizeof(path), "%s/%s", dir,
			    names[i]->d_name) < (int)sizeof(path))
			try_load(r, path);
		free(names[i]);
	}
	free(names);
	return 0;
}

static int set_default(struct registry *r, const char *name, struct error *err)
{
	struct registry_entry *e = NULL;

	if (!name || !*name)
		return 0;
	e = registry_get(r, name, err);
	if (!e) {
		if (err)
			snprintf(err->param, sizeof(err->param),
				"models.default");
		return error_prefix(err, "models.default");
	}
	snprintf(r->default_name, sizeof(r->default_name), "%s", name);
	registry_unref(e);
	return 0;
}

static bool is_path(const char *name)
{
	return strchr(name, '/') || ends_with(name, SUFFIX);
}

/* Its own file is asked for by name: it must be there, and a captioner. */
static int set_captioner(
	struct registry *r, const char *name, struct error *err)
{
	char stem[REGISTRY_NAME_MAX + 1];
	struct registry_entry *e = NULL;

	if (!name || !*name)
		return 0;
	if (is_path(name)) {
		if (name_of(name, stem, err) < 0 ||
			registry_load(r, name, err) < 0)
			return error_prefix(err, "captions.model");
		name = stem;
	}
	e = registry_get_captioner(r, name, err);
	if (!e)
		return error_prefix(err, "captions.model");
	snprintf(r->captioner_name, sizeof(r->captioner_name), "%s", name);
	registry_unref(e);
	return 0;
}

static int copy_weights(
	struct registry *r, const struct registry_options *o, struct error *err)
{
	const size_t bytes = o->n_own_weights * sizeof(*r->own_weights);

	if (!bytes)
		return 0;
	r->own_weights = malloc(bytes);
	if (!r->own_weights)
		return error_set_memory(err, "models' weights", bytes);
	memcpy(r->own_weights, o->own_weights, bytes);
	r->n_own_weights = o->n_own_weights;
	return 0;
}

int registry_open(struct registry **registry, const struct registry_options *o,
	struct error *err)
{
	struct registry *r = calloc(1, sizeof(*r));

	if (!r)
		return error_set_memory(err, "models", sizeof(*r));
	pthread_mutex_init(&r->lock, NULL);
	pthread_mutex_init(&r->reviving, NULL);
	r->weights = o->weights;
	r->captioner_threads = o->captioner_threads;
	r->captioner_nice = o->captioner_nice;
	if (o->dir && !(r->dir = strdup(o->dir))) {
		error_set_memory(err, "models.dir", strlen(o->dir));
		goto fail;
	}
	if (copy_weights(r, o, err) < 0)
		goto fail;
	if (o->made_dir && access(o->made_dir, F_OK) == 0 &&
		load_directory(r, o->made_dir, err) < 0)
		goto fail;
	if (o->dir && load_directory(r, o->dir, err) < 0)
		goto fail;
	for (size_t i = 0; i < o->n_paths; i++)
		if (registry_load(r, o->paths[i], err) < 0)
			goto fail;
	if (set_default(r, o->default_name, err) < 0 ||
		set_captioner(r, o->captioner, err) < 0)
		goto fail;
	*registry = r;
	return 0;
fail:
	registry_close(r);
	return -1;
}

void registry_close(struct registry *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++)
		retire(r->entries[i]);
	registry_forget_versions(r);
	registry_release_names(r);
	free(r->entries);
	free(r->own_weights);
	pthread_mutex_destroy(&r->reviving);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

enum kind { TEXT, CAPTIONER, ANY };

static const char *const kinds[] = {
	[TEXT] = "text model", [CAPTIONER] = "captioner", [ANY] = "model"
};

static enum kind kind_of(const struct registry_entry *e)
{
	return e->captioner ? CAPTIONER : TEXT;
}

static void not_loaded(
	const char *name, const char *model, enum kind kind, struct error *err)
{
	if (!*model)
		error_set_param(err, ERROR_NOT_FOUND, "model",
			"no %s is loaded", kinds[kind]);
	else if (!*name || !strcmp(name, model))
		error_set_param(err, ERROR_NOT_FOUND, "model",
			"model '%.*s' is not loaded", REGISTRY_NAME_MAX, model);
	else
		error_set_param(err, ERROR_NOT_FOUND, "model",
			"model '%.*s', which the alias '%.*s' leads to, is not "
			"loaded",
			REGISTRY_NAME_MAX, model, REGISTRY_NAME_MAX, name);
}

static void wrong_kind(
	const struct registry_entry *e, enum kind kind, struct error *err)
{
	error_set_param(err, ERROR_INVALID, "model",
		e->captioner
			? "model '%s' is a captioner, which describes images "
			  "(POST /v1/captions), expected a %s"
			: "model '%s' is a text model, expected a %s",
		e->name, kinds[kind]);
}

/* Of n: what jobs made takes no other's place. */
static size_t first_by_name(const struct registry *r, enum kind kind)
{
	size_t made = r->n;

	for (size_t i = 0; i < r->n; i++) {
		if (kind_of(r->entries[i]) != kind)
			continue;
		if (strncmp(r->entries[i]->name, REGISTRY_MADE,
			    strlen(REGISTRY_MADE)) != 0)
			return i;
		if (made == r->n)
			made = i;
	}
	return made;
}

static struct registry_entry *get(
	struct registry *r, const char *name, enum kind kind, struct error *err)
{
	struct registry_entry *e = NULL;
	const char *model;
	bool found = false;
	size_t at;

	if (!name)
		name = "";
	pthread_mutex_lock(&r->lock);
	/* The alias "default" is a text model's. */
	model = *name || kind == TEXT ? registry_resolve(r, name)
				      : r->captioner_name;
	at = *model ? position_of(r, model, &found) : first_by_name(r, kind);
	if (*model ? !found : at == r->n)
		not_loaded(name, model, kind, err);
	else if (kind != ANY && kind_of(r->entries[at]) != kind)
		wrong_kind(r->entries[at], kind, err);
	else
		e = registry_ref(r->entries[at]);
	pthread_mutex_unlock(&r->lock);
	return e;
}

struct registry_entry *registry_get(
	struct registry *r, const char *name, struct error *err)
{
	return get(r, name, TEXT, err);
}

struct registry_entry *registry_get_captioner(
	struct registry *r, const char *name, struct error *err)
{
	return get(r, name, CAPTIONER, err);
}

struct registry_entry *registry_get_any(
	struct registry *r, const char *name, struct error *err)
{
	return get(r, name, ANY, err);
}

int registry_list(struct registry *r, struct registry_entry ***entries,
	size_t *n, struct error *err)
{
	struct registry_entry **list;

	pthread_mutex_lock(&r->lock);
	list = malloc((r->n + 1) * sizeof(struct registry_entry *));
	*n = list ? r->n : 0;
	for (size_t i = 0; i < *n; i++)
		list[i] = registry_ref(r->entries[i]);
	pthread_mutex_unlock(&r->lock);
	if (!list)
		return error_set_memory(err, "list of models", 0);
	*entries = list;
	return 0;
}

size_t registry_count(struct registry *r)
{
	size_t n;

	pthread_mutex_lock(&r->lock);
	n = r->n;
	pthread_mutex_unlock(&r->lock);
	return n;
}

int registry_unload(struct registry *r, const char *name, struct error *err)
{
	const struct registry_alias *alias;
	struct registry_entry *e = NULL;
	int result = -1;
	bool found;
	size_t at;

	pthread_mutex_lock(&r->lock);
	alias = registry_alias_of(r, name);
	at = position_of(r, name, &found);
	if (!found) {
		error_set_param(err, ERROR_NOT_FOUND, "model",
			"model '%.*s' is not loaded", REGISTRY_NAME_MAX, name);
	} else if (r->n > 1 && !strcmp(name, r->default_name)) {
		error_set(err, ERROR_CONFLICT,
			"model '%s' is models.default and others remain", name);
	} else if (alias) {
		error_set_param(err, ERROR_CONFLICT, "alias",
			"the alias '%s' leads to model '%s': move it first",
			alias->name, name);
	} else {
		e = r->entries[at];
		memmove(r->entries + at, r->entries + at + 1,
			(--r->n - at) * sizeof(struct registry_entry *));
		registry_keep_version(r, e);
		registry_note_unloaded(r, e);
		result = 0;
	}
	pthread_mutex_unlock(&r->lock);
	if (e)
		retire(e);
	return result;
}
