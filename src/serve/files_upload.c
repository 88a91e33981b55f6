/*
 * A file on its way in. Its bytes are counted against the limits as they come,
 * before they are written; until the end it has another name and no record.
 */
#include "base/file.h"
#include "base/rng.h"
#include "serve/files_private.h"
#include "text/corpus.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

struct file_upload {
	struct files *files;
	struct file_owner *owner; /* borrowed from files */
	struct file_entry *entry; /* owned until it is in the index */
	struct file_writer writer;
	bool writing;
	XXH3_state_t *hash;
	uint64_t bytes; /* counted in files and owner */
};

/* --- limits ----------------------------------------------------------- */

static int count_upload(struct files *f, const char *owner,
	struct file_upload *u, struct error *err)
{
	int counted = -1;

	pthread_mutex_lock(&f->lock);
	u->owner = files_owner(f, owner);
	if (f->n + f->n_uploads >= f->o.max)
		error_set(err, ERROR_NO_SPACE,
			"there are %zu files already, as many as files.max "
			"allows; delete some",
			f->n);
	else if (!u->owner)
		error_set_memory(err, "files", sizeof(*u->owner));
	else
		counted = files_reserve(f, err);
	if (!counted)
		f->n_uploads++;
	pthread_mutex_unlock(&f->lock);
	return counted;
}

static int over_quota(const char *whose, const char *option, uint64_t quota,
	struct error *err)
{
	return error_set_param(err, ERROR_NO_SPACE, "file",
		"%s files would take more than the %llu bytes that %s allows; "
		"delete some",
		whose, (unsigned long long)quota, option);
}

static int count_bytes(struct file_upload *u, size_t len, struct error *err)
{
	struct files *f = u->files;
	int counted = 0;

	if (len > f->o.max_size - u->bytes)
		return error_set_param(err, ERROR_TOO_LARGE, "file",
			"the file is longer than the %llu bytes that "
			"files.max_size allows",
			(unsigned long long)f->o.max_size);
	pthread_mutex_lock(&f->lock);
	if (f->o.quota && f->bytes + len > f->o.quota)
		counted = over_quota("all", "files.quota", f->o.quota, err);
	else if (f->o.quota_per_owner &&
		 u->owner->bytes + len > f->o.quota_per_owner)
		counted = over_quota("your", "files.quota_per_owner",
			f->o.quota_per_owner, err);
	if (!counted) {
		f->bytes += len;
		u->owner->bytes += len;
		u->bytes += len;
	}
	pthread_mutex_unlock(&f->lock);
	return counted;
}

/* --- its life --------------------------------------------------------- */

static void name_entry(struct file_entry *e, const char *owner)
{
	char name[RNG_NAME + 1];

	rng_name(name);
	snprintf(e->info.id, sizeof(e->info.id), FILE_ID_PREFIX "%s", name);
	snprintf(e->info.owner, sizeof(e->info.owner), "%s", owner);
}

static int open_file(
	struct file_upload *u, const char *owner, struct error *err)
{
	char path[PATH_MAX];

	u->entry = calloc(1, sizeof(*u->entry));
	u->hash = XXH3_createState();
	if (!u->entry || !u->hash)
		return error_set_memory(err, "upload", sizeof(*u->entry));
	XXH3_128bits_reset(u->hash);
	name_entry(u->entry, owner);
	if (files_path(u->files, u->entry->info.id, path, sizeof(path)) < 0)
		return error_set(
			err, ERROR_INVALID, "jobs.dir: the path is too long");
	if (file_writer_open(&u->writer, path, 0600, err) < 0)
		return -1;
	u->writing = true;
	return 0;
}

int files_begin(struct files *f, const char *owner, struct file_upload **out,
	struct error *err)
{
	struct file_upload *u = calloc(1, sizeof(*u));

	*out = NULL;
	if (!u)
		return error_set_memory(err, "upload", sizeof(*u));
	u->files = f;
	if (count_upload(f, owner, u, err) < 0) {
		free(u);
		return -1;
	}
	if (open_file(u, owner, err) < 0) {
		files_abort(u);
		return -1;
	}
	*out = u;
	return 0;
}

/* Where our files are is no client's business. */
static int blame_disk(struct error *err)
{
	if (err->code == ERROR_NO_SPACE)
		error_set_param(err, ERROR_NO_SPACE, "file",
			"the disk is full: the file was not stored");
	return -1;
}

