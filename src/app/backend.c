#include "app/backend.h"

#include "base/file.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_file(const char *path)
{
	struct stat st;

	return path && !stat(path, &st) && S_ISREG(st.st_mode);
}

/* A model of that name may come later; more often it is misspelt. */
static void warn_of_weights(
	struct registry *registry, const struct registry_options *o)
{
	for (size_t i = 0; i < o->n_own_weights; i++) {
		const char *name = o->own_weights[i].name;
		struct registry_entry *e =
			registry_get_any(registry, name, NULL);

		if (!e)
			log_warn("models.weights names a model that isn't "
				 "there",
				log_text("model", name));
		registry_unref(e);
	}
}

static int open_models(
	struct backend *b, const struct config *c, struct error *err)
{
	const char *path = c->models_dir;
	struct registry_options o;
	char made[PATH_MAX];

	config_models(c, &o);
	if (c->jobs_dir) {
		snprintf(made, sizeof(made), "%s/models", c->jobs_dir);
		o.made_dir = made;
	}
	if (is_file(path)) {
		o.paths = &path;
		o.n_paths = 1;
	} else {
		o.dir = path;
	}
	if (registry_open(&b->registry, &o, err) < 0)
		return -1;
	warn_of_weights(b->registry, &o);
	if (!registry_count(b->registry))
		log_warn("there is no model to serve",
			log_text("models.dir", path ? path : "(none)"));
	return 0;
}

static int open_sessions(
	struct backend *b, const struct config *c, struct error *err)
{
	struct store_writer_options wo;
	struct store_options so;
	struct sessions_options o;

	config_store_options(c, &so);
	config_store_writer(c, &wo);
	config_sessions(c, &o);
	if (store_open(&b->store, config_store(c), &so, err) < 0 ||
		store_writer_open(&b->writer, b->store, &wo, err) < 0)
		return error_prefix(err, "sessions");
	return sessions_open(&b->sessions, b->writer, &o, err);
}

static int open_jobs_store(
	struct backend *b, const char *dir, struct error *err)
{
	struct store_options o = { .patient = true };
	char path[PATH_MAX];

	if (!dir)
		return error_set(err, ERROR_UNAVAILABLE,
			"jobs.dir is not set, and there is no "
			"$STATE_DIRECTORY, "
			"$XDG_STATE_HOME or $HOME to put it in");
	if (file_make_directories(dir, 0700, err) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/jobs.db", dir);
	o.path = path;
	return store_shared_open(&b->jobs_store, "sqlite", &o, err);
}

static int open_files(
	struct backend *b, const struct config *c, struct error *err)
{
	struct files_options o;
	char dir[PATH_MAX];

	config_files(c, &o);
	snprintf(dir, sizeof(dir), "%s/files", c->jobs_dir);
	o.dir = dir;
	o.store = b->jobs_store;
	return files_open(&b->files, &o, err);
}

static int open_aliases(
	struct backend *b, const struct config *c, struct error *err)
{
	if (asprintf(&b->made_dir, "%s/models", c->jobs_dir) < 0) {
		b->made_dir = NULL;
		return error_set_memory(err, "path", strlen(c->jobs_dir));
	}
	return aliases_open(&b->aliases, b->jobs_store, b->registry, err);
}

static bool is_serving(void *engine)
{
	return engine_busy(engine);
}

static int open_jobs_table(
	struct backend *b, const struct config *c, void *api, struct error *err)
{
	struct jobs_options o;

	config_jobs(c, &o);
	o.store = b->jobs_store;
	o.files = b->files;
	o.registry = b->registry;
	o.changed = api_jobs_changed;
	o.arg = api;
	o.crowded = is_serving;
	o.crowded_arg = b->engine;
	return jobs_open(&b->jobs, &o, err);
}

static void close_jobs(struct backend *b)
{
	jobs_close(b->jobs);
	b->jobs = NULL;
	aliases_close(b->aliases);
	b->aliases = NULL;
	free(b->made_dir);
	b->made_dir = NULL;
	files_close(b->files);
	b->files = NULL;
	store_shared_close(b->jobs_store);
	b->jobs_store = NULL;
}

static void open_jobs(struct backend *b, const struct config *c, void *api)
{
	struct error *err = &b->jobs_fault;

	if (!open_jobs_store(b, c->jobs_dir, err) && !open_files(b, c, err) &&
		!open_aliases(b, c, err) && !open_jobs_table(b, c, api, err)) {
		err->code = ERROR_NONE;
		return;
	}
	close_jobs(b);
	log_warn(
		"files and fine-tuning jobs are not available", log_fault(err));
	err->code = ERROR_UNAVAILABLE;
	error_prefix(err, "files and fine-tuning jobs are not available");
}

static int open_captions(
	struct backend *b, const struct config *c, struct error *err)
{
	struct caption_queue_options o;

