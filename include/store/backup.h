/*
 * Copies of a SQLite store's file, made and put back by whoever looks after it,
 * not by the daemon. A copy is one moment of the store, a file of its own that
 * was checked and synced before it got its name.
 */
#ifndef STORE_BACKUP_H
#define STORE_BACKUP_H

#include "base/error.h"

#include <stdint.h>

struct store_copy {
	uint64_t entries;
	uint64_t bytes;	     /* of the copy */
	char replaced[4096]; /* restore: what the former file is called now, or
			      * "" where there was none */
};

/* Copy the store at path to the file `to`, mode 0600. A daemon may have it open
 * and write meanwhile: it does not wait. ERROR_NOT_FOUND, ERROR_UNSUPPORTED
 * (not a store, or a newer one's), ERROR_CORRUPT (the copy fails the check:
 * damage in the store), or why it can't be written. */
int store_backup(const char *path, const char *to, struct store_copy *copy,
	struct error *err);

/* Make a copy of the file `from` the store at path. ERROR_CONFLICT while a
 * daemon has the store open; else as store_backup. The former file stays beside
 * it, under another name. */
int store_restore(const char *path, const char *from, struct store_copy *copy,
	struct error *err);

#endif
