#include "serve/files.h"
#include "base/file.h"
#include "base/log.h"
#include "serve/files_private.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- the index -------------------------------------------------------- */

struct file_owner *files_owner(struct files *f, const char *name)
{
	struct file_owner *o = f->owners;

	while (o && strcmp(o->name, name) != 0)
		o = o->next;
	if (o)
		return o;
	o = calloc(1, sizeof(*o));
	if (!o)
		return NULL;
	snprintf(o->name, sizeof(o->name), "%s", name);
	o->next = f->owners;
	f->owners = o;
	return o;
}

int files_reserve(struct files *f, struct error *err)
{
	size_t need = f->n + f->n_uploads + 1, cap = f->cap ? f->cap : 16;
	struct file_entry **more;

	while (cap < need)
		cap *= 2;
	if (cap == f->cap)
		return 0;
	more = realloc(f->entries, cap * sizeof(*more));
	if (!more)
		return error_set_memory(err, "files", cap * sizeof(*more));
	f->entries = more;
	f->cap = cap;
	return 0;
}

void files_add(struct files *f, struct file_entry *e)
{
	size_t at = f->n++;

	/* Of two uploads that end at once the later may come first. */
	for (; at && f->entries[at - 1]->info.created > e->info.created; at--)
		f->entries[at] = f->entries[at - 1];
	f->entries[at] = e;
}

static size_t position(const struct files *f, const struct file_entry *e)
{
	size_t i = 0;

	while (f->entries[i] != e)
		i++;
	return i;
}

static void take_out(struct files *f, struct file_entry *e)
{
	size_t at = position(f, e);
	struct file_owner *owner = files_owner(f, e->info.owner);

	memmove(&f->entries[at], &f->entries[at + 1],
		(f->n - at - 1) * sizeof(struct file_entry *));
	f->n--;
	f->bytes -= e->info.bytes;
	owner->bytes -= e->info.bytes;
	free(e);
}

static struct file_entry *search(struct files *f, const char *id)
{
	for (size_t i = 0; i < f->n; i++)
		if (!strcmp(f->entries[i]->info.id, id))
			return f->entries[i];
	return NULL;
}

static struct file_entry *find(
	struct files *f, const char *owner, const char *id, struct error *err)
{
	struct file_entry *e = search(f, id);

	if (e && !e->leaving && !strcmp(e->info.owner, owner))
		return e;
	error_set_param(
		err, ERROR_NOT_FOUND, "file", "there is no file '%.64s'", id);
	return NULL;
}

/* --- opening ---------------------------------------------------------- */

struct loading {
	struct files *files;
	struct error *err;
	bool failed;
};

static int load(struct files *f, struct file_entry *e, struct error *err)
{
	struct file_owner *owner = files_owner(f, e->info.owner);

	if (!owner || files_reserve(f, err) < 0)
		return error_set_memory(err, "files", sizeof(*e));
	owner->bytes += e->info.bytes;
	f->bytes += e->info.bytes;
	if (e->info.created > f->latest)
		f->latest = e->info.created;
	f->entries[f->n++] = e;
	return 0;
}

static int on_record(void *arg, const char *key, const void *value, size_t len,
	int64_t expires)
{
	struct loading *l = arg;
	struct file_entry *e = calloc(1, sizeof(*e));
	struct error fault;

	(void)expires;
	if (!e) {
		error_set_memory(l->err, "files", sizeof(*e));
	} else if (file_record_read(&e->info, key, value, len, &fault) < 0) {
		log_warn("a file can't be used", log_fault(&fault));
		free(e);
		return 0;
	} else if (!load(l->files, e, l->err)) {
		return 0;
	}
	free(e);
	l->failed = true;
	return 1;
}

static int by_creation(const void *a, const void *b)
{
	const struct file_entry *const *x = a, *const *y = b;
	int64_t p = (*x)->info.created, q = (*y)->info.created;

	return (p > q) - (p < q);
}