	config_captions(c, &o);
	o.crowded = is_serving;
	o.crowded_arg = b->engine;
	return caption_queue_open(&b->captions, &o, err);
}

int backend_open(struct backend *b, const struct config *c,
	void (*wake)(void *arg), void *wake_arg, struct error *err)
{
	struct engine_options o;

	*b = (struct backend){ 0 };
	config_engine(c, &o);
	o.wake = wake;
	o.wake_arg = wake_arg;
	if (!open_models(b, c, err) && !open_sessions(b, c, err) &&
		!engine_open(&b->engine, &o, err) &&
		!open_captions(b, c, err)) {
		open_jobs(b, c, wake_arg);
		return 0;
	}
	backend_stop(b);
	backend_close(b);
	return -1;
}

void backend_stop(struct backend *b)
{
	if (b->engine)
		engine_close(b->engine);
	b->engine = NULL;
}

void backend_close(struct backend *b)
{
	close_jobs(b);
	if (b->sessions)
		sessions_close(b->sessions);
	if (b->writer)
		store_writer_close(b->writer);
	if (b->store)
		store_close(b->store);
	caption_queue_close(b->captions);
	if (b->registry)
		registry_close(b->registry);
	*b = (struct backend){ 0 };
}

static void load(struct backend *b, const char *path)
{
	struct error err;

	if (registry_load(b->registry, path, &err) < 0)
		log_warn("a model is not loaded", log_fault(&err));
}

static bool is_model(const char *name)
{
	static const char suffix[] = ".safetensors";
	static const char state[] = ".train.safetensors";
	size_t len = strlen(name);

	return len >= sizeof(suffix) &&
	       !strcmp(name + len - sizeof(suffix) + 1, suffix) &&
	       !(len >= sizeof(state) - 1 &&
		       !strcmp(name + len - sizeof(state) + 1, state));
}

static void load_directory(struct backend *b, const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	char path[4096];

	if (!d) {
		log_warn("the models' directory can't be read",
			log_text("models.dir", dir));
		return;
	}
	while ((entry = readdir(d)))
		if (is_model(entry->d_name) &&
			snprintf(path, sizeof(path), "%s/%s", dir,
				entry->d_name) < (int)sizeof(path))
			load(b, path);
	closedir(d);
}

static void unload_vanished(struct backend *b)
{
	struct registry_entry **entries;
	struct error err;
	size_t n;

	if (registry_list(b->registry, &entries, &n, &err) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		if (!is_file(entries[i]->path) &&
			registry_unload(b->registry, entries[i]->name, &err) <
				0)
			log_warn("a model whose file is gone stays loaded",
				log_fault(&err));
		registry_unref(entries[i]);
	}
	free(entries);
}

void backend_reload(struct backend *b, const struct config *c)
{
	struct registry_options o;

	config_models(c, &o);
	if (is_file(c->models_dir))
		load(b, c->models_dir);
	else if (c->models_dir)
		load_directory(b, c->models_dir);
	if (is_file(o.captioner))
		load(b, o.captioner);
	unload_vanished(b);
	engine_forget(b->engine);
}

void backend_example(const struct backend *b, char *out, size_t size)
{
	static const char prompt[] = "ROMEO:\n";
	struct registry_entry *model = registry_get(b->registry, NULL, NULL);
	struct token_buf ids;
	bool knows = false;

	token_buf_init(&ids, sizeof(prompt));
	if (model)
		knows = !tokenizer_encode(model->tokenizer, prompt,
			sizeof(prompt) - 1, UNKNOWN_ERROR, &ids, NULL, NULL);
	token_buf_release(&ids);
	registry_unref(model);
	snprintf(out, size, "%s",
		knows ? "{\"prompt\": \"ROMEO:\\n\", \"length\": 300}"
		      : "{\"length\": 300}");
}
