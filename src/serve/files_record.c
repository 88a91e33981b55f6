/* A file's record as the store has it: a JSON object. */
#include "serve/files_private.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 1

static const char *const formats[] = { "text", "jsonl" };

void file_record_key(const char *id, char *key, size_t size)
{
	snprintf(key, size, FILE_KEY_PREFIX "%s", id);
}

int file_record_put(
	struct files *f, const struct file_info *info, struct error *err)
{
	char key[FILE_KEY_MAX];
	json_t *json = json_pack("{s:i, s:s, s:s, s:s, s:s, s:I, s:I, s:s}",
		"v", VERSION, "owner", info->owner, "name", info->name,
		"encoding", info->encoding, "format", formats[info->format],
		"bytes", (json_int_t)info->bytes, "created",
		(json_int_t)info->created, "hash", info->hash);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	int put;

	json_decref(json);
	if (!text)
		return error_set_memory(err, "file's record", 1);
	file_record_key(info->id, key, sizeof(key));
	put = store_shared_put(f->o.store, key, text, strlen(text), err);
	free(text);
	return put;
}

static int copy(char *out, size_t size, const char *text)
{
	return snprintf(out, size, "%s", text) < (int)size ? 0 : -1;
}

static int read_fields(struct file_info *info, json_t *json)
{
	const char *owner, *name, *encoding, *format, *hash;
	json_int_t bytes, created;
	int version;

	if (json_unpack(json, "{s:i, s:s, s:s, s:s, s:s, s:I, s:I, s:s}", "v",
		    &version, "owner", &owner, "name", &name, "encoding",
		    &encoding, "format", &format, "bytes", &bytes, "created",
		    &created, "hash", &hash) < 0 ||
		version != VERSION)
		return -1;
	info->bytes = (uint64_t)bytes;
	info->created = created;
	info->format = strcmp(format, "jsonl") ? FILE_TEXT : FILE_JSONL;
	return copy(info->owner, sizeof(info->owner), owner) < 0 ||
			       copy(info->name, sizeof(info->name), name) < 0 ||
			       copy(info->encoding, sizeof(info->encoding),
				       encoding) < 0 ||
			       copy(info->hash, sizeof(info->hash), hash) < 0
		       ? -1
		       : 0;
}

int file_record_read(struct file_info *info, const char *key, const void *value,
	size_t len, struct error *err)
{
	json_t *json = json_loadb(value, len, 0, NULL);
	int read = -1;

	*info = (struct file_info){ 0 };
	if (json && !copy(info->id, sizeof(info->id),
			    key + sizeof(FILE_KEY_PREFIX) - 1))
		read = read_fields(info, json);
	json_decref(json);
	if (read < 0)
		return error_set(err, ERROR_CORRUPT,
			"%s: its record can't be read", key);
	return 0;
}