int files_append(
	struct file_upload *u, const void *bytes, size_t len, struct error *err)
{
	if (count_bytes(u, len, err) < 0)
		return -1;
	XXH3_128bits_update(u->hash, bytes, len);
	if (file_writer_write(&u->writer, bytes, len, err) < 0)
		return blame_disk(err);
	return 0;
}

/* Give back what was counted, but for what is stored by now. */
static void upload_free(struct file_upload *u, bool stored)
{
	struct files *f = u->files;

	pthread_mutex_lock(&f->lock);
	f->n_uploads--;
	if (stored) {
		files_add(f, u->entry);
	} else {
		f->bytes -= u->bytes;
		u->owner->bytes -= u->bytes;
	}
	pthread_mutex_unlock(&f->lock);
	XXH3_freeState(u->hash);
	free(u);
}

void files_abort(struct file_upload *u)
{
	if (!u)
		return;
	if (u->writing)
		file_writer_abort(&u->writer);
	free(u->entry);
	upload_free(u, false);
}

static int describe(struct file_upload *u, const struct file_about *about,
	struct error *err)
{
	struct file_info *info = &u->entry->info;
	const char *encoding = about->encoding ? about->encoding : "utf-8";
	XXH128_canonical_t sum;

	if (snprintf(info->name, sizeof(info->name), "%s", about->name) >=
		(int)sizeof(info->name))
		return error_set_param(err, ERROR_INVALID, "file",
			"the file's name is longer than %d bytes",
			FILE_NAME_MAX);
	if (snprintf(info->encoding, sizeof(info->encoding), "%s", encoding) >=
		(int)sizeof(info->encoding))
		return error_set_param(err, ERROR_INVALID, "encoding",
			"encoding: unknown charset \"%.64s\"", encoding);
	info->format = about->format;
	info->bytes = u->bytes;
	XXH128_canonicalFromHash(&sum, XXH3_128bits_digest(u->hash));
	for (size_t i = 0; i < sizeof(sum.digest); i++)
		snprintf(info->hash + 2 * i, 3, "%02x", sum.digest[i]);
	return 0;
}

/* Errors begin with the path: the client knows the file by no such name. */
static void forget_path(const char *path, struct error *err)
{
	size_t n = strlen(path);

	if (!strncmp(err->message, path, n) &&
		!strncmp(err->message + n, ": ", 2))
		memmove(err->message, err->message + n + 2,
			strlen(err->message + n + 2) + 1);
}

/* Read again from the page cache, whole: whoever uploads a text should hear at
 * once that it can't be learnt from. */
static int check_text(struct file_upload *u, struct error *err)
{
	const struct file_info *info = &u->entry->info;
	const char *path = u->writer.tmp;
	const struct corpus_options o = {
		.paths = &path,
		.n_paths = 1,
		.encoding = info->encoding,
		.lines_of_json = info->format == FILE_JSONL,
	};

	if (!corpus_check(&o, err))
		return 0;
	forget_path(path, err);
	if (!strcmp(err->param, "text"))
		snprintf(err->param, sizeof(err->param), "file");
	return -1;
}

static void stamp(struct file_upload *u)
{
	struct files *f = u->files;
	int64_t now = store_now();

	pthread_mutex_lock(&f->lock);
	f->latest = now > f->latest ? now : f->latest + 1;
	u->entry->info.created = f->latest;
	pthread_mutex_unlock(&f->lock);
}

/* File, then record: a record never names half a file. */
static int store(struct file_upload *u, struct error *err)
{
	char path[PATH_MAX];

	u->writing = false;
	if (file_writer_commit(&u->writer, err) < 0)
		return blame_disk(err);
	if (!file_record_put(u->files, &u->entry->info, err))
		return 0;
	if (!files_path(u->files, u->entry->info.id, path, sizeof(path)))
		unlink(path);
	return blame_disk(err);
}

int files_finish(struct file_upload *u, const struct file_about *about,
	struct file_info *info, struct error *err)
{
	if (!u->bytes)
		error_set_param(err, ERROR_INVALID, "file",
			"the file is empty, expected a text");
	else if (!describe(u, about, err) && !check_text(u, err)) {
		stamp(u);
		if (!store(u, err)) {
			*info = u->entry->info;
			upload_free(u, true);
			return 0;
		}
	}
	files_abort(u);
	return -1;
}
