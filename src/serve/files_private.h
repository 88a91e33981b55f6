/* The index of files, as files.c and files_upload.c share it. */
#ifndef SERVE_FILES_PRIVATE_H
#define SERVE_FILES_PRIVATE_H

#include "serve/files.h"

#include <pthread.h>

struct file_entry {
	struct file_info info;
	unsigned holders;
	bool leaving; /* is being deleted: nobody finds it */
};

/* What of one owner's is on the disk, uploads under way included. */
struct file_owner {
	struct file_owner *next;
	uint64_t bytes;
	char name[SESSION_OWNER_MAX + 1];
};

struct files {
	struct files_options o;
	char *dir;	      /* owned */
	pthread_mutex_t lock; /* of all below; not held while the disk works */
	struct file_entry **entries; /* [n] owned, oldest first */
	size_t n, cap;
	size_t n_uploads;
	uint64_t bytes; /* uploads under way included */
	int64_t latest; /* time of creation that was given last */
	struct file_owner *owners;
};

/* All with the lock held. NULL: memory ran out. */
struct file_owner *files_owner(struct files *f, const char *name);
/* Room for one more; then files_add can't fail. */
int files_reserve(struct files *f, struct error *err);
void files_add(struct files *f, struct file_entry *e);

/* The record in the store. */
int file_record_put(
	struct files *f, const struct file_info *info, struct error *err);
int file_record_read(struct file_info *info, const char *key, const void *value,
	size_t len, struct error *err);
void file_record_key(const char *id, char *key, size_t size);
#define FILE_ID_PREFIX "file-"
#define FILE_KEY_PREFIX "file/"
#define FILE_KEY_MAX (sizeof(FILE_KEY_PREFIX) + FILE_ID_MAX)

#endif
