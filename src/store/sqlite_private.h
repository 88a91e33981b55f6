/* One SQLite file: what sqlite_file.c opens and sqlite.c works on. */
#ifndef STORE_SQLITE_PRIVATE_H
#define STORE_SQLITE_PRIVATE_H

#include "store/store.h"

#include <pthread.h>
#include <sqlite3.h>

enum sqlite_write { BEGIN, COMMIT, ROLLBACK, PUT, DELETE, EXPIRE, N_WRITES };
enum sqlite_read { GET, LIST, COUNT, BYTES, N_READS };

struct sqlite {
	struct store store;
	char *path;
	int lock_fd;
	sqlite3 *writer;
	sqlite3_stmt *writes[N_WRITES];
	pthread_mutex_t read_lock;
	sqlite3 *reader;
	sqlite3_stmt *reads[N_READS];
};

/* Fills err from what SQLite says; `doing` is a verb. Returns -1. */
int sqlite_fail(const struct sqlite *s, sqlite3 *db, int rc, const char *doing,
	struct error *err);

/* Lock, open, check and migrate s->path: lock_fd, writer and reader are set,
 * as far as it got. */
int sqlite_file_open(struct sqlite *s, struct error *err);

#endif
