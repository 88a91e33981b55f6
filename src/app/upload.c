#include "app/upload.h"

#include <sys/stat.h>

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
	struct stat there;

	if (stat(file, &there) == 0 && S_ISDIR(there.st_mode))
		return error_set(err, ERROR_INVALID,
			"%s: is a directory, expected a text file", file);
	if (http_client_upload(c, &u, answer, err) < 0)
		return error_prefix(err, "%s", file);
	return 0;
}
