/* What the routes of files share. */
#ifndef HTTP_FILES_H
#define HTTP_FILES_H

#include "http/api_internal.h"

/* OpenAI's file object, and what else we know. NULL when memory ran out. */
json_t *file_describe(const struct file_info *info);

/* Refuses, with the reason, when there is no place for files. */
bool files_admit(struct api *a, struct exchange *x);

/* upload.c: POST /v1/files, when its headers are in, and when its body is. */
void upload_open(
	void *ctx, struct exchange *x, const struct route_params *params);
void upload_complete(
	void *ctx, struct exchange *x, const struct route_params *params);
#define N_UPLOAD_FIELDS 4
extern const struct field upload_fields[N_UPLOAD_FIELDS];

/* file_content.c: GET /v1/files/{file}/content. */
void file_content(
	void *ctx, struct exchange *x, const struct route_params *params);

#endif
