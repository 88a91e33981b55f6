#include "app/upload.h"

int upload_file(struct http_client *c, const char *file,
	const struct upload_options *o, json_t **answer, struct error *err)
{
	const struct http_field fields[] = {
		{ "purpose", "fine-tune" },
		{ "encoding", o->encoding },
		{ "format", o->format },
	};
	const struct http_upload u = {
		.path = FILES,
		.file = file,
		.name = o->name,
		.fields = fields,
		.n_fields = sizeof(fields) / sizeof(fields[0]),
	};

	if (http_client_upload(c, &u, answer, err) < 0)
		return error_prefix(err, "%s", file);
	return 0;
}
