/*
 * Entries are kept sorted by name under a mutex that is never held while a file
 * is read. Any thread may call; an entry lives until its last reference goes.
 */
#include "serve/registry_private.h"

#include "base/log.h"
#include "math/kernels.h"
#include "nn/checkpoint.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

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

static size_t longest_token(const struct tokenizer *t)
{
	size_t longest = 0, len;

	for (uint32_t id = 0; id < tokenizer_vocab(t); id++) {
		tokenizer_bytes(t, id, &len);
		if (len > longest)
			longest = len;
	}
	return longest;
}

/* What a state depends on for its meaning, the weights apart. */
static int fill_shape(
	struct registry_entry *e, const struct checkpoint *c, struct error *err)
{
	const struct architecture *a = &c->parameters.arch;
	json_t *json = json_pack("{s:s, s:I, s:I, s:I, s:O}", "cell", a->cell,
		"hidden", (json_int_t)a->hidden, "layers",
		(json_int_t)a->layers, "vocab", (json_int_t)a->vocab,
		"tokenizer", c->tokenizer);
	char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);

	json_decref(json);
	if (!text)
		return error_set_memory(err, "model", 0);
	e->shape = XXH3_64bits(text, strlen(text));
	free(text);
	return 0;
}

static int fill(struct registry_entry *e, const struct checkpoint *c,
	enum weight_type weights, struct error *err)
{
	const struct architecture *a = &c->parameters.arch;

	if (tokenizer_load(&e->tokenizer, c->tokenizer, err) < 0)
		return error_prefix(err, "model %s", e->path);
	if (tokenizer_vocab(e->tokenizer) != a->vocab)
		return error_set_param(err, ERROR_CORRUPT, "tokenizer",
			"model %s: its tokenizer has %zu tokens, its tensors"
			" %zu",
			e->path, tokenizer_vocab(e->tokenizer), a->vocab);
	if (fill_shape(e, c, err) < 0)
		return -1;
	if (model_open(&e->model, &c->parameters, weights, err) < 0)
		return error_prefix(err, "model %s", e->path);
	if (c->training) {
		e->training = json_dumps(c->training, JSON_COMPACT);
		if (!e->training)
			return error_set_memory(err, "training summary", 0);
	}
	e->fingerprint = checkpoint_fingerprint(&c->parameters);
	snprintf(e->fingerprint_text, sizeof(e->fingerprint_text), "%016llx",
		(unsigned long long)e->fingerprint);
	snprintf(e->system, sizeof(e->system), "%s-%s",
		weight_type_name(weights), kernels_name());
	snprintf(e->system_fingerprint, sizeof(e->system_fingerprint), "%s-%s",
		e->fingerprint_text, e->system);
	e->bytes = model_bytes(e->model);
	e->vocab = a->vocab;
	e->state_floats = model_state_floats(e->model);
	e->max_token_bytes = longest_token(e->tokenizer);
	return 0;
}

static enum weight_type weights_of(
	const struct registry *r, const char *name, const struct checkpoint *c)
{
	int type = r->weights;

	for (size_t i = 0; i < r->n_own_weights; i++)
		if (!strcmp(r->own_weights[i].name, name))
			type = r->own_weights[i].type;
	return type == REGISTRY_AS_STORED ? checkpoint_weights(c)
					  : (enum weight_type)type;
}

/* c->fd is open on what `path` leads to, or did a moment ago: whoever reads it
 * again compares fingerprints. */
int registry_load_file(const struct registry *r, struct counted_entry *c,
	const char *path, struct error *err)
{
	struct checkpoint checkpoint;
	struct stat st;
	int result;

	if (fstat(c->fd, &st) < 0)
		return error_set_errno(
			err, "model %s: cannot read", c->entry.path);
	c->entry.created = (int64_t)st.st_mtime;
	if (checkpoint_load(&checkpoint, path, err) < 0)
		return -1;
	result = fill(&c->entry, &checkpoint,
		weights_of(r, c->entry.name, &checkpoint), err);
	checkpoint_release(&checkpoint);
	return result;
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
		try_load(r, o->paths[i]);
	if (set_default(r, o->default_name, err) < 0)
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

static void not_loaded(const char *name, const char *model, struct error *err)
{
	if (!*model)
		error_set_param(
			err, ERROR_NOT_FOUND, "model", "no model is loaded");
	else if (!*name || !strcmp(name, model))
		error_set_param(err, ERROR_NOT_FOUND, "model",
			"model '%.*s' is not loaded", REGISTRY_NAME_MAX, model);
	else
		error_set_param(err, ERROR_NOT_FOUND, "model",
			"model '%.*s', which the alias '%.*s' leads to, is not "
			"loaded",
			REGISTRY_NAME_MAX, model, REGISTRY_NAME_MAX, name);
}

/* What jobs made takes no other's place. */
static size_t first_by_name(const struct registry *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (strncmp(r->entries[i]->name, REGISTRY_MADE,
			    strlen(REGISTRY_MADE)) != 0)
			return i;
	return 0;
}

struct registry_entry *registry_get(
	struct registry *r, const char *name, struct error *err)
{
	struct registry_entry *e = NULL;
	const char *model;
	bool found;
	size_t at;

	if (!name)
		name = "";
	pthread_mutex_lock(&r->lock);
	model = registry_resolve(r, name);
	at = *model ? position_of(r, model, &found) : first_by_name(r);
	if (*model ? found : r->n > 0)
		e = registry_ref(r->entries[at]);
	else
		not_loaded(name, model, err);
	pthread_mutex_unlock(&r->lock);
	return e;
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
