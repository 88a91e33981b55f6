#include "app/run_state.h"

#include "base/buf.h"
#include "base/file.h"
#include "nn/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define STATE_KEY "unrolld_training"

static char *path_of(const char *output)
{
	static const char end[] = ".safetensors";
	size_t n = strlen(output);
	char *path = NULL;

	if (n > strlen(end) && !strcmp(output + n - strlen(end), end))
		n -= strlen(end);
	if (asprintf(&path, "%.*s.train.safetensors", (int)n, output) < 0)
		return NULL;
	return path;
}

static int check_writable(const char *path, struct error *err)
{
	struct file_writer w;
	struct stat there;

	if (stat(path, &there) == 0 && S_ISDIR(there.st_mode))
		return error_set_param(err, ERROR_INVALID, "output",
			"%s is a directory, expected a file to write", path);
	if (file_writer_open(&w, path, 0644, err) < 0)
		return -1;
	file_writer_abort(&w);
	return 0;
}

int run_state_path(char **path, const char *output, struct error *err)
{
	*path = path_of(output);
	if (!*path)
		return error_set_memory(err, "path", strlen(output));
	if (check_writable(output, err) == 0 && check_writable(*path, err) == 0)
		return 0;
	free(*path);
	*path = NULL;
	return -1;
}

int run_state_spare(const char *output, const char *what, const char *input,
	struct error *err)
{
	struct stat out, in;

	if (stat(output, &out) < 0 || stat(input, &in) < 0 ||
		out.st_dev != in.st_dev || out.st_ino != in.st_ino)
		return 0;
	return error_set_param(err, ERROR_INVALID, "output",
		"-o %s is the %s itself, expected another file", output, what);
}

static bool is_in(const char *const *names, const char *name)
{
	for (; *names; names++)
		if (!strcmp(*names, name))
			return true;
	return false;
}

json_t *run_options_save(
	const struct run_options *o, const struct options *table)
{
	json_t *saved = json_object();
	struct buf b;

	buf_init(&b, 1 << 16);
	for (size_t i = 0; saved && i < o->n_rows; i++) {
		if (o->rows[i].type == OPTION_HEADING ||
			is_in(o->unsaved, o->rows[i].name))
			continue;
		buf_clear(&b);
		if (options_print_value(table, o->rows[i].name, &b) < 0 ||
			json_object_set_new(saved, o->rows[i].name,
				json_string(b.data ? b.data : "")) < 0) {
			json_decref(saved);
			saved = NULL;
		}
	}
	buf_release(&b);
	return saved;
}

/* One saved option: kept as told where that is allowed, else as saved. */
static int restore(const struct run_options *o, struct options *table,
	const char *name, const char *text, const char *source,
	struct error *err)
{
	const char *told = options_source(table, name);
	bool by_flag = told && told[0] == '-';
	struct buf now;
	bool same;
	int rc = 0;

	buf_init(&now, 1 << 16);
	same = options_print_value(table, name, &now) == 0 &&
	       !strcmp(now.data ? now.data : "", text);
	if (!same && by_flag && !is_in(o->overridable, name))
		rc = error_set_param(err, ERROR_INVALID, name,
			"%s is '%s', but %s has '%s'; leave it out, or train "
			"afresh without that file",
			told, now.data ? now.data : "", source, text);
	else if (!same && !by_flag)
		rc = options_set(table, name, text, source, err);
	buf_release(&now);
	return rc;
}

int run_options_restore(const struct run_options *o, struct options *table,
	const json_t *saved, const char *source, struct error *err)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)saved, name, value)
	{
		const char *text = json_string_value(value);

		if (!text || is_in(o->unsaved, name))
			return error_set_param(err, ERROR_CORRUPT, name,
				"%s: option '%.40s' is not one that a run "
				"saves",
				source, name);
		if (restore(o, table, name, text, source, err) < 0)
			return -1;
	}
	return 0;
}

void run_hash_text(char out[RUN_HASH_SIZE], uint64_t hash)
{
	snprintf(out, RUN_HASH_SIZE, "%016llx", (unsigned long long)hash);
}

json_t *run_state_new(const struct run_options *o, const struct options *table,
	uint64_t corpus_hash)
{
	char hash[RUN_HASH_SIZE];

	run_hash_text(hash, corpus_hash);
	return json_pack("{s:i, s:s, s:o}", "format", 1, "corpus_hash", hash,
		"options", run_options_save(o, table));
}

json_t *run_state_metadata(const json_t *state)
{
	char *text = state ? json_dumps(state, JSON_COMPACT) : NULL;
	json_t *metadata = text ? json_pack("{s:s}", STATE_KEY, text) : NULL;

	free(text);
	return metadata;
}

json_t *run_state_read(const char *path, struct error *err)
{
	struct safetensors file;
	const char *text;
	json_error_t where;
	json_t *state;

	if (safetensors_open(&file, path, err) < 0) {
		error_prefix(err, "--resume");
		return NULL;
	}
	text = json_string_value(json_object_get(file.metadata, STATE_KEY));
	state = text ? json_loads(text, JSON_REJECT_DUPLICATES, &where) : NULL;
	safetensors_close(&file);
	if (!state || !json_is_object(json_object_get(state, "options"))) {
		error_set(err, ERROR_CORRUPT,
			"--resume: %s: __metadata__.%s is missing or not JSON "
			"with "
			"options",
			path, STATE_KEY);
		json_decref(state);
		return NULL;
	}
	return state;
}

int run_state_check(const json_t *state, const char *what, uint64_t corpus_hash,
	struct error *err)
{
	const char *expected =
		json_string_value(json_object_get(state, "corpus_hash"));
	char hash[RUN_HASH_SIZE];

	run_hash_text(hash, corpus_hash);
	if (!expected || !strcmp(hash, expected))
		return 0;
	return error_set(err, ERROR_INVALID,
		"--resume: the hash of the %s is %s, but the run was on %s of "
		"hash %s",
		what, hash, what, expected);
}
