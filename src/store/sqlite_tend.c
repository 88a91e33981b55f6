/*
 * Upkeep of a SQLite store, on the writer's thread. SQLite would move the WAL
 * within a COMMIT, whose waiters would wait for it; here it is moved after they
 * were told.
 */
#include "store/sqlite_private.h"

#include <stdio.h>

/* Of the WAL: moved after a COMMIT from here on, while idle from any. */
#define WAL_MOST (64 << 20)
#define WAL_KEPT (4 << 20) /* of its file, when all was moved */
#define FREE_KEPT 64	   /* pages for what comes next */
#define FREE_SLICE 128	   /* pages given back at once */

/* Copy the WAL into the file. A reader that still needs it leaves a part to
 * the next time; nobody is waited for. */
static int move_wal(struct sqlite *s, struct error *err)
{
	int in_wal = 0, moved = 0;
	int rc = sqlite3_wal_checkpoint_v2(
		s->writer, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_wal, &moved);

	if (rc != SQLITE_OK && rc != SQLITE_BUSY)
		return sqlite_fail(s->options.path, s->writer, rc,
			"move the WAL of it", err);
	if (moved < in_wal || rc != SQLITE_OK)
		return 0;
	s->wal_pages = 0;
	if ((int64_t)in_wal * SQLITE_PAGE > WAL_KEPT) {
		sqlite3_busy_timeout(s->writer, 0);
		sqlite3_wal_checkpoint_v2(s->writer, NULL,
			SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
		sqlite3_busy_timeout(s->writer, SQLITE_BUSY_MS);
	}
	return 0;
}

/* Give free pages back to the file system, some at a time: 1 when there are
 * more. Those that new rows will soon need are kept. */
static int shrink(struct sqlite *s, struct error *err)
{
	const char *path = s->options.path;
	int64_t pages = 0, free_pages = 0;
	char sql[64];

	if (sqlite_ask(path, s->writer, "PRAGMA freelist_count", &free_pages,
		    NULL, 0, err) < 0 ||
		sqlite_ask(path, s->writer, "PRAGMA page_count", &pages, NULL,
			0, err) < 0)
		return -1;
	if (free_pages <= FREE_KEPT + pages / 64)
		return 0;
	snprintf(sql, sizeof(sql), "PRAGMA incremental_vacuum(%d)", FREE_SLICE);
	return sqlite_run(path, s->writer, sql, "shrink it", err) < 0 ? -1 : 1;
}

int sqlite_tend(struct store *store, bool idle, struct error *err)
{
	struct sqlite *s = (struct sqlite *)store;
	int more = 0;

	if (!atomic_load(&s->open))
		return 0;
	if ((int64_t)s->wal_pages * SQLITE_PAGE >= WAL_MOST)
		return move_wal(s, err) < 0 ? -1 : idle;
	if (idle)
		more = shrink(s, err);
	if (idle && !more && s->wal_pages)
		return move_wal(s, err);
	return more;
}
