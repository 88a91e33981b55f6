/* Uploaded files: their list, and what is known of each. */
#include "http/call.h"
#include "http/files.h"
#include "http/reply.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_PAGE 10000
#define MAX_PAGE 10000

json_t *file_describe(const struct file_info *info)
{
	char hash[64];

	snprintf(hash, sizeof(hash), "xxh3-128:%s", info->hash);
	return json_pack("{s:s, s:s, s:I, s:I, s:n, s:s, s:s, s:s, s:n, s:s, "
			 "s:s, s:s}",
		"id", info->id, "object", "file", "bytes",
		(json_int_t)info->bytes, "created_at",
		(json_int_t)(info->created / 1000), "expires_at", "filename",
		info->name, "purpose", FILE_PURPOSE, "status", "processed",
		"status_details", "encoding", info->encoding, "format",
		info->format == FILE_JSONL ? "jsonl" : "text", "hash", hash);
}

bool files_admit(struct api *a, struct exchange *x)
{
	if (!api_admit(a, x))
		return false;
	if (a->backend.files)
		return true;
	reply_error(x, a->backend.jobs_fault);
	return false;
}

static void work_get(struct call *c)
{
	struct file_info info;

	if (!files_find(c->api->backend.files, c->owner, c->params.value[0],
		    &info, &c->err))
		c->answer = file_describe(&info);
	call_done(c);
}

static void work_delete(struct call *c)
{
	const char *id = c->params.value[0];

	if (!files_delete(c->api->backend.files, c->owner, id, &c->err))
		c->answer = json_pack("{s:s, s:s, s:b}", "id", id, "object",
			"file", "deleted", 1);
	call_done(c);
}

enum { LIST_AFTER, LIST_LIMIT, LIST_ORDER, LIST_PURPOSE };

static const struct field list_query[] = {
	[LIST_AFTER] = { .name = "after",
		.type = FIELD_NAME,
		.max = FILE_ID_MAX,
		.help = "List what comes after this file: `last_id` of the "
			"page before" },
	[LIST_LIMIT] = { .name = "limit",
		.type = FIELD_INT,
		.min = 1,
		.max = MAX_PAGE,
		.help = "Files at most; 10000 without it" },
	[LIST_ORDER] = { .name = "order",
		.type = FIELD_CHOICE,
		.choices = "desc|asc",
		.help = "The newest first, or the oldest; desc without it" },
	[LIST_PURPOSE] = { .name = "purpose",
		.type = FIELD_NAME,
		.max = 64,
		.help = "List files for this purpose" },
};
#define N_LIST (sizeof(list_query) / sizeof(list_query[0]))

struct list_query {
	char after[FILE_ID_MAX + 1], order[8], purpose[65];
	uint64_t limit;
	bool newest_first, none;
};

static int read_list(struct call *c, struct list_query *q)
{
	q->limit = DEFAULT_PAGE;
	if (call_check_query(c, list_query, N_LIST, &c->err) < 0 ||
		call_query_number(c, "limit", 1, MAX_PAGE, &q->limit, &c->err) <
			0)
		return -1;
	if (call_query(c, "order", q->order, sizeof(q->order), &c->err) &&
		strcmp(q->order, "asc") != 0 && strcmp(q->order, "desc") != 0)
		return error_set_param(&c->err, ERROR_INVALID, "order",
			"order is '%s', expected asc or desc", q->order);
	q->newest_first = strcmp(q->order, "asc") != 0;
	if (!c->err.code)
		call_query(c, "after", q->after, sizeof(q->after), &c->err);
	if (!c->err.code && call_query(c, "purpose", q->purpose,
				    sizeof(q->purpose), &c->err))
		q->none = strcmp(q->purpose, FILE_PURPOSE) != 0;
	return c->err.code ? -1 : 0;
}

static json_t *describe_page(const struct file_info *infos, size_t n, bool more)
{
	json_t *data = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(data, file_describe(&infos[i]));
	return json_pack("{s:s, s:o, s:s?, s:s?, s:b}", "object", "list",
		"data", data, "first_id", n ? infos[0].id : NULL, "last_id",
		n ? infos[n - 1].id : NULL, "has_more", more);
}

static void list_files(struct call *c, const struct list_query *q)
{
	struct files *files = c->api->backend.files;
	struct file_info *infos;
	struct files_stats stats;
	size_t n, limit = (size_t)q->limit;
	bool more;

	/* An array of those that there are, not of all that were asked for. */
	files_stats(files, &stats);
	if (limit > stats.files + 1)
		limit = stats.files + 1;
	infos = calloc(limit, sizeof(*infos));
	if (!infos)
		error_set_memory(&c->err, "files", limit * sizeof(*infos));
	else if (!files_list(files, c->owner, q->after, q->newest_first, limit,
			 infos, &n, &more, &c->err))
		c->answer =
			describe_page(infos, q->none ? 0 : n, more && !q->none);
	free(infos);
}

static void work_list(struct call *c)
{
	struct list_query q = { 0 };

	if (!read_list(c, &q))
		list_files(c, &q);
	call_done(c);
}

static void list(void *ctx, struct exchange *x, const struct route_params *p)
{
	if (files_admit(ctx, x))
		call_start(ctx, x, p, work_list);
}

static void get(void *ctx, struct exchange *x, const struct route_params *p)
{
	if (files_admit(ctx, x))
		call_start(ctx, x, p, work_get);
}

static void delete (void *ctx, struct exchange *x, const struct route_params *p)
{
	if (files_admit(ctx, x))
		call_start(ctx, x, p, work_delete);
}

static const struct route rows[] = {
	{ .method = "GET",
		.path = "/v1/files",
		.scope = ROUTE_TRAIN,
		.handle = list,
		.summary = "List uploaded files",
		.query = list_query,
		.n_query = N_LIST,
		.status = 200,
		.answer = "application/json",
		.schema = "FileList" },
	{ .method = "POST",
		.path = "/v1/files",
		.scope = ROUTE_TRAIN,
		.handle = upload_complete,
		.open = upload_open,
		.summary = "Upload a text to learn from",
		.fields = upload_fields,
		.n_fields = N_UPLOAD_FIELDS,
		.status = 200,
		.answer = "application/json",
		.schema = "File" },
	{ .method = "GET",
		.path = "/v1/files/{file}",
		.scope = ROUTE_TRAIN,
		.handle = get,
		.summary = "Describe a file",
		.status = 200,
		.answer = "application/json",
		.schema = "File" },
	{ .method = "DELETE",
		.path = "/v1/files/{file}",
		.scope = ROUTE_TRAIN,
		.handle = delete,
		.summary = "Delete a file that no job uses",
		.status = 200,
		.answer = "application/json",
		.schema = "Deleted" },
	{ .method = "GET",
		.path = "/v1/files/{file}/content",
		.scope = ROUTE_TRAIN,
		.handle = file_content,
		.summary = "A file's bytes",
		.status = 200,
		.answer = ROUTE_BINARY },
};

const struct route_table routes_files = { rows,
	sizeof(rows) / sizeof(rows[0]) };
