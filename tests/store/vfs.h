/*
 * A file system for SQLite that can lose its power: over the real one, it
 * remembers what each write since the last sync of its file overwrote, and at
 * the crash puts that back. Syncs are only noted: the test's process does not
 * really end, nor does its disk. It can also run full or be read-only.
 */
#ifndef TESTS_STORE_VFS_H
#define TESTS_STORE_VFS_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VFS_FILES 64

struct vfs_undo {
	struct vfs_undo *next; /* of the write before */
	sqlite3_int64 size;    /* of the file, before */
	sqlite3_int64 at;
	int len;
	char old[];
};

/* What is not synced of one file. */
struct vfs_disk {
	char path[256];
	struct vfs_undo *undo; /* the latest first */
	unsigned n;
};

struct vfs_file {
	sqlite3_file base;
	struct vfs_disk *disk; /* NULL: not tracked */
	sqlite3_file *real;
};

static struct {
	sqlite3_vfs vfs, *real;
	sqlite3_io_methods methods;
	pthread_mutex_t lock; /* guards all below */
	struct vfs_disk disks[VFS_FILES];
	int error;	 /* of the last fault */
	int fault;	 /* errno of every write from now on; 0: none */
	unsigned writes; /* so far */
	unsigned syncs;
} vfs = { .lock = PTHREAD_MUTEX_INITIALIZER };

static inline struct vfs_file *vfs_file(sqlite3_file *f)
{
	return (struct vfs_file *)f;
}

static inline void vfs_forget(struct vfs_disk *d)
{
	struct vfs_undo *next;

	for (; d->undo; d->undo = next) {
		next = d->undo->next;
		free(d->undo);
	}
	d->n = 0;
}

static inline int vfs_remember(
	struct vfs_file *f, sqlite3_int64 at, sqlite3_int64 len)
{
	struct vfs_undo *u;
	sqlite3_int64 size;
	int rc = f->real->pMethods->xFileSize(f->real, &size);

	if (rc != SQLITE_OK || !f->disk)
		return rc;
	if (at >= size)
		len = 0;
	else if (at + len > size)
		len = size - at;
	u = malloc(sizeof(*u) + (size_t)len);
	if (!u)
		return SQLITE_NOMEM;
	*u = (struct vfs_undo){ f->disk->undo, size, at, (int)len };
	if (len)
		rc = f->real->pMethods->xRead(f->real, u->old, (int)len, at);
	f->disk->undo = u;
	f->disk->n++;
	return rc;
}

static inline int vfs_fault(void)
{
	vfs.error = vfs.fault;
	return vfs.fault == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static inline int vfs_write(
	sqlite3_file *file, const void *p, int n, sqlite3_int64 at)
{
	struct vfs_file *f = vfs_file(file);
	int rc;

	pthread_mutex_lock(&vfs.lock);
	vfs.writes++;
	rc = vfs.fault ? vfs_fault() : vfs_remember(f, at, n);
	if (rc == SQLITE_OK)
		rc = f->real->pMethods->xWrite(f->real, p, n, at);
	pthread_mutex_unlock(&vfs.lock);
	return rc;
}

static inline int vfs_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct vfs_file *f = vfs_file(file);
	int rc;

	pthread_mutex_lock(&vfs.lock);
	rc = vfs_remember(f, size, INT32_MAX / 2);
	if (rc == SQLITE_OK)
		rc = f->real->pMethods->xTruncate(f->real, size);
	pthread_mutex_unlock(&vfs.lock);
	return rc;
}

static inline int vfs_sync(sqlite3_file *file, int flags)
{
	struct vfs_file *f = vfs_file(file);

	pthread_mutex_lock(&vfs.lock);
	vfs.syncs++;
	if (f->disk)
		vfs_forget(f->disk);
	pthread_mutex_unlock(&vfs.lock);
	return SQLITE_OK;
}

static inline int vfs_close(sqlite3_file *file)
{
	struct vfs_file *f = vfs_file(file);
	int rc = f->real->pMethods->xClose(f->real);

	free(f->real);
	return rc;
}

static inline int vfs_read(sqlite3_file *file, void *p, int n, sqlite3_int64 at)
{
	sqlite3_file *real = vfs_file(file)->real;

	return real->pMethods->xRead(real, p, n, at);
}

static inline int vfs_size(sqlite3_file *file, sqlite3_int64 *size)
{
	sqlite3_file *real = vfs_file(file)->real;

	return real->pMethods->xFileSize(real, size);
}

static inline int vfs_take_lock(sqlite3_file *file, int level)
{
	sqlite3_file *real = vfs_file(file)->real;

	return real->pMethods->xLock(real, level);
}

static inline int vfs_unlock(sqlite3_file *file, int level)
{
	sqlite3_file *real = vfs_file(file)->real;

	return real->pMethods->xUnlock(real, level);
}

static inline int vfs_reserved(sqlite3_file *file, int *out)
{
	sqlite3_file *real = vfs_file(file)->real;

	return real->pMethods->xCheckReservedLock(real, out);
}

