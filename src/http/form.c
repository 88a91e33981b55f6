#include "http/form.h"
#include "http/multipart.h"

#include <string.h>

#define MAX_VALUE (1u << 20) /* bytes of a part that is no file */

struct form {
	const struct field *fields;
	size_t n;
	const struct field *part; /* that is being read */
	unsigned long long seen;  /* bit i: fields[i] */
	struct buf value, *file;
	json_t *json;
};

static int on_begin(
	void *arg, const struct multipart_part *part, struct error *err)
{
	struct form *f = arg;
	size_t i = 0;

	while (i < f->n && strcmp(f->fields[i].name, part->name) != 0)
		i++;
	if (i == f->n)
		return request_unknown_field(part->name, f->fields, f->n, err);
	if (f->seen >> i & 1)
		return error_set_param(err, ERROR_INVALID, part->name,
			"%s is given twice", part->name);
	f->seen |= 1ull << i;
	f->part = &f->fields[i];
	buf_clear(&f->value);
	return 0;
}

static int on_data(void *arg, const char *bytes, size_t len, struct error *err)
{
	struct form *f = arg;
	struct buf *b = f->part->file ? f->file : &f->value;

	if (buf_append(b, bytes, len) == 0)
		return 0;
	return error_set_param(err, ERROR_TOO_LARGE, f->part->name,
		"%s is longer than %zu bytes", f->part->name, b->max);
}

/* What is no number stays text, which the reader of fields then refuses. */
static json_t *value_of(const struct form *f)
{
	const char *text = f->value.len ? f->value.data : "";
	json_t *json = NULL;

	if (f->part->type == FIELD_INT || f->part->type == FIELD_NUMBER ||
		f->part->type == FIELD_BOOL || f->part->type == FIELD_JSON)
		json = json_loadb(text, f->value.len, JSON_DECODE_ANY, NULL);
	return json ? json : json_stringn(text, f->value.len);
}

static int on_end(void *arg, struct error *err)
{
	struct form *f = arg;
	json_t *value;

	if (f->part->file)
		return 0;
	value = value_of(f);
	if (value && json_object_set_new(f->json, f->part->name, value) == 0)
		return 0;
	return error_set_param(err, ERROR_INVALID, f->part->name,
		"%s is not UTF-8, or memory ran out", f->part->name);
}

static const struct multipart_ops ops = {
	.begin = on_begin, .data = on_data, .end = on_end
};

static int parse(struct form *f, const char *content_type, const char *body,
	size_t len, struct error *err)
{
	struct multipart m;
	int rc;

	if (multipart_init(&m, content_type, &ops, f, err) < 0)
		return -1;
	rc = multipart_feed(&m, body, len, err);
	if (rc == 0)
		rc = multipart_finish(&m, err);
	multipart_release(&m);
	return rc;
}

int form_read(const char *content_type, const char *body, size_t len,
	const struct field *fields, size_t n, json_t **json, struct buf *file,
	struct error *err)
{
	struct form f = {
		.fields = fields, .n = n, .file = file, .json = json_object()
	};
	int rc;

	*json = NULL;
	if (!f.json)
		return error_set_memory(err, "form", sizeof(f));
	buf_init(&f.value, MAX_VALUE);
	rc = parse(&f, content_type, body, len, err);
	buf_release(&f.value);
	if (rc == 0)
		*json = f.json;
	else
		json_decref(f.json);
	return rc;
}
