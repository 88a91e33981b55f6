/*
 * Texts that clients upload, for jobs to learn from. Each is one file on disk
 * and one record in the store, "file/ID"; a record is written after its file is
 * whole and safe, so that neither is ever there half. What a crash left over is
 * removed at the next start.
 *
 *   (none) -> UPLOADING [files_begin]
 *   UPLOADING -> STORED [files_finish];  UPLOADING -> (none) [files_abort]
 *   STORED -> HELD [files_hold];  HELD -> STORED [files_release]
 *   STORED -> (none) [files_delete]
 *
 * Any thread may call anything here, and most of it waits for the disk: not on
 * the loop. One thread at a time has an upload.
 */
#ifndef SERVE_FILES_H
#define SERVE_FILES_H

#include "base/error.h"
#include "serve/session.h"
#include "store/shared.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FILE_ID_MAX 40
#define FILE_NAME_MAX 255
#define FILE_PURPOSE "fine-tune" /* the one there is */

enum file_format {
	FILE_TEXT,  /* all of it is text */
	FILE_JSONL, /* a JSON object a line, of which `text` counts */
};

struct file_info {
	char id[FILE_ID_MAX + 1]; /* "file-" and letters and digits */
	char owner[SESSION_OWNER_MAX + 1];
	char name[FILE_NAME_MAX + 1]; /* that the client gave, UTF-8 */
	char encoding[32];	      /* a charset, see text/encoding.h */
	enum file_format format;
	uint64_t bytes;
	int64_t created; /* Unix ms; no two files have the same */
	char hash[33];	 /* XXH3-128 of the bytes, in hexadecimal */
};

struct files_options {
	const char *dir;	    /* of the files; made if missing */
	struct store_shared *store; /* borrowed */
	uint64_t max_size;	    /* bytes of one file */
	uint64_t quota;		    /* bytes of all; 0 = no limit */
	uint64_t quota_per_owner;   /* bytes of one owner's; 0 = no limit */
	size_t max;		    /* files of all owners */
};

struct files;

/* The option of that name. */
uint64_t files_max_size(const struct files *f);

/* Reads the records, and removes what belongs to none. */
int files_open(
	struct files **f, const struct files_options *o, struct error *err);
void files_close(struct files *f); /* NULL is fine */

/* ERROR_NOT_FOUND with param `file`, also for another's file. */
int files_find(struct files *f, const char *owner, const char *id,
	struct file_info *info, struct error *err);

/* As files_find; the file then stays until as many files_release. Holds are not
 * stored: who needs one after a restart takes it again before clients come. */
int files_hold(struct files *f, const char *owner, const char *id,
	struct file_info *info, struct error *err);
void files_release(struct files *f, const char *id);

/* Where its bytes are: for reading only. -1 when `size` is too small. */
int files_path(const struct files *f, const char *id, char *path, size_t size);

/* ERROR_CONFLICT while it is held. */
int files_delete(
	struct files *f, const char *owner, const char *id, struct error *err);

/* At most `limit` of the owner's files that come after the file `after` ("" =
 * from the first), oldest or newest first, into infos [limit]; *more: there are
 * others behind. ERROR_NOT_FOUND with param `after`. */
int files_list(struct files *f, const char *owner, const char *after,
	bool newest_first, size_t limit, struct file_info *infos, size_t *n,
	bool *more, struct error *err);

/* What an upload says of its file; texts are copied. */
struct file_about {
	const char *name;
	const char *encoding; /* NULL: utf-8 */
	enum file_format format;
};

struct file_upload;

/* ERROR_NO_SPACE when there are as many as may be. */
int files_begin(struct files *f, const char *owner, struct file_upload **u,
	struct error *err);
/* ERROR_TOO_LARGE over max_size; ERROR_NO_SPACE over a quota, or when the disk
 * is full. The upload is then to be aborted. */
int files_append(struct file_upload *u, const void *bytes, size_t len,
	struct error *err);
/* Ends the upload in any case. The text is read through once: one that is
 * empty, no text, or not in its encoding is refused, with the offset
 * (ERROR_INVALID, ERROR_UNPROCESSABLE). On return it is safe. */
int files_finish(struct file_upload *u, const struct file_about *about,
	struct file_info *info, struct error *err);
void files_abort(struct file_upload *u); /* NULL is fine */

struct files_stats {
	uint64_t files, bytes;
};
void files_stats(struct files *f, struct files_stats *stats);

#endif