static inline int vfs_control(sqlite3_file *file, int op, void *arg)
{
	sqlite3_file *real = vfs_file(file)->real;

	return real->pMethods->xFileControl(real, op, arg);
}

static inline int vfs_sector(sqlite3_file *file)
{
	sqlite3_file *real = vfs_file(file)->real;

	return real->pMethods->xSectorSize(real);
}

/* A disk that promises nothing. */
static inline int vfs_traits(sqlite3_file *file)
{
	return 0;
}

static inline int vfs_shm_map(
	sqlite3_file *file, int i, int n, int extend, void volatile **p)
{
	sqlite3_file *real = vfs_file(file)->real;

	return real->pMethods->xShmMap(real, i, n, extend, p);
}

static inline int vfs_shm_lock(sqlite3_file *file, int i, int n, int flags)
{
	sqlite3_file *real = vfs_file(file)->real;

	return real->pMethods->xShmLock(real, i, n, flags);
}

static inline void vfs_shm_barrier(sqlite3_file *file)
{
	sqlite3_file *real = vfs_file(file)->real;

	real->pMethods->xShmBarrier(real);
}

static inline int vfs_shm_unmap(sqlite3_file *file, int remove)
{
	sqlite3_file *real = vfs_file(file)->real;

	return real->pMethods->xShmUnmap(real, remove);
}

static inline struct vfs_disk *vfs_disk(const char *path)
{
	for (int i = 0; i < VFS_FILES; i++) {
		if (!*vfs.disks[i].path)
			snprintf(vfs.disks[i].path, sizeof(vfs.disks[i].path),
				"%s", path);
		if (!strcmp(vfs.disks[i].path, path))
			return &vfs.disks[i];
	}
	abort();
}

static inline int vfs_open(sqlite3_vfs *v, const char *name, sqlite3_file *file,
	int flags, int *out)
{
	struct vfs_file *f = vfs_file(file);
	int rc;

	f->base.pMethods = NULL;
	f->real = calloc(1, (size_t)vfs.real->szOsFile);
	if (!f->real)
		return SQLITE_NOMEM;
	rc = vfs.real->xOpen(vfs.real, name, f->real, flags, out);
	if (rc != SQLITE_OK) {
		free(f->real);
		return rc;
	}
	pthread_mutex_lock(&vfs.lock);
	f->disk = name ? vfs_disk(name) : NULL;
	pthread_mutex_unlock(&vfs.lock);
	f->base.pMethods = &vfs.methods;
	return SQLITE_OK;
}

static inline int vfs_last_error(sqlite3_vfs *v, int n, char *text)
{
	return vfs.error ? vfs.error
			 : vfs.real->xGetLastError(vfs.real, n, text);
}

/* From now on every connection of this process goes through it. */
static inline void vfs_install(void)
{
	vfs.real = sqlite3_vfs_find(NULL);
	vfs.vfs = *vfs.real;
	vfs.vfs.zName = "powerless";
	vfs.vfs.szOsFile = sizeof(struct vfs_file);
	vfs.vfs.pNext = NULL;
	vfs.vfs.xOpen = vfs_open;
	vfs.vfs.xGetLastError = vfs_last_error;
	vfs.methods = (sqlite3_io_methods){ .iVersion = 2,
		.xClose = vfs_close,
		.xRead = vfs_read,
		.xWrite = vfs_write,
		.xTruncate = vfs_truncate,
		.xSync = vfs_sync,
		.xFileSize = vfs_size,
		.xLock = vfs_take_lock,
		.xUnlock = vfs_unlock,
		.xCheckReservedLock = vfs_reserved,
		.xFileControl = vfs_control,
		.xSectorSize = vfs_sector,
		.xDeviceCharacteristics = vfs_traits,
		.xShmMap = vfs_shm_map,
		.xShmLock = vfs_shm_lock,
		.xShmBarrier = vfs_shm_barrier,
		.xShmUnmap = vfs_shm_unmap };
	sqlite3_vfs_register(&vfs.vfs, 1);
}

static inline void vfs_set_fault(int fault)
{
	pthread_mutex_lock(&vfs.lock);
	vfs.fault = fault;
	vfs.error = 0;
	pthread_mutex_unlock(&vfs.lock);
}

static inline void vfs_put_back(struct vfs_disk *d, unsigned keep)
{
	int fd = open(d->path, O_RDWR);

	for (struct vfs_undo *u = d->undo; u && d->n > keep; u = u->next) {
		if (pwrite(fd, u->old, (size_t)u->len, u->at) != u->len ||
			ftruncate(fd, u->size) < 0)
			abort();
		d->n--;
	}
	close(fd);
}

/* The power goes: of each file's unsynced writes the first few, a share of them
 * from 0 to 1, have reached the disk. The caller ends the process. */
static inline void vfs_crash(double share)
{
	pthread_mutex_lock(&vfs.lock); /* for good */
	for (int i = 0; i < VFS_FILES; i++)
		if (vfs.disks[i].undo)
			vfs_put_back(&vfs.disks[i],
				(unsigned)(share * vfs.disks[i].n));
}

#endif
