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
#define WAIT_MS 50	   /* for readers that keep it from being moved */
#define FREE_KEPT 64	   /* pages for what comes next */
#define FREE_SLICE 128	   /* pages given back at once */

/* Waits for readers no longer than `milliseconds`; 1 when all was moved. */
static int checkpoint(struct sqlite *s, int mode, int milliseconds, int *in_wal,
	struct error *err)
{
	int moved = 0, rc;

	sqlite3_busy_timeout(s->writer, milliseconds);
	rc = sqlite3_wal_checkpoint_v2(s->writer, NULL, mode, in_wal, &moved);
	sqlite3_busy_timeout(s->writer, SQLITE_BUSY_MS);
	if (rc != SQLITE_OK && rc != SQLITE_BUSY)
		return sqlite_fail(s->options.path, s->writer, rc,
			"move the WAL of it", err);
	return rc == SQLITE_OK && moved == *in_wal;
}

/* Copy the WAL into the file, so that it begins anew. A reader that still needs
 * it puts that off; only where it grew long is one waited for, a little. */
static int move_wal(struct sqlite *s, bool idle, struct error *err)
{
	int in_wal = 0, pages;
	int all = checkpoint(s, SQLITE_CHECKPOINT_PASSIVE, 0, &in_wal, err);

	if (all > 0)
		s->wal_pages = 0;
	pages = in_wal;
	if (pages < 2 * (WAL_MOST / SQLITE_PAGE)) {
		s->wal_wait = 0;
	} else if (all >= 0 && pages >= s->wal_wait) {
		all = checkpoint(
			s, SQLITE_CHECKPOINT_RESTART, WAIT_MS, &in_wal, err);
		s->wal_wait = pages + WAL_MOST / SQLITE_PAGE;
	}
	if (idle && all > 0 && (int64_t)pages * SQLITE_PAGE > WAL_KEPT)
		all = checkpoint(
			s, SQLITE_CHECKPOINT_TRUNCATE, 0, &in_wal, err);
	return all < 0 ? -1 : 0;
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
		return move_wal(s, idle, err) < 0 ? -1 : idle && !s->wal_pages;
	if (idle)
		more = shrink(s, err);
	if (idle && !more && s->wal_pages)
		return move_wal(s, idle, err);
	return more;
}
