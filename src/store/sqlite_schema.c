/*
 * The tables, as steps from one version to the next; user_version says which
 * one a file has. A new file goes through all of them.
 */
#include "store/sqlite_private.h"

#include "base/log.h"

#include <stdio.h>

/* migrations[v] takes a file from version v to v + 1, in one transaction. */
static const char *const migrations[] = {
	"CREATE TABLE entries (key TEXT NOT NULL UNIQUE, value BLOB NOT NULL,"
	" expires INTEGER);"
	"CREATE INDEX entries_expires ON entries (expires)"
	" WHERE expires IS NOT NULL;",

	"CREATE TABLE counts (kind TEXT PRIMARY KEY, n INTEGER NOT NULL)"
	" WITHOUT ROWID;"
	"INSERT INTO counts SELECT substr(key, 1, instr(key, '/')), count(*)"
	" FROM entries GROUP BY 1;"
	"DROP INDEX entries_expires;"
	"CREATE INDEX entries_expires ON entries (expires, key)"
	" WHERE expires IS NOT NULL;",
};

const int sqlite_version = (int)(sizeof(migrations) / sizeof(*migrations));

/* Free pages can be given back, and pages have our size: both are fixed when a
 * file is first written, and changed by writing it anew. */
static int lay_out(const char *path, sqlite3 *db, struct error *err)
{
	char sql[96], mode[16];
	int64_t pages = 0, vacuum = 0;

	if (sqlite_ask(path, db, "PRAGMA page_count", &pages, NULL, 0, err) <
			0 ||
		sqlite_ask(path, db, "PRAGMA auto_vacuum", &vacuum, NULL, 0,
			err) < 0)
		return -1;
	if (pages && vacuum == 2)
		return 0;
	snprintf(sql, sizeof(sql),
		"PRAGMA page_size = %d; PRAGMA auto_vacuum = INCREMENTAL",
		SQLITE_PAGE);
	if (pages && sqlite_ask(path, db, "PRAGMA journal_mode = DELETE", NULL,
			     mode, sizeof(mode), err) < 0)
		return -1;
	if (sqlite_run(path, db, sql, "lay it out", err) < 0)
		return -1;
	return pages ? sqlite_run(path, db, "VACUUM", "rewrite it", err) : 0;
}

static int step(const char *path, sqlite3 *db, int version, struct error *err)
{
	char sql[96];

	snprintf(sql, sizeof(sql),
		"PRAGMA application_id = %d; PRAGMA user_version = %d",
		SQLITE_ID, version + 1);
	if (sqlite_run(path, db, "BEGIN IMMEDIATE", "migrate", err) < 0)
		return -1;
	if (!sqlite_run(path, db, migrations[version], "migrate", err) &&
		!sqlite_run(path, db, sql, "migrate", err) &&
		!sqlite_run(path, db, "COMMIT", "migrate", err))
		return 0;
	sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return -1;
}

int sqlite_migrate(const char *path, sqlite3 *db, struct error *err)
{
	struct error why = { 0 };
	int64_t version, from;

	/* Without room to write it anew it works, too. */
	if (lay_out(path, db, &why) < 0)
		log_warn("the store's file keeps its old layout: it won't "
			 "shrink",
			log_fault(&why));
	if (sqlite_identity(path, db, &from, err) < 0)
		return -1;
	for (version = from; version < sqlite_version; version++)
		if (step(path, db, (int)version, err) < 0)
			return -1;
	if (from && from < sqlite_version)
		log_info("the store was migrated", log_text("path", path),
			log_int("from", from), log_int("to", version));
	return 0;
}