static int read_records(struct files *f, struct error *err)
{
	struct loading l = { .files = f, .err = err };

	if (store_shared_list(f->o.store, FILE_KEY_PREFIX, "", SIZE_MAX,
		    on_record, &l, err) < 0 ||
		l.failed)
		return -1;
	if (f->n)
		qsort(f->entries, f->n, sizeof(struct file_entry *),
			by_creation);
	return 0;
}

/* Somebody removed or cut a file behind our back. */
static int drop_vanished(struct files *f, struct error *err)
{
	char path[PATH_MAX], key[FILE_KEY_MAX];
	struct stat st;

	for (size_t i = f->n; i-- > 0;) {
		struct file_entry *e = f->entries[i];

		if (!files_path(f, e->info.id, path, sizeof(path)) &&
			!stat(path, &st) && S_ISREG(st.st_mode) &&
			(uint64_t)st.st_size == e->info.bytes)
			continue;
		log_warn("an uploaded file is gone, or not as long as it was",
			log_text("file", path));
		file_record_key(e->info.id, key, sizeof(key));
		if (store_shared_delete(f->o.store, key, err) < 0)
			return -1;
		take_out(f, e);
	}
	return 0;
}

/* What has no record: half an upload, or a file whose deletion was begun. */
static int drop_orphan(struct files *f, const char *name, struct error *err)
{
	char path[PATH_MAX], key[FILE_KEY_MAX + NAME_MAX];
	struct buf value;
	int found;

	snprintf(key, sizeof(key), FILE_KEY_PREFIX "%s", name);
	buf_init(&value, SIZE_MAX);
	found = strlen(name) > FILE_ID_MAX
			? -1
			: store_shared_get(f->o.store, key, &value, err);
	buf_release(&value);
	if (!found)
		return 0;
	if (strlen(name) <= FILE_ID_MAX && err->code != ERROR_NOT_FOUND)
		return -1;
	if (files_path(f, name, path, sizeof(path)) < 0 || unlink(path) < 0)
		log_warn("what is left of an upload can't be removed",
			log_text("file", name));
	else
		log_info("removed what was left of an upload",
			log_text("file", name));
	return 0;
}

/* Other people's files in our directory are theirs. */
static bool is_ours(const char *name)
{
	name += *name == '.';
	return !strncmp(name, FILE_ID_PREFIX, strlen(FILE_ID_PREFIX));
}

static int drop_orphans(struct files *f, struct error *err)
{
	DIR *d = opendir(f->dir);
	struct dirent *entry;
	int failed = 0;

	if (!d)
		return error_set_errno(err, "%s: cannot read", f->dir);
	while (!failed && (entry = readdir(d)))
		if (is_ours(entry->d_name))
			failed = drop_orphan(f, entry->d_name, err);
	closedir(d);
	return failed;
}

int files_open(
	struct files **out, const struct files_options *o, struct error *err)
{
	struct files *f = calloc(1, sizeof(*f));

	*out = NULL;
	if (!f)
		return error_set_memory(err, "files", sizeof(*f));
	f->o = *o;
	pthread_mutex_init(&f->lock, NULL);
	f->dir = strdup(o->dir);
	if (!f->dir)
		error_set_memory(err, "files", strlen(o->dir));
	else if (!file_make_directories(f->dir, 0700, err) &&
		 !read_records(f, err) && !drop_vanished(f, err) &&
		 !drop_orphans(f, err)) {
		*out = f;
		return 0;
	}
	files_close(f);
	return -1;
}

void files_close(struct files *f)
{
	struct file_owner *next;

	if (!f)
		return;
	for (size_t i = 0; i < f->n; i++)
		free(f->entries[i]);
	free(f->entries);
	for (struct file_owner *o = f->owners; o; o = next) {
		next = o->next;
		free(o);
	}
	pthread_mutex_destroy(&f->lock);
	free(f->dir);
	free(f);
}

uint64_t files_max_size(const struct files *f)
{
	return f->o.max_size;
}

int files_path(const struct files *f, const char *id, char *path, size_t size)
{
	return snprintf(path, size, "%s/%s", f->dir, id) < (int)size ? 0 : -1;
}

/* --- using ------------------------------------------------------------ */

static int find_and_hold(struct files *f, const char *owner, const char *id,
	unsigned holders, struct file_info *info, struct error *err)
{
	struct file_entry *e;

	pthread_mutex_lock(&f->lock);
	e = find(f, owner, id, err);
	if (e) {
		e->holders += holders;
		*info = e->info;
	}
	pthread_mutex_unlock(&f->lock);
	return e ? 0 : -1;
}

int files_find(struct files *f, const char *owner, const char *id,
	struct file_info *info, struct error *err)
{
	return find_and_hold(f, owner, id, 0, info, err);
}

int files_hold(struct files *f, const char *owner, const char *id,
	struct file_info *info, struct error *err)
{
	return find_and_hold(f, owner, id, 1, info, err);
}

void files_release(struct files *f, const char *id)
{
	struct file_entry *e;

	pthread_mutex_lock(&f->lock);
	e = search(f, id);
	if (e && e->holders)
		e->holders--;
	pthread_mutex_unlock(&f->lock);
}

static struct file_entry *claim(
	struct files *f, const char *owner, const char *id, struct error *err)
{
	struct file_entry *e;

	pthread_mutex_lock(&f->lock);
	e = find(f, owner, id, err);
	if (e && e->holders) {
		error_set_param(err, ERROR_CONFLICT, "file",
			"file '%s' is in use by %u fine-tuning %s: let it end "
			"or cancel it first",
			e->info.id, e->holders,
			e->holders == 1 ? "job" : "jobs");
		e = NULL;
	}
	if (e)
		e->leaving = true;
	pthread_mutex_unlock(&f->lock);
	return e;
}

int files_delete(
	struct files *f, const char *owner, const char *id, struct error *err)
{
	struct file_entry *e = claim(f, owner, id, err);
	char path[PATH_MAX], key[FILE_KEY_MAX];
	int deleted;

	if (!e)
		return -1;
	file_record_key(e->info.id, key, sizeof(key));
	deleted = store_shared_delete(f->o.store, key, err);
	/* One that stays is removed at the next start. */
	if (!deleted && !files_path(f, e->info.id, path, sizeof(path)))
		unlink(path);
	pthread_mutex_lock(&f->lock);
	if (deleted)
		e->leaving = false;
	else
		take_out(f, e);
	pthread_mutex_unlock(&f->lock);
	return deleted;
}

/* The index of the first that may be listed; -1 when `after` is unknown. */
static ptrdiff_t begin_list(struct files *f, const char *owner,
	const char *after, bool newest_first, struct error *err)
{
	const struct file_entry *e;

	if (!*after)
		return newest_first ? (ptrdiff_t)f->n - 1 : 0;
	e = find(f, owner, after, NULL);
	if (!e) {
		error_set_param(err, ERROR_NOT_FOUND, "after",
			"after: there is no file '%.64s'", after);
		return -2;
	}
	return (ptrdiff_t)position(f, e) + (newest_first ? -1 : 1);
}

int files_list(struct files *f, const char *owner, const char *after,
	bool newest_first, size_t limit, struct file_info *infos, size_t *n,
	bool *more, struct error *err)
{
	ptrdiff_t i;

	*n = 0;
	*more = false;
	pthread_mutex_lock(&f->lock);
	i = begin_list(f, owner, after, newest_first, err);
	for (; i >= 0 && i < (ptrdiff_t)f->n && !*more;
		i += newest_first ? -1 : 1) {
		const struct file_entry *e = f->entries[i];

		if (e->leaving || strcmp(e->info.owner, owner) != 0)
			continue;
		if (*n == limit)
			*more = true;
		else
			infos[(*n)++] = e->info;
	}
	pthread_mutex_unlock(&f->lock);
	return i == -2 ? -1 : 0;
}

void files_stats(struct files *f, struct files_stats *stats)
{
	pthread_mutex_lock(&f->lock);
	*stats = (struct files_stats){ .files = f->n, .bytes = f->bytes };
	pthread_mutex_unlock(&f->lock);
}
